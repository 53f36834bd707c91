"""`farr node approvals`: requests that the policy has a person look at, and standing approvals of signed packs."""

from __future__ import annotations

import getpass
import os
from datetime import date
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli.node_records import Home, utc
from farr.cli.options import AsJson
from farr.figures import tables
from farr.hospital.ruling_words import in_words
from farr.texts import N_, _

if TYPE_CHECKING:
    from collections.abc import Callable

    from farr.hospital.cases import Case, Closely
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

STANDS = {
    "ready": N_("ready"),
    "held": N_("waits for approval"),
    "denied": N_("denied"),
    "answered": N_("answered"),
    "ended": N_("past its time"),
    "holds": N_("holds"),
    "withdrawn": N_("withdrawn"),
}
"""Where a request, or a standing approval, stands; for people."""

DECISIONS = {"approve": N_("approved"), "deny": N_("denied"), "revoke": N_("taken back")}
BUDGETS = {"lifetime": N_("for life"), "purpose": N_("for this purpose"), "period": N_("in this period")}
KINDS = {"same": N_("the same question"), "near": N_("the same but for its rows"), "overlap": N_("shares rows")}


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
    if as_json:
        output.as_json([case.to_plain() for case in found])
        return
    if not found:
        output.line(_("No request waits for approval."))
        return
    rows = [
        (
            case.id[:8],
            utc(case.arrived),
            case.analyst,
            case.asked.purpose,
            f"{case.epsilon:.3g}",
            _(STANDS[case.stand]),
            " ".join(case.text.split())[: 60 if case.run is None else None],
        )
        for case in found
    ]
    headers = (_("id"), _("heard at"), _("analyst"), _("purpose"), _("epsilon"), _("state"), _("question"))
    output.table(tables.table(headers, rows, numbers=(4,)))


@app.command(help=SHOW)
def show(identifier: Identifier, home: Home, as_json: AsJson = False) -> None:
    """Show one."""
    from farr.hospital import approving
    from farr.hospital.office import office

    with office(home) as opened:
        case = approving.find(opened, identifier)
        if case.judged is None or case.judged.question is None:
            output.as_json(case.to_plain()) if as_json else _describe(case)
            return
        closely = approving.closely(opened, case)
    if as_json:
        output.as_json(closely.to_plain())
        return
    _describe(case)
    _describe_closely(closely)


@app.command(help=APPROVE)
def approve(*, identifier: Identifier, home: Home, by: By = "", yes: Yes = False, as_json: AsJson = False) -> None:
    """Approve."""
    from farr.hospital import approving

    def decide(office: Office, case: Case) -> int:
        if not yes and not as_json:
            _describe(case)
            _describe_closely(approving.closely(office, case))
            question = _("Approve this request?") if case.run is None else _("Approve all rounds of this run?")
            typer.confirm(question, abort=True)
        return approving.approve(office, case, _name(by))

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

    with or_run(identifier, home, partial(stopping.deny, by=_name(by), reason=reason), _("denied"), as_json=as_json):
        _decide(identifier, home, lambda office, case: approving.deny(office, case, _name(by), reason), as_json=as_json)


@app.command(help=REVOKE)
def revoke(identifier: Identifier, home: Home, by: By = "", as_json: AsJson = False) -> None:
    """Take back."""
    from farr.cli.node_runs import or_run
    from farr.hospital import approving, stopping

    with or_run(identifier, home, partial(stopping.revoke, by=_name(by)), _("taken back"), as_json=as_json):
        _decide(identifier, home, lambda office, case: approving.revoke(office, case, _name(by)), as_json=as_json)


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
        number = approve_runs(opened, pack, terms, _name(by))
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
    rows = [
        (
            str(each["number"]),
            str(each["pack"]),
            str(each["purpose"]),
            f"{each['runs']} / {_(str(each['every']))}",
            f"{each['epsilon']:.3g}",
            str(each["spent_runs"]),
            utc(int(str(each["until"]))),
            _(STANDS[str(each["state"])]),
        )
        for each in found
    ]
    headers = (
        _("number"), _("pack"), _("purpose"), _("runs"), _("epsilon each"), _("runs so far"), _("ends"), _("state"),
    )  # fmt: skip
    output.table(tables.table(headers, rows, numbers=(4, 5)))


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
        decision = standing_approvals.withdraw(opened, number, _name(by))
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
    output.line(text.format(number=number, id=named[:8], what=_(DECISIONS.get(kind, kind))))


