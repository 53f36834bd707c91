"""What an approver reads: the list of requests, and one of them with all that matters; on 80 columns and on more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farr.cli import output
from farr.cli.node_records import utc
from farr.figures import tables
from farr.hospital.ruling_words import in_words
from farr.texts import N_, _

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.table import Table

    from farr.hospital.cases import Case, Closely

DAY, MINUTE = len("2026-11-21"), len("2026-11-21 20:28")
"""Characters of a time that tell its day, and its minute."""

STANDS = {
    "ready": N_("ready"),
    "held": N_("waits for approval"),
    "denied": N_("denied"),
    "answered": N_("answered"),
    "ended": N_("past its time"),
    "holds": N_("holds"),
    "withdrawn": N_("withdrawn"),
    "void": N_("void"),
}
"""Where a request, or a standing approval, stands; for people."""

DECISIONS = {"approve": N_("approved"), "deny": N_("denied"), "revoke": N_("taken back")}
BUDGETS = {"lifetime": N_("for life"), "purpose": N_("for this purpose"), "period": N_("in this period")}
KINDS = {"same": N_("the same question"), "near": N_("the same but for its rows"), "overlap": N_("shares rows")}


def listed(found: Sequence[Case], room: Callable[[Case], int | None], *, stands: bool) -> Table:
    """Return the fewest columns that tell requests apart and let one decide which to look at; the rest is in ``show``.

    ``room``: the most that may still be charged for a case's purpose, in ledger units, where a policy can be read.
    ``stands``: in place of that, where each stands.
    """
    from queries.cost.accounting import epsilon_of, rho_of_units

    def left(case: Case) -> str:
        units = room(case)
        return "" if units is None else f"{epsilon_of(rho_of_units(units)):.3g}"

    rows = [
        (
            case.id[:8],
            f"{case.analyst}, {case.asked.purpose}",
            case.short,
            f"{case.epsilon:.3g}",
            utc(case.asked.expires_at)[len("2026-") : MINUTE],
            _(STANDS[case.stand]) if stands else left(case),
        )
        for case in found
    ]
    last = _("state") if stands else _("left")
    headers = (_("id"), _("who, what for"), _("question"), _("epsilon"), _("until (UTC)"), last)
    return tables.table(headers, rows, numbers=(3,) if stands else (3, 5), whole=(0, 3, 4), tight=True)


def standing(found: Sequence[Mapping[str, object]]) -> Table:
    """Return standing approvals: of what, how often, what was used, what is left, until when."""
    rows = [
        (
            str(each["number"]),
            f"{each['pack']}, {each['purpose']}",
            f"{each['runs']} / {_(str(each['every']))}",
            str(each["spent_runs"]),
            f"{each['epsilon']:.3g}",
            f"{each['remaining_epsilon']:.3g}",
            utc(int(str(each["until"])) - 1)[:DAY],
            _(STANDS[str(each["state"])]),
        )
        for each in found
    ]
    headers = (
        _("number"), _("pack, what for"), _("runs"), _("so far"), _("each"), _("left"), _("last day"), _("state"),
    )  # fmt: skip
    return tables.table(headers, rows, numbers=(0, 3, 4, 5), whole=(0, 3, 4, 5, 6), tight=True)


def describe(case: Case) -> None:
    """Print a request: who asks what and why, until when, at what price, and what the policy says."""
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


def describe_closely(closely: Closely) -> None:
    """Print what it reads, what would be left, and which earlier answers are about the same patients."""
    from farr.hospital.cases import shortened
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
            each.earlier.request[:8], utc(each.earlier.at)[:DAY], each.earlier.analyst, _(KINDS[each.kind]),
            each.difference, shortened(" ".join(each.earlier.statement.split())),
        )
        for each in closely.overlaps
    ]  # fmt: skip
    headers = (_("request"), _("day (UTC)"), _("analyst"), _("how"), _("this | that"), _("question"))
    output.table(tables.table(headers, shown, whole=(0, 1), tight=True), paged=True)
