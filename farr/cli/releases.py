"""`farr releases`: answers that were given; showing one again costs nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from farr import tables
from farr.cli import output
from farr.cli.options import AlarmMethod, AsJson, Export, Home, Plot
from farr.texts import N_, _

app = typer.Typer(add_completion=False, no_args_is_help=True, help=N_("Answers given so far: list, show."))

LIST = N_(
    "List the released answers, newest first. Asking such a question again costs nothing.\n\n\b\n  farr releases list"
)
SHOW = N_("Show a released answer, verified and computed anew on this machine.\n\n\b\n  farr releases show 5f44")


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
