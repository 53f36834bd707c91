"""Recipes, fake rows, predictions, cards and files of models."""

import json
import math
import sys
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import cache
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

import farr
from farr.cli.training_pages import loss_line
from farr.demo.run import FOLDER as DEMO
from farr.errors import FarrError
from farr.questions.asking import Sharing
from farr.training import card, saved
from farr.training.coefficients import first_groups, table_of
from farr.training.estimators import (
    CoxRegression,
    LinearRegression,
    LogisticRegression,
    Network,
    PoissonRegression,
)
from farr.training.foreseen import fake, rehearse
from farr.training.frames import NOWHERE, Rows
from farr.training.model_file import read_file
from farr.training.modules import layers_of
from farr.training.recipe import Recipe, read, settled
from farr.training.run import rounds_of
from farr.training.sample import fake_rows
from farr.training.terms import held_out, prepare
from farr.training.trained import Trained
from queries.agreed.catalogue_file import read_catalogue
from queries.asked.plan import CodeKey, FlagKey, Missing, Not, NumberTerm
from queries.errors import CatalogueError, StatementError
from queries.models.fitted import Evaluation, Figure, Fitted, Round

CATALOGUE = read_catalogue((DEMO / "stroke.toml").read_bytes(), "stroke.toml")
SITES = {f"site-{place}": {"country": "UK" if place < 3 else "ITAL"} for place in range(5)}
SYSTOLIC = CATALOGUE.table("admission").column("systolic")
EXAMPLES = Path(farr.__file__).parents[1] / "docs" / "examples" / "models"

FILE = """\
name = "death"
kind = "logistic"
table = "admission"
outcome = "died = 'Y'"
terms = ["age", "sex"]

[privacy]
epsilon = 1.0
"""

PLAIN = {
    "name": "death",
    "kind": "logistic",
    "table": "admission",
    "outcome": "died = 'Y'",
    "terms": ["age", "sex", "systolic >= 180"],
}
OF_KINDS = {
    "logistic": PLAIN,
    "linear": PLAIN | {"kind": "linear", "outcome": "systolic", "terms": ["age", "sex"]},
    "poisson": PLAIN | {"kind": "poisson", "outcome": "delay", "exposure": "followed", "terms": ["age", "sex"]},
    "cox": PLAIN | {"kind": "cox", "time": "followed", "intervals": [0, 30, 180], "terms": ["age", "sex"]},
    "network": PLAIN | {"kind": "network", "outcome": "stroke_type", "network": {"layers": [4, "tanh"]}},
}


RUN = json.dumps(
    {
        "id": "00" * 16, "recipe": None, "catalogue": CATALOGUE.digest.hex(), "part": "", "sites": ["a"], "minimum": 1,
        "rho_units": 10, "most_rounds": 1, "purpose": "", "patience": 1, "begun_at": 0, "state": "finished",
        "rounds": [{"number": 1, "request": "", "rho_units": 9, "charged_units": 8, "release": "x", "answered": ["a"]}],
    }
)  # fmt: skip


def recipe(kind="logistic", **changes):
    """Return a recipe over the stroke catalogue."""
    return read(OF_KINDS[kind] | changes, "model.toml")


@cache
def trained(kind="logistic"):
    """Return a model of fake rows."""
    return fake(recipe(kind), CATALOGUE, SITES, rows=300)


# --- recipes


@pytest.mark.parametrize(
    ("old", "new", "line", "word"),
    [
        ('kind = "logistic"', 'kind = "logistics"', 2, "logistics"),
        ("terms =", "termz =", 5, "terms"),
        ("epsilon = 1.0", "epsilon = -1", 8, "epsilon"),
        ("[privacy]", "[privasy]", 7, "privacy"),
        ('"age"', "7", 5, "terms[0]"),
        ('name = "death"', 'name = "a model"', 1, "name"),
        ("[privacy]", "held_out = 0.9\n[privacy]", 7, "held_out"),
        ("[privacy]", 'time = "followed"\n[privacy]', 7, "cox"),
    ],
)
def test_a_mistake_in_a_model_file_is_named_with_its_line(tmp_path, old, new, line, word):
    """Whatever is wrong, the message has the file, the line and the key, and says what to write."""
    path = tmp_path / "death.toml"
    path.write_text(FILE.replace(old, new), encoding="utf-8")
    with pytest.raises(FarrError) as refused:
        read_file(path)
    assert refused.value.details["line"] == line
    assert f"death.toml, line {line}" in refused.value.message
    assert word in f"{refused.value.message} {refused.value.remedy}"
    assert refused.value.remedy


def test_a_model_file_is_read(tmp_path):
    """A file without mistakes gives the recipe that it writes."""
    path = tmp_path / "death.toml"
    path.write_text(FILE, encoding="utf-8")
    assert read_file(path) == Recipe(
        name="death", kind="logistic", table="admission", outcome="died = 'Y'", terms=("age", "sex")
    )


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples_fit_their_catalogues(path):
    """Every example is a recipe; those of the demo's tables are read against the demo's catalogues."""
    held = read_file(path)
    for name in ("stroke.toml", "heart.toml"):
        catalogue = read_catalogue((DEMO / name).read_bytes(), name)
        if any(table.name == held.table for table in catalogue.tables):
            facts = {fact.name: fact.codes.codes[0].code for fact in catalogue.site_attributes}
            assert prepare(held, catalogue, {"one": facts}).shape.width > 1


