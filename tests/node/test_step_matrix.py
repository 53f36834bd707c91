"""The bounded rows of a model as arrays, from a hospital's prepared database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from node.records.prepare import Prepared
from node.scan import matrix
from node.scan.expressions import Site
from node.scan.matrix import compile_step, fold_of
from node.scan.scan import Scanner
from node.scan.steps import MOST_DESIGNS
from protocols.errors import Rejected
from queries.asked.plan import EVERYTHING, Between, Members, Missing, Not, Split, Step
from queries.models.contributions import tally_of
from queries.models.design import Design
from tests.node.stays import AGREED, ATTRIBUTES, FOLDS, MODELS, SITE_KEY, pointed, prepared, random_lines, round_of

LINES = random_lines(1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Prepare a hospital of 400 stays."""
    return prepared(tmp_path_factory.mktemp("stays"), LINES)


def rows_of(made: Prepared) -> pd.DataFrame:
    """Return the prepared stays, each patient's in the keyed order."""
    with duckdb.connect(str(made.path), read_only=True) as connection:
        found = connection.execute("SELECT * FROM stay ORDER BY _patient, _order").fetchdf()
    # Missing values as NaN; the patients' numbers, which floats do not hold, stay whole.
    names = [name for name in found.columns if not name.startswith("_") and name != "admitted"]
    return found.astype(dict.fromkeys(names, "float64"))


def design_of(made: Prepared, step: Step, *, rows: int = 6, where=EVERYTHING, own_row: bool = True) -> list[Design]:
    """Return the designs of h1."""
    part = round_of(pointed(step), rows=rows, where=where).plan.parts[0]
    compiled = compile_step(step, part, AGREED, Site(name="h1", attributes=ATTRIBUTES), own_row=own_row)
    if not compiled.sql:
        return []
    with duckdb.connect(str(made.path), read_only=True) as connection:
        columns = connection.execute(compiled.sql).fetchnumpy()
    assert not any(np.ma.is_masked(values) for values in columns.values())
    return list(compiled.designs({name: np.ma.getdata(values) for name, values in columns.items()}))


def scaled(values: pd.Series, low: int, high: int) -> pd.Series:
    """Return numbers from -1 to 1, missing ones 0."""
    return ((2 * values - (low + high)) / (high - low)).astype(float).fillna(0.0)


