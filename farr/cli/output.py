"""Printing: JSON for scripts, tables and lines for people."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from farr import tables

if TYPE_CHECKING:
    from rich.table import Table


def as_json(value: object) -> None:
    """Print one JSON document; text stays as it is in any script, and only finite numbers are numbers."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n")


def line(text: str = "", style: str = "") -> None:
    """Print a line of text, wrapped at the width of a terminal; brackets in it mean nothing."""
    tables.console().print(text, markup=False, style=style or None)


def table(drawn: Table) -> None:
    """Print a table."""
    tables.console().print(drawn)
