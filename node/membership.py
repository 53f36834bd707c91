"""The roster that a node holds. It only ever becomes newer, also over restarts."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable

from node.authority.newcomers import meet
from node.books.audit import ROSTER, Audit, Fact
from node.books.state import transaction
from protocols import checks
from protocols import roster as rosters
from protocols.credentials import Credentials
from protocols.errors import Rejected
from protocols.roster import Roster
from protocols.wire_pb2 import Signed

_log = logging.getLogger("node.membership")


class Membership:
    """Holds the newest roster that the registrar signed and this node has seen."""

    def __init__(
        self, credentials: Credentials, connection: sqlite3.Connection, clock: Callable[[], float], joined: Signed
    ) -> None:
        """Begin with the state's roster or the one in the home, ``joined``, whichever is newer."""
        self._credentials = credentials
        self._connection = connection
        self._clock = clock
        found = connection.execute("SELECT signed FROM roster").fetchone()
        self._signed = joined if found is None else checks.parse(Signed, bytes(found[0]))
        self.roster = self._read(self._signed, held=0)
        """The roster that holds."""
        if found is None:
            self._keep(self._signed, self.roster)
        else:
            # A state from before first sights were kept has met everybody whom it held on its roster.
            with transaction(connection):
                meet(connection, self.roster, int(clock()))
        if self._read(joined, held=0).version > self.roster.version:
            self.take(joined)

    @property
    def digest(self) -> bytes:
        """Return the digest of the signed roster that holds: what a key of an epoch is signed for."""
        return rosters.digest_of(self._signed)

    def take(self, signed: Signed) -> Roster:
        """Hold a newer roster, durably, and return it; raise Rejected("stale-roster") for an older one.

        Guarantee: a member that was removed does not come back with an older roster, nor with a second one of the same
        version. Test: tests/node/test_link.py::test_a_roster_never_becomes_older.
        """
        taken = self._read(signed, held=self.roster.version)
        if taken.version == self.roster.version:
            if signed.body != self._signed.body:
                raise Rejected("stale-roster", f"two rosters of version {taken.version}")
            return self.roster
        self._keep(signed, taken)
        self._signed, self.roster = signed, taken
        _log.info("a newer roster holds", extra={"version": taken.version})
        return taken

    def _read(self, signed: Signed, held: int) -> Roster:
        credentials = self._credentials
        return rosters.read(
            signed, federation=credentials.federation, registrar_key=credentials.registrar_key, held=held
        )

    def _keep(self, signed: Signed, roster: Roster) -> None:
        facts: dict[str, Fact] = {
            "version": roster.version,
            "roster": rosters.digest_of(signed).hex(),
            "members": len(roster.members),
        }
        with transaction(self._connection):
            self._connection.execute(
                "INSERT INTO roster VALUES (1, ?, ?) "
                "ON CONFLICT (only) DO UPDATE SET version = excluded.version, signed = excluded.signed",
                (roster.version, signed.SerializeToString(deterministic=True)),
            )
            meet(self._connection, roster, int(self._clock()))
            Audit(connection=self._connection).append(ROSTER, int(self._clock()), facts)