def reference(frame: pd.DataFrame, step: Step, rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return, with pandas, the rows that take part, and the columns of the terms."""
    kept = frame.groupby("_patient", sort=False).head(rows)
    died = kept["died"]
    terms = pd.DataFrame(
        {
            "age": scaled(kept["age"], 0, 110),
            "score": scaled(kept["score"], -2_147_000_000, 500),
            "F": (kept["sex"] == 1).astype(float),
            "X": (kept["dx@chapter"] == 1).astype(float),
            "100": kept["sbp"].between(1000, 1399).astype(float),
            "140": kept["sbp"].between(1400, 1799).astype(float),
            "180": (kept["sbp"] >= 1800).astype(float),
            "IT": 1.0,
            "FR": 0.0,
            "h1": 1.0,
            "h2": 0.0,
        }
    )
    outcome = {
        "logistic": died,
        "cox": died,
        "linear": scaled(kept["sbp"], 0, 3000).where(kept["sbp"].notna()),
        "poisson": kept["falls"],
        "network": kept["dx"],
    }[step.model]
    known = pd.DataFrame({"p": kept["_patient"], "outcome": outcome, "exposure": 1.0, "stratum": 0})
    if step.model == "poisson":
        known["exposure"] = (kept["days"] / 180).where(kept["days"] > 0)
    if step.model == "cox":
        known["exposure"], known["stratum"] = kept["days"], kept["sex"]
        terms = terms[["age", "score"]]
    known = known.dropna()
    return known, terms.loc[known.index]


@pytest.mark.parametrize("rows", [1, 2, 6])
@pytest.mark.parametrize("model", MODELS)
def test_the_design_is_what_the_rows_say(made: Prepared, model: str, rows: int, monkeypatch) -> None:
    """Against pandas: a patient's first rows, known outcomes only, numbers scaled, cells spread, also in pieces."""
    known, terms = reference(rows_of(made), MODELS[model], rows)
    assert len(known) > 20
    for most in (1 << 22, 40):
        monkeypatch.setattr(matrix, "MOST_NUMBERS", most)
        designs = design_of(made, MODELS[model], rows=rows)
        assert (len(designs) == 1) == (most > 40)
        whole = [np.concatenate([getattr(each, name) for each in designs]) for name in ("x", "outcome", "exposure")]
        for found, expected in zip(whole, (terms, known["outcome"], known["exposure"]), strict=True):
            assert np.isfinite(found).all()
            np.testing.assert_allclose(found, expected.to_numpy(float), rtol=1e-12, atol=1e-12)
        assert np.abs(whole[0]).max() <= 1
        assert (np.concatenate([each.stratum for each in designs]) == known["stratum"]).all()
        lengths = [length for each in designs for length in np.diff([*each.starts, each.rows])]
        assert lengths == known.groupby("p", sort=False).size().tolist()
        assert all(each.starts[0] == 0 for each in designs)


def test_conditions_limit_the_rows_before_a_patients_first_are_chosen(made: Prepared) -> None:
    """A row that does not match takes nobody's place; one of which it is unknown does not match."""
    frame = rows_of(made)
    where = Between(column="age", low=40, high=None)
    known, _ = reference(frame[frame["age"] >= 40], MODELS["logistic"], 1)
    assert sum(each.rows for each in design_of(made, MODELS["logistic"], rows=1, where=where)) == len(known)


def test_a_hospital_outside_a_key_has_zeros_and_outside_the_strata_no_rows(made: Prepared) -> None:
    """Where the own row is kept back, a hospital is that of nobody: no column of its own, no stratum."""
    inside, outside = (design_of(made, MODELS["logistic"], own_row=own)[0] for own in (True, False))
    assert inside.x[:, -2].all()
    assert not outside.x[:, -2:].any()
    assert design_of(made, MODELS["cox"])
    assert design_of(made, MODELS["cox"], own_row=False) == []
    with_scanner = Scanner(made.path)
    vector = with_scanner.tally(round_of(pointed(MODELS["cox"])), AGREED, "h1", ATTRIBUTES, own_row=False)
    assert not vector.any()


def test_folds_are_disjoint_and_stay(made: Prepared, tmp_path: Path) -> None:
    """Every patient lies in one fold, the same without the others; another hospital's key divides differently."""

    def folds(prepared_: Prepared) -> dict[str, int]:
        with duckdb.connect(str(prepared_.path), read_only=True) as connection:
            return dict(connection.execute(f"SELECT DISTINCT _patient, {fold_of(5)} FROM stay").fetchall())

    whole = folds(made)
    assert set(whole.values()) == set(range(5))
    fewer = folds(prepared(tmp_path / "fewer", LINES[::3]))
    assert fewer.items() <= whole.items()
    step = MODELS["logistic"]
    parts = [sum(each.rows for each in design_of(made, replace(step, split=split))) for split in FOLDS]
    assert all(parts)
    assert sum(parts) == sum(each.rows for each in design_of(made, step))
    training = replace(step, split=Split(folds=5, first=0, last=3))
    assert sum(each.rows for each in design_of(made, training)) == sum(parts[:4])
    other = prepared(tmp_path / "other", LINES, bytes(32))
    sizes = [sum(each.rows for each in design_of(other, replace(step, split=split))) for split in FOLDS]
    assert sizes != parts
    assert bytes(32) != SITE_KEY


@pytest.mark.parametrize("model", MODELS)
def test_a_round_is_what_the_patients_of_the_design_add(made: Prepared, model: str) -> None:
    """The scanner's vector is the sum over the design, also from memory and where nothing may be kept."""
    step = pointed(MODELS[model])
    asked = round_of(step)
    compiled = compile_step(step, asked.plan.parts[0], AGREED, Site(name="h1", attributes=ATTRIBUTES), own_row=True)
    (design,) = design_of(made, step)
    expected = tally_of(step, design, compiled.shape)
    scanner = Scanner(made.path)
    for most in (1 << 28, 1 << 28, 0):
        scanner._steps.most = most
        if not most:
            scanner._steps._kept.clear()
        found = scanner.tally(asked, AGREED, "h1", ATTRIBUTES, own_row=True)
        assert found.dtype == np.int64
        assert (found == expected).all()
    assert expected.any()
    scanner.close()


def test_later_rounds_do_not_read_the_database_again(made: Prepared, monkeypatch) -> None:
    """Other coefficients, sums and cuts use the rows that were read; other folds, rows or facts read anew."""
    scanner = Scanner(made.path)
    queries: list[str] = []
    fetch = scanner._fetch
    monkeypatch.setattr(scanner, "_fetch", lambda sql: queries.append(sql) or fetch(sql))
    step = pointed(MODELS["logistic"])

    def ask(step: Step, site: str = "h1", *, own_row: bool = True, **changes) -> int:
        scanner.tally(round_of(step, **changes), AGREED, site, ATTRIBUTES, own_row=own_row)
        return len(queries)

    assert ask(step) == 1
    assert ask(pointed(step, 5)) == 1
    assert ask(replace(step, wants=("loss",), weights=(3,), cuts=())) == 1
    assert ask(replace(step, cuts=(7,))) == 1
    assert ask(replace(step, split=FOLDS[0])) == 2
    assert ask(replace(step, split=FOLDS[1])) == 3
    assert ask(step, site="h2") == 4
    assert ask(step, own_row=False) == 5
    assert ask(step, rows=2) == 6
    assert ask(step, where=Not(term=Missing(column="age"))) == 7
    assert ask(step) == 7
    scanner._steps.most = 1
    assert ask(step, where=Members(column="sex", codes=("F",))) == 8
    assert ask(step, where=Members(column="sex", codes=("F",))) == 9
    assert MOST_DESIGNS > 7


def test_a_round_of_a_table_that_is_not_there_is_refused(made: Prepared) -> None:
    """As any question about it."""
    scanner = Scanner(made.path)
    with pytest.raises(Rejected) as caught:
        scanner.tally(round_of(pointed(MODELS["logistic"])), AGREED, "h1", {}, own_row=True, tables=frozenset())
    assert caught.value.code == "unknown-table"
