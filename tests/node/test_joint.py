"""Ratios across tables at a hospital: both sides are of hospitals that have both tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.records.prepare import prepare
from protocols.errors import Rejected
from queries.asked.check import check
from queries.asked.combine import merged
from queries.cost.tally import tally
from queries.sql import read
from tests.node.ward import SITE_KEY, catalogue, random_lines, scan, with_visits

BOTH = with_visits(catalogue(cap=3))
SITES = {"h1": {"country": "IT"}, "h2": {"country": "UK"}}
STATEMENT = """
SELECT sex, v.n / a.n AS visits_per_admission
FROM (SELECT sex, COUNT(*) AS n FROM visit GROUP BY sex) AS v
JOIN (SELECT sex, COUNT(*) AS n FROM admission GROUP BY sex) AS a USING (sex)
"""
LAYOUT = tally(read(STATEMENT, BOTH, SITES).plan, BOTH)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A hospital with both tables."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "data").mkdir()
    (folder / "data" / "admission.csv").write_text(random_lines(2))
    visits = "".join(f"p{number},{'MF'[number % 2]},{number},1\n" for number in range(40))
    (folder / "data" / "visit.csv").write_text("pid,sex,cost,days\n" + visits)
    return prepare(folder / "home", folder / "data", None, BOTH, SITE_KEY)


def test_a_hospital_with_both_tables_counts_in_both_sides(made):
    """The top counts its visits, the bottom its admissions."""
    check(LAYOUT.plan, BOTH)
    found = scan(made, LAYOUT, BOTH)
    assert len(found) == 4
    assert found.min() > 0


@pytest.mark.parametrize("table", ["visit", "admission"])
def test_a_hospital_without_one_of_the_tables_is_left_out_of_both(made, table):
    """With one table alone it answers nothing of either side: its rows would be in one part of a quotient only."""
    assert LAYOUT.plan.answerable(frozenset({table})) == 0
    with pytest.raises(Rejected) as refused:
        scan(made, LAYOUT, BOTH, tables=frozenset({table}))
    assert refused.value.code == "unknown-table"


def test_what_stands_beside_the_ratio_is_answered_all_the_same(made):
    """In one round with a plain count, the ratio's parts are zeros and the count is not."""
    plain = read("SELECT sex, COUNT(*) AS n FROM visit GROUP BY sex", BOTH, SITES)
    ratio = read(STATEMENT, BOTH, SITES)
    whole = merged([titled(plain, "plain"), titled(ratio, "ratio")], BOTH)
    layout = tally(whole.plan, BOTH)
    found = scan(made, layout, BOTH, tables=frozenset({"visit"}))
    for block, start, size in zip(layout.blocks, layout.offsets, layout.sizes, strict=True):
        beside = layout.plan.parts[block.part].beside
        assert found[start : start + size].any() == (not beside)


def titled(question, title):
    """Name the only table of a question."""
    return replace(question, pages=replace(question.pages, views=(replace(question.view, title=title),)))
