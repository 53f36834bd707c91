"""What the hospital's policy says of one request, rule by rule: of one that waits, was answered, or lies in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from farr.errors import FarrError
from farr.hospital.nodes import explained
from farr.hospital.office import Office
from farr.texts import _
from node.authority.judging import Question, Ruling, judge, trace
from node.authority.reach import check_reach
from node.authority.runs import check_run
from node.books.ledger import Ledger
from node.part import question_of
from protocols import checks
from protocols import request as requests
from protocols.announcement import Announcement
from protocols.errors import Rejected
from protocols.farrsum.parameters import honest
from protocols.request import Request
from protocols.wire_pb2 import Announcement as AnnouncementMessage
from protocols.wire_pb2 import Signed

LEAST_PREFIX = 4
"""Fewest characters of a request's id that name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A request and what becomes of it."""

    request: Request
    """As its analyst signed it."""
    where: str
    """``waiting``, ``answered`` or ``file``."""
    ruling: Ruling
    """What decides, by the policy as it is now."""
    trace: tuple[Ruling, ...]
    """What each rule says, in order."""

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {
            "request": self.request.id.hex(),
            "where": self.where,
            "analyst": self.request.analyst,
            "purpose": self.request.purpose,
            "reason": self.request.reason,
            "statement": self.request.statement,
            "units": self.request.rho_units,
            **_plain(self.ruling),
            "rules": [_plain(each) for each in self.trace],
        }


def explain(office: Office, named: str) -> Explained:
    """Return what the policy says of a request: ``named`` is a file with a signed one, or the beginning of an id.

    Raises FarrError where there is none or several, and for a request that is refused before the policy is asked.
    """
    try:
        found = _in_file(office, Path(named)) if Path(named).is_file() else _by_id(office, named.lower())
        question = _question(office, found)
    except Rejected as rejected:
        raise FarrError(
            rejected.code,
            _("the request is refused before the policy is asked: {code}").format(code=rejected.code),
            details={"detail": rejected.detail},
        ) from rejected
    policy = office.policy()
    with explained():
        return Explained(
            request=found.request,
            where=found.where,
            ruling=judge(policy, question),
            trace=trace(policy, question),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    where: str
    signed: Signed
    request: Request
    message: AnnouncementMessage | None = None


def _in_file(office: Office, path: Path) -> _Found:
    signed = checks.parse(Signed, path.read_bytes())
    return _Found(where="file", signed=signed, request=requests.read(signed, roster=office.roster, now=office.now))


def _by_id(office: Office, prefix: str) -> _Found:
    connection, found = office.bench.connection, {}
    if len(prefix) >= LEAST_PREFIX and set(prefix) <= set("0123456789abcdef"):
        for request, signed in connection.execute("SELECT request, signed FROM proposals"):
            if bytes(request).hex().startswith(prefix):
                waiting = checks.parse(Signed, bytes(signed))
                found[bytes(request)] = _Found(where="waiting", signed=waiting, request=requests.asked_for(waiting))
        for request, signed in connection.execute(
            "SELECT request, announcement FROM charges JOIN uploads USING (tau) WHERE lower(hex(request)) LIKE ?",
            (prefix + "%",),
        ):
            message = checks.parse(AnnouncementMessage, checks.parse(Signed, bytes(signed)).body)
            asked = checks.parse(Signed, message.request)
            found[bytes(request)] = _Found(
                where="answered", signed=asked, request=requests.asked_for(asked), message=message
            )
    if len(found) != 1:
        text = _("several requests begin with {name}") if found else _("no request is known by {name}")
        remedy = _(
            "give the first {count} or more characters of its id, as `farr node ledger` or `farr node approvals list` "
            "shows it, or a file"
        )
        raise FarrError("unknown-request", text.format(name=prefix), remedy=remedy.format(count=LEAST_PREFIX))
    (only,) = found.values()
    return only


def _question(office: Office, found: _Found) -> Question:
    bench, catalogue, request, message = office.bench, office.catalogue, found.request, found.message
    shares = honest(request.minimum, request.trust, len(office.roster.nodes)) if message is None else message.honest
    compiled = bench.compiler.compile(request.plan, request.rho_units, shares)
    check_reach(request, compiled.plan, roster=office.roster, catalogue=catalogue)
    check_run(request, compiled.plan)
    return question_of(
        bench.member,
        request=request,
        roster=office.roster,
        compiled=compiled,
        catalogue=catalogue,
        tables=bench.tables,
        policy=office.policy(),
        ledger=Ledger(connection=bench.connection),
        now=office.now,
        announcement=None if message is None else _announcement(found.signed, request, message),
    )


def _announcement(signed: Signed, request: Request, message: AnnouncementMessage) -> Announcement:
    """Return the announcement of a round that this node verified before it answered."""
    return Announcement(
        request=request,
        signed_request=signed,
        roster=message.roster,
        epoch=message.epoch,
        freeze=message.freeze,
        slot=message.slot,
        contributors=tuple(message.contributors),
        minimum=message.minimum,
        colluders=message.colluders,
        honest=message.honest,
        deadline=message.deadline,
    )


def _plain(ruling: Ruling) -> dict[str, object]:
    return {
        "rule": ruling.rule,
        "outcome": ruling.outcome.value,
        "code": ruling.code,
        "detail": ruling.detail,
        "remedy": ruling.remedy,
    }
