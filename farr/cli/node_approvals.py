"""`farr node approvals`: requests that the policy has a person look at, and standing approvals of signed packs."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import approval_pages, output
from farr.cli.node_records import Home, operator
from farr.cli.options import AsJson
from farr.texts import N_, _

if TYPE_CHECKING:
    from collections.abc import Callable

    from farr.hospital.cases import Case
    from farr.hospital.office import Office

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=N_("Requests that wait for a person here: list, show, approve, deny, revoke; and standing approvals."),
)
standing = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=N_("Approve the runs of a signed pack once, within limits: add, list, withdraw."),
)
app.add_typer(standing, name="standing")

Identifier = Annotated[str, typer.Argument(metavar="ID", help=N_("Id of the request or its run, or how it begins."))]
By = Annotated[
    str,
    typer.Option("--by", metavar="NAME", help=N_("Who decides; else the user of this machine."), show_default=False),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help=N_("Decide without showing the request and asking again."))]


class Part(StrEnum):
    """Parts of the calendar."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


LIST = N_("List the requests that wait for a person, newest first.\n\n\b\n  farr node approvals list --home n")
SHOW = N_(
    "Show a request with all that matters for deciding: who asks what and why, what it costs, what is left, which rule "
    "holds it, and which earlier questions are about the same patients.\n\n\b\n  farr node approvals show 3f2a --home n"
)
APPROVE = N_(
    "Approve a request. The approval is of exactly this request, at this price, under today's policy file; of a round "
    "of training, it is of all rounds of its run.\n\n\b\n"
    "  farr node approvals approve 3f2a --home n"
)
DENY = N_(
    "Deny a request, or the run of training that it is a round of: it is not answered here, whatever the policy "
    "becomes. A run that the policy allowed is stopped so too, by its id in farr node ledger.\n\n\b\n"
    "  farr node approvals deny 3f2a --reason 'not this year' --home n"
)
REVOKE = N_(
    "Take the last decision on a request back, before it is answered; of a run of training, before its next round."
    "\n\n\b\n  farr node approvals revoke 3f2a --home n"
)
ADD = N_(
    "Approve the runs of a pack that the registrar signed. A run within all limits needs no further word; it is "
    "checked, charged and logged like any question.\n\n\b\n"
    "  farr node approvals standing add monthly.toml --purpose statistics --every month\n"
    "    --epsilon 0.5 --total 5 --minimum-hospitals 10 --finest-time month --until 2027-12-31 --home n"
)
STANDING_LIST = N_("List the standing approvals.\n\n\b\n  farr node approvals standing list --home n")
WITHDRAW = N_(
    "Take a standing approval back: its next run waits for a person.\n\n\b\n"
    "  farr node approvals standing withdraw 3 --home n"
)


@app.command("list", help=LIST)
def list_requests(
    *,
    home: Home,
    everything: Annotated[bool, typer.Option("--all", help=N_("Also those that wait for nothing."))] = False,
    as_json: AsJson = False,
) -> None:
    """List."""
    from farr.hospital import approving
    from farr.hospital.office import office

    with office(home) as opened:
        found = [case for case in approving.cases(opened) if everything or case.stand == approving.HELD]
        table = approval_pages.listed(found, partial(_room, opened), stands=everything)
    if as_json:
        output.as_json([case.to_plain() for case in found])
        return
    if not found:
        output.line(_("No request waits for approval."))
        return
    output.table(table)


@app.command(help=SHOW)
def show(identifier: Identifier, home: Home, as_json: AsJson = False) -> None:
    """Show one."""
    from farr.hospital import approving
    from farr.hospital.office import office

    with office(home) as opened:
        case = approving.find(opened, identifier)
        if case.judged is None or case.judged.question is None:
            output.as_json(case.to_plain()) if as_json else approval_pages.describe(case)
            return
        closely = approving.closely(opened, case)
    if as_json:
        output.as_json(closely.to_plain())
        return
    approval_pages.describe(case)
    approval_pages.describe_closely(closely)


@app.command(help=APPROVE)
def approve(*, identifier: Identifier, home: Home, by: By = "", yes: Yes = False, as_json: AsJson = False) -> None:
    """Approve."""
    from farr.hospital import approving

    def decide(office: Office, case: Case) -> int:
        if not yes and not as_json:
            approval_pages.describe(case)
            approval_pages.describe_closely(approving.closely(office, case))
            question = _("Approve this request?") if case.run is None else _("Approve all rounds of this run?")
            typer.confirm(question, abort=True)
        return approving.approve(office, case, operator(by))

    _decide(identifier, home, decide, as_json=as_json)


@app.command(help=DENY)
def deny(
    *,
    identifier: Identifier,
    home: Home,
    by: By = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help=N_("Why, for this hospital's own records."))] = "",
    as_json: AsJson = False,
) -> None:
    """Deny."""
    from farr.cli.node_runs import or_run
    from farr.hospital import approving, stopping

    with or_run(identifier, home, partial(stopping.deny, by=operator(by), reason=reason), _("denied"), as_json=as_json):
        _decide(
            identifier, home, lambda office, case: approving.deny(office, case, operator(by), reason), as_json=as_json
        )


