from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.records.prepare import Prepared, prepare
from node.scan import scan as scan_module
from node.scan.expressions import Site
from node.scan.scan import Scanner
from node.scan.statement import Scan, Statement, _added, compile_tally
from protocols.errors import Rejected
from queries.asked.canonical import encode
from queries.asked.check import check
from queries.asked.plan import (
    EVERYTHING,
    Aggregate,
    AttributeKey,
    BandKey,
    Between,
    CodeKey,
    DateKey,
    During,
    Every,
    FlagKey,
    Members,
    Missing,
    Not,
    SiteIs,
    SiteKey,
    Some,
)
from queries.cost.tally import ProductSum, Tally
from tests.node.reference import tally_of
from tests.node.ward import HEADER, catalogue, prepared, random_lines, rows_of, scan, shape

AGREED = catalogue(cap=3)
MOST = 9  # the cap of 3 rows in each of the three years
SITE, ATTRIBUTES = "h1", {"country": "IT"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Prepare the made-up hospital."""
    return prepared(tmp_path_factory.mktemp("ward"), random_lines(1), AGREED)


@pytest.fixture(scope="module")
def rows(made: Prepared) -> list[dict[str, Any]]:
    """Return its prepared rows."""
    return rows_of(made, "admission")


KEYS = (
    CodeKey(column="sex"),
    CodeKey(column="dx"),
    CodeKey(column="dx", level="chapter"),
    BandKey(column="sbp", starts=(0,)),
    BandKey(column="sbp", starts=(0, 1000, 2000)),
    BandKey(column="sbp", starts=(0, 700, 1400, 2100)),
    BandKey(column="sbp", starts=(0, 900, 1400, 1401)),
    *(
        DateKey(column="admitted", part=part, first=date(2020, 11, 17), last=date(2022, 3, 2))
        for part in ("year", "quarter", "month", "week", "day", "month_of_year", "weekday")
    ),
    SiteKey(sites=("a", "h1", "z")),
    SiteKey(sites=("a", "z")),
    AttributeKey(attribute="country"),
)
OWN, OTHERS, _ = KEYS[-3:]
TERMS = (
    Members(column="sex", codes=("F",)),
    Members(column="dx", codes=("I63", "J18")),
    Members(column="dx", codes=("IX",), level="chapter"),
    Between(column="sbp", low=1000, high=1500),
    Between(column="sbp", low=None, high=1400),
    Between(column="sbp", low=1, high=None),
    During(column="admitted", first=date(2021, 1, 1), last=date(2021, 12, 31)),
    During(column="admitted", first=None, last=date(2021, 6, 1)),
    Missing(column="sex"),
    Missing(column="sbp"),
    SiteIs(attribute=None, codes=("h1",)),
    SiteIs(attribute="country", codes=("UK",)),
    SiteIs(attribute="region", codes=("north",)),
)
FLAGS = (
    *(FlagKey(term=term) for term in TERMS),
    FlagKey(term=EVERYTHING),
    FlagKey(term=Some()),
    FlagKey(term=Some(terms=(TERMS[0], TERMS[3]))),
    FlagKey(term=Not(term=Every(terms=(TERMS[1], TERMS[4])))),
)
AGGREGATES = (
    ("count", None),
    ("count", "sbp"),
    ("patients", None),
    ("sum", "sbp"),
    ("mean", "sbp"),
)

terms = st.recursive(
    st.sampled_from(TERMS),
    lambda inner: st.one_of(
        st.builds(Not, term=inner),
        st.builds(Every, terms=st.lists(inner, max_size=3).map(tuple)),
        st.builds(Some, terms=st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=4,
)
aggregates = st.builds(
    lambda named, where: Aggregate(statistic=named[0], column=named[1], where=where),
    st.sampled_from(AGGREGATES),
    st.one_of(st.just(EVERYTHING), terms),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.one_of(st.just(EVERYTHING), terms),
    keys=st.lists(st.sampled_from(KEYS + FLAGS) | st.builds(FlagKey, term=terms), max_size=2).map(tuple),
    asked=st.lists(aggregates, min_size=1, max_size=3),
    limits=st.tuples(st.integers(1, MOST), st.integers(1, MOST)),
    subtotals=st.booleans(),
)
def test_the_scan_equals_the_tally_done_row_by_row(made, rows, *, where, keys, asked, limits, subtotals) -> None:
    """For any plan, bounds and subtotals included, one SQL statement gives what the definition gives."""
    most, groups = limits[0], limits[0] if subtotals else min(limits)
    tally = shape(AGREED, asked, keys=keys, where=where, rows=most, groups=groups, subtotals=subtotals)
    found = scan(made, tally, AGREED)
    assert found.dtype == np.int64
    assert found.tolist() == tally_of(rows, tally, AGREED, SITE, ATTRIBUTES).tolist()


@pytest.mark.parametrize("key", KEYS + FLAGS, ids=lambda key: f"{type(key).__name__}-{getattr(key, 'part', '')}")
def test_every_kind_of_key_puts_rows_into_the_cells_of_its_domain(made, rows, key) -> None:
    """Each key alone, with and without limits that bind."""
    for most, groups in ((MOST, MOST), (2, 1)):
        asked = [Aggregate(statistic=name, column=column) for name, column in AGGREGATES]
        tally = shape(AGREED, asked, keys=(key,), rows=most, groups=groups)
        assert scan(made, tally, AGREED).tolist() == tally_of(rows, tally, AGREED, SITE, ATTRIBUTES).tolist()


def test_blocks_with_different_cells_share_one_scan(made, rows) -> None:
    """A tally laid out from several questions is one statement, and each block gets its own cells and limits."""
    parts = [
        shape(AGREED, [Aggregate(statistic=name, column=column)], keys=keys, rows=4, groups=2)
        for keys in ((CodeKey(column="sex"),), (), (OTHERS,), (OWN, CodeKey(column="dx")), (KEYS[9],), (FLAGS[3],))
        for name, column in AGGREGATES
    ]
    tally = Tally(
        plan=parts[0].plan,
        blocks=tuple(block for part in parts for block in part.blocks),
        sizes=tuple(size for part in parts for size in part.sizes),
        of_aggregate=(),
    )
    found = scan(made, tally, AGREED)
    assert found.tolist() == tally_of(rows, tally, AGREED, SITE, ATTRIBUTES).tolist()
    assert found.tolist() == [entry for part in parts for entry in scan(made, part, AGREED).tolist()]


def test_a_missing_value_adds_nothing_to_a_sum(tmp_path: Path) -> None:
    """SQL's least and greatest would turn a missing value into a bound."""
    made = prepared(tmp_path, HEADER + "1,M,I63,,2021-01-01\n2,M,I63,NaN,2021-01-01\n", AGREED)
    tally = shape(AGREED, [Aggregate(statistic="mean", column="sbp")])
    assert scan(made, tally, AGREED).tolist() == [0, 0, 0]


def test_a_row_without_a_cell_is_in_none(tmp_path: Path) -> None:
    """A missing key value is not the first cell, nor the last, and an unknown condition is neither no nor yes."""
    made = prepared(tmp_path, HEADER + "1,,,,2021-01-01\n", AGREED)
    for key in (*KEYS[:7], *FLAGS[:6]):
        assert not scan(made, shape(AGREED, keys=(key,)), AGREED).any()


def test_entries_are_clamped_to_the_agreed_size_of_a_table(tmp_path: Path) -> None:
    """A table with more rows than agreed cannot leave the head-room that the plan was checked for."""
    small = catalogue(cap=3, rows_per_site=5)
    text = HEADER + "".join(f"{number},M,I63,0,2021-01-01\n" for number in range(20))
    made = prepared(tmp_path, text, small)
    asked = [Aggregate(statistic="count"), Aggregate(statistic="patients"), Aggregate(statistic="mean", column="sbp")]
    squares = shape(small, asked).blocks[-1].measure
    assert squares.bound * squares.unit >= 1500**2
    assert scan(made, shape(small, asked), small).tolist() == [5, 5, 5, -5 * 1500, 5 * squares.bound]


def test_a_hospital_fills_only_its_own_cells(made) -> None:
    """Cells of other hospitals stay zero; a hospital outside the list, or that keeps its row back, fills none."""
    tally = shape(AGREED, keys=(SiteKey(sites=("a", "h1")), AttributeKey(attribute="country")))
    whole = int(scan(made, shape(AGREED), AGREED)[0])
    assert scan(made, tally, AGREED).tolist() == [0, 0, whole, 0]
    assert scan(made, tally, AGREED, site="elsewhere").tolist() == [0, 0, 0, 0]
    assert scan(made, tally, AGREED, own_row=False).tolist() == [0, 0, 0, 0]
    assert scan(made, shape(AGREED, keys=(AttributeKey(attribute="country"),)), AGREED, own_row=False)[0] == whole


def test_a_filter_on_hospitals_is_settled_before_any_row_is_read(made) -> None:
    """A hospital outside the filter answers zeros, and so does one whose attribute the roster does not give."""
    for term, answers in (
        (SiteIs(attribute=None, codes=("h1",)), True),
        (SiteIs(attribute="country", codes=("UK",)), False),
        (SiteIs(attribute="region", codes=("north",)), False),
        (Not(term=SiteIs(attribute="region", codes=("north",))), False),
    ):
        assert bool(scan(made, shape(AGREED, where=term), AGREED).any()) is answers


def test_a_statement_is_compiled_once_for_a_plan_and_a_hospital(made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second scan compiles nothing; another hospital, right or set of tables compiles anew; few are kept."""
    compiled = []
    real = scan_module.compile_tally
    monkeypatch.setattr(scan_module, "compile_tally", lambda *a, **k: compiled.append(1) or real(*a, **k))
    monkeypatch.setattr(scan_module, "MOST_STATEMENTS", 2)
    scanner = Scanner(made.path)
    tally = shape(AGREED, keys=(CodeKey(column="sex"),))
    for site, own_row in (("h1", True), ("h1", True), ("h2", True), ("h2", False), ("h2", False), ("h1", True)):
        scanner.tally(tally, AGREED, site, ATTRIBUTES, own_row=own_row)
    assert len(compiled) == 4
    assert len(scanner._statements) == 2
    scanner.tally(tally, AGREED, "h1", ATTRIBUTES, own_row=True, tables=frozenset({"admission", "none such"}))
    assert len(compiled) == 4
    scanner.close()


def test_statements_that_are_kept_take_bounded_memory(made, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many bands each names, the newest are kept; one that is longer than all may be is not."""
    monkeypatch.setattr(scan_module, "MOST_STATEMENT_CHARACTERS", 5000)
    scanner = Scanner(made.path)
    kept = []
    for bands in (3, 40, 41, 42, 43, 200):
        starts = (0, *range(1000, 1000 + bands), 2900)
        asked = shape(AGREED, keys=(BandKey(column="sbp", starts=starts),))
        scanner.tally(asked, AGREED, "h1", ATTRIBUTES, own_row=True)
        lengths = [len(scan.sql) for statement in scanner._statements.values() for scan in statement.scans]
        assert sum(lengths) <= 5000
        kept.append(len(lengths))
    assert kept[:2] == [1, 2]
    assert 1 < kept[4] < 5
    assert kept[5] == 0
    scanner.close()


def test_a_scanner_serves_several_threads(made) -> None:
    """Concurrent scans have a cursor each and give the same answers."""
    scanner = Scanner(made.path)
    tallies = [shape(AGREED, keys=(key,)) for key in KEYS]
    alone = [scanner.tally(tally, AGREED, SITE, ATTRIBUTES, own_row=True).tolist() for tally in tallies]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda t: scanner.tally(t, AGREED, SITE, ATTRIBUTES, own_row=True).tolist(), tallies * 3)
        assert list(together) == alone * 3
    scanner.close()


def test_an_engine_failure_says_nothing_of_the_engine(made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed scan is "unavailable" with the class of the error; no text of the engine is anywhere in it."""
    scanner = Scanner(made.path)
    tally = shape(AGREED)
    broken = Statement(scans=(Scan(sql="SELECT CAST('SECRET' AS INTEGER)", places=()),), entries=1)
    monkeypatch.setattr(scanner, "_statement", lambda *_, **__: broken)
    with pytest.raises(Rejected) as refused:
        scanner.tally(tally, AGREED, SITE, ATTRIBUTES, own_row=True)
    assert (refused.value.code, refused.value.detail) == ("unavailable", "ConversionException")
    assert refused.value.__suppress_context__
    scanner.close()


@pytest.mark.parametrize("joined", [Some, Every])
def test_a_condition_of_as_many_terms_as_are_accepted_is_answered(made, rows, joined) -> None:
    """Two thousand terms side by side: neither the compiler nor the engine meets them nested as deep."""
    terms = [Between(column="sbp", low=low, high=high) for low in range(700) for high in (2990, 2991, 2992)]
    tally = shape(AGREED, where=joined(terms=tuple(sorted(terms, key=encode))))
    check(tally.plan, AGREED)
    assert scan(made, tally, AGREED).tolist() == tally_of(rows, tally, AGREED, SITE, ATTRIBUTES).tolist()


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    """The path is not in the error either."""
    (tmp_path / "x.duckdb").write_bytes(b"SECRET" * 1000)
    with pytest.raises(Rejected) as refused:
        Scanner(tmp_path / "x.duckdb")
    assert refused.value.code == "unavailable"
    assert "SECRET" not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


def test_a_table_that_the_hospital_lacks_is_unknown(tmp_path: Path) -> None:
    """The refusal comes before anything is compiled."""
    data = tmp_path / "data"
    data.mkdir()
    scanner = Scanner(prepare(tmp_path / "home", data, None, AGREED, bytes(32)).path)
    assert scanner.tables == frozenset()
    with pytest.raises(Rejected) as refused:
        scanner.tally(shape(AGREED), AGREED, SITE, ATTRIBUTES, own_row=True)
    assert refused.value.code == "unknown-table"
    scanner.close()


def test_the_scanners_connection_can_do_nothing_but_read_its_database(made, tmp_path: Path) -> None:
    """No other file, no extension, no setting, no write."""
    scanner = Scanner(made.path)
    (tmp_path / "other.csv").write_text("a\n1\n")
    for statement in (
        f"FROM read_csv('{tmp_path / 'other.csv'}')",
        f"COPY admission TO '{tmp_path / 'out.csv'}'",
        f"ATTACH '{tmp_path / 'out.duckdb'}'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET threads = 8",
        "DELETE FROM admission",
    ):
        with pytest.raises(duckdb.Error):
            scanner._connection.cursor().execute(statement)
    scanner.close()


def test_a_scan_larger_than_its_memory_spills_instead_of_failing(tmp_path: Path) -> None:
    """Whether a scan succeeds must not depend on how many patients there are."""
    with duckdb.connect(str(tmp_path / "large.duckdb")) as connection:
        columns = "0 AS sex, 1 AS dx, 0 AS \"dx@chapter\", 1 AS sbp, DATE '2021-01-01' AS admitted"
        connection.execute(
            f"CREATE TABLE admission AS SELECT {columns}, hash(i) // 2 AS _patient, hash(i) AS _order "
            "FROM range(400000) AS numbers(i)"
        )
    scanner = Scanner(tmp_path / "large.duckdb", memory_limit="10MB")
    tally = shape(AGREED, [Aggregate(statistic="count")], keys=(CodeKey(column="dx"),), rows=1, groups=1)
    assert scanner.tally(tally, AGREED, SITE, ATTRIBUTES, own_row=True).tolist() == [0, 400_000, 0, 0]
    scanner.close()


def test_a_scanner_loads_no_data_science_libraries() -> None:
    """Importing the scan and the noise leaves scikit-learn, polars, pandas and OpenDP's prelude out."""
    script = (
        "import sys, ibis, node.scan.scan, node.records.prepare, node.noise\n"
        "ibis.to_sql(ibis.table({'a': 'int64'}, name='t').count(), dialect='duckdb')\n"
        "print([m for m in ('sklearn', 'polars', 'pandas', 'pyarrow', 'scipy', 'opendp.prelude') if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    assert found.stdout.strip() == "[]"


def test_a_value_is_written_once_however_often_it_is_added_up(made) -> None:
    """A long statement takes the engine longer to read than a ward's rows: what a figure repeats is a name."""
    asked = [Aggregate(statistic="mean", column="sbp"), Aggregate(statistic="count", column="sbp")]
    tally = shape(AGREED, asked, keys=(CodeKey(column="sex"),))
    compiled = compile_tally(
        tally, AGREED, Site(name=SITE, attributes=ATTRIBUTES), tables=frozenset({"admission"}), own_row=True
    )
    (scan_of,) = compiled.scans
    measures = len(scan_of.places[0].offsets)
    assert measures >= 3
    # The column as it is, less its centre, and the square of that.
    assert scan_of.sql.count('"sbp"') == 4


@given(
    products=st.lists(st.integers(-(1 << 62), 1 << 62), min_size=1, max_size=30),
    unit=st.integers(1, 1 << 40),
    reach=st.integers(1, 1 << 62),
    square=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_a_product_is_rounded_to_whole_units_exactly(products, unit, reach, square) -> None:
    """Half away from zero and then clipped, also where a float would have no room for the product's last digits."""
    if square:
        products = [abs(product) for product in products]
    measure = ProductSum(left="x", right="x" if square else "y", left_centre=3, right_centre=3, unit=unit, bound=reach)
    written = _added(measure, "product")
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE products AS SELECT unnest(?::BIGINT[]) AS product", [[*products, None]])
        found = [row[0] for row in connection.execute(f"SELECT {written} FROM products").fetchall()]
    sizes = [(abs(product) + unit // 2) // unit for product in products]
    whole = [size if product > 0 else -size for size, product in zip(sizes, products, strict=True)]
    assert found == [*(max(-reach, min(reach, value)) for value in whole), None]