@settings(max_examples=30)
@given(
    penalty=st.integers(0, 10**6),
    clip=st.none() | st.integers(1, 10**6),
    share=st.integers(0, 10),
    epsilon=st.integers(1, 10**4),
    where=st.sampled_from(["", "age >= 18"]),
    centre=st.booleans(),
)
def test_a_recipe_is_read_as_it_was_written(penalty, clip, share, epsilon, where, centre):
    """What is kept of a recipe gives the same recipe again, through JSON."""
    held = Recipe(
        name="m", kind="logistic", table="t", outcome="a = 'b'", terms=("x", "y"), where=where,
        penalty=Fraction(penalty, 1000), clip=None if clip is None else Fraction(clip, 1000),
        held_out=Fraction(share, 20), epsilon=epsilon / 100, missing="centre" if centre else "drop",
    )  # fmt: skip
    assert read(json.loads(json.dumps(held.to_plain()), parse_float=Decimal), "again") == held


@pytest.mark.parametrize("kind", OF_KINDS)
def test_every_kind_of_recipe_is_read_as_it_was_written(kind):
    """The keys that only one kind has are kept as well."""
    held = recipe(kind)
    assert read(json.loads(json.dumps(held.to_plain()), parse_float=Decimal), "again") == held


@pytest.mark.parametrize(
    ("changes", "text", "marked"),
    [
        ({"terms": ["age", "agee"]}, "agee", "agee"),
        ({"terms": ["age, sex"]}, "age, sex", "age, sex"),
        ({"terms": ["age FROM admission --"]}, "age FROM admission --", ""),
        ({"terms": ["COUNT(*)"]}, "COUNT(*)", "COUNT(*)"),
        ({"terms": ["age AS old"]}, "age AS old", "age AS old"),
        ({"outcome": "died = 'X'"}, "died = 'X'", "'X'"),
        ({"where": "age > 400"}, "age > 400", "400"),
        ({"terms": ["patient_id"]}, "patient_id", "patient_id"),
    ],
)
def test_sql_that_means_nothing_is_refused_at_its_place(changes, text, marked):
    """A term, an outcome or a condition that is none is refused with the key, and carets under its own text."""
    with pytest.raises(StatementError) as refused:
        prepare(recipe(**changes), CATALOGUE, SITES)
    error = refused.value
    assert error.message.startswith(next(iter(changes)))
    assert error.text == text
    assert error.text[error.start : error.end] == marked


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [("logistic", "age"), ("logistic", "sex"), ("linear", "sex"), ("poisson", "died = 'Y'"), ("cox", "age")],
)
def test_an_outcome_fits_its_model(kind, outcome):
    """A number is no event, and a condition no count."""
    with pytest.raises(StatementError, match="outcome"):
        prepare(recipe(kind, outcome=outcome), CATALOGUE, SITES)


def test_a_recipe_becomes_the_step_that_it_says():
    """Columns of numbers, codes and conditions become terms; rows without a value of a term are left out."""
    prepared = prepare(recipe(where="age >= 18"), CATALOGUE, SITES)
    first, second, third = prepared.step.terms
    assert (first, second) == (NumberTerm(column="age"), CodeKey(column="sex"))
    assert isinstance(third, FlagKey)
    terms = prepared.part.where.terms
    assert {Not(term=Missing(column=name)) for name in ("sex", "systolic")} <= set(terms)
    assert prepared.model.names == ("intercept", "age", "sex=M", "systolic>=180")
    everyone = prepare(recipe(missing="centre"), CATALOGUE, SITES)
    assert everyone.part.where.terms == ()


def test_a_term_about_missing_values_keeps_the_rows_without_them():
    """Who asks whether a value is missing wants the rows in which it is."""
    prepared = prepare(recipe(terms=["age", "systolic IS NULL"]), CATALOGUE, SITES)
    assert prepared.part.where == Not(term=Missing(column="age"))


def test_a_smaller_clip_is_asked_for_as_it_is_written():
    """The clip of a recipe is that of the gradient; the information's shrinks with it."""
    natural, smaller = (prepare(recipe(**more), CATALOGUE, SITES).step for more in ({}, {"clip": Decimal("0.5")}))
    assert smaller.clip == 1 << 15 < natural.clip
    assert smaller.reach < natural.reach


@pytest.mark.parametrize("place", range(1, 11))
def test_patients_are_trained_on_or_held_out_and_never_both(place):
    """The two splits are of the same folds, disjoint, and together all patients; the held-out share is as written."""
    kept, held = held_out(Fraction(place, 20))
    assert kept.folds == held.folds
    assert (held.first, held.last + 1, kept.last + 1) == (0, kept.first, kept.folds)
    assert Fraction(held.last + 1, held.folds) == Fraction(place, 20)


