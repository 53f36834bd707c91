"""`farr node ledger`: what the hospital's patients have been charged, what is left, and what more would come to."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli.node_records import EitherHome, state_of, utc
from farr.cli.options import AsJson
from farr.figures import tables
from farr.texts import N_, _

if TYPE_CHECKING:
    from rich.table import Table

    from farr.hospital.accounts import Account, Line

app = typer.Typer(help=N_("What the hospital's patients have been charged, and what is left."))

Epsilon = Annotated[float, typer.Option(metavar="E", help=N_("The price of each question."))]
Times = Annotated[int, typer.Option(min=1, max=1_000_000, metavar="N", help=N_("How many such questions."))]
Purpose = Annotated[str, typer.Option(metavar="NAME", help=N_("The purpose that they are asked for."))]
Target = Annotated[Path, typer.Argument(metavar="FILE", help=N_("Where to write, .csv or .json."))]

WHAT_IF = N_(
    "Say what further questions would come to, and which budget would stop them.\n\n\b\n"
    "  farr node ledger what-if --home n --epsilon 0.5 --times 12"
)


@app.callback(invoke_without_command=True)
def ledger(context: typer.Context, home: EitherHome = None, as_json: AsJson = False) -> None:
    """List the charges, oldest first, then what was spent and what is left."""
    context.obj = home
    if context.invoked_subcommand is not None:
        return
    from farr.cli.approval_pages import DAY
    from farr.hospital.accounts import entries, plain_charges
    from queries.cost.accounting import DELTA

    account = _account(_folder(context, home))
    if as_json:
        output.as_json({"charges": plain_charges(account), **account.to_plain(), **budget(_folder(context, home))})
        return
    rows = []
    for entry in entries(account):
        charge, loss = entry.charges[0], entry.loss
        named, what = charge.request.hex()[:8], charge.reason
        if entry.run:
            # Rounds are told of in one line: a run is what was approved, and what its sum is compared with.
            text = _("a run, one round: {what}") if len(entry.charges) == 1 else _("a run, {rounds} rounds: {what}")
            learnt = account.learnt(charge)
            told = charge.reason if learnt is None else learnt.text
            named, what = entry.run[:8], text.format(rounds=len(entry.charges), what=told)
        who = f"{charge.analyst}, {charge.purpose}"
        rows.append(
            (
                named,
                utc(charge.at)[:DAY],
                who,
                f"{charge.table}: {what}".removesuffix(": "),
                f"{loss.rho:.4g}",
                f"{loss.epsilon:.3g}",
            )
        )
    headers = (_("id"), _("day (UTC)"), _("who, what for"), _("of what"), _("rho"), _("epsilon"))
    output.table(tables.table(headers, rows, numbers=(4, 5), whole=(0, 1, 4, 5), tight=True))
    output.table(_sums(account))
    output.line(_("Each epsilon is at delta {delta:g}.").format(delta=float(DELTA)))


@app.command("what-if", help=WHAT_IF)
def what_if(
    context: typer.Context,
    *,
    epsilon: Epsilon,
    home: EitherHome = None,
    times: Times = 1,
    purpose: Purpose = "statistics",
    as_json: AsJson = False,
) -> None:
    """Work out what questions would come to."""
    from farr.hospital.accounts import what_if as prospect_of

    found = prospect_of(_account(_folder(context, home)), epsilon=epsilon, times=times, purpose=purpose)
    if as_json:
        output.as_json(found.to_plain())
        return
    left = found.after.left
    output.line(
        _("{times} questions at epsilon {each:.3g} come to rho {rho:.4g}, epsilon {total:.3g}.").format(
            times=times, each=found.each.epsilon, rho=found.total.rho, total=found.total.epsilon
        )
    )
    output.line(
        _("Then spent for life: epsilon {spent:.3g}; left: epsilon {left:.3g}.").format(
            spent=found.after.spent.epsilon, left=0.0 if left is None else left.epsilon
        )
    )
    output.line(
        _("Of such questions, {lifetime} fit into what is left for life, {purpose} for {name}, {period} into one "
          "{unit}.").format(name=purpose, unit=_(_unit(_account(_folder(context, home)))), **found.fit)
    )  # fmt: skip
    if found.stops:
        output.line(_("They do not all fit: {rule} stops them.").format(rule=found.stops))


@app.command("export", help=N_("Write the ledger for other programs: .csv or .json."))
def export(context: typer.Context, file: Target, home: EitherHome = None, as_json: AsJson = False) -> None:
    """Write the ledger to a file, readable by its owner only."""
    from farr import files
    from farr.hospital.accounts import exported

    account = _account(_folder(context, home))
    files.replace(file, exported(account, file.suffix.lower()).encode())
    if as_json:
        output.as_json({"file": str(file), "charges": len(account.charges)})
        return
    output.line(_("{file}: {count} charges").format(file=file, count=len(account.charges)))


def budget(home: Path) -> dict[str, object]:
    """Return what was spent and what is left for life, for scripts; and what is wrong with the policy, where it is."""
    from farr.hospital.accounts import clocks
    from node.authority import policy as policies
    from node.books.ledger import Ledger
    from node.books.state import FILE
    from queries.cost.accounting import epsilon_of, rho_of_units

    began = (home / FILE).exists()
    spent = state_of(home, lambda state: Ledger(connection=state).spent()) if began else 0
    facts: dict[str, object] = {"spent_units": spent, "spent_epsilon": epsilon_of(rho_of_units(spent))}
    try:
        allowed = policies.load(home / policies.FILE)
    except policies.PolicyError as error:
        return facts | {"policy": str(error)}
    left = max(0, allowed.lifetime_units - spent)
    now = int(time.time())
    start = allowed.period_start(now)
    recent = state_of(home, lambda state: Ledger(connection=state).spending("", start)).period if began else 0

    def by_clocks(at: int) -> str:
        return datetime.fromtimestamp(at, clocks(allowed)).isoformat(timespec="minutes")

    return facts | {
        "period": allowed.period,
        "period_from": by_clocks(start),
        "period_until": by_clocks(allowed.period_end(now)),
        "period_epsilon": epsilon_of(rho_of_units(allowed.units_per_period)),
        "period_remaining_epsilon": epsilon_of(rho_of_units(max(0, allowed.units_per_period - recent))),
        "policy": "good",
        "lifetime_units": allowed.lifetime_units,
        "remaining_units": left,
        "remaining_epsilon": epsilon_of(rho_of_units(left)),
        "lifetime_epsilon": epsilon_of(rho_of_units(allowed.lifetime_units)),
    }


def _sums(account: Account) -> Table:
    from farr.hospital.policy_words import apart

    def row(title: str, line: Line) -> tuple[str, ...]:
        cap, left = line.cap, line.left
        shown = ("", "", "") if cap is None or left is None else (
            f"{left.rho:.4g}", *apart(left.epsilon, cap.epsilon)
        )  # fmt: skip
        return (title, f"{line.spent.rho:.4g}", f"{line.spent.epsilon:.3g}", *shown)

    rows = [row(_("for life"), account.lifetime())]
    rows += [row(_("for {purpose}").format(purpose=line.name), line) for line in account.purposes()]
    unit = _(_unit(account))
    rows += [row(_("{unit} from {day}").format(unit=unit, day=line.name), line) for line in account.periods()]
    headers = (_("budget"), _("spent: rho"), _("epsilon"), _("left: rho"), _("epsilon"), _("of epsilon"))
    return tables.table(headers, rows, numbers=(1, 2, 3, 4, 5))


def _unit(account: Account) -> str:
    return "month" if account.policy is None else account.policy.period


def _account(home: Path) -> Account:
    from farr.hospital.accounts import Account
    from farr.hospital.learnt import learnt
    from farr.hospital.nodes import catalogue_of
    from node.authority import policy as policies
    from node.books.ledger import Ledger

    catalogue = catalogue_of(home)
    charges, runs = state_of(home, lambda state: (tuple(Ledger(connection=state).charges()), learnt(state, catalogue)))
    try:
        allowed = policies.load(home / policies.FILE)
    except policies.PolicyError:
        allowed = None
    return Account(charges=charges, policy=allowed, now=int(time.time()), runs=runs)


def _folder(context: typer.Context, home: Path | None) -> Path:
    folder = home or context.obj
    if not isinstance(folder, Path):
        raise typer.BadParameter(_("name the node's own folder with --home"))
    return folder
