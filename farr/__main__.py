"""`python -m farr` is the command `farr`."""

from __future__ import annotations

from farr.cli.main import run

run()
