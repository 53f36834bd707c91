"""The coordinator's own log: what it was asked, announced, released and published, as a tree that hospitals witness."""

from __future__ import annotations

from protocols import announcement as announcements
from protocols import checks
from protocols import release as releases
from protocols import roster as rosters
from protocols.hashing import digest
from protocols.log import Fact, Log
from protocols.wire_pb2 import Announcement, Release, RequestStatus, Roster, Signed

SUBMITTED = "submitted"
ANNOUNCED = "announced"
RELEASED = "released"
CANCELLED = "cancelled"
ROSTER = "roster"
EQUIVOCATION = "equivocation"
"""A hospital's log that was rewritten."""

MOST_TOLD = 100
"""Most of those entries of one hospital, so that none fills the disk with histories that fork."""

SCRIPT = """
CREATE TABLE log (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    facts TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32)
) STRICT;
CREATE INDEX log_of_request ON log (json_extract(facts, '$.request'), number) WHERE json_valid(facts);
CREATE TABLE tree (
    level INTEGER NOT NULL,
    position INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (level, position)
) STRICT;
CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, signed BLOB NOT NULL) STRICT;
CREATE TABLE head (member TEXT PRIMARY KEY, size INTEGER NOT NULL, signed BLOB NOT NULL) STRICT;
CREATE TABLE receipt (
    request BLOB NOT NULL REFERENCES request (id),
    site TEXT NOT NULL,
    receipt BLOB NOT NULL,
    PRIMARY KEY (request, site)
) STRICT;
CREATE TABLE owed (
    site TEXT NOT NULL,
    round BLOB NOT NULL,
    request BLOB NOT NULL REFERENCES request (id),
    PRIMARY KEY (site, round)
) STRICT;
CREATE TABLE witness (
    site TEXT NOT NULL,
    size INTEGER NOT NULL REFERENCES checkpoints (size),
    signed BLOB NOT NULL,
    PRIMARY KEY (site, size)
) STRICT;
CREATE TRIGGER log_never_changes BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'log is append-only'); END;
CREATE TRIGGER log_never_shrinks BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'log is append-only'); END;
CREATE TRIGGER tree_never_changes BEFORE UPDATE ON tree BEGIN SELECT RAISE(ABORT, 'tree is append-only'); END;
CREATE TRIGGER tree_never_shrinks BEFORE DELETE ON tree BEGIN SELECT RAISE(ABORT, 'tree is append-only'); END
"""
"""The tables of the log and of what others say of it."""


def submitted(log: Log, signed: Signed, status: RequestStatus) -> None:
    """Tell that an analyst asked."""
    facts: dict[str, Fact] = {
        "request": status.id.hex(),
        "analyst": status.analyst,
        "signed": digest("farr1/request", signed.body).hex(),
    }
    log.append(SUBMITTED, status.created_at, facts)


def announced(log: Log, request: bytes, signed: Signed, at: int) -> None:
    """Tell that a round was announced."""
    message = checks.parse(Announcement, signed.body)
    facts: dict[str, Fact] = {
        "request": request.hex(),
        "round": announcements.tau(signed).hex(),
        "epoch": message.epoch,
        "slot": message.slot,
    }
    log.append(ANNOUNCED, at, facts)


def released(log: Log, request: bytes, signed: Signed) -> None:
    """Tell that a round's sum was released."""
    message = checks.parse(Release, signed.body)
    tau = announcements.tau(checks.parse(Signed, message.announcement))
    facts: dict[str, Fact] = {
        "request": request.hex(),
        "round": tau.hex(),
        "release": releases.digest_of(signed).hex(),
    }
    log.append(RELEASED, message.released_at, facts)


def cancelled(log: Log, status: RequestStatus) -> None:
    """Tell that an analyst took a request back."""
    log.append(CANCELLED, status.updated_at, {"request": status.id.hex()})


def published(log: Log, signed: Signed) -> None:
    """Tell that a roster holds."""
    message = checks.parse(Roster, signed.body)
    facts: dict[str, Fact] = {"version": message.version, "roster": rosters.digest_of(signed).hex()}
    log.append(ROSTER, message.issued_at, facts)


def equivocation(log: Log, facts: dict[str, Fact], at: int) -> bool:
    """Tell that a hospital's log was rewritten, unless that was told often enough; return whether it was.

    Guarantee: no hospital makes the log long by forking its own. Test:
    tests/coordinator/test_keeper.py::test_a_hospital_that_forks_for_ever_fills_no_log.
    """
    # Entries of no request are few, and the index of requests finds them.
    (told,) = log.connection.execute(
        "SELECT count(*) FROM log WHERE json_valid(facts) AND json_extract(facts, '$.request') IS NULL "
        "AND kind = ? AND json_extract(facts, '$.member') = ?",
        (EQUIVOCATION, facts["member"]),
    ).fetchone()
    if told >= MOST_TOLD:
        return False
    log.append(EQUIVOCATION, at, facts)
    return True


def numbers_of(log: Log, request: bytes) -> list[int]:
    """Return the numbers of the entries that tell of a request."""
    rows = log.connection.execute(
        "SELECT number FROM log WHERE json_valid(facts) AND json_extract(facts, '$.request') = ? ORDER BY number",
        (request.hex(),),
    )
    return [int(row[0]) for row in rows]
