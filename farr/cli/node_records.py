"""What a hospital's operator can read of its node: the audit log."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from farr.cli import output
from farr.cli.options import AsJson
from farr.figures import tables
from farr.hospital.ruling_words import in_words
from farr.texts import N_, _

audit = typer.Typer(help=N_("What the node was asked and what it did."))

Home = Annotated[
    Path,
    typer.Option("--home", metavar="DIR", envvar="FARR_HOME", help=N_("The node's own folder; else $FARR_HOME.")),
]
EitherHome = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", envvar="FARR_HOME", help=N_("The node's own folder; else $FARR_HOME.")),
]

_SHOWN = (
    "request",
    "analyst",
    "purpose",
    "table",
    "units",
    "code",
    "reference",
    "version",
    "software",
    "withheld",
    "rule",
    "detail",
    "decision",
    "by",
)
"""Facts that the list for people shows."""

_DECISIONS = (
    N_("approve"), N_("deny"), N_("revoke"), N_("standing"), N_("withdraw"), N_("pause"), N_("resume"), N_("accept"),
)  # fmt: skip
"""Kinds of decisions, as the log has them; told in the language in use."""

_OF_A_MEMBER = ("accept",)
"""Decisions whose subject is a member's id."""

_OF_A_REQUEST = ("approve", "deny", "revoke")
"""Decisions whose subject is a request's id, or a run's with its analyst's behind."""

_REQUEST_DIGITS = 32
"""Hexadecimal digits of a request's id."""


@audit.callback(invoke_without_command=True)
def entries(context: typer.Context, home: EitherHome = None, as_json: AsJson = False) -> None:
    """Show what the node was asked and what it did, oldest first."""
    from farr.hospital.learnt import learnt
    from farr.hospital.nodes import catalogue_of
    from node.books.audit import ANSWERED, RELEASED, Audit

    context.obj = home
    if context.invoked_subcommand is not None:
        return
    if home is None:
        raise typer.BadParameter(_("name the node's own folder with --home"))
    catalogue = catalogue_of(home)
    told, runs = state_of(home, lambda state: (list(Audit(connection=state).entries()), learnt(state, catalogue)))
    facts_of = [(each, json.loads(each.facts)) for each in told]
    found = [(each, known, runs.get((known.get("run"), known.get("analyst")))) for each, known in facts_of]
    if as_json:
        plain = [
            {"number": each.number, "kind": each.kind, "at": each.at, "digest": each.digest.hex()}
            | {"facts": known}
            | ({} if trained is None else {"trained": trained.to_plain()})
            for each, known, trained in found
        ]
        output.as_json(plain)
        return
    asked = {known["round"]: known["request"] for each, known, _trained in found if each.kind == ANSWERED}
    rows = []
    for each, known, trained in found:
        if each.kind == RELEASED:
            known["request"] = asked.get(known.get("round"), "")
        rows.append(
            (str(each.number), utc(each.at), _(each.kind), _facts(known, "" if trained is None else trained.text))
        )
    output.table(
        tables.table((_("number"), _("time"), _("what"), _("facts")), rows, numbers=(0,), whole=(0, 1), tight=True)
    )


def _facts(known: dict[str, Any], trained: str) -> str:
    """Return the facts of an entry in a line; ``trained``: what the run that it tells of trains."""
    from queries.cost.accounting import epsilon_of, rho_of_units

    shown = {name: value for name, value in known.items() if name in _SHOWN and value != ""}
    if (units := shown.pop("units", None)) is not None:
        shown["epsilon"] = f"{epsilon_of(rho_of_units(int(units))):.3g}"
    if (decision := shown.get("decision")) in _OF_A_MEMBER:
        shown["member"] = bytes.fromhex(known["subject"]).decode(errors="replace")
    elif decision in _OF_A_REQUEST:
        shown["run" if len(known["subject"]) > _REQUEST_DIGITS else "request"] = known["subject"]
    shown |= {name: str(shown[name])[:8] for name in ("request", "run") if name in shown}
    if (run := known.get("run")) is not None:
        shown["run"] = _("{id}, round {round} of {rounds}").format(
            id=str(run)[:8], round=known.get("run_round"), rounds=known.get("run_rounds")
        )
        shown |= {"training": trained} if trained else {}
    if decision in _DECISIONS:
        shown["decision"] = _(decision)
    return ", ".join(
        f"{_(name)} {value}" if name != "detail" else in_words(str(value)) for name, value in shown.items()
    )


@audit.command(help=N_("Check that no entry of the audit log or the ledger was changed; name the first that was."))
def verify(
    context: typer.Context,
    home: EitherHome = None,
    as_json: AsJson = False,
) -> None:
    """Verify the evidence."""
    from node.books.audit import Audit
    from node.books.ledger import Ledger

    folder = home or context.obj
    if folder is None:
        raise typer.BadParameter(_("name the node's own folder with --home"))
    entry = state_of(folder, lambda state: Audit(connection=state).verify())
    row = state_of(folder, lambda state: Ledger(connection=state).verify())
    number, head = state_of(folder, lambda state: Audit(connection=state).head())
    if as_json:
        output.as_json({"first_bad_entry": entry, "first_bad_charge": row, "entries": number, "head": head.hex()})
    elif entry is None and row is None:
        output.line(
            _("All {count} entries are as they were written. Last digest: {head}").format(count=number, head=head.hex())
        )
    else:
        if entry is not None:
            output.line(_("Entry {number} of the audit log is not as it was written.").format(number=entry))
        if row is not None:
            output.line(_("Row {number} of the ledger is not as it was written.").format(number=row))
    if entry is not None or row is not None:
        raise typer.Exit(1)


