"""Plans of several parts, products of two columns, and subtotals: the scan against the row-by-row definition."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.records.prepare import Prepared, prepare
from protocols.errors import Rejected
from queries.agreed.catalogue import NumberColumn
from queries.asked.check import check
from queries.asked.plan import (
    EVERYTHING,
    Aggregate,
    AttributeKey,
    BandKey,
    Between,
    Bound,
    CodeKey,
    FlagKey,
    Members,
    Part,
    SiteKey,
    Some,
)
from queries.cost.tally import Block, ProductSum, Tally
from tests.node.reference import tally_of
from tests.node.ward import (
    SITE_KEY,
    catalogue,
    label,
    laid_out,
    prepared,
    random_lines,
    rows_of,
    scan,
    shape,
    with_visits,
)

AGREED = catalogue(cap=3)
BOTH = with_visits(AGREED)
SITE, ATTRIBUTES = "h1", {"country": "IT"}
SEX_KEY = CodeKey(column="sex")
OWN, OTHERS, COUNTRIES = SiteKey(sites=("a", "h1")), SiteKey(sites=("a", "z")), AttributeKey(attribute="country")
WOMEN = Members(column="sex", codes=("F",))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Prepare a hospital with admissions only."""
    return prepared(tmp_path_factory.mktemp("ward"), random_lines(1), AGREED)


