"""What a hospital's operator can read of its node: the audit log, and the policy as the node understands it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from farr import tables
from farr.cli import output
from farr.cli.options import AsJson
from farr.texts import N_, _

audit = typer.Typer(help=N_("What the node was asked and what it did."))
policy = typer.Typer(no_args_is_help=True, help=N_("What the node may answer."))

Home = Annotated[
    Path,
    typer.Option("--home", metavar="DIR", envvar="FARR_HOME", help=N_("The node's own folder; else $FARR_HOME.")),
]
EitherHome = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", envvar="FARR_HOME", help=N_("The node's own folder; else $FARR_HOME.")),
]

_SHOWN = ("analyst", "purpose", "table", "units", "code", "reference", "version", "software", "withheld", "detail")
"""Facts that the list for people shows."""


@audit.callback(invoke_without_command=True)
def entries(context: typer.Context, home: EitherHome = None, as_json: AsJson = False) -> None:
    """Show what the node was asked and what it did, oldest first."""
    from node.audit import Audit
    from queries.accounting import epsilon_of, rho_of_units

    context.obj = home
    if context.invoked_subcommand is not None:
        return
    if home is None:
        raise typer.BadParameter(_("name the node's own folder with --home"))
    found = state_of(home, lambda state: list(Audit(connection=state).entries()))
    if as_json:
        plain = [
            {"number": each.number, "kind": each.kind, "at": each.at, "digest": each.digest.hex()}
            | {"facts": json.loads(each.facts)}
            for each in found
        ]
        output.as_json(plain)
        return
    rows = []
    for each in found:
        shown = {name: value for name, value in json.loads(each.facts).items() if name in _SHOWN and value != ""}
        if (units := shown.pop("units", None)) is not None:
            shown["epsilon"] = f"{epsilon_of(rho_of_units(int(units))):.3g}"
        facts = ", ".join(f"{_(name)} {value}" for name, value in shown.items())
        rows.append((str(each.number), utc(each.at), _(each.kind), facts))
    output.table(tables.table((_("number"), _("time"), _("what"), _("facts")), rows, numbers=(0,)))


@audit.command(help=N_("Check that no entry of the audit log or the ledger was changed; name the first that was."))
def verify(
    context: typer.Context,
    home: EitherHome = None,
    as_json: AsJson = False,
) -> None:
    """Verify the evidence."""
    from node.audit import Audit
    from node.ledger import Ledger

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


@policy.command("show", help=N_("Show what the node may answer, as it is read from policy.toml."))
def show_policy(home: Home, as_json: AsJson = False) -> None:
    """Show the policy."""
    from farr import nodes
    from node import policy as policies
    from queries.accounting import epsilon_of, rho_of_units

    with nodes.explained():
        allowed = policies.load(home / policies.FILE)
    facts: dict[str, object] = {
        "lifetime_epsilon": round(epsilon_of(rho_of_units(allowed.lifetime_units)), 6),
        "most_epsilon_per_question": round(epsilon_of(rho_of_units(allowed.most_units_per_question)), 6),
        "tables": policies.ALL if allowed.tables is None else list(allowed.tables),
        "own_row": allowed.own_row,
        "site_group_minimum": allowed.site_group_minimum,
        "minimum_hospitals": allowed.minimum_hospitals,
        "least_honest": allowed.least_honest,
        "trust_floor": allowed.trust_floor.value,
    }
    if as_json:
        output.as_json(facts)
        return
    rows = [(name, json.dumps(value, ensure_ascii=False)) for name, value in facts.items()]
    output.table(tables.table((_("rule"), _("value")), rows))


def state_of(home: Path, read: Callable[[Any], Any]) -> Any:
    """Return what ``read`` finds in the node's state, which may be in use."""
    from node.state import read_state

    with contextlib.closing(read_state(home)) as connection:
        return read(connection)


def utc(seconds: int) -> str:
    """Return a time for people who compare logs of several machines."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