@audit.command("export", help=N_("Write the whole log to a file that others can check: farr audit verify FILE."))
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    home: EitherHome = None,
    as_json: AsJson = False,
) -> None:
    """Export the log, with a checkpoint over all of it."""
    import time

    from farr import files
    from farr.hospital import log_file
    from farr.membership import home as homes
    from node.books.evidence import Keeper
    from node.books.state import open_state, read_state

    folder = _folder(home or context.obj)
    held = homes.read(folder)
    credentials = held.credentials
    with contextlib.closing(read_state(folder)):
        pass  # Raises where the node has not run: opening for writing would make a state.
    with contextlib.closing(open_state(folder)) as connection:
        Keeper(
            member=credentials.member,
            identity=credentials.identity,
            federation=credentials.federation,
            connection=connection,
            clock=time.time,
        ).checkpoint()
    kept = log_file.of_home(folder, member=credentials.member, federation=credentials.federation, roster=held.roster)
    files.replace(file, log_file.write(kept))
    if as_json:
        output.as_json({"file": str(file), "entries": len(kept.entries)})
        return
    output.line(_("{count} entries written to {file}").format(count=len(kept.entries), file=file))
    output.line(_("The file tells the operator's reasons too: hand it to whom you trust with them."))


@audit.command(
    "recover", help=N_("After the state was put back to an older copy: say how much budget counts as spent.")
)
def recover(
    context: typer.Context,
    *,
    home: EitherHome = None,
    lower_budget_by: Annotated[
        float | None, typer.Option(metavar="EPSILON", min=0.0, help=N_("Count this much more of the budget as spent."))
    ] = None,
    forfeit: Annotated[bool, typer.Option("--forfeit", help=N_("Count all of the budget as spent."))] = False,
    by: Annotated[str, typer.Option(metavar="NAME", help=N_("Who decides."), show_default=False)] = "",
    as_json: AsJson = False,
) -> None:
    """Go on after a rollback."""
    import time

    from farr.hospital import nodes
    from node.authority import policy
    from node.books import recovery
    from node.books.state import open_state
    from queries.cost.accounting import epsilon_of, rho_of, rho_of_units, units

    folder = _folder(home or context.obj)
    loss = state_of(folder, recovery.loss_of)
    if loss is None:
        if as_json:
            output.as_json({"halted": False})
            return
        output.line(_("The node's state is as new as what it has signed: there is nothing to recover from."))
        return
    with nodes.explained():
        allowed = policy.load(folder / policy.FILE)
    if (lower_budget_by is None) == (not forfeit):
        each = epsilon_of(rho_of_units(allowed.most_units_per_question))
        most = epsilon_of(rho_of_units(allowed.most_units_per_question * loss.forgotten)) if loss.forgotten else 0.0
        if as_json:
            output.as_json(
                {
                    "halted": True,
                    "signed_size": loss.signed_size,
                    "size": loss.size,
                    "forgotten_charges": loss.forgotten,
                    "forgotten_epsilon_at_most": most,
                }
            )
            raise typer.Exit(1)
        output.paragraph(
            _(
                "The state is not the newest that this node has signed: its log had {signed} entries when it last "
                "signed it, and had {size} when this was found. At least {count} charges are forgotten, each of at "
                "most epsilon {each:.3g} by the policy of today: together at most epsilon {most:.3g}, and more if the "
                "node answered after it last signed."
            ).format(signed=loss.signed_size, size=loss.size, count=loss.forgotten, each=each, most=most)
        )
        output.paragraph(
            _(
                "First look for a newer backup: with the newest state nothing is lost. Else choose: "
                "--lower-budget-by EPSILON, of at least what was forgotten, or --forfeit, where nobody knows. Until "
                "then the node answers nothing."
            )
        )
        raise typer.Exit(1)
    wanted = None if lower_budget_by is None else units(rho_of(lower_budget_by))
    with contextlib.closing(open_state(folder)) as connection:
        charged = recovery.recover(
            connection,
            units=wanted,
            lifetime=allowed.lifetime_units,
            by=operator(by),
            at=int(time.time()),
        )
    epsilon = epsilon_of(rho_of_units(charged))
    if as_json:
        output.as_json({"halted": False, "charged_epsilon": epsilon})
        return
    output.line(_("Epsilon {epsilon:.3g} counts as spent. The node answers again.").format(epsilon=epsilon))


def _folder(home: Path | None) -> Path:
    if home is None:
        raise typer.BadParameter(_("name the node's own folder with --home"))
    return home


def state_of(home: Path, read: Callable[[Any], Any]) -> Any:
    """Return what ``read`` finds in the node's state, which may be in use."""
    from node.books.state import read_state

    with contextlib.closing(read_state(home)) as connection:
        return read(connection)


def operator(given: str) -> str:
    """Return who decides: the name that was given, else that of this machine's user."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return f"uid {os.getuid()}"


def utc(seconds: int) -> str:
    """Return a time for people who compare logs of several machines."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
