"""`farr node`: run a hospital's own service, and look after it."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr import tables
from farr.cli import node_check, output
from farr.cli import node_records as records
from farr.cli.join import Timeout, Token, TokenFile
from farr.cli.node_check import Data, Mapping, Memory
from farr.cli.node_records import Home, state_of, utc
from farr.cli.options import AsJson
from farr.texts import N_, _

if TYPE_CHECKING:
    from node.settings import NodeSettings

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=N_("Run a hospital's own service: join, serve, status, check, policy, ledger, audit."),
)
app.add_typer(records.audit, name="audit")
app.add_typer(records.policy, name="policy")

Threads = Annotated[int | None, typer.Option(min=1, envvar="FARR_THREADS", help=N_("Threads of a scan."))]

JOIN = N_(
    "Join a federation as a hospital, with a token from its registrar. Keys are made here and never leave this "
    "machine.\n\n\b\n"
    "  farr node join --home n --data /srv/farr --token-file ist-1.token"
)
SERVE = N_("Run the node until SIGTERM or Ctrl-C. It dials out and listens nowhere.\n\n\b\n  farr node serve --home n")


@app.command(help=JOIN)
def join(
    *,
    home: Home,
    data: Annotated[Path, typer.Option(metavar="DIR", help=N_("Folder of the hospital's files."))],
    token: Token = "",
    mapping: Mapping = None,
    token_file: TokenFile = None,
    timeout: Timeout = 3600.0,
    as_json: AsJson = False,
) -> None:
    """Join as a hospital."""
    from farr import files, nodes
    from farr.cli.join import read_token
    from farr.errors import FarrError
    from farr.joining import join as join_federation
    from node import policy as policies
    from node.settings import Source, write_source
    from protocols.wire_pb2 import Role

    if not data.is_dir():
        raise FarrError(
            "no-data", _("{path} is not a folder").format(path=data), remedy=_("name the folder of the tables' files")
        )
    source = Source(data=data, mapping=mapping)
    nodes.mapping_of(source)
    given = read_token(token, token_file, Role.ROLE_NODE)
    # Written first, so that a join that is cut off while it waits leaves nothing to be done by hand.
    files.make_folder(home)
    write_source(home, source)
    if not (home / policies.FILE).exists():
        files.create_private(home / policies.FILE, policies.DEFAULT.encode())
    joined = join_federation(home, given, timeout=timeout, say=lambda text: typer.echo(text, err=True))
    credentials = joined.credentials
    if as_json:
        output.as_json({"federation": credentials.federation, "id": credentials.member, "home": str(home)})
        return
    output.line(
        _("{member} is a hospital of {federation}. Read {policy}, then: farr node serve --home {home}").format(
            member=credentials.member, federation=credentials.federation, policy=home / policies.FILE, home=home
        )
    )


@app.command(help=SERVE)
def serve(
    *,
    home: Home,
    data: Data = None,
    mapping: Mapping = None,
    threads: Threads = None,
    memory_limit: Memory = None,
    as_json: AsJson = False,
) -> None:
    """Serve."""
    import asyncio

    from farr import nodes
    from node import policy as policies
    from node.serve import serve as serve_node

    settings = _settings(home, data, mapping, threads, memory_limit)
    _log_to_stderr()
    try:
        policies.load(home / policies.FILE)
    except policies.PolicyError as error:
        message = _("No record is read until the policy is corrected: {error}").format(error=error)
        typer.echo(message, err=True)
    member = settings.credentials.member
    typer.echo(_("{member}: preparing the data in {data}").format(member=member, data=settings.data), err=True)

    def started() -> None:
        if as_json:
            output.as_json({"ready": True, "id": member})
        else:
            output.line(_("{member}: ready").format(member=member))
        sys.stdout.flush()

    with nodes.explained():
        code = asyncio.run(serve_node(settings, started))
    if code:
        typer.echo(_("The coordinator closed the link for good; the log names the reason."), err=True)
    _end(code)


@app.command(help=N_("Show what the node is, whether it runs, and what it may still release."))
def status(home: Home, as_json: AsJson = False) -> None:
    """Show the state."""
    from farr import nodes
    from node.promises import Promises
    from node.state import FILE

    held = nodes.read_home(home)
    credentials = held.credentials
    facts: dict[str, object] = {
        "federation": credentials.federation,
        "id": credentials.member,
        "coordinator": credentials.address,
        "running": nodes.running(home),
        "certificate_days": nodes.certificate_days(held, time.time()),
        "roster": held.read_roster().version,
    }
    if (home / FILE).exists():
        facts["roster"] = state_of(home, lambda state: state.execute("SELECT version FROM roster").fetchone() or (0,))[
            0
        ]
        facts["epoch"] = state_of(home, lambda state: Promises(connection=state).seated())
    facts |= _budget(home)
    if as_json:
        output.as_json(facts)
        return
    output.table(tables.table((_("what"), _("value")), _status_rows(facts)))


app.command("check", help=node_check.CHECK)(node_check.check)


@app.command(help=N_("List what the hospital's patients have been charged, oldest first."))
def ledger(home: Home, as_json: AsJson = False) -> None:
    """List the charges."""
    from node.ledger import Ledger
    from queries.accounting import epsilon_of, rho_of_units

    charges = state_of(home, lambda state: list(Ledger(connection=state).charges()))
    if as_json:
        plain = [
            {
                "request": charge.request.hex(),
                "round": charge.tau.hex(),
                "epoch": charge.epoch,
                "slot": charge.slot,
                "units": charge.units,
                "rho": float(rho_of_units(charge.units)),
                "table": charge.table,
                "analyst": charge.analyst,
                "purpose": charge.purpose,
                "at": charge.at,
                "evidence": json.loads(charge.evidence),
            }
            for charge in charges
        ]
        output.as_json({"charges": plain, **_budget(home)})
        return
    rows = [
        (
            utc(charge.at),
            charge.analyst,
            charge.table,
            charge.purpose,
            f"{epsilon_of(rho_of_units(charge.units)):.3g}",
            charge.request.hex()[:8],
        )
        for charge in charges
    ]
    headers = (_("time"), _("analyst"), _("table"), _("purpose"), _("epsilon"), _("request"))
    output.table(tables.table(headers, rows, numbers=(4,)))


def _settings(
    home: Path, data: Path | None, mapping: Path | None, threads: int | None, memory_limit: str | None
) -> NodeSettings:
    from farr import __version__, nodes
    from farr import home as homes
    from node.settings import NodeSettings
    from queries.catalogue_file import read_catalogue

    held = nodes.read_home(home)
    source = nodes.source_of(home, data=data, mapping=mapping, threads=threads, memory_limit=memory_limit)
    return NodeSettings(
        credentials=held.credentials,
        roster=held.roster,
        catalogue=read_catalogue(held.catalogue, homes.CATALOGUE),
        home=home,
        data=source.data,
        mapping=nodes.mapping_of(source),
        software=f"farr/{__version__}",
        threads=source.threads,
        memory_limit=source.memory_limit,
    )


def _budget(home: Path) -> dict[str, object]:
    from node import policy as policies
    from node.ledger import Ledger
    from node.state import FILE
    from queries.accounting import epsilon_of, rho_of_units

    spent = state_of(home, lambda state: Ledger(connection=state).spent()) if (home / FILE).exists() else 0
    facts: dict[str, object] = {"spent_units": spent, "spent_epsilon": epsilon_of(rho_of_units(spent))}
    try:
        allowed = policies.load(home / policies.FILE)
    except policies.PolicyError as error:
        return facts | {"policy": str(error)}
    left = max(0, allowed.lifetime_units - spent)
    return facts | {
        "policy": "good",
        "lifetime_units": allowed.lifetime_units,
        "remaining_units": left,
        "remaining_epsilon": epsilon_of(rho_of_units(left)),
        "lifetime_epsilon": epsilon_of(rho_of_units(allowed.lifetime_units)),
    }


def _status_rows(facts: dict[str, object]) -> list[tuple[str, str]]:
    running, days = facts["running"], facts["certificate_days"]
    rows = [
        (_("federation"), str(facts["federation"])),
        (_("hospital"), str(facts["id"])),
        (_("coordinator"), str(facts["coordinator"])),
        (_("running"), _("no") if running is None else _("yes, process {number}").format(number=running)),
        (_("certificate"), _("holds {days} more days").format(days=days)),
        (_("roster"), _("version {version}").format(version=facts["roster"])),
        (_("spent"), _("epsilon {epsilon:.3g}").format(epsilon=facts["spent_epsilon"])),
    ]
    if "lifetime_units" not in facts:
        return [*rows, (_("policy"), str(facts["policy"]))]
    return [
        *rows,
        (_("left"), _("epsilon {epsilon:.3g}").format(epsilon=facts["remaining_epsilon"])),
        (_("for life"), _("epsilon {epsilon:.3g}").format(epsilon=facts["lifetime_epsilon"])),
    ]


def _end(code: int) -> None:
    """End the process at once, everything being written.

    Threads of the engine and of gRPC may be inside C++ code, which Python's own way of ending would unwind and abort.
    """
    import logging

    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _log_to_stderr() -> None:
    import logging

    from protocols.logs import JsonLines

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
