"""Requests that the coordinator asks about before their round: kept, judged, and judged again when anything changed.

What leaves is one of three words, by the policy and the operator's decisions: ready, held, denied. None of them rests
on a record, and none binds the node: the announcement is judged anew, and only that costs anything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from node.authority import approvals
from node.authority.approvals import Held
from node.authority.judging import Outcome, Question, Ruling, fewest_behind, judge
from node.authority.policy import Policy, PolicyError
from node.authority.reach import check_reach
from node.authority.runs import check_run
from node.books.ledger import Ledger
from node.books.state import transaction
from node.part import question_of
from node.scan.compiled import Compiler
from protocols import checks
from protocols import request as requests
from protocols.errors import Rejected
from protocols.farrsum.parameters import honest
from protocols.request import Request
from protocols.roster import Roster
from protocols.wire_pb2 import Request as RequestMessage
from protocols.wire_pb2 import Signed, Stand, Verdict

MOST_KEPT = 256
"""Requests that wait at a time; more are turned away."""

MOST_KEPT_BYTES = 64 << 20
"""Of all of them together."""

OFTEN = 60
"""Seconds after which stands are looked at although nothing is known to have changed: budgets and waits end in time."""

Change = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a request is judged with, in the service or in a command beside it."""

    member: str
    """Own member id."""
    compiler: Compiler
    """Of the catalogue that the data were prepared for."""
    connection: sqlite3.Connection
    """Open state of the node."""
    policy: Callable[[], Policy]
    """Reads the policy as it is now."""
    tables: frozenset[str]
    """The catalogue's tables that the hospital has."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A request as the node judges it before its round."""

    request: Request
    """As its analyst signed it."""
    signed: Signed
    """The same, with the signature."""
    stand: Stand
    """Ready, held or denied."""
    question: Question | None = None
    """What the ruling rests on."""
    ruling: Ruling | None = None
    """What the policy says; None: it was not asked, since the request is refused for another reason."""
    held: Held | None = None
    """What an approval would be bound to, where the policy holds it."""
    why: str = ""
    """Where there is no ruling, the code that says why it is refused."""


