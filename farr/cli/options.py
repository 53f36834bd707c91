"""Options that many commands share, each spelt and explained once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farr.texts import N_

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help=N_("Your home folder as a member, or a lab's folder; else $FARR_HOME, else ~/.farr."),
        show_default=False,
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help=N_("Print one JSON object for scripts."))]

Progress = Annotated[
    bool | None,
    typer.Option(
        "--progress/--no-progress", help=N_("Show progress on standard error; by default on a terminal only.")
    ),
]
