"""Reading plans: what the rounds of a run share is kept, and that shows in nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.asked.canonical import decode, encode
from queries.asked.check import check
from queries.asked.check_step import MOST_POINT
from queries.asked.plan import Members, Plan, SiteIs
from queries.asked.rounds import MOST_KEPT_BYTES, OtherCatalogueError, _around, read
from queries.cost.tally import tally
from queries.errors import PlanError
from tests.queries.steps import APP, LOGISTIC, MODELS, round_of


def afresh(data, catalogue):
    """Return what a plan comes to with nothing kept; None where it is refused."""
    try:
        plan = decode(Plan, data)
        check(plan, catalogue)
        return tally(plan, catalogue)
    except PlanError:
        return None


def kept(data, catalogue):
    """Return the same by what is kept."""
    try:
        return read(data, catalogue)
    except PlanError:
        return None


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_plan_is_read_as_if_nothing_had_been_read_before(wide, data):
    """With other coefficients, too many or too large, or changed bytes: the same tally or refusal as afresh."""
    step = data.draw(st.sampled_from(list(MODELS.values())))
    spelt = encode(round_of(wide.digest, step))
    assert kept(spelt, wide) == afresh(spelt, wide)
    numbers = st.integers(-MOST_POINT - 1, MOST_POINT + 1)
    width = len(step.point) + data.draw(st.sampled_from([0, 0, 0, 0, -1, 1]))
    point = tuple(data.draw(st.lists(numbers, min_size=width, max_size=width)))
    other = bytearray(encode(round_of(wide.digest, replace(step, point=point))))
    assert kept(bytes(other), wide) == afresh(bytes(other), wide)
    start = other.index(b'"point":[') if data.draw(st.booleans()) else 0
    place = min(len(other) - 1, start + data.draw(st.integers(0, len(other) - 1 if start == 0 else 20)))
    other[place : place + data.draw(st.integers(0, 2))] = data.draw(
        st.sampled_from([b"", b"0", b"-", b"+", b"_", b" ", b",", b"]", b"[", b".", b'"point":[', b"true", b"\\", b'"'])
    )
    assert kept(bytes(other), wide) == afresh(bytes(other), wide)


def test_the_second_round_of_a_run_is_not_read_anew(wide):
    """Only the coefficients of a round that differs in nothing else are read."""
    read(encode(round_of(wide.digest, LOGISTIC)), wide)
    before = _around.cache_info().hits
    moved = round_of(wide.digest, replace(LOGISTIC, point=(7,) * len(LOGISTIC.point)))
    assert read(encode(moved), wide).plan == moved
    assert _around.cache_info().hits == before + 1


def test_long_plans_are_not_remembered(wide):
    """A plan of a thousand sites and more is read as ever, and no copies of it pile up."""
    _around.cache_clear()
    before = _around.cache_info().currsize
    for count in (8_000, 8_001):
        sites = SiteIs(attribute=None, codes=tuple(f"{number:06d}" for number in range(count)))
        plan = round_of(wide.digest, LOGISTIC, where=sites)
        spelt = encode(plan)
        assert len(spelt) > MOST_KEPT_BYTES
        assert read(spelt, wide).plan == plan
    assert _around.cache_info().currsize == before
    read(encode(round_of(wide.digest, LOGISTIC, where=SiteIs(attribute=None, codes=("long",)))), wide)
    assert _around.cache_info().currsize == before + 1


def test_a_text_that_looks_like_coefficients_is_a_text(wide):
    """The key of the coefficients inside a code or a column's name is read as a part of it, and refused as such."""
    plan = round_of(wide.digest, LOGISTIC)
    (part,) = plan.parts
    where = Members(column='sex","point":[1]', codes=('"point":[1,2]',))
    spelt = encode(replace(plan, parts=(replace(part, where=where),)))
    with pytest.raises(PlanError):
        read(spelt, wide)


def test_a_plan_of_another_catalogue_is_told_apart(wide):
    """Whoever reads a plan made for another catalogue is told so, whether it is a round or a question."""
    for step in (LOGISTIC, APP):
        with pytest.raises(OtherCatalogueError):
            read(encode(round_of(b"\x07" * 32, step)), wide)
