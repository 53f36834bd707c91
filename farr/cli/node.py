"""`farr node`: run a hospital's own service, and look after it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import node_approvals as approvals
from farr.cli import node_apps, node_check, node_members, output, renew
from farr.cli import node_ledger as ledger
from farr.cli import node_policy as policy
from farr.cli import node_records as records
from farr.cli.join import Timeout, Token, TokenFile
from farr.cli.node_check import Data, Mapping, Memory
from farr.cli.node_records import Home, state_of
from farr.cli.options import AsJson
from farr.figures import tables
from farr.texts import N_, _

if TYPE_CHECKING:
    from node.settings import NodeSettings

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=N_("Run a hospital's own service: join, serve, status, check, policy, approvals, ledger, audit."),
)
app.add_typer(approvals.app, name="approvals")
app.add_typer(records.audit, name="audit")
app.add_typer(policy.app, name="policy")
app.add_typer(ledger.app, name="ledger")
app.add_typer(node_members.members, name="members")
app.add_typer(node_apps.app, name="apps")
app.command("pause", help=node_members.PAUSE)(node_members.pause)
app.command("resume", help=N_("Answer questions again, after a pause."))(node_members.resume)

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
    from farr import files
    from farr.cli.join import read_token
    from farr.errors import FarrError
    from farr.hospital import nodes
    from farr.membership import home as homes
    from farr.membership.joining import join as join_federation
    from node.authority import policy as policies
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
    if not homes.is_joined(home):
        write_source(home, source)
    if not (home / policies.FILE).exists():
        files.create_private(home / policies.FILE, policies.DEFAULT.encode())
    joined = join_federation(home, given, timeout=timeout, say=lambda text: typer.echo(text, err=True))
    credentials = joined.credentials
    if as_json:
        output.as_json({"federation": credentials.federation, "id": credentials.member, "home": str(home)})
        return
    output.line(
        _(
            "{member} is a hospital of {federation}. Read {policy}, then: farr node check --home {home}, and when all "
            "is good: farr node serve --home {home}"
        ).format(member=credentials.member, federation=credentials.federation, policy=home / policies.FILE, home=home)
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
    from dataclasses import replace

    from farr.hospital import nodes
    from farr.membership import home as homes
    from farr.membership.renewing import Renewer
    from node.authority import policy as policies
    from node.serve import serve as serve_node

    homes.settle(home)
    settings = replace(_settings(home, data, mapping, threads, memory_limit), renew=Renewer(home))
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
    from farr.hospital import nodes
    from node.authority.decisions import Decisions
    from node.books.audit import Audit
    from node.books.promises import Promises
    from node.books.state import FILE

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
        facts["paused"] = state_of(home, lambda state: Decisions(connection=state).paused)
        facts["rolled_back"] = state_of(home, lambda state: Audit(connection=state).halted)
    facts |= ledger.budget(home)
    if as_json:
        output.as_json(facts)
        return
    output.table(tables.table((_("what"), _("value")), _status_rows(facts)))


app.command("check", help=node_check.CHECK)(node_check.check)
app.command("renew", help=renew.NODE)(renew.node)


def _settings(
    home: Path, data: Path | None, mapping: Path | None, threads: int | None, memory_limit: str | None
) -> NodeSettings:
    from farr import __version__
    from farr.hospital import nodes
    from farr.membership import home as homes
    from node.settings import NodeSettings
    from queries.agreed.catalogue_file import read_catalogue

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
        many_rows=source.many_rows,
    )


def _status_rows(facts: dict[str, object]) -> list[tuple[str, str]]:
    from farr.hospital.policy_words import apart

    running, days = facts["running"], facts["certificate_days"]
    rows = [
        (_("federation"), str(facts["federation"])),
        (_("hospital"), str(facts["id"])),
        (_("coordinator"), str(facts["coordinator"])),
        (_("running"), _("no") if running is None else _("yes, process {number}").format(number=running)),
        *([(_("paused"), _("yes: farr node resume ends it"))] if facts.get("paused") else []),
        *(
            [(_("rolled back"), _("yes, it answers nothing: farr node audit recover says what to do"))]
            if facts.get("rolled_back")
            else []
        ),
        (_("certificate"), _("holds {days} more days").format(days=days)),
        (_("roster"), _("version {version}").format(version=facts["roster"])),
        (_("spent"), _("epsilon {epsilon:.3g}").format(epsilon=facts["spent_epsilon"])),
    ]
    if "lifetime_units" not in facts:
        return [*rows, (_("policy"), str(facts["policy"]))]
    left, life = apart(*(float(str(facts[name])) for name in ("remaining_epsilon", "lifetime_epsilon")))
    recent, period = apart(*(float(str(facts[name])) for name in ("period_remaining_epsilon", "period_epsilon")))
    return [
        *rows,
        (_("left"), f"epsilon {left}"),
        (_("for life"), f"epsilon {life}"),
        (_("period"), _period(facts)),
        (_("left in it"), _("epsilon {left} of {epsilon}").format(left=recent, epsilon=period)),
    ]


def _period(facts: dict[str, object]) -> str:
    """Return the bounds of the running period by the hospital's clocks, of which the last six characters tell."""
    first, last = (str(facts[name]).replace("T", " ") for name in ("period_from", "period_until"))
    return _("{unit}, {first} to {last} UTC{offset}").format(
        unit=_(str(facts["period"])),
        first=first[:-6],
        last=last[:-6],
        offset="" if last.endswith("+00:00") else last[-6:],
    )


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