# --- fake rows


def test_fake_rows_follow_from_the_catalogue_and_the_seed_alone():
    """The same seed gives the same rows, another one others; every value is one that the catalogue allows."""
    one, same, other = (fake_rows(CATALOGUE, "admission", 400, seed) for seed in (3, 3, 4))
    assert one.equals(same)
    assert not one.equals(other)
    rows = Rows(one.mask(one == ""), prepare(recipe(), CATALOGUE, SITES).setting)
    for column in ("sex", "stroke_type"):
        known = one[column] != ""
        assert ((rows.cells(CodeKey(column=column)) != NOWHERE) == known).all()
        assert 0.01 < 1 - known.mean() < 0.12
    age = pd.to_numeric(one["age"])
    assert age.dropna().between(0, 120).all()
    assert one["patient_id"].is_unique


# --- models


@pytest.mark.parametrize("kind", OF_KINDS)
def test_a_saved_model_predicts_what_it_did(tmp_path, kind):
    """A model read back from its file gives the same numbers, bit for bit, and the same card, without a connection."""
    held = trained(kind)
    path = saved.save(held, tmp_path)
    again = farr.load_model(path)
    frame = fake_rows(CATALOGUE, "admission", 40, 9, facts=True)
    assert np.array_equal(held.predictor(frame), again.predictor(frame))
    assert card.card_of(again) == card.card_of(held)
    assert repr(again.table().coefficients) == repr(held.table().coefficients)
    assert path.suffix == (".safetensors" if kind == "network" else ".json")
    assert "fake" in (tmp_path / "death.md").read_text(encoding="utf-8")
    assert (path.stat().st_mode & 0o077) == 0


def test_weights_go_to_json_where_safetensors_is_not_installed(tmp_path, monkeypatch):
    """The extra is not needed: a network's weights then are numbers in JSON."""
    monkeypatch.setattr(saved, "find_spec", lambda _name: None)
    held = trained("network")
    path = saved.save(held, tmp_path)
    assert path.suffix == ".json"
    assert np.array_equal(farr.load_model(path).fitted.coefficients, held.fitted.coefficients)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("fitted", "contributors"), "1e999999999"),
        (("fitted", "history", 0, "number"), "1e999999999"),
        (("fitted", "finished"), '"no"'),
        (("recipe", "name"), '"../../elsewhere"'),
        (("run",), '{"id": 7}'),
        (("run",), RUN.replace('"rho_units": 9', '"rho_units": "9"')),
        (("run",), RUN.replace('"charged_units": 8', '"charged_units": 1e999999999')),
        (("run",), RUN.replace('"begun_at": 0', '"begun_at": 1000000000000000000')),
        (("run",), RUN.replace('"charged_units": 8', '"charged_units": -8')),
        (("recipe", "kind"), '"linear"'),
        (("fitted", "noise_covariance", 0, 0), "NaN"),
        (("fitted", "history", 0, "moved"), "Infinity"),
        (
            ("fitted", "evaluation"),
            '{"share": 0.1, "bands": [], "figures": [{"name": [], "value": 1, "low": 1, "high": 1}]}',
        ),
        (("sites",), "7"),
        (("sites",), "[[]]"),
        (("coefficients",), "[[[1]]]"),
        (("catalogue",), "[" * 100_000 + "]" * 100_000),
    ],
)
def test_a_model_file_in_which_anything_is_of_another_kind_is_refused(tmp_path, path, value):
    """At once, whatever it is: nothing is believed because the rest looks like a model."""
    saved.save(trained(), tmp_path)
    file = tmp_path / "death.json"
    plain = json.loads(file.read_text())
    at = plain
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = "HERE"
    file.write_text(json.dumps(plain).replace('"HERE"', value))
    with pytest.raises(FarrError) as refused:
        farr.load_model(file)
    assert refused.value.code == "damaged-model"


def test_a_run_is_read_with_its_model(tmp_path):
    """The same file with a run that is whole."""
    saved.save(trained(), tmp_path)
    file = tmp_path / "death.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"run": json.loads(RUN)}))
    assert farr.load_model(file).run.spent_units == 8


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "farr-model", "version": 2}', "\x80\x04N."])
def test_anything_but_a_model_is_refused(tmp_path, text):
    """A file that is no model, a pickle for instance, is refused and not executed."""
    path = tmp_path / "model.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FarrError) as refused:
        farr.load_model(path)
    assert refused.value.code == "damaged-model"
    path = tmp_path / "model.safetensors"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FarrError):
        farr.load_model(path)


def test_a_model_of_fake_rows_says_so(tmp_path):
    """The card of a rehearsal warns first, and claims no privacy that was paid for."""
    held = trained()
    assert held.fake
    assert card.caveats(held)[0] == card.FAKE
    assert card.card_of(held)["privacy"]["epsilon"] == 0
    assert card.FAKE in card.markdown(held)


