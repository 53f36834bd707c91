"""Options that many commands share, each spelt and explained once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farr.figures.methods import Method
from farr.questions.late import Late
from farr.texts import N_
from protocols.farrsum.parameters import Trust

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

Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help=N_("Also draw the answer: .png, .svg or .pdf; needs farr[plot]."),
        show_default=False,
    ),
]

Export = Annotated[
    Path | None,
    typer.Option(
        "--export",
        metavar="FILE",
        help=N_("Also write the answer for other programs: .csv, .xlsx, .parquet or .json."),
        show_default=False,
    ),
]

AlarmMethod = Annotated[
    Method | None,
    typer.Option(
        "--alarms",
        metavar="METHOD",
        help=N_("Judge each period of an answer by time alone: ears-c1, ears-c2, ears-c3, cusum or farrington."),
        show_default=False,
    ),
]

Feared = Annotated[
    Trust,
    typer.Option(
        "--trust",
        metavar="LEVEL",
        help=N_("How many hospitals are feared to collude: none, one-fifth, one-third; their policies set a floor."),
    ),
]

IfLate = Annotated[
    Late,
    typer.Option(
        "--late",
        metavar="HOW",
        help=N_("If hospitals have not loaded the whole period: stop, ask, or leave-out to ask the others."),
    ),
]

Purpose = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=N_("What it is for, by a name of your mandate; else statistics, or the only one."),
        show_default=False,
    ),
]

Reason = Annotated[
    str, typer.Option(metavar="TEXT", help=N_("Why you ask, in your words; hospitals see it."), show_default=False)
]

ByResidence = Annotated[
    bool,
    typer.Option(
        "--by-residence", help=N_("The regions of your mandate are where patients live, not where hospitals are.")
    ),
]

Patience = Annotated[
    str,
    typer.Option(metavar="TIME", help=N_("Wait so long for hospitals that hold it for approval: 30m, 12h, 2d.")),
]
