"""The layout of tallies and the sensitivity of their blocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import product
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.domains import size
from queries.errors import PlanError
from queries.plan import EVERYTHING, Aggregate, BandKey, Bound, CodeKey, Members, Plan
from queries.sensitivity import of_block, of_tally
from queries.tally import Block, PatientCount, RowCount, ValueSum, tally

COUNT, PATIENTS = Aggregate(statistic="count"), Aggregate(statistic="patients")
MEAN, SUM = Aggregate(statistic="mean", column="weight"), Aggregate(statistic="sum", column="weight")


@pytest.fixture
def plan(wide) -> Plan:
    """Return a plan of four statistics by sex and province."""
    return Plan(
        catalogue=wide.digest,
        table="discharge",
        where=EVERYTHING,
        keys=(CodeKey(column="sex"), CodeKey(column="region", level="province")),
        aggregates=(COUNT, MEAN, SUM, PATIENTS),
        bound=Bound(rows=5, groups=2),
    )


def test_blocks_are_laid_end_to_end_and_shared(wide, plan):
    """A mean of weights and the count of weights share a block; each aggregate knows its blocks."""
    weights = Aggregate(statistic="count", column="weight")
    shape = tally(replace(plan, aggregates=(weights, MEAN, SUM, PATIENTS)), wide)
    assert [type(block.measure) for block in shape.blocks] == [RowCount, ValueSum, ValueSum, PatientCount]
    assert shape.of_aggregate == ((0,), (0, 1), (2,), (3,))
    assert shape.sizes == (4, 4, 4, 4)
    assert shape.offsets == (0, 4, 8, 12)
    assert shape.entries == 16


def test_a_filter_makes_another_block(wide, plan):
    """The same count over other rows is another block, and costs as one."""
    women = replace(COUNT, where=Members(column="sex", codes=("F",)))
    assert len(tally(replace(plan, aggregates=(COUNT, women)), wide).blocks) == 2


def test_values_are_centred_at_mid_range_for_means_and_not_for_sums(wide, plan):
    """Weights lie in -10 to 605 steps: a mean reaches half the range, a sum the larger end."""
    shape = tally(plan, wide)
    means, sums = shape.blocks[2].measure, shape.blocks[3].measure
    assert means == ValueSum(column="weight", centre=297, bound=308)
    assert sums == ValueSum(column="weight", centre=0, bound=605)


def test_too_long_a_vector_is_refused_at_once(wide, plan):
    """The product of sizes is compared before anything of that size is made."""
    starts = tuple(range(-10, 606))
    keys = (BandKey(column="weight", starts=starts), BandKey(column="age", starts=tuple(range(121))))
    with pytest.raises(PlanError) as caught:
        tally(replace(plan, keys=(*keys, *plan.keys, CodeKey(column="region"))), wide)
    assert "5,962,880" in caught.value.message


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_layout_covers_every_aggregate_and_nothing_twice(wide, plans, data):
    """Sizes are products of the keys' sizes, offsets follow, no block repeats, every aggregate has its blocks."""
    plan = data.draw(plans)
    shape = tally(plan, wide)
    cells = prod(size(key, wide, wide.table("discharge")) for key in plan.keys)
    assert shape.sizes == (cells,) * len(shape.blocks)
    assert shape.entries == cells * len(shape.blocks)
    assert len(set(shape.blocks)) == len(shape.blocks)
    assert len(shape.of_aggregate) == len(plan.aggregates)
    assert {index for blocks in shape.of_aggregate for index in blocks} == set(range(len(shape.blocks)))


def _reach(measure, bound: Bound, entries: int, sites: int) -> tuple[int, int, int]:
    """Return the largest L1, squared L2 and entry over every choice of one patient's rows, tried one by one."""
    most = (0, 0, 0)
    values = (-3, 1, 3) if isinstance(measure, ValueSum) else (1,)
    row = list(product(range(entries), values))
    for rows in range(bound.rows + 1):
        for chosen in product(row, repeat=rows):
            if len({cell for cell, _ in chosen}) > bound.groups:
                continue
            vector = [0] * entries
            for cell, value in chosen:
                vector[cell] = 1 if isinstance(measure, PatientCount) else vector[cell] + value
            vector = [sites * entry for entry in vector]
            found = (sum(map(abs, vector)), sum(entry**2 for entry in vector), max(map(abs, vector)))
            most = tuple(map(max, most, found))
    return most


@pytest.mark.parametrize("measure", [RowCount(), PatientCount(), ValueSum(column="x", centre=0, bound=3)])
@pytest.mark.parametrize(("rows", "groups"), [(1, 1), (2, 1), (2, 2), (3, 2), (4, 4)])
@pytest.mark.parametrize("entries", [1, 2, 3])
@pytest.mark.parametrize("sites", [1, 2])
def test_the_sensitivity_is_the_worst_of_all_patients(measure, rows, groups, entries, sites):
    """Stated figures equal the maximum over every way in which one patient's bounded rows can fall."""
    bound = Bound(rows=rows, groups=groups)
    block = Block(keys=(), measure=measure, where=EVERYTHING)
    stated = of_block(block, entries, bound, sites)
    assert (stated.l1, stated.l2_squared, stated.linf) == _reach(measure, bound, entries, sites)
    assert stated.worst_case
    assert (f"{sites} hospitals" in stated.worst_case) == (sites > 1)


def test_every_block_of_a_tally_has_its_sensitivity(wide, plan):
    """In the order of the blocks, at the catalogue's number of hospitals per patient."""
    shape = tally(plan, wide)
    found = of_tally(shape, wide.sites_per_patient)
    assert [sensitivity.linf for sensitivity in found] == [10, 10, 5 * 308 * 2, 5 * 605 * 2, 2]
    assert found[-1].l2_squared == 2 * 4


def test_the_years_of_a_window_set_the_cap(wide):
    """Twelve rows a year over the calendar years that the window touches, within the column's bounds."""
    table = wide.table("discharge")
    assert table.years(None, None) == 5
    assert table.years(date(2020, 12, 31), date(2021, 1, 1)) == 2
    assert table.years(date(1900, 1, 1), date(2100, 1, 1)) == 5
    assert table.years(date(2021, 1, 1), date(2020, 1, 1)) == 1
