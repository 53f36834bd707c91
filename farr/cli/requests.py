"""`farr requests`: questions under way, which go on while the machine that asked them is off."""

from __future__ import annotations

import time
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli.options import AlarmMethod, AsJson, Export, Home, Plot, Progress
from farr.figures import tables
from farr.texts import N_, _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from farr.questions.states import RequestState

app = typer.Typer(add_completion=False, no_args_is_help=True, help=N_("Questions under way: list, show, wait, cancel."))


class StateName(StrEnum):
    """A state, as it is written on the command line."""

    WAITING = "waiting"
    RUNNING = "running"
    ANSWERED = "answered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


Identifier = Annotated[str, typer.Argument(metavar="ID", help=N_("The request's id, or the beginning of it."))]

LIST = N_(
    "List your requests, newest first.\n\n\b\n"
    "  farr requests list\n"
    "  farr requests list --state waiting --state running\n"
    "  farr requests list --all --json"
)
SHOW = N_("Show how far a request is, hospital by hospital.\n\n\b\n  farr requests show 3f2a")
WAIT = N_("Wait for the answer of a request and show it.\n\n\b\n  farr requests wait 3f2a --timeout 600")
CANCEL = N_("Give up a request. What hospitals were charged for it stays charged.\n\n\b\n  farr requests cancel 3f2a")


@app.command("list", help=LIST)
def list_requests(
    home: Home = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help=N_("Show at most so many."))] = 50,
    everything: Annotated[bool, typer.Option("--all", help=N_("Show all, however many there are."))] = False,
    state: Annotated[
        list[StateName] | None,
        typer.Option(help=N_("Show those in this state only; repeat it for several."), show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List."""
    from farr import connect

    with connect(home) as federation:
        # One more than is shown tells whether there are more.
        most = 0 if everything else limit + 1
        found = federation.requests(most=most, only=[each.value for each in state or ()])
    more = not everything and len(found) > limit
    if more:
        found = found[:limit]
    if as_json:
        output.as_json([each.to_plain() for each in found])
    elif found:
        _show_list(found)
    else:
        output.line(_("There are none."))
    if more:
        # On standard error: a script that reads the list gets the list alone.
        text = _("The newest {count} are shown; there are older ones: --limit N shows more, --all shows all.")
        typer.echo(text.format(count=limit), err=True)


def _show_list(found: Sequence[RequestState]) -> None:
    from farr.questions.states import in_words

    rows = [
        (
            state.id[:8],
            when(state.created_at),
            in_words(state, time.time()),
            f"{state.answered}/{state.asked}",
            state.code,
            one_line(state.statement) if state.run is None else state.run.in_words(),
        )
        for state in found
    ]
    output.table(tables.table((_("id"), _("asked at"), _("state"), _("answered"), _("code"), _("question")), rows))


@app.command(help=SHOW)
def show(identifier: Identifier, home: Home = None, as_json: AsJson = False) -> None:
    """Show one."""
    from farr import connect

    with connect(home) as federation:
        state = federation.request(identifier)
    if as_json:
        output.as_json(state.to_plain())
    else:
        describe(state)


@app.command(help=WAIT)
def wait(
    *,
    identifier: Identifier,
    home: Home = None,
    timeout: Annotated[float | None, typer.Option(min=0.1, metavar="S", help=N_("Wait at most S seconds."))] = None,
    plot: Plot = None,
    export: Export = None,
    alarms: AlarmMethod = None,
    progress: Progress = None,
    as_json: AsJson = False,
) -> None:
    """Wait."""
    from farr import connect
    from farr.cli.showing import Wanted
    from farr.cli.showing import show as show_answer
    from farr.cli.waiting import Waiting

    wanted = Wanted(plot=plot, export=export, alarms=alarms)
    wanted.check()
    with connect(home) as federation, Waiting(wanted=progress, as_json=as_json) as waiting:
        result = federation.wait(identifier, timeout, waiting.told)
    show_answer(result, wanted, as_json=as_json)


@app.command(help=CANCEL)
def cancel(identifier: Identifier, home: Home = None, as_json: AsJson = False) -> None:
    """Cancel."""
    from farr import connect

    with connect(home) as federation:
        state = federation.cancel(identifier)
    if as_json:
        output.as_json(state.to_plain())
    else:
        describe(state)


def describe(state: object) -> None:
    """Print a request for people."""
    from farr.figures.result import plain_units
    from farr.problems import advice
    from farr.questions.states import SITE_WORDS, RequestState, in_words

    if not isinstance(state, RequestState):
        raise TypeError
    output.line(state.statement)
    output.line()
    output.line(_("id: {id}").format(id=state.id))
    if state.run is not None:
        output.line(_("training: {round}").format(round=state.run.in_words()))
    output.line(_("state: {state}").format(state=in_words(state, time.time())))
    output.line(_("asked at: {time}").format(time=when(state.created_at)))
    if state.state == "waiting":
        output.line(_("given up at: {time}").format(time=when(state.expires_at)))
    if not state.reused:
        output.line(
            _("price: epsilon {epsilon:.3g} at each hospital that answers").format(
                epsilon=plain_units(state.rho_units)["epsilon"]
            )
        )
    if state.purpose:
        output.line(_("purpose: {purpose}").format(purpose=state.purpose))
    if state.reason:
        output.line(_("asked because: {text}").format(text=state.reason))
    output.line(
        _("{answered} of {asked} hospitals answered, {needed} needed").format(
            answered=state.answered, asked=state.asked, needed=state.needed
        )
    )
    if state.code:
        output.line(_("reason: {code}: {advice}").format(code=state.code, advice=advice(state.code)))
    if state.release:
        output.line(_("release: {id}").format(id=state.release))
    rows = [
        (site, _(SITE_WORDS[word]) if word in SITE_WORDS else word, state.references.get(site, ""))
        for site, word in state.sites.items()
    ]
    output.line()
    output.table(tables.table((_("hospital"), _("state"), _("reference in its log")), rows))
    if state.state == "waiting" and state.held:
        output.line(_("Their operators see it with: farr node approvals show {id}").format(id=state.id[:8]))


def when(seconds: int) -> str:
    """Return a time for people, in the time zone of this machine."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def one_line(statement: str, most: int = 60) -> str:
    """Return a statement on one line, cut."""
    line = " ".join(statement.split())
    return line if len(line) <= most else line[: most - 1] + "…"
