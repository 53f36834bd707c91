"""Reading plans: decoded, checked and laid out; of the rounds of a run, what they share only once.

Every round of training is read by the client, the coordinator and each hospital, and differs from the one before in
nothing but the coefficients. They stand in one place of the canonical bytes; what is around them is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from queries.agreed.catalogue import Catalogue
from queries.asked.canonical import MOST_BYTES, decode
from queries.asked.check import check
from queries.asked.check_step import MOST_POINT
from queries.asked.plan import Plan, Step
from queries.cost.tally import Tally, tally
from queries.errors import PlanError

MOST_KEPT = 64
"""Plans without their coefficients that are kept."""

MOST_KEPT_BYTES = 1 << 15
"""Bytes of the longest of them, so that they do not fill the memory; a longer one is read as a whole each time."""

_POINT = b'"point":['
"""Only a key is spelt so: within a text, a quotation mark has a stroke before it."""


class OtherCatalogueError(PlanError):
    """A plan was made for another catalogue."""


def read(data: bytes, catalogue: Catalogue) -> Tally:
    """Return a plan, as its tally, from its canonical bytes; raise PlanError where it does not fit the catalogue.

    Guarantee: the result, or the refusal, is that of ``decode``, ``check`` and ``tally`` in turn, whatever was read
    before. Test: tests/queries/test_rounds.py::test_a_plan_is_read_as_if_nothing_had_been_read_before.
    """
    cut = _cut(data)
    if cut is not None and len(cut[0]) <= MOST_KEPT_BYTES:
        around, point = cut
        kept = _around(around, len(point), _Own(catalogue))
        if kept is not None:
            return replace(kept, plan=_at(kept.plan, point))
    plan = decode(Plan, data)
    if plan.catalogue != catalogue.digest:
        raise OtherCatalogueError("made for another catalogue", remedy="fetch the federation's present catalogue")
    check(plan, catalogue)
    return tally(plan, catalogue)


@dataclass(frozen=True, slots=True, eq=False)
class _Own:
    """A catalogue that equals itself only: comparing what it says would take as long as what is kept."""

    catalogue: Catalogue

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Own) and other.catalogue is self.catalogue

    def __hash__(self) -> int:
        return id(self.catalogue)


def _cut(data: bytes) -> tuple[bytes, tuple[int, ...]] | None:
    """Return a plan's bytes without its coefficients, and these; None where it has none, or not as they are spelt."""
    before, key, rest = data.partition(_POINT)
    written, end, after = rest.partition(b"]")
    if not key or not end or not written or _POINT in after or len(data) > MOST_BYTES:
        return None
    try:
        point = tuple(map(int, written.split(b",")))
    except ValueError:
        return None
    if b",".join(b"%d" % each for each in point) != written or max(map(abs, point)) > MOST_POINT:
        return None
    return before + _POINT + b"]" + after, point


@lru_cache(maxsize=MOST_KEPT)
def _around(data: bytes, width: int, own: _Own) -> Tally | None:
    """Return the tally of a plan at coefficients of 0; None where the plan has to be read as a whole.

    Coefficients are whole numbers within bounds, as many as the model has; nothing else is checked of them, and no
    layout, sensitivity or window depends on them.
    """
    try:
        empty = decode(Plan, data)
        plan = _at(empty, (0,) * width)
        check(plan, own.catalogue)
        return tally(plan, own.catalogue)
    except PlanError:
        return None


def _at(plan: Plan, point: tuple[int, ...]) -> Plan:
    """Return a plan at other coefficients; raise PlanError where it is not one round of a model alone."""
    aggregates = [(part, aggregate) for part in plan.parts for aggregate in part.aggregates]
    if len(aggregates) != 1 or not isinstance(aggregates[0][1].step, Step):
        raise PlanError("no round of a model", remedy="ask it as a question of its own")
    ((part, aggregate),) = aggregates
    step = replace(aggregates[0][1].step, point=point)
    return replace(plan, parts=(replace(part, aggregates=(replace(aggregate, step=step),)),))