def fitted(prepared, values):
    """Return a model with these coefficients, known exactly."""
    zero = np.zeros((len(values), len(values)))
    return Fitted(
        kind=prepared.recipe.kind, names=prepared.model.names, coefficients=np.array(values), noise_covariance=zero,
        sampling_covariance=zero, contributors=5, history=(), finished=True,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["linear", "logistic", "poisson"])
def test_coefficients_by_unit_predict_what_the_scaled_ones_do(kind):
    """Intercept plus coefficients times values in units is the predictor, of a linear model the outcome itself."""
    prepared = prepare(recipe(kind, terms=["age", "sex"]), CATALOGUE, SITES)
    held = Trained(fitted=fitted(prepared, [0.3, -0.7, 0.2]), prepared=prepared, run=None)
    table = held.table()
    frame = pd.DataFrame({"age": [20, 61, 100], "sex": ["F", "M", "M"], "followed": [1500, 10, 400]})
    by_unit = table.intercept + frame["age"] * table.terms[0].value + (frame["sex"] == "M") * table.terms[1].value
    if kind == "linear":
        assert np.allclose(held.expected(frame), by_unit)
    elif kind == "poisson":
        assert np.allclose(held.expected(frame), frame["followed"] * np.exp(by_unit))
    else:
        assert np.allclose(held.predictor(frame), by_unit)


def test_errors_by_unit_go_along_with_the_coefficients():
    """A coefficient by unit and its error are the scaled ones over half the distance of the bounds."""
    prepared = prepare(recipe(terms=["age"]), CATALOGUE, SITES)
    held = fitted(prepared, [0.0, 1.2])
    noisy = np.diag([0.01, 0.04])
    held = Fitted(**{name: getattr(held, name) for name in held.__dataclass_fields__} | {"noise_covariance": noisy})
    (age,) = table_of(prepared, held).terms
    assert age.value == pytest.approx(1.2 / 60)
    assert age.noise_error == pytest.approx(0.2 / 60)
    assert age.unit == "years"
    assert age.ratio()[0] == pytest.approx(np.exp(1.2 / 60))


def test_a_condition_is_called_what_the_recipe_calls_it():
    """A term that is a condition is shown as it was written, a column by its label."""
    prepared = prepare(recipe(terms=["age", "sex <> 'F'"]), CATALOGUE, SITES)
    assert [each.label for each in table_of(prepared, fitted(prepared, [0.0, 1.0, 2.0])).terms] == ["Age", "sex <> 'F'"]


def test_groups_are_shown_beside_the_first_ones():
    """A coefficient of a group means nothing without the group that it is measured against; a condition needs none."""
    prepared = prepare(recipe(terms=["age", "sex", "BAND(age, 50)", "sex <> 'F'"]), CATALOGUE, SITES)
    first = first_groups(prepared)
    assert [each.partition(": ")[0] for each in first] == ["Sex", "Age"]
    zeros = [0.0] * prepared.shape.width
    page = card.markdown(Trained(fitted=with_noise(prepared, zeros, 0.3), prepared=prepared, run=None))
    assert f"First groups: {'; '.join(first)}" in page.splitlines()


@pytest.mark.parametrize(
    ("outcome", "terms", "place"),
    [
        ("sex = 'F'", ["age", "sex"], "terms[1]"),
        ("age >= 65", ["BAND(age, 50)"], "terms[0]"),
        ("age > 65", ["sex"], ""),
    ],
)
def test_a_term_that_tells_the_outcome_itself_is_refused(outcome, terms, place):
    """A model that reads its outcome predicts it without a fault and says nothing."""
    wanted = recipe(outcome=outcome, terms=terms)
    if not place:
        prepare(wanted, CATALOGUE, SITES)
        return
    with pytest.raises(StatementError) as refused:
        prepare(wanted, CATALOGUE, SITES)
    assert refused.value.message.startswith(f"{place}: it reads ")


def test_what_users_of_arrays_write_is_refused_in_words():
    """An array has no names of columns."""
    prepared = prepare(recipe(), CATALOGUE, SITES)
    with pytest.raises(FarrError, match="no DataFrame"):
        Rows(np.zeros((2, 2)), prepared.setting)


def test_coefficients_fit_on_a_narrow_terminal():
    """Eighty columns: no word of the head and no number is broken, and units stand with their terms."""
    from rich.console import Console

    from farr.cli.training_pages import coefficient_table

    prepared = prepare(recipe(terms=["age", "sex <> 'F'"]), CATALOGUE, SITES)
    console = Console(width=80, file=StringIO())
    console.print(
        coefficient_table(Trained(fitted=with_noise(prepared, [0.0, 1.2, 1.0], 0.3), prepared=prepared, run=None))
    )
    lines = console.file.getvalue().splitlines()
    assert lines[0].split() == ["term", "coefficient", "±", "noise", "±", "in", "all", "odds", "ratio", "95", "%"]
    assert lines[3].startswith("Age [years]")
    assert max(map(len, lines)) <= 80
    assert len(lines) == 2 + 3