@pytest.fixture(scope="module")
def rows(made: Prepared) -> list[dict[str, Any]]:
    """Return its prepared rows."""
    return rows_of(made, "admission")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, dict[str, list[dict[str, Any]]]]:
    """Prepare a hospital with both tables; return it with its rows."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "data").mkdir()
    (folder / "data" / "admission.csv").write_text(random_lines(2))
    chance = random.Random(5)  # noqa: S311 - made-up rows
    lines = [
        f"p{chance.randrange(30)},{chance.choice('MF?')},{chance.choice(['', chance.randrange(-80, 500)])},"
        f"{chance.choice(['', chance.randrange(40)])}\n"
        for _ in range(150)
    ]
    (folder / "data" / "visit.csv").write_text("pid,sex,cost,days\n" + "".join(lines))
    made = prepare(folder / "home", folder / "data", None, BOTH, SITE_KEY)
    return made, {table: rows_of(made, table) for table in ("admission", "visit")}


def part(table: str, *named: tuple[str, str | None], **changes: Any) -> Part:
    """Return a part that asks for these statistics."""
    asked = tuple(Aggregate(statistic=name, column=column) for name, column in named)
    plain = {"where": EVERYTHING, "keys": (), "bound": Bound(rows=4, groups=4)}
    return Part(table=table, aggregates=asked, **{**plain, **changes})


def visits(**changes: Any) -> Part:
    """Return a part about visits."""
    return part("visit", ("count", None), ("mean", "cost"), **changes)


def admissions(**changes: Any) -> Part:
    """Return a part about admissions."""
    return part("admission", ("patients", None), ("sum", "sbp"), **changes)


@pytest.mark.parametrize(
    "parts",
    [
        (visits(), admissions()),
        (visits(keys=(SEX_KEY,)), admissions(keys=(OWN, SEX_KEY)), visits(where=WOMEN)),
        (visits(beside=("admission",), bound=Bound(rows=1, groups=1)), admissions(beside=("visit",), keys=(OTHERS,))),
        (
            visits(keys=(SEX_KEY, FlagKey(term=WOMEN)), subtotals=True),
            admissions(keys=(FlagKey(term=Some(terms=(WOMEN, Between(column="sbp", low=1000, high=1500)))),)),
        ),
        (admissions(keys=(OTHERS,), subtotals=True), admissions(keys=(COUNTRIES, SEX_KEY), subtotals=True)),
    ],
)
@pytest.mark.parametrize("tables", [("admission", "visit"), ("visit",), ("admission",)])
def test_each_part_reads_its_own_table_where_the_hospital_has_it_and_those_beside_it(pair, parts, tables) -> None:
    """Parts have rows, cells and limits of their own; one whose table, or the one beside it, is missing is zeros."""
    made, by_table = pair
    tally = laid_out(BOTH, *parts)
    check(tally.plan, BOTH)
    if tally.plan.answerable(frozenset(tables)):
        found = scan(made, tally, BOTH, tables=frozenset(tables))
        assert found.tolist() == tally_of({t: by_table[t] for t in tables}, tally, BOTH, SITE, ATTRIBUTES).tolist()
        return
    with pytest.raises(Rejected) as refused:
        scan(made, tally, BOTH, tables=frozenset(tables))
    assert (refused.value.code, refused.value.detail) == ("unknown-table", ", ".join(tally.plan.tables))


def test_a_part_beside_a_table_that_is_not_there_is_zeros(pair) -> None:
    """Both sides of a ratio are left out together, and the rest of the plan is answered."""
    made, _ = pair
    tally = laid_out(BOTH, visits(beside=("admission",)), visits())
    found = scan(made, tally, BOTH, tables=frozenset({"visit"}))
    assert not found[:4].any()
    assert found[4:].tolist() == scan(made, tally, BOTH)[4:].tolist() == scan(made, tally, BOTH)[:4].tolist()
    assert found[4:].any()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_products_are_centred_divided_rounded_and_clamped_as_said(pair, data) -> None:
    """Of two columns or of one with itself, for any centres, unit and bound; halves go away from zero."""
    made, by_table = pair
    frame = laid_out(BOTH, visits(keys=(SEX_KEY,), bound=Bound(rows=3, groups=2)))

    def block(column: str, other: str) -> Block:
        measure = ProductSum(
            left=column,
            right=other,
            left_centre=data.draw(st.integers(-50, 400)),
            right_centre=data.draw(st.integers(-50, 400)),
            unit=data.draw(st.integers(1, 40) | st.just(1)),
            bound=data.draw(st.integers(1, 200_000)),
        )
        return Block(keys=(SEX_KEY,), measure=measure, where=data.draw(st.sampled_from([EVERYTHING, WOMEN])))

    blocks = (block("cost", "days"), block("days", "cost"), block("cost", "cost"), block("days", "days"))
    tally = Tally(plan=frame.plan, blocks=blocks, sizes=(2,) * 4, of_aggregate=())
    assert scan(made, tally, BOTH).tolist() == tally_of(by_table, tally, BOTH, SITE, ATTRIBUTES).tolist()


def test_columns_may_be_called_what_a_statement_calls_its_own(tmp_path) -> None:
    """Values and filters read the hospital's column, not the statement's, whatever the agreement calls it."""
    names = ("cell", "section", "m0", "t0", "rank")
    columns = tuple(NumberColumn(name=name, label=label(name), low=0, high=9, step=Fraction(1)) for name in names)
    (table,) = AGREED.tables
    agreed = replace(AGREED, tables=(replace(table, columns=columns, dated_by=None),), source=b"names")
    lines = "".join(f"p{row},{row % 2},{row % 3},{row % 4},{row % 5},{row % 6}\n" for row in range(10))
    home = prepared(tmp_path, "pid," + ",".join(names) + "\n" + lines, agreed)
    asked = [
        Aggregate(statistic=statistic, column=name, where=Between(column=name, low=1, high=None))
        for name in names
        for statistic in ("mean", "sum")
    ]
    for keys in ((), (BandKey(column="cell", starts=(0, 1)), FlagKey(term=Between(column="rank", low=3, high=None)))):
        tally = shape(agreed, asked, keys=keys, rows=2, groups=1)
        found = scan(home, tally, agreed)
        assert found.tolist() == tally_of(rows_of(home, "admission"), tally, agreed, SITE, ATTRIBUTES).tolist()


def test_subtotals_count_the_rows_that_have_a_cell_by_every_key(made, rows) -> None:
    """A row without a sex is in no total either, so totals are sums; without subtotals a shorter question counts it."""
    keys = (CodeKey(column="dx", level="chapter"), SEX_KEY)
    asked = [Aggregate(statistic="count"), Aggregate(statistic="sum", column="sbp")]
    tally = shape(AGREED, asked, keys=keys, subtotals=True)
    found = scan(made, tally, AGREED)
    by_block = [found[offset : offset + size] for offset, size in zip(tally.offsets, tally.sizes, strict=True)]
    for whole, by_chapter, by_both in (by_block[::2], by_block[1::2]):
        assert by_both.reshape(2, 2).sum(axis=1).tolist() == by_chapter.tolist()
        assert by_chapter.sum() == whole[0]
    assert scan(made, shape(AGREED, asked, keys=keys[:1]), AGREED)[:2].sum() > by_block[2].sum()
    assert found.tolist() == tally_of(rows, tally, AGREED, SITE, ATTRIBUTES).tolist()


def test_subtotals_of_a_hospital_outside_the_cells_are_zeros(made) -> None:
    """Also the total over all hospitals: it is the sum of cells, and this hospital has none."""
    tally = shape(AGREED, keys=(SEX_KEY, OTHERS), subtotals=True)
    assert not scan(made, tally, AGREED).any()
    own = shape(AGREED, keys=(SEX_KEY, OWN), subtotals=True)
    assert scan(made, own, AGREED)[0] > 0
    assert not scan(made, own, AGREED, own_row=False).any()
