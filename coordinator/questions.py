"""A question at the coordinator's door: whether it is one, and which earlier answer would serve it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from protocols import request as requests
from protocols.errors import Rejected
from protocols.hashing import digest
from protocols.mandate import Mandate
from protocols.request import Request, mandate_of
from protocols.roster import Member, Roster
from protocols.wire_pb2 import Signed
from queries.agreed.catalogue import Catalogue
from queries.asked.authority import permits
from queries.asked.canonical import decode
from queries.asked.check import check
from queries.asked.plan import Plan
from queries.cost.tally import tally
from queries.errors import AuthorityError, QueryError

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
    """Return a question that its analyst may ask and hospitals could answer; raise Rejected for any other.

    The nodes check all of this for themselves. The coordinator does it so that a question that none would answer
    is refused at once.
    """
    asked = requests.read(signed, roster=roster, now=now)
    try:
        plan = _plan(asked.plan, catalogue)
        _check_reach(asked, plan, mandate_of(asked, roster), roster, catalogue)
        entries = tally(plan, catalogue).entries
    except AuthorityError as error:
        raise Rejected(error.code, error.message) from error
    except QueryError as error:
        raise Rejected("bad-plan", str(error)) from error
    return Question(request=asked, signed=signed, entries=entries)


def is_covered(asked: Request, reader: Member, *, roster: Roster, catalogue: Catalogue, now: int) -> bool:
    """Tell whether an analyst may read what was released for a request: its own, or one within its mandate.

    A mandate over a region covers what was asked of hospitals there or about patients who live there. An auditor's
    covers what its regions and tables cover, too, for which it needs no purpose.

    Guarantee: what an analyst could not have asked, it does not get to read; a release of another catalogue, whose
    places nobody can tell any more, only those whose mandate has no bounds. Test:
    tests/coordinator/test_authority.py::test_a_release_is_read_within_the_readers_mandate_only.
    """
    if asked.analyst == reader.id:
        return True
    mandate = reader.mandate
    if mandate is None or mandate.expires_at < now:
        return False
    if not (mandate.regions or mandate.tables):
        return True
    try:
        plan = _plan(asked.plan, catalogue)
    except (Rejected, QueryError):
        return False
    for by_residence in (False, True):
        with suppress(AuthorityError):
            _check_reach(replace(asked, by_residence=by_residence), plan, mandate, roster, catalogue)
            return True
    return False


def _plan(data: bytes, catalogue: Catalogue) -> Plan:
    plan = decode(Plan, data)
    if plan.catalogue != catalogue.digest:
        raise Rejected("wrong-catalogue", "plan")
    check(plan, catalogue)
    return plan


def _check_reach(asked: Request, plan: Plan, mandate: Mandate, roster: Roster, catalogue: Catalogue) -> None:
    permits(
        plan,
        catalogue,
        regions=mandate.regions,
        tables=mandate.tables,
        sites=roster.nodes,
        asked=asked.sites,
        by_residence=asked.by_residence,
    )