def test_a_long_curve_shows_its_last_rounds():
    """A network's sixty rounds would break the line that changes in place."""
    prepared = prepare(recipe(), CATALOGUE, SITES)
    rounds = tuple(
        Round(number=number, share=Fraction(1), loss=float(number), low=0.0, high=1.0, moved=0.1)
        for number in range(60)
    )
    line = loss_line(replace(fitted(prepared, [0.0] * prepared.shape.width), history=rounds))
    assert len(line.split()[1]) == 1 + 24
    assert line.split()[1][0] == "…"
    assert line.split()[1][-1] == "█"


def test_a_loss_that_the_noise_made_less_than_nothing_is_not_called_nothing():
    """Its upper end says something, its value nothing."""
    from farr.cli.training_pages import _figure

    assert _figure(Figure(name="loss", value=0.0, low=0.0, high=1.38)) == ("?", "at most 1.38")
    assert _figure(Figure(name="loss", value=1.09, low=0.0, high=2.32)) == ("1.09", "0, 2.32")
    assert _figure(Figure(name="brier", value=0.136, low=0.0211, high=0.25)) == ("0.136", "0.0211, 0.250")


def test_a_card_has_coefficients_and_ratios_with_their_intervals():
    """The page shows each coefficient by unit, and of a logistic model the odds ratio, but not of the intercept."""
    prepared = prepare(recipe(terms=["age", "sex <> 'F'"]), CATALOGUE, SITES)
    lines = card.markdown(Trained(fitted=with_noise(prepared, [0.0, 1.2, 1.0], 0.3), prepared=prepared, run=None))
    heads, _rule, intercept, age, _sex = [line for line in lines.splitlines() if line.startswith("|")]
    assert "odds ratio" in heads
    assert {line.count("|") for line in (heads, intercept, age)} == {8}
    assert intercept.endswith("|  |  |")
    assert age.startswith("| Age [years] | 0.02 | 0.005 | 0.005 | 0.0102, 0.0298 | 1.02 |")


def test_a_card_says_what_the_noise_hides_of_an_evaluation():
    """A loss that noise made 0 is no loss of 0, and a figure that is not known has no interval."""
    prepared = prepare(recipe(terms=["sex"], held_out=Decimal("0.2")), CATALOGUE, SITES)
    unknown = Figure(name="auc", value=math.nan, low=math.nan, high=math.nan)
    figures = (
        Figure(name="loss", value=0.0, low=0.0, high=0.3),
        unknown,
        Figure(name="brier", value=0.2, low=0.1, high=0.3),
    )
    graded = replace(fitted(prepared, [0.0, 0.0]), evaluation=Evaluation(figures=figures, bands=(), share=0.125))
    lines = card.markdown(Trained(fitted=graded, prepared=prepared, run=None)).splitlines()
    assert "- loss of a patient: at most 0.300" in lines
    assert "- area under the ROC curve: the noise hides it" in lines
    assert "- Brier score: 0.200 (0.100, 0.300)" in lines


def with_noise(prepared, values, error):
    """Return a model whose coefficients have this standard error by the noise, and none by sampling."""
    held = fitted(prepared, values)
    return replace(held, noise_covariance=np.eye(len(values)) * error**2)


def test_a_coefficient_that_the_noise_hides_is_marked():
    """Where the noise alone may have made the sign, the page marks the number and says what the mark means."""
    from farr.cli.training_pages import hidden, margin, shown

    prepared = prepare(recipe(terms=["sex"]), CATALOGUE, SITES)
    held = Trained(fitted=with_noise(prepared, [1.0, 0.1], 0.2), prepared=prepared, run=None)
    clear, lost = held.table().coefficients
    assert (shown(clear), hidden(clear), margin(clear.noise_error)) == ("1.00", False, "0.39")
    assert (shown(lost), hidden(lost)) == ("0.10 ?", True)


