"""The layout of tallies and the sensitivity of their blocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import product
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.agreed.domains import size
from queries.asked.plan import EVERYTHING, Aggregate, BandKey, Bound, CodeKey, Members, Missing, Plan
from queries.cost.sensitivity import of_block, of_tally
from queries.cost.setting import Setting
from queries.cost.tally import FULL, Block, PatientCount, ProductSum, RowCount, ValueSum, groupings, tally
from queries.errors import PlanError
from queries.statistics import STATISTICS
from tests.queries.whole import altered, whole

COUNT, PATIENTS = Aggregate(statistic="count"), Aggregate(statistic="patients")
MEAN, SUM = Aggregate(statistic="mean", column="weight"), Aggregate(statistic="sum", column="weight")


@pytest.fixture
def plan(wide) -> Plan:
    """Return a plan of four statistics by sex and province."""
    return whole(
        wide.digest,
        table="discharge",
        where=EVERYTHING,
        keys=(CodeKey(column="sex"), CodeKey(column="region", level="province")),
        aggregates=(COUNT, MEAN, SUM, PATIENTS),
        bound=Bound(rows=5, groups=2),
    )


def test_blocks_are_laid_end_to_end_and_shared(wide, plan):
    """A mean of weights and the count of weights share a block; each aggregate knows its blocks."""
    weights = Aggregate(statistic="count", column="weight")
    shape = tally(altered(plan, aggregates=(weights, MEAN, SUM, PATIENTS)), wide)
    measures = [type(block.measure) for block in shape.blocks]
    assert measures == [RowCount, ValueSum, ProductSum, ValueSum, PatientCount]
    assert shape.of_aggregate == ((((0,), (0, 1, 2), (3,), (4,)),),)
    assert shape.sizes == (4, 4, 4, 4, 4)
    assert shape.offsets == (0, 4, 8, 12, 16)
    assert shape.entries == 20


def test_a_shared_block_has_the_greatest_weight_that_is_asked_for(wide, plan):
    """The squares of a mean weigh little by themselves; nothing that a figure rests on is weakened by sharing."""
    shape = tally(altered(plan, aggregates=(MEAN,)), wide)
    assert [block.weight for block in shape.blocks] == [FULL, FULL, FULL // 5]
    light = replace(shape.blocks[0], weight=1)
    assert light != shape.blocks[0]
    both = tally(altered(plan, aggregates=(MEAN, Aggregate(statistic="count", column="weight"))), wide)
    assert both.blocks == shape.blocks
    # A variance rests on the squares, so they weigh what it gives them, whichever of the two comes first.
    variance = Aggregate(statistic="spread", column="weight")
    squares = max(block.weight for block in tally(altered(plan, aggregates=(variance,)), wide).blocks)
    assert squares > FULL // 5
    for aggregates in ((MEAN, variance), (variance, MEAN)):
        found = tally(altered(plan, aggregates=aggregates), wide).blocks
        assert {type(block.measure): block.weight for block in found}[ProductSum] == squares


def test_parts_are_laid_end_to_end_and_share_nothing(wide, plan):
    """The same numbers of two parts are measured twice: their rows differ. Each block knows its part and its bound."""
    (part,) = plan.parts
    one = replace(part, aggregates=(COUNT, MEAN))
    two = replace(part, aggregates=(COUNT,), where=Missing(column="age"), bound=Bound(rows=3, groups=1))
    shape = tally(altered(plan, parts=(one, two)), wide)
    assert [block.part for block in shape.blocks] == [0, 0, 0, 0, 1]
    assert shape.of_aggregate == ((((0,), (1, 2, 3)),), (((4,),),))
    assert [shape.bound_of(block).rows for block in shape.blocks] == [5, 5, 5, 5, 3]
    assert [each.linf for each in of_tally(shape, 1)] == [5, 5, 5 * 308, 5 * shape.blocks[3].measure.bound, 3]


def test_subtotals_are_blocks_of_fewer_keys(wide, plan):
    """From no key to all: sizes 1, 2 and 4; each grouping has its blocks."""
    rolled = altered(plan, aggregates=(COUNT, SUM), subtotals=True, bound=Bound(rows=5, groups=5))
    (part,) = rolled.parts
    assert groupings(part) == ((), part.keys[:1], part.keys)
    assert groupings(plan.parts[0]) == (plan.parts[0].keys,)
    shape = tally(rolled, wide)
    assert shape.sizes == (1, 1, 2, 2, 4, 4)
    assert [block.keys for block in shape.blocks] == [(), (), *(part.keys[:1],) * 2, *(part.keys,) * 2]
    assert shape.of_aggregate == ((((0,), (1,)), ((2,), (3,)), ((4,), (5,))),)


def test_a_filter_makes_another_block(wide, plan):
    """The same count over other rows is another block, and costs as one."""
    women = replace(COUNT, where=Members(column="sex", codes=("F",)))
    assert len(tally(altered(plan, aggregates=(COUNT, women)), wide).blocks) == 2


def test_values_are_centred_at_mid_range_for_means_and_not_for_sums(wide, plan):
    """Weights lie in -10 to 605 steps: a mean reaches half the range, a sum the larger end."""
    shape = tally(plan, wide)
    means, squares, sums = (shape.blocks[place].measure for place in (2, 3, 4))
    assert means == ValueSum(column="weight", centre=297, bound=308)
    assert sums == ValueSum(column="weight", centre=0, bound=605)
    assert squares == ProductSum(
        left="weight", right="weight", left_centre=297, right_centre=297, unit=1, bound=308 * 308
    )


def test_too_long_a_vector_is_refused_at_once(wide, plan):
    """The product of sizes is compared before anything of that size is made."""
    starts = tuple(range(-10, 606))
    keys = (BandKey(column="weight", starts=starts), BandKey(column="age", starts=tuple(range(121))))
    with pytest.raises(PlanError) as caught:
        tally(altered(plan, keys=(*keys, *plan.parts[0].keys, CodeKey(column="region"))), wide)
    assert "7,155,456" in caught.value.message


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_layout_covers_every_aggregate_and_nothing_twice(wide, plans, data):
    """Sizes are products of the keys' sizes, offsets follow, no block repeats, every aggregate has its blocks."""
    plan = data.draw(plans)
    shape = tally(plan, wide)
    for block, entries in zip(shape.blocks, shape.sizes, strict=True):
        table = wide.table(plan.parts[block.part].table)
        assert entries == prod(size(key, wide, table) for key in block.keys)
    assert shape.entries == sum(shape.sizes)
    assert [offset + entries for offset, entries in zip(shape.offsets, shape.sizes, strict=True)] == [
        *shape.offsets[1:],
        shape.entries,
    ]
    assert len({replace(block, weight=1) for block in shape.blocks}) == len(shape.blocks)
    used = set()
    for part, of_part in zip(plan.parts, shape.of_aggregate, strict=True):
        for keys, of_grouping in zip(groupings(part), of_part, strict=True):
            setting = Setting(catalogue=wide, table=wide.table(part.table), keys=keys)
            for aggregate, needed in zip(part.aggregates, of_grouping, strict=True):
                wanted = STATISTICS[aggregate.statistic].blocks(aggregate, setting)
                found = [shape.blocks[place] for place in needed]
                assert [(each.keys, each.measure, each.where) for each in found] == [
                    (each.keys, each.measure, each.where) for each in wanted
                ]
                assert all(place.weight >= each.weight for place, each in zip(found, wanted, strict=True))
                used |= set(needed)
    assert used == set(range(len(shape.blocks)))


