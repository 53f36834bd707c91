"""The operator's office: a node's state, policy and catalogue, as a command or a page beside the running node has them.

Decisions are written into the node's own state, as one transaction each; the running node notices within a second.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from farr.errors import FarrError
from farr.hospital import nodes
from farr.membership import home as homes
from farr.membership.home import Home
from farr.texts import _
from node.authority import policy as policies
from node.authority.decisions import Decisions, Facts
from node.authority.policy import Policy
from node.authority.proposals import Bench
from node.books.state import FILE, insist_whole, open_state, transaction
from node.records.prepare import PREPARED
from node.scan.compiled import Compiler
from protocols import checks
from protocols import roster as rosters
from protocols.roster import Roster
from protocols.wire_pb2 import Signed
from queries.agreed.catalogue import Catalogue
from queries.agreed.catalogue_file import read_catalogue


@dataclass(frozen=True, kw_only=True)
class Office:
    """Where the operator decides."""

    home: Path
    """The node's home."""
    held: Home
    """What joining left there."""
    bench: Bench
    """What the node judges with."""
    roster: Roster
    """The newest that the node has seen."""
    clock: Callable[[], float]
    """Seconds since 1970, UTC."""

    @property
    def now(self) -> int:
        """Return the time, in seconds since 1970, UTC."""
        return int(self.clock())

    @property
    def catalogue(self) -> Catalogue:
        """Return the catalogue that the federation agreed on."""
        return self.bench.compiler.catalogue

    @property
    def decisions(self) -> Decisions:
        """Return the decisions so far."""
        return Decisions(connection=self.bench.connection)

    def policy(self) -> Policy:
        """Return the policy as it is now; raise FarrError where it cannot be read."""
        with nodes.explained():
            return self.bench.policy()

    def decide(self, kind: str, *, by: str, subject: bytes, binding: bytes, facts: Facts | None = None) -> int:
        """Write a decision, durably, with its entry in the audit log; return its number."""
        with transaction(self.bench.connection):
            return self.decisions.add(kind, by=by, at=self.now, subject=subject, binding=binding, facts=facts)


@contextlib.contextmanager
def office(folder: Path, clock: Callable[[], float] = time.time) -> Iterator[Office]:
    """Open the office of a node; raise FarrError where the folder is no node's home, or the node never ran."""
    held = nodes.read_home(folder)
    if not (folder / FILE).is_file():
        raise FarrError(
            "not-run",
            _("the node has not run yet: it has no state"),
            remedy=_("start it: farr node serve --home {folder}").format(folder=folder),
        )
    insist_whole(folder)
    with contextlib.closing(open_state(folder)) as connection:
        catalogue = read_catalogue(held.catalogue, homes.CATALOGUE)
        bench = Bench(
            member=held.credentials.member,
            compiler=Compiler(catalogue=catalogue),
            connection=connection,
            policy=lambda: policies.load(folder / policies.FILE),
            tables=tables_of(folder, catalogue),
        )
        found = connection.execute("SELECT signed FROM roster").fetchone()
        roster = held.read_roster()
        if found is not None:
            roster = rosters.read(
                checks.parse(Signed, bytes(found[0])),
                federation=held.credentials.federation,
                registrar_key=held.credentials.registrar_key,
            )
        yield Office(home=folder, held=held, bench=bench, roster=roster, clock=clock)


def tables_of(folder: Path, catalogue: Catalogue) -> frozenset[str]:
    """Return the catalogue's tables that the node prepared from the hospital's files, by the newest preparation."""
    import duckdb

    prepared = sorted(folder.glob(f"{PREPARED}*.duckdb"), key=lambda path: path.stat().st_mtime_ns)
    if not prepared:
        return frozenset()
    with duckdb.connect(str(prepared[-1]), read_only=True) as connection:
        found = {str(name) for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    return frozenset(table.name for table in catalogue.tables) & found