def test_what_is_saved_of_a_model_is_its_owners_only(tmp_path):
    """The curve, the card and the model have one mode."""
    pytest.importorskip("matplotlib", reason="curves need farr[plot]")
    from farr.training.curve import draw

    prepared = prepare(recipe(terms=["sex"]), CATALOGUE, SITES)
    seen = Round(number=1, share=1.0, loss=0.7, low=0.6, high=0.8, moved=0.1)
    held = Trained(fitted=replace(fitted(prepared, [0.0, 0.0]), history=(seen,)), prepared=prepared, run=None)
    saved.save(held, tmp_path / "models")
    assert draw(held, tmp_path / "models" / "m.png")
    files = list((tmp_path / "models").iterdir())
    assert sorted(file.suffix for file in files) == [".json", ".md", ".png"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_curve_within_the_noise_is_level():
    """The loss by round is drawn no steeper than the noise: what moves by less than that is not shown to move."""
    prepared = prepare(recipe(terms=["sex"]), CATALOGUE, SITES)

    def line(half):
        rounds = [Round(number=place, share=Fraction(1, 3), loss=loss, low=loss - half, high=loss + half, moved=0.1)
                  for place, loss in enumerate([0.70, 0.60, 0.50], start=1)]  # fmt: skip
        return loss_line(replace(fitted(prepared, [0.0, 0.0]), history=tuple(rounds)))

    assert line(0.01).startswith("loss █")
    assert "█" not in line(1.0)
    assert line(1.0).endswith("0.500 ± 1.000")


def test_a_loss_that_noise_took_below_zero_is_not_shown_as_one():
    """No loss is less than 0: what is left to say is how large it is at most."""
    prepared = prepare(recipe(terms=["sex"]), CATALOGUE, SITES)

    def line(loss, high):
        seen = Round(number=1, share=Fraction(1), loss=loss, low=loss - 1, high=high, moved=0.1)
        return loss_line(replace(fitted(prepared, [0.0, 0.0]), history=(seen,)), prepared)

    assert line(-0.25, 0.75).endswith("at most 0.75")
    assert line(-2.0, -1.0).endswith("hidden by the noise")


def test_a_model_of_a_number_shows_its_typical_error_in_the_outcomes_units():
    """The root of the mean square error: half a scaled loss is (mmHg over half of the bounds' distance) squared."""
    prepared = prepare(recipe("linear"), CATALOGUE, SITES)
    half = (SYSTOLIC.high - SYSTOLIC.low) / 2
    loss, low, high = ((error / half) ** 2 / 2 for error in (20.0, 10.0, 25.0))
    seen = Round(number=1, share=Fraction(1), loss=loss, low=low, high=high, moved=0.1)
    line = loss_line(replace(fitted(prepared, [0.0] * 3), history=(seen,)), prepared)
    assert line.endswith("20 (10, 25) mmHg")
    assert line.startswith("typical error")


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("network", {}, "operators this one: "),
        ("cox", {"strata": ["hospital"]}, "own_row = true"),
        ("logistic", {}, "which models"),
        ("logistic", {"terms": ["site.country"]}, "site.country may tell a hospital apart"),
    ],
)
def test_a_refusal_by_policy_says_what_to_do_for_this_model(kind, changes, words):
    """Refusals name no rule, so the remedy follows from what was asked: a network's digest, baselines, the model."""
    from farr.training.refused import explained

    refusal = FarrError("policy", "0 of 5 hospitals answered", remedy="ask for less")
    assert words in explained(refusal, prepare(recipe(kind, **changes), CATALOGUE, SITES).step).remedy
    dear = explained(FarrError("cost-limit", "0 of 5 hospitals answered"), prepare(recipe(), CATALOGUE, SITES).step)
    assert "a run counts as one" in dear.remedy
    denied = explained(FarrError("denied", "0 of 5"), prepare(recipe(kind, **changes), CATALOGUE, SITES).step)
    assert "may have denied it" in denied.remedy
    assert words in denied.remedy
    other = FarrError("too-few", "0 of 5 hospitals answered")
    assert explained(other, prepare(recipe(), CATALOGUE, SITES).step) is other


def test_hospitals_that_refuse_for_different_reasons_get_a_remedy_for_each():
    """The code is that too few were left; asking again later would not help."""
    from farr.training.refused import explained

    mixed = FarrError(
        "too-few", "0 of 5", remedy="ask again later", details={"refusals": {"policy": ["a"], "cost-limit": ["b"]}}
    )
    remedy = explained(mixed, prepare(recipe(), CATALOGUE, SITES).step).remedy
    assert "which models" in remedy
    assert "a run counts as one" in remedy
    assert "again later" not in remedy


def test_survival_falls_with_time_and_is_lower_where_the_hazard_is_higher():
    """A Cox model's survival begins at 1 and follows from baseline and ratio."""
    prepared = prepare(recipe("cox"), CATALOGUE, SITES)
    held = Trained(fitted=fitted(prepared, [-1.0, -1.5, -2.0, 1.0, 0.0]), prepared=prepared, run=None)
    frame = pd.DataFrame({"age": [20, 100], "sex": ["F", "F"]})
    curve = held.survival(frame, np.array([0.0, 30.0, 180.0, 1500.0]))
    assert np.allclose(curve[:, 0], 1)
    assert (np.diff(curve) < 0).all()
    assert (curve[1, 1:] < curve[0, 1:]).all()
    assert np.allclose(-np.log(curve[:, 1]), np.exp(-1.0) * held.expected(frame))


def test_a_table_without_a_column_of_the_model_is_refused():
    """Predictions name the column that is missing."""
    with pytest.raises(FarrError, match="sex"):
        trained().predictor(pd.DataFrame({"age": [1]}))


def test_a_rehearsal_promises_no_more_than_there_is():
    """Fake numbers lie close and fake groups are uneven, as in earnest: even ones would hide most of the noise."""
    rows = Rows(fake_rows(CATALOGUE, "admission", 2000).replace("", None), prepare(recipe(), CATALOGUE, SITES).setting)
    assert 0.2 < np.nanstd(rows.scaled("systolic")) < 0.35
    counts = np.bincount(rows.cells(CodeKey(column="stroke_type")) + 1)[1:]
    assert (np.diff(counts) < 0).all()
    assert counts[-1] < 0.12 * counts.sum()


