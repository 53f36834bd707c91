"""What a researcher's app is handed at the hospital, and what of its reply goes on."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from node.records.prepare import Prepared
from node.scan.scan import Scanner
from node.scan.steps import AppRows
from protocols.errors import Rejected
from queries.asked.plan import EVERYTHING, ONE, AppStep, Between
from queries.models.clipping import BOUND_UPDATE
from tests.node.stays import AGREED, ATTRIBUTES, prepared, random_lines, round_of

STEP = AppStep(
    app=b"a" * 32,
    message=b"m" * 32,
    size=0,
    kind="train",
    columns=("admitted", "age", "dx", "sbp"),
    entries=4,
    clip=ONE,
    seconds=5,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Prepare a hospital of 400 stays."""
    return prepared(tmp_path_factory.mktemp("stays"), random_lines(2))


def run(made: Prepared, app, step: AppStep = STEP, *, rows: int = 6, where=EVERYTHING) -> np.ndarray:
    """Return what a hospital adds to a round of an app."""
    scanner = Scanner(made.path, app=app)
    try:
        return scanner.tally(round_of(step, rows=rows, where=where), AGREED, "h1", ATTRIBUTES, own_row=True)
    finally:
        scanner.close()


def handed(made: Prepared, **changes) -> AppRows:
    """Return the rows that an app is handed."""
    seen: list[AppRows] = []

    def app(step: AppStep, rows: AppRows) -> np.ndarray:
        seen.append(rows)
        return np.zeros(step.entries, dtype=np.int64)

    assert not run(made, app, **changes).any()
    return seen[0]


@pytest.mark.parametrize("rows", [1, 3])
def test_an_app_is_handed_the_bounded_rows_of_the_columns_that_it_named(made: Prepared, rows: int) -> None:
    """Numbers in units, codes as text, days as days; nothing that names a patient, and no object in any array."""
    found = handed(made, rows=rows)
    assert tuple(found.columns) == STEP.columns
    with duckdb.connect(str(made.path), read_only=True) as connection:
        ranked = "SELECT *, row_number() OVER (PARTITION BY _patient ORDER BY _order) AS r FROM stay"
        kept = connection.execute(
            f"SELECT admitted, age, dx, sbp FROM ({ranked}) WHERE r <= {rows} ORDER BY _order"
        ).fetchall()
    assert found.rows == len(kept) > 20
    names = ["I61", "I63", "J18"]
    for (day, age, dx, pressure), *given in zip(kept, *found.columns.values(), strict=True):
        assert (np.isnat(given[0]) and day is None) or given[0] == np.datetime64(day)
        assert (np.isnan(given[1]) and age is None) or given[1] == age
        assert given[2] == ("" if dx is None else names[dx])
        assert (np.isnan(given[3]) and pressure is None) or given[3] == pressure / 10
    kinds = [values.dtype.kind for values in found.columns.values()]
    assert kinds == ["M", "f", "U", "f"]
    assert not any(values.dtype.hasobject for values in found.columns.values())


def test_an_app_is_run_on_no_rows_as_well(made: Prepared) -> None:
    """Whether a hospital has matching rows is seen by nobody."""
    found = handed(made, where=Between(column="age", low=200, high=None))
    assert found.rows == 0
    assert tuple(found.columns) == STEP.columns


GOOD = np.array([BOUND_UPDATE - 1, 0, 0, 1], dtype=np.int64)
REPLIES = {
    "at the bound": (np.array([0, -BOUND_UPDATE, 0, 0], dtype=np.int64), True),
    "within": (GOOD, True),
    "one beyond": (np.array([BOUND_UPDATE, 1, 0, 0], dtype=np.int64), False),
    "far beyond": (np.array([1 << 40, 0, 0, 0], dtype=np.int64), False),
    "least of all": (np.array([-(1 << 63), 0, 0, 0], dtype=np.int64), False),
    "squares that wrap": (np.full(4, 1 << 32, dtype=np.int64), False),
    "too short": (np.zeros(3, dtype=np.int64), False),
    "too long": (np.ones(5, dtype=np.int64), False),
    "floats": (np.ones(4), False),
    "of two dimensions": (np.ones((2, 2), dtype=np.int64), False),
}


@pytest.mark.parametrize(("given", "passes"), REPLIES.values(), ids=REPLIES)
def test_whatever_an_app_gives_is_no_longer_than_its_bound(made: Prepared, given, passes) -> None:
    """What is too long, of another length or of another kind becomes zeros: that is no news to anybody."""
    found = run(made, lambda _step, _rows: given)
    assert found.dtype == np.int64
    assert found.shape == (STEP.entries,)
    assert (found == (given if passes else 0)).all()


def test_no_app_runs_where_none_was_set_up(made: Prepared) -> None:
    """A round of an app is refused, as public a fact as the node's configuration."""
    with pytest.raises(Rejected) as caught:
        run(made, None)
    assert caught.value.code == "unavailable"