@dataclass(kw_only=True)
class Proposals:
    """The requests that wait at a node, and what it last said of each; used from one thread."""

    bench: Bench
    """Whose policy, catalogue and state decide."""
    said: dict[bytes, Stand] = field(default_factory=dict)
    """By request, what the coordinator heard last on this connection."""
    seen: Change = ()
    """What the stands were last judged by."""

    def take(self, signed: Signed, roster: Roster, now: int) -> Verdict:
        """Keep a request that is good in itself and return where it stands; raise Rejected for any other.

        Guarantee: what is kept is bounded, whoever sends it, one analyst's requests leave room for another's, and a
        request that was kept is never replaced by another of its id. Tests:
        tests/node/test_proposals.py::test_a_flood_of_requests_is_bounded,
        tests/node/test_proposals.py::test_one_analysts_requests_leave_room_for_anothers.
        """
        request = requests.read(signed, roster=roster, now=now)
        if self.bench.member not in request.sites:
            raise Rejected("out-of-scope", self.bench.member)
        self._keep(request, signed.SerializeToString(deterministic=True), now)
        stand = judged(self.bench, signed, roster, now).stand
        self.said[request.id] = stand
        return _verdict(request.id, stand)

    def end(self, request: bytes) -> None:
        """Take a request off the list of those that wait: the coordinator says that it is over.

        Guarantee: that is a hint, and the worst of a false one is a wait. The request, what was decided on it and the
        right to take that back stay; asked about again it waits again, and an announcement is judged as ever. Tests:
        tests/node/test_proposals.py::test_a_request_that_is_over_waits_no_more_until_it_is_asked_about_again,
        tests/farr/test_approving.py::test_what_the_coordinator_calls_over_can_be_taken_back_but_not_approved.
        """
        connection = self.bench.connection
        if connection.execute("SELECT 1 FROM proposals WHERE request = ?", (request,)).fetchone() is None:
            return
        with transaction(connection):
            connection.execute("INSERT OR IGNORE INTO ended VALUES (?)", (request,))
        self.said.pop(request, None)

    def changed(self, roster: Roster, now: int) -> list[Verdict]:
        """Return the stands that are no longer what the coordinator was told."""
        verdicts = []
        for signed in waiting(self.bench.connection):
            try:
                found = judged(self.bench, signed, roster, now)
            except Rejected:
                # Past its time, or its analyst is no member any more: the coordinator sees that for itself.
                continue
            if self.said.get(found.request.id, found.stand) != found.stand:
                self.said[found.request.id] = found.stand
                verdicts.append(_verdict(found.request.id, found.stand))
        return verdicts

    def stirred(self, now: int) -> bool:
        """Return whether a decision, the policy or the time may have changed a stand since this was last asked.

        Guarantee: a decision that another process committed is seen, whatever it was: SQLite counts every commit.
        Test: tests/node/test_proposals.py::test_a_decision_of_another_process_is_seen.
        """
        (version,) = self.bench.connection.execute("PRAGMA data_version").fetchone()
        try:
            digest = self.bench.policy().digest
        except PolicyError:
            digest = b""
        change = (version, digest, now // OFTEN)
        before, self.seen = self.seen, change
        return bool(before) and before != change

    def _keep(self, request: Request, signed: bytes, now: int) -> None:
        connection = self.bench.connection
        known = connection.execute("SELECT signed FROM proposals WHERE request = ?", (request.id,)).fetchone()
        if known is not None:
            if bytes(known[0]) != signed:
                raise Rejected("replayed", "request id")
            connection.execute("DELETE FROM ended WHERE request = ?", (request.id,))
            return
        with transaction(connection):
            if not _has_room(connection, request.analyst, len(signed)):
                _forget_ended(connection, now)
                if not _has_room(connection, request.analyst, len(signed)):
                    raise Rejected("busy", "too many requests wait for approval")
            connection.execute("INSERT INTO proposals VALUES (?, ?, ?)", (request.id, signed, now))


def waiting(connection: sqlite3.Connection) -> Iterator[Signed]:
    """Yield the requests that were asked about and are neither answered nor said to be over, oldest first."""
    rows = connection.execute(
        "SELECT signed FROM proposals WHERE request NOT IN (SELECT request FROM charges) "
        "AND request NOT IN (SELECT request FROM ended) ORDER BY arrived, request"
    ).fetchall()
    for (signed,) in rows:
        yield Signed.FromString(signed)


def judged(bench: Bench, signed: Signed, roster: Roster, now: int) -> Judged:
    """Return where a request stands; raise Rejected for one that nobody signed or whose time is over.

    Guarantee: a stand follows from the request, the roster, the policy file, the ledger and the operator's decisions,
    all of them free of records. Test: tests/node/test_proposals.py::test_a_stand_reads_no_record.
    """
    request = requests.read(signed, roster=roster, now=now)
    try:
        question = _question(bench, request, roster, now)
        policy = bench.policy()
        ruling = judge(policy, question)
    except Rejected as rejected:
        return Judged(request=request, signed=signed, stand=Stand.STAND_DENIED, why=rejected.code)
    except PolicyError:
        return Judged(request=request, signed=signed, stand=Stand.STAND_DENIED, why="policy")
    held = Held(
        signed=signed,
        request=request,
        plan=question.plan,
        catalogue=question.catalogue,
        policy=policy.digest,
        hospitals=fewest_behind(question),
        now=now,
    )
    connection, stand = bench.connection, Stand.STAND_READY
    if approvals.denied(connection, request) or ruling.outcome is Outcome.WITHHELD:
        stand = Stand.STAND_DENIED
    elif ruling.outcome is Outcome.HELD and approvals.covering(connection, held) is None:
        stand = Stand.STAND_HELD
    return Judged(request=request, signed=signed, stand=stand, question=question, ruling=ruling, held=held)


def _question(bench: Bench, request: Request, roster: Roster, now: int) -> Question:
    catalogue = bench.compiler.catalogue
    if roster.catalogue_digest != catalogue.digest:
        raise Rejected("wrong-catalogue", "roster")
    # How many hospitals will be behind the noise is not known yet; the plan and, but for a hair, the cost are.
    shares = honest(request.minimum, request.trust, len(roster.nodes))
    compiled = bench.compiler.compile(request.plan, request.rho_units, shares)
    check_reach(request, compiled.plan, roster=roster, catalogue=catalogue)
    check_run(request, compiled.plan)
    return question_of(
        bench.member,
        request=request,
        roster=roster,
        compiled=compiled,
        catalogue=catalogue,
        tables=bench.tables,
        policy=bench.policy(),
        ledger=Ledger(connection=bench.connection),
        now=now,
    )


def _verdict(request: bytes, stand: Stand) -> Verdict:
    # Its own operator finds the request under its id, so that may be passed on as the reference.
    return Verdict(request=request, stand=stand, reference=request.hex())


def _has_room(connection: sqlite3.Connection, analyst: str, more: int) -> bool:
    """Return whether one more request may be kept: nobody's take more than is then left for others."""
    kept = [bytes(signed) for (signed,) in connection.execute("SELECT signed FROM proposals")]
    own = [len(signed) for signed in kept if Signed.FromString(signed).signer == analyst]
    left = MOST_KEPT_BYTES - sum(map(len, kept))
    return len(own) < MOST_KEPT - len(kept) and sum(own) + more <= left


def _forget_ended(connection: sqlite3.Connection, now: int) -> None:
    """Forget the requests that were answered or are over; decisions on them are kept."""
    for identifier, signed in connection.execute("SELECT request, signed FROM proposals").fetchall():
        message = checks.parse(RequestMessage, Signed.FromString(signed).body)
        answered = connection.execute("SELECT 1 FROM charges WHERE request = ?", (identifier,)).fetchone()
        ended = connection.execute("SELECT 1 FROM ended WHERE request = ?", (identifier,)).fetchone()
        if answered is not None or ended is not None or message.expires_at < now:
            connection.execute("DELETE FROM proposals WHERE request = ?", (identifier,))
            connection.execute("DELETE FROM ended WHERE request = ?", (identifier,))