@app.command(help=REVOKE)
def revoke(identifier: Identifier, home: Home, by: By = "", as_json: AsJson = False) -> None:
    """Take back."""
    from farr.cli.node_runs import or_run
    from farr.hospital import approving, stopping

    with or_run(identifier, home, partial(stopping.revoke, by=operator(by)), _("taken back"), as_json=as_json):
        _decide(identifier, home, lambda office, case: approving.revoke(office, case, operator(by)), as_json=as_json)


@standing.command(help=ADD)
def add(
    *,
    pack: Annotated[Path, typer.Argument(metavar="PACK", help=N_("The pack; its signature is beside it."))],
    home: Home,
    purpose: Annotated[str, typer.Option(metavar="NAME", help=N_("The purpose of every run."))],
    every: Annotated[Part, typer.Option(help=N_("In which part of the calendar a run is answered."))],
    epsilon: Annotated[float, typer.Option(min=0.001, metavar="E", help=N_("The most that one run may cost."))],
    total: Annotated[float, typer.Option(min=0.001, metavar="T", help=N_("The most of all runs together."))],
    minimum_hospitals: Annotated[int, typer.Option(min=1, metavar="N", help=N_("Fewest hospitals of a run."))],
    finest_time: Annotated[Part, typer.Option(help=N_("The finest part of the calendar that a run may tell apart."))],
    until: Annotated[str, typer.Option(metavar="DATE", help=N_("The last day on which a run is answered."))],
    finest_place: Annotated[
        str,
        typer.Option(metavar="LEVEL", help=N_("The finest level of patients' homes; without it, none is told apart.")),
    ] = "",
    runs: Annotated[int, typer.Option(min=1, metavar="N", help=N_("Runs in each such part of the calendar."))] = 1,
    analyst: Annotated[str, typer.Option(metavar="ID", help=N_("Only runs of this analyst."))] = "",
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Approve the runs of a pack."""
    from farr.errors import FarrError
    from farr.hospital.office import office
    from farr.hospital.standing_approvals import Terms
    from farr.hospital.standing_approvals import add as approve_runs

    try:
        last = date.fromisoformat(until)
    except ValueError:
        raise FarrError("date", _("{day} is not a day").format(day=until), remedy=_("write it as 2027-12-31")) from None
    terms = Terms(
        purpose=purpose, every=every.value, runs=runs, epsilon=epsilon, total=total, hospitals=minimum_hospitals,
        time=finest_time.value, place=finest_place, until=last, analyst=analyst,
    )  # fmt: skip
    with office(home) as opened:
        number = approve_runs(opened, pack, terms, operator(by))
    if as_json:
        output.as_json({"decision": number})
    else:
        output.line(_("Standing approval {number} holds.").format(number=number))


@standing.command("list", help=STANDING_LIST)
def list_standing(home: Home, as_json: AsJson = False) -> None:
    """List."""
    from farr.hospital import standing_approvals
    from farr.hospital.office import office

    with office(home) as opened:
        found = [standing_approvals.to_plain(each, opened.now) for each in standing_approvals.listed(opened)]
    if as_json:
        output.as_json(found)
        return
    if not found:
        output.line(_("There is no standing approval."))
        return
    output.table(approval_pages.standing(found))


@standing.command(help=WITHDRAW)
def withdraw(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help=N_("Of the standing approval."))],
    home: Home,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Withdraw."""
    from farr.hospital import standing_approvals
    from farr.hospital.office import office

    with office(home) as opened:
        decision = standing_approvals.withdraw(opened, number, operator(by))
    if as_json:
        output.as_json({"decision": decision})
    else:
        output.line(_("Standing approval {number} is withdrawn.").format(number=number))


def _decide(identifier: str, home: Path, decide: Callable[[Office, Case], int], *, as_json: bool) -> None:
    from farr.hospital import approving
    from farr.hospital.office import office

    with office(home) as opened:
        case = approving.find(opened, identifier)
        number = decide(opened, case)
        after = approving.find(opened, case.id)
    if as_json:
        output.as_json(after.to_plain())
        return
    kind, named = after.word.kind if after.word else "", case.id
    text = _("Decision {number} on {id}: {what}. The node tells the coordinator within a second.")
    if after.run is not None:
        named = after.run.id.hex()
        text = _("Decision {number} on all rounds of run {id}: {what}. The node tells the coordinator within a second.")
    output.line(text.format(number=number, id=named[:8], what=_(approval_pages.DECISIONS.get(kind, kind))))


def _room(office: Office, case: Case) -> int | None:
    """Return the most that may still be charged for a case's purpose; None: no policy can be read."""
    from farr.errors import FarrError
    from farr.hospital import approving

    try:
        return approving.room(office, case)
    except FarrError:
        return None
