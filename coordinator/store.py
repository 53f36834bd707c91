"""The coordinator's memory: one SQLite file. What it says to anyone, it has written there before."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator import log as logs
from coordinator.evidence_store import EvidenceStore
from coordinator.listing import PAGE_BYTES, Page
from protocols.log import Log
from protocols.schema import migrate
from protocols.wire_pb2 import AdmittedMember, RequestStatus, RequestStatuses, Signed, SignedApplication, State

MIGRATIONS = (
    """
    CREATE TABLE catalogue (digest BLOB PRIMARY KEY, source BLOB NOT NULL) STRICT;
    CREATE TABLE roster (
        version INTEGER PRIMARY KEY,
        signed BLOB NOT NULL,
        catalogue BLOB NOT NULL REFERENCES catalogue
    ) STRICT;
    CREATE TABLE request (
        number INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        analyst TEXT NOT NULL,
        signed BLOB NOT NULL,
        state INTEGER NOT NULL,
        status BLOB NOT NULL
    ) STRICT;
    CREATE INDEX request_of_analyst ON request (analyst, number);
    CREATE INDEX request_alive ON request (number) WHERE state IN (1, 2);
    CREATE TABLE round (
        request BLOB PRIMARY KEY REFERENCES request (id),
        epoch INTEGER NOT NULL REFERENCES roster (version),
        slot INTEGER NOT NULL,
        signed BLOB NOT NULL,
        entries INTEGER NOT NULL,
        opened_at REAL NOT NULL,
        UNIQUE (epoch, slot)
    ) STRICT;
    CREATE TABLE release (
        number INTEGER PRIMARY KEY,
        request BLOB NOT NULL UNIQUE REFERENCES request (id),
        question BLOB NOT NULL,
        contributors INTEGER NOT NULL,
        signed BLOB NOT NULL
    ) STRICT;
    CREATE INDEX release_of_question ON release (question, number);
    CREATE TABLE application (token BLOB PRIMARY KEY, body BLOB NOT NULL, signature BLOB NOT NULL) STRICT;
    CREATE TABLE admission (token BLOB PRIMARY KEY, certificate BLOB NOT NULL, refused TEXT NOT NULL) STRICT;
    """,
    """
    CREATE TABLE epoch (
        number INTEGER PRIMARY KEY,
        roster INTEGER NOT NULL REFERENCES roster (version)
    ) STRICT;
    DROP TABLE round;
    CREATE TABLE round (
        request BLOB PRIMARY KEY REFERENCES request (id),
        epoch INTEGER NOT NULL REFERENCES epoch (number),
        slot INTEGER NOT NULL,
        signed BLOB NOT NULL,
        opened_at REAL NOT NULL,
        UNIQUE (epoch, slot)
    ) STRICT;
    """,
    logs.SCRIPT,
)

MOST_LISTED_BYTES = 8 << 20
"""Most bytes of a list that is sent: half of what a message may hold."""

_ALIVE = (State.STATE_WAITING, State.STATE_RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRequest:
    """A request as it was left."""

    signed: Signed
    """As its analyst signed it."""
    status: RequestStatus
    """As it was last written; progress between two writes is not kept."""


class Store:
    """All reads and writes of the state; each write is durable when its method, or ``together``, returns."""

    def __init__(self, file: Path) -> None:
        """Open the state, making it or bringing it to the newest version; only its owner can read it.

        Guarantee: questions and releases are in no file that others on the machine can open. Test:
        tests/coordinator/test_serve.py::test_the_state_is_its_owners_alone.
        """
        # SQLite gives its write-ahead log the permissions of the file, so the file is made first and closed to others.
        file.touch(mode=0o600)
        file.chmod(0o600)
        self._connection = sqlite3.connect(file, isolation_level=None)
        migrate(self._connection, MIGRATIONS)

    def check(self) -> None:
        """Raise sqlite3.DatabaseError where the file's structure is not sound."""
        (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError("not sound")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make all writes inside one durable step, or none of them."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _step(self) -> Iterator[Log]:
        """Write with the entry of the log that tells of it: in the step under way, or one of its own.

        Guarantee: what the coordinator keeps of a request, a round, a release or a roster, its log tells. Test:
        tests/coordinator/test_keeper.py::test_the_log_tells_of_every_step.
        """
        if self._connection.in_transaction:
            yield self.log
        else:
            with self.together():
                yield self.log

    @property
    def log(self) -> Log:
        """Return the log of what was kept."""
        return Log(connection=self._connection, table="log")

    @property
    def evidence(self) -> EvidenceStore:
        """Return what is kept of logs, the own one and others'."""
        return EvidenceStore(connection=self._connection)

    # --- rosters and catalogues

    def add_roster(self, version: int, signed: Signed, digest: bytes, catalogue: bytes) -> None:
        """Keep a roster and its catalogue."""
        with self._step() as log:
            known = self.roster(version)
            self._write("INSERT OR IGNORE INTO catalogue VALUES (?, ?)", digest, catalogue)
            self._write("INSERT OR IGNORE INTO roster VALUES (?, ?, ?)", version, _bytes(signed), digest)
            if known is None:
                logs.published(log, signed)

    def newest_roster(self) -> tuple[Signed, bytes] | None:
        """Return the roster with the greatest version and its catalogue file."""
        row = self._row(
            "SELECT signed, source FROM roster JOIN catalogue ON digest = catalogue ORDER BY version DESC LIMIT 1"
        )
        return (Signed.FromString(row[0]), row[1]) if row else None

    def catalogue(self, digest: bytes) -> bytes | None:
        """Return a catalogue file by its digest, if it was kept."""
        row = self._row("SELECT source FROM catalogue WHERE digest = ?", digest)
        return bytes(row[0]) if row else None

    def roster(self, version: int) -> Signed | None:
        """Return the roster of a version, if it was kept."""
        row = self._row("SELECT signed FROM roster WHERE version = ?", version)
        return Signed.FromString(row[0]) if row else None

    # --- requests

    def add_request(self, signed: Signed, status: RequestStatus) -> None:
        """Keep a new request."""
        with self._step() as log:
            self._write(
                "INSERT INTO request (id, analyst, signed, state, status) VALUES (?, ?, ?, ?, ?)",
                status.id, status.analyst, _bytes(signed), status.state, status.SerializeToString(),
            )  # fmt: skip
            logs.submitted(log, signed, status)

    def set_status(self, status: RequestStatus) -> None:
        """Keep the newest status of a request."""
        with self._step() as log:
            self._write(
                "UPDATE request SET state = ?, status = ? WHERE id = ?",
                status.state, status.SerializeToString(), status.id,
            )  # fmt: skip
            if status.state == State.STATE_CANCELLED:
                logs.cancelled(log, status)

    def request(self, id_: bytes) -> StoredRequest | None:
        """Return a request by its id."""
        row = self._row("SELECT signed, status FROM request WHERE id = ?", id_)
        return _stored(row) if row else None

    def alive(self) -> list[StoredRequest]:
        """Return the requests that wait or run, oldest first."""
        marks = ", ".join(str(int(state)) for state in _ALIVE)
        rows = self._connection.execute(
            f"SELECT signed, status FROM request WHERE state IN ({marks}) ORDER BY number"  # noqa: S608 - own constants
        )
        return [_stored(row) for row in rows]

    def statuses(self, analyst: str, page: Page) -> RequestStatuses:
        """Return a page of an analyst's requests, newest first, and whether there are more; of any, at least one."""
        marks = ", ".join("?" * len(page.states))
        rows = self._connection.execute(
            f"SELECT status FROM request WHERE analyst = ? AND id BETWEEN ? AND ? AND state IN ({marks}) "  # noqa: S608 - marks
            "AND number < coalesce((SELECT number FROM request WHERE id = ?), 9223372036854775807) "
            "ORDER BY number DESC",
            (analyst, page.first, page.last, *page.states, page.before),
        )
        found, room = RequestStatuses(), PAGE_BYTES
        for (data,) in rows:
            room -= len(data)
            if found.requests and (room < 0 or len(found.requests) == page.most):
                found.more = True
                break
            found.requests.append(RequestStatus.FromString(data))
        rows.close()
        return found

    # --- epochs and rounds

    def add_epoch(self, roster: int, above: int) -> int:
        """Return the number of a new epoch for a roster: greater than ``above`` and than any before."""
        (number,) = self._connection.execute(
            "INSERT INTO epoch SELECT max(coalesce(max(number), 0), ?) + 1, ? FROM epoch RETURNING number",
            (above, roster),
        ).fetchone()
        return int(number)

    def newest_epoch(self) -> int:
        """Return the greatest number of an epoch so far; 0: none."""
        (number,) = self._connection.execute("SELECT coalesce(max(number), 0) FROM epoch").fetchone()
        return int(number)

    def add_round(self, request: bytes, epoch: int, slot: int, signed: Signed, opened_at: float) -> None:
        """Keep an announcement; a slot that was used before, or a second one for a request, is an error."""
        with self._step() as log:
            self._write("INSERT INTO round VALUES (?, ?, ?, ?, ?)", request, epoch, slot, _bytes(signed), opened_at)
            logs.announced(log, request, signed, int(opened_at))

    # --- releases

    def add_release(self, request: bytes, question: bytes, contributors: int, signed: Signed) -> None:
        """Keep a release for ever."""
        with self._step() as log:
            self._write(
                "INSERT INTO release (request, question, contributors, signed) VALUES (?, ?, ?, ?)",
                request, question, contributors, _bytes(signed),
            )  # fmt: skip
            logs.released(log, request, signed)
            self.evidence.owe(request, signed)

    def release(self, request: bytes) -> Signed | None:
        """Return the release of a request."""
        row = self._row("SELECT signed FROM release WHERE request = ?", request)
        return Signed.FromString(row[0]) if row else None

    def release_of_question(self, question: bytes, minimum: int) -> bytes | None:
        """Return the id of the newest release that answers a question with at least ``minimum`` contributors."""
        row = self._row(
            "SELECT request FROM release WHERE question = ? AND contributors >= ? ORDER BY number DESC LIMIT 1",
            question, minimum,
        )  # fmt: skip
        return bytes(row[0]) if row else None

    def releases(self, readable: Callable[[bytes], bool]) -> list[Signed]:
        """Return the releases of ``readable`` requests (by id), newest first, as many as fit into an answer."""
        rows = self._connection.execute("SELECT request, signed FROM release ORDER BY number DESC")
        found = ((signed,) for request, signed in rows if readable(bytes(request)))
        return [Signed.FromString(data) for data in _fitting(found)]

    # --- joining

    def add_application(self, token: bytes, application: SignedApplication) -> None:
        """Keep an application."""
        self._write("INSERT INTO application VALUES (?, ?, ?)", token, application.body, application.signature)

    def replace_application(self, token: bytes, application: SignedApplication) -> None:
        """Keep an application in place of an earlier one that was made with the same certificate."""
        self._write(
            "INSERT OR REPLACE INTO application VALUES (?, ?, ?)", token, application.body, application.signature
        )

    def forget_admission(self, token: bytes) -> None:
        """Forget the registrar's word on a certificate, so that its holder may apply anew."""
        self._write("DELETE FROM admission WHERE token = ?", token)

    def application(self, token: bytes) -> SignedApplication | None:
        """Return the application that was made with a token and waits."""
        row = self._row("SELECT body, signature FROM application WHERE token = ?", token)
        return SignedApplication(body=row[0], signature=row[1]) if row else None

    def applications(self) -> list[SignedApplication]:
        """Return the applications that wait."""
        rows = self._connection.execute("SELECT body, signature FROM application ORDER BY rowid")
        return [SignedApplication(body=body, signature=signature) for body, signature in rows]

    def add_admission(self, admitted: AdmittedMember) -> None:
        """Keep the registrar's word on a token; its application waits no longer."""
        self._write("DELETE FROM application WHERE token = ?", admitted.token)
        self._write(
            "INSERT OR REPLACE INTO admission VALUES (?, ?, ?)", admitted.token, admitted.certificate, admitted.refused
        )

    def admission(self, token: bytes) -> AdmittedMember | None:
        """Return the registrar's word on a token."""
        row = self._row("SELECT certificate, refused FROM admission WHERE token = ?", token)
        return AdmittedMember(token=token, certificate=row[0], refused=str(row[1])) if row else None

    def _write(self, statement: str, *values: bytes | str | float) -> None:
        self._connection.execute(statement, values)

    def _row(self, statement: str, *values: bytes | str | float) -> Sequence[bytes] | None:
        row: Sequence[bytes] | None = self._connection.execute(statement, values).fetchone()
        return row


def _stored(row: Sequence[bytes]) -> StoredRequest:
    return StoredRequest(signed=Signed.FromString(row[0]), status=RequestStatus.FromString(row[1]))


def _bytes(signed: Signed) -> bytes:
    return signed.SerializeToString(deterministic=True)


def _fitting(rows: Iterable[tuple[bytes]]) -> Iterator[bytes]:
    room = MOST_LISTED_BYTES
    for (data,) in rows:
        room -= len(data)
        if room < 0:
            return
        yield data
