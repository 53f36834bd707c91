"""A question at the coordinator's door: whether it is one, and which earlier answer would serve it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from protocols import request as requests
from protocols import ring, upload
from protocols.blobs import Blob
from protocols.errors import Rejected
from protocols.farrsum.masking import CHECKS
from protocols.hashing import digest
from protocols.mandate import Mandate
from protocols.request import Request, mandate_of
from protocols.roster import Member, Roster
from protocols.wire_pb2 import Signed
from queries.agreed.catalogue import Catalogue
from queries.asked import rounds
from queries.asked.app_time import lasting
from queries.asked.authority import permits
from queries.asked.plan import AppStep, Plan
from queries.asked.rounds import OtherCatalogueError
from queries.cost.tally import Tally
from queries.errors import AuthorityError, QueryError

QUESTION_LABEL = "farr1/question"

BYTES_A_SECOND = 1 << 20
"""Slowest line between a hospital and the coordinator that a round allows for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request whose signature and plan hold."""

    request: Request
    """As its analyst signed it."""
    signed: Signed
    """The same, with the signature."""
    entries: int
    """Length of the vector that answers it."""
    message: Blob | None = None
    """What its analyst sent for the hospitals' apps; None: it is asked of no app, or nothing is sent."""
    running: float = 0.0
    """Seconds from the start of an app to a hospital's answer; 0: it is asked of no app."""

    @property
    def vector_bytes(self) -> int:
        """Return the bytes of a hospital's vector, check coordinates included."""
        return (self.entries + CHECKS) * ring.ENTRY_BYTES

    @property
    def is_long(self) -> bool:
        """Tell whether vectors travel beside their uploads."""
        return upload.is_long(self.entries + CHECKS)

    @property
    def seconds(self) -> float:
        """Return how much longer than another a round of it has to stay open, for its app and its long content."""
        travelling = (self.message.size if self.message else 0) + (self.vector_bytes if self.is_long else 0)
        return self.running + travelling / BYTES_A_SECOND

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
        layout = _tally(asked.plan, catalogue)
        _check_reach(asked, layout.plan, mandate_of(asked, roster), roster, catalogue)
    except AuthorityError as error:
        raise Rejected(error.code, error.message) from error
    except QueryError as error:
        raise Rejected("bad-plan", str(error)) from error
    app = _app(layout.plan)
    return Question(
        request=asked,
        signed=signed,
        entries=layout.entries,
        message=Blob(digest=app.message, size=app.size) if app and app.size else None,
        running=lasting(app) if app else 0.0,
    )


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
        plan = _tally(asked.plan, catalogue).plan
    except (Rejected, QueryError):
        return False
    for by_residence in (False, True):
        with suppress(AuthorityError):
            _check_reach(replace(asked, by_residence=by_residence), plan, mandate, roster, catalogue)
            return True
    return False


def _app(plan: Plan) -> AppStep | None:
    steps = (aggregate.step for part in plan.parts for aggregate in part.aggregates)
    return next((step for step in steps if isinstance(step, AppStep)), None)


def _tally(data: bytes, catalogue: Catalogue) -> Tally:
    try:
        return rounds.read(data, catalogue)
    except OtherCatalogueError:
        raise Rejected("wrong-catalogue", "plan") from None


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
