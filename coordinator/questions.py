"""A question at the coordinator's door: whether it is one, and which earlier answer would serve it."""

from __future__ import annotations

from dataclasses import dataclass

from protocols import request as requests
from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.request import Request
from protocols.roster import Roster
from protocols.wire_pb2 import Signed
from queries.canonical import decode
from queries.catalogue import Catalogue
from queries.check import check
from queries.errors import QueryError
from queries.plan import Plan
from queries.tally import tally

QUESTION_LABEL = "farr1/question"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request whose signature and plan hold."""

    request: Request
    """As its analyst signed it."""
    signed: Signed
    """The same, with the signature."""
    entries: int
    """Length of the vector that answers it."""

    @property
    def key(self) -> bytes:
        """Return a digest that another request shares if and only if the same released answer serves it."""
        asked = self.request
        # The plan names its catalogue.
        price = asked.rho_units.to_bytes(8, "big")
        trust = asked.trust.value.encode()
        return digest(QUESTION_LABEL, asked.plan, price, trust, *(site.encode() for site in asked.sites))


def read(signed: Signed, *, roster: Roster, catalogue: Catalogue, now: int) -> Question:
    """Return a question that hospitals could answer; raise Rejected for any other.

    The nodes check all of this for themselves. The coordinator does it so that a question that none would answer
    is refused at once.
    """
    asked = requests.read(signed, roster=roster, now=now)
    return Question(request=asked, signed=signed, entries=_entries(asked.plan, catalogue))


def _entries(data: bytes, catalogue: Catalogue) -> int:
    try:
        plan = decode(Plan, data)
        if plan.catalogue != catalogue.digest:
            raise Rejected("wrong-catalogue", "plan")
        check(plan, catalogue)
        return tally(plan, catalogue).entries
    except QueryError as error:
        raise Rejected("bad-plan", str(error)) from error