def test_a_rehearsal_counts_what_a_run_would_send():
    """The dry run's rounds and bytes are those of the very algorithm: one number of eight bytes for each sum."""
    prepared = prepare(recipe(), CATALOGUE, SITES)
    sharing = Sharing(hospitals=5, minimum=5, colluders=1, honest=4)
    found = rehearse(prepared, sharing, patients=200)
    assert found.rounds == len(found.rehearsed.fitted.history)
    width = prepared.shape.width
    assert found.up_bytes == 8 * found.rounds * (width + width * (width + 1) // 2 + 2)
    assert all(each.noise_error > 0 for each in found.table.coefficients)


@pytest.mark.parametrize("kind", OF_KINDS)
@pytest.mark.parametrize("changes", [{}, {"rounds": 3, "held_out": Decimal("0.1")}])
def test_a_run_says_how_many_rounds_it_takes(kind, changes):
    """Hospitals' operators approve so many, and people see how far a run is: no more, and no fewer."""
    prepared = prepare(recipe(kind, **changes), CATALOGUE, SITES)
    sharing = Sharing(hospitals=5, minimum=5, colluders=1, honest=4)
    assert rounds_of(prepared) == rehearse(prepared, sharing, patients=200).rounds


@pytest.mark.parametrize(("written", "share"), [("0.01", "5%"), ("0.12", "10%"), ("0.2", "20%")])
def test_a_card_says_how_many_patients_were_held_out(written, share):
    """As many as were, in folds of a twentieth: not the share that was written."""
    held = fake(recipe(held_out=Decimal(written)), CATALOGUE, SITES, rows=400)
    assert f"Of {share} of the patients" in card.markdown(held)


# --- estimators


def test_an_estimator_is_a_recipe_and_its_model():
    """Settings become the recipe that MODEL.toml would have; coefficients, classes and summary are the model's."""
    model = LogisticRegression(epsilon=0.5, penalty=1, held_out=0.2, purpose="research", name="death")
    asked = {"table": "admission", "outcome": "died = 'Y'", "terms": ["age", "sex", "systolic >= 180"]}
    assert model.recipe(**asked) == recipe(
        penalty=1, held_out=Decimal("0.2"), purpose="research", privacy={"epsilon": Decimal("0.5")}
    )
    with pytest.raises(FarrError):
        model.predict(pd.DataFrame())
    model.with_model(trained())
    frame = fake_rows(CATALOGUE, "admission", 20, facts=True)
    assert model.coef_.shape == (1, 3)
    assert list(model.feature_names_in_) == ["age", "sex=M", "systolic>=180"]
    assert np.allclose(model.predict_proba(frame).sum(axis=1), 1)
    assert set(model.predict(frame)) <= set(model.classes_) == {"N", "Y"}
    assert {"coefficient", "se_noise", "se", "odds_ratio"} <= set(model.summary().columns)
    assert list(model.summary().index) == ["intercept", "age", "sex=M", "systolic>=180"]
    assert repr(model) == "LogisticRegression(epsilon=0.5, penalty=1, held_out=0.2, purpose='research', name='death')"
    assert np.array_equal(trained().predict_proba(frame), model.predict_proba(frame))
    assert "fake rows" in repr(trained())
    with pytest.raises(FarrError):
        PoissonRegression().with_model(trained())
    with pytest.raises(FarrError):
        model.set_params(alpha=1)


@pytest.mark.parametrize(
    ("made", "asked"),
    [
        ({}, {"purpose": "research"}),
        ({}, {"rows_per_patient": 1}),
        ({}, {"epsilon": 0.1}),
        ({}, {"held_out": 0.2}),
        ({"clip": 0}, {}),
        ({"minimum": 0}, {}),
        ({"rows_per_patient": 0}, {}),
        ({"penalty": "much"}, {}),
        ({"epsilon": None}, {}),
        ({"held_out": float("nan")}, {}),
        ({}, {"time": "followed"}),
    ],
)
def test_a_setting_that_would_be_dropped_in_silence_is_refused(made, asked):
    """Where fit is given what belongs to the estimator, or a number is none, nothing is asked at another setting."""
    with pytest.raises(FarrError) as refused:
        LogisticRegression(**made).recipe(table="admission", outcome="died = 'Y'", terms=["age"], **asked)
    assert next(iter(made | asked)) in refused.value.message


def test_terms_are_a_list_and_not_letters():
    """A text in the place of a list is told as that; a tuple is a list."""
    asked = {"table": "admission", "outcome": "died = 'Y'", "time": "followed"}
    with pytest.raises(FarrError, match="terms: not a list"):
        CoxRegression().recipe(terms="age", **asked)
    assert CoxRegression().recipe(terms=("age",), strata=("hospital",), intervals=(0, 30), **asked).strata == (
        "hospital",
    )


@pytest.mark.parametrize("number", [np.float64(0.5), np.float32(0.5), Fraction(1, 2), 0.5])
def test_a_price_may_be_any_kind_of_number(number):
    """As where it comes out of an array of prices that are tried."""
    assert settled(replace(recipe(), epsilon=number)) == recipe(privacy={"epsilon": Decimal("0.5")})


@pytest.mark.parametrize(
    "model", [LogisticRegression(epsilon=0.5, penalty=1), PoissonRegression(), Network([8, "tanh"], clip=2)]
)
def test_an_estimator_keeps_the_customs_of_scikit_learn(model):
    """It is copied by its settings, has no attribute of a fit before it, and says what it was fitted on."""
    copied = clone(model)
    assert copied is not model
    assert copied.get_params() == model.get_params()
    for name in ("n_features_in_", "feature_names_in_", "coef_", "classes_", "card_"):
        assert not hasattr(model, name)
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    with pytest.raises(FarrError, match="nothing was fitted"):
        model.predict(pd.DataFrame())
    model.with_model(trained(model.kind))
    check_is_fitted(model)
    assert model.n_features_in_ == len(model.feature_names_in_) == model.model.prepared.shape.columns
    assert clone(model).get_params() == model.get_params()
    assert not hasattr(clone(model), "model_")


def test_a_score_is_that_of_scikit_learn():
    """Accuracy of a classifier, R squared of a regression; the outcome is read from the frame where none is given."""
    frame = fake_rows(CATALOGUE, "admission", 300, facts=True)
    model = LogisticRegression().with_model(trained())
    known = frame["died"] != ""
    there = frame["died"][known] == "Y"
    assert model.score(frame) == pytest.approx(np.mean((model.predict(frame[known]) == "Y") == there))
    assert model.score(frame[known], np.where(there, "Y", "N")) == model.score(frame)
    number = LinearRegression().with_model(trained("linear"))
    outcome = number.model.prepared.step.outcome.column
    values = pd.to_numeric(frame[outcome])
    assert number.score(frame) == pytest.approx(r2_score(values[values.notna()], number.predict(frame[values.notna()])))
    assert number.score(frame, values) == pytest.approx(number.score(frame))
    with pytest.raises(FarrError, match="has no score"):
        CoxRegression().with_model(trained("cox")).score(frame)


def test_estimators_are_imported_when_they_are_used():
    """farr.LogisticRegression is there by its name, and nothing else appears."""
    assert farr.LogisticRegression is LogisticRegression
    with pytest.raises(AttributeError):
        farr.Forest  # noqa: B018


def layer(name, module="torch.nn.modules.linear", **facts):
    """Return what looks like a part of a PyTorch module."""
    return type(name, (SimpleNamespace,), {"__module__": module})(**facts)


def sequential(*layers):
    """Return what looks like a Sequential."""
    return layer("Sequential", children=lambda: iter(layers))


def test_a_module_of_known_layers_becomes_layers():
    """Linear layers and activations are taken by their shape; the last linear layer is the model's own."""
    module = sequential(
        layer("Linear", in_features=3, out_features=8, bias=0),
        layer("ReLU"),
        layer("Linear", in_features=8, out_features=1, bias=0),
    )
    assert layers_of(module).hidden == (8, "relu")
    held = Network(module).recipe(table="admission", outcome="died = 'Y'", terms=["age"])
    assert held.layers == (8, "relu")


@pytest.mark.parametrize(
    "module",
    [
        layer("Linear", in_features=1, out_features=1, bias=0),
        sequential(layer("Dropout"), layer("Linear", in_features=1, out_features=1, bias=0)),
        sequential(layer("Linear", module="mine", in_features=1, out_features=1, bias=0)),
        sequential(layer("Linear", in_features=1, out_features=1, bias=None)),
        sequential(layer("Linear", in_features=1, out_features=2, bias=0), layer("ReLU")),
        sequential(layer("Linear", in_features=1, out_features=2, bias=0), layer("GELU", approximate="tanh")),
    ],
    ids=["no Sequential", "Dropout", "a class of one's own", "no bias", "no last layer", "another GELU"],
)
def test_any_other_module_is_refused(module):
    """What hospitals could not compute by themselves is refused, with the way out."""
    with pytest.raises(FarrError, match="Flower") as refused:
        layers_of(module)
    assert refused.value.code == "module"


def test_a_module_of_pytorchs_own_is_taken():
    """The real thing, where PyTorch is installed."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    module = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.GELU(), torch.nn.Linear(6, 2))
    assert layers_of(module).hidden == (6, "gelu")
    with pytest.raises(FarrError):
        layers_of(torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Dropout(), torch.nn.Linear(6, 2)))


def test_training_imports_no_framework():
    """Recipes, runs and estimators need neither PyTorch nor Flower."""
    import subprocess

    code = "import sys, farr.training.estimators; sys.exit(bool({'torch', 'flwr'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_recipe_is_no_place_for_other_keys():
    """Unknown keys of a recipe in Python are refused like those of a file."""
    with pytest.raises(CatalogueError, match="unknown key"):
        read(PLAIN | {"optimiser": "adam"}, "model.toml")