def _describe(case: Case) -> None:
    asked = case.asked
    output.statement(asked.statement)
    output.line()
    rows = [
        (_("id"), case.id),
        (_("state"), _(STANDS[case.stand])),
        (_("analyst"), case.analyst),
        (_("authority"), _(case.authority)),
        (_("purpose"), asked.purpose),
        (_("reason"), asked.reason),
        (_("pack"), asked.pack.hex()[:8]),
        (_("heard at"), utc(case.arrived)),
        (_("answered until"), utc(asked.expires_at)),
        *_run(case),
        (_("cost"), f"epsilon {case.epsilon:.3g}, rho {case.units / 2**40:.3g}"),
        (_("rule"), f"{case.rule}: {in_words(case.detail)}" if case.detail else case.rule),
    ]
    if case.word is not None:
        said = f"{_(DECISIONS[case.word.kind])}, {case.word.by}, {utc(case.word.at)}"
        rows.append((_("last decision"), said))
    output.table(tables.table((_("what"), _("value")), [row for row in rows if row[1]]), paged=True)


def _run(case: Case) -> list[tuple[str, str]]:
    """Return what is said of the run that a round of training belongs to; nothing of any other question."""
    from farr.hospital.run_words import so_far

    run = case.run
    return [] if run is None else [
        (_("training"), case.text), (_("run"), run.id.hex()), (_("rounds"), so_far(run, case.trained))
    ]  # fmt: skip


def _describe_closely(closely: Closely) -> None:
    from farr.hospital.policy_words import apart
    from farr.hospital.standing_approvals import LIMITS
    from queries.cost.accounting import epsilon_of, rho_of_units

    rows = [
        (_("tables"), ", ".join(closely.tables)),
        (_("columns"), ", ".join(closely.columns) or _("none")),
        (_("figures"), ", ".join(closely.figures)),
        (_("rows"), "; ".join(closely.rows) or _("all")),
        (_("groups"), ", ".join(closely.groupings) or _("none")),
        (
            _("hospitals"),
            _("{hospitals} asked, {counted} of them known long enough, {minimum} needed").format(
                hospitals=closely.hospitals, counted=closely.counted, minimum=closely.minimum
            ),
        ),
    ]
    for each in closely.left:
        before, after = apart(*(epsilon_of(rho_of_units(max(0, value))) for value in (each.before, each.after)))
        text = _("epsilon {before} before, {after} after").format(before=before, after=after)
        rows.append((_("left {budget}").format(budget=_(BUDGETS[each.budget])), text))
    rows += [
        (_("standing approval {number}").format(number=each.number), _(LIMITS[each.limit])) for each in closely.standing
    ]
    output.table(tables.table((_("what"), _("value")), rows), paged=True)
    if not closely.overlaps:
        output.line(_("No earlier answer is about the same patients."))
        return
    output.line()
    output.line(_("Earlier answers about the same patients; two together tell of the rows in which they differ:"))
    shown = [
        (
            each.earlier.request[:8], utc(each.earlier.at), each.earlier.analyst, _(KINDS[each.kind]), each.difference,
            " ".join(each.earlier.statement.split())[:60],
        )
        for each in closely.overlaps
    ]  # fmt: skip
    headers = (_("request"), _("time"), _("analyst"), _("how"), _("this | that"), _("question"))
    output.table(tables.table(headers, shown), paged=True)


def _name(given: str) -> str:
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return f"uid {os.getuid()}"