def _reach(measure, bound: Bound, entries: int, sites: int) -> tuple[int, int, int]:
    """Return the largest L1, squared L2 and entry over every choice of one patient's rows, tried one by one."""
    most = (0, 0, 0)
    values = (1,) if isinstance(measure, (RowCount, PatientCount)) else (-measure.bound, 1, measure.bound)
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


SQUARES = ProductSum(left="x", right="y", left_centre=0, right_centre=0, unit=2, bound=3)


@pytest.mark.parametrize("measure", [RowCount(), PatientCount(), ValueSum(column="x", centre=0, bound=3), SQUARES])
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
    assert [sensitivity.linf for sensitivity in found] == [
        10,
        10,
        5 * 308 * 2,
        5 * 308 * 308 * 2,
        5 * 605 * 2,
        2,
    ]
    assert found[-1].l2_squared == 2 * 4


def test_the_years_of_a_window_set_the_cap(wide):
    """Twelve rows a year over the calendar years that the window touches, within the column's bounds."""
    table = wide.table("discharge")
    assert table.years(None, None) == 5
    assert table.years(date(2020, 12, 31), date(2021, 1, 1)) == 2
    assert table.years(date(1900, 1, 1), date(2100, 1, 1)) == 5
    assert table.years(date(2021, 1, 1), date(2020, 1, 1)) == 1
