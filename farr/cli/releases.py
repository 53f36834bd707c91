"""`farr releases`: answers that were given; showing one again costs nothing."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli.options import AlarmMethod, AsJson, Export, Home, Plot
from farr.figures import tables
from farr.texts import N_, _

if TYPE_CHECKING:
    from farr.figures.saved import Saved
    from queries.series.change import Scale

app = typer.Typer(add_completion=False, no_args_is_help=True, help=N_("Answers given so far: list, show, compare."))

LIST = N_(
    "List the released answers, newest first. Asking such a question again costs nothing.\n\n\b\n  farr releases list"
)
SHOW = N_("Show a released answer, verified and computed anew on this machine.\n\n\b\n  farr releases show 5f44")
COMPARE = N_(
    "Say of each figure whether it has changed between two releases, or lies within their errors, at no cost.\n\n\b\n"
    "  farr releases compare 5f44 a01c\n"
    "  farr releases compare 2025.json 2026.json --total --jointly"
)


class ChangeScale(StrEnum):
    """How a change is written."""

    DIFFERENCE = "difference"
    RATIO = "ratio"


SCALES: dict[ChangeScale, Scale] = {ChangeScale.DIFFERENCE: "difference", ChangeScale.RATIO: "ratio"}
"""As a comparison names them."""


@app.command("list", help=LIST)
def list_releases(home: Home = None, as_json: AsJson = False) -> None:
    """List."""
    from farr import connect
    from farr.cli.requests import one_line, when

    with connect(home) as federation:
        found = list(federation.releases())
    if as_json:
        output.as_json(
            [
                {
                    "id": result.release,
                    "digest": result.digest,
                    "released_at": result.released_at,
                    "statement": result.statement,
                    "epsilon": result.privacy.epsilon,
                    "sites": result.sites.to_plain(),
                }
                for result in found
            ]
        )
        return
    rows = [
        (
            result.release[:8],
            when(result.released_at),
            f"{result.privacy.epsilon:.3g}",
            f"{len(result.sites.answered)}/{len(result.sites.asked)}",
            one_line(result.statement),
        )
        for result in found
    ]
    headers = (_("id"), _("released at"), _("epsilon"), _("answered"), _("question"))
    output.table(tables.table(headers, rows, numbers=(2,)))


@app.command(help=SHOW)
def show(
    *,
    identifier: Annotated[str, typer.Argument(metavar="ID", help=N_("The release's id, or the beginning of it."))],
    home: Home = None,
    plot: Plot = None,
    export: Export = None,
    alarms: AlarmMethod = None,
    as_json: AsJson = False,
) -> None:
    """Show one."""
    from farr import connect
    from farr.cli.showing import Wanted
    from farr.cli.showing import show as show_answer

    wanted = Wanted(plot=plot, export=export, alarms=alarms)
    wanted.check()
    with connect(home) as federation:
        result = federation.release(identifier)
    if not as_json and result.statement:
        output.line(result.statement)
        output.line()
    show_answer(result, wanted, as_json=as_json)


@app.command(help=COMPARE)
def compare(
    *,
    earlier: Annotated[
        str, typer.Argument(metavar="EARLIER", help=N_("A release's id, or the beginning of it; or a saved NAME.json."))
    ],
    later: Annotated[str, typer.Argument(metavar="LATER", help=N_("Another one, that changes lead to."))],
    total: Annotated[
        bool, typer.Option("--total", help=N_("Allow for sampling too: for periods that do not overlap."))
    ] = False,
    scale: Annotated[
        ChangeScale | None,
        typer.Option(help=N_("Of all figures; else ratios for ratios, differences for others."), show_default=False),
    ] = None,
    jointly: Annotated[
        bool, typer.Option("--jointly", help=N_("Stretch the intervals so that all of a column hold at once."))
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Compare two."""
    from farr.figures.comparison import compare as compare_answers

    before, after = _answers((earlier, later), home)
    wanted = None if scale is None else SCALES[scale]
    found = compare_answers(before, after, total=total, scale=wanted, jointly=jointly)
    if as_json:
        output.as_json(found.to_dict())
    else:
        tables.console().print(found)


def _answers(named: tuple[str, str], home: Path | None) -> list[Saved]:
    """Return two answers by ids or files; connects only where an id is among them."""
    from farr import connect
    from farr.figures import saved

    read = {name: saved.read(name) for name in named if name.lower().endswith(saved.SUFFIX)}
    if len(read) < len(set(named)):
        with connect(home) as federation:
            read |= {name: saved.of_result(federation.release(name)) for name in named if name not in read}
    return [read[name] for name in named]
