"""Chi-square and Cramer's V over thousands of releases: real tables, simulated populations, tables of nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats.contingency import association

from queries.answers.association import independence, strength
from tests.distributions.clinics import Clinic, diabetes, heart, stroke

RELEASES = 5_000
NULL_RUNS = 8_000
DRAWS = 499
SIGMA = {0.3: 14.03, 1.0: 4.53, 3.0: 1.64}
"""Standard deviation of the noise of one block of counts at an epsilon, one row of each patient."""

REAL = {
    "consciousness by death, stroke": (stroke, "CHI_SQUARE(conscious, died)"),
    "aspirin by death, stroke": (stroke, "CHI_SQUARE(aspirin, died)"),
    "pain by disease, heart": (heart, "CHI_SQUARE(pain, disease)"),
    "sex by disease, heart": (heart, "CHI_SQUARE(sex, disease)"),
    "age by readmission, diabetes": (diabetes, "CHI_SQUARE(BAND(age, 10, 20, 30, 40, 50, 60, 70, 80, 90), again)"),
}


def answered(name: str, clinic: Clinic) -> np.ndarray:
    """The table of the exact answers that were computed beside the records."""
    answers = clinic.answers
    if name.startswith("aspirin"):
        return pd.DataFrame(answers["aspirin_x_dead14"]).T.to_numpy()
    if name.startswith("pain"):
        return pd.DataFrame(answers["cp_x_disease"]).T.to_numpy()
    if name.startswith("sex"):
        return pd.DataFrame(answers["sex_x_disease"]).T.to_numpy()
    if name.startswith("age"):
        return pd.DataFrame(answers["age_x_readmitted"]).T[["NO", ">30", "<30"]].to_numpy()
    return pd.crosstab(clinic.frame.conscious, clinic.frame.died).to_numpy()


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_tables_are_read_as_they_are(name, tmp_path):
    """5,000 releases at two budgets: V squared is unbiased, V covered in 93 to 97 %, of the exact table.

    Where there is next to no association, up to 98 %: V cannot be below zero, and an interval that ends there is wide.
    """
    collection, call = REAL[name]
    clinic = collection()
    (exact,) = clinic.exact(tmp_path, [call])
    expected = answered(name, clinic)
    question = clinic.drawn(call)
    plain = question.read(exact[None].astype(float), None).value[0]
    pearson = stats.chi2_contingency(expected, correction=False)
    assert plain[:2] == pytest.approx([pearson.statistic, pearson.dof])
    truth = association(expected.astype(int))
    assert plain[3] == pytest.approx(truth)
    for epsilon in (0.3, 1.0):
        rng = np.random.default_rng(31)
        found = question.read(question.released(np.tile(exact, (RELEASES, 1)), epsilon, rng), epsilon)
        known = np.isfinite(found.value[:, 3])
        if name.startswith("pain") and epsilon == 0.3:
            # 46 patients had typical pain: their margin is within the noise, so mostly there is no V.
            assert known.mean() < 0.5
            continue
        assert known.mean() > 0.99
        covered = found.covered([np.nan, np.nan, np.nan, truth])[3]
        assert 0.93 < covered < (0.97 if truth > 0.05 else 0.985)
        if truth > 0.1:
            errors = found.value[known, 3] ** 2 - truth**2
            assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(known.sum()) + 0.01 * truth**2


def type_one(table: tuple[int, int], rows: int, sigma: float, *, even: bool, runs: int = NULL_RUNS) -> tuple:
    """Share of tables without association that are called significant: ours, and with the noise ignored."""
    rng = np.random.default_rng(rows + 7 * table[0] + int(10 * sigma))
    one, other = (rng.dirichlet(np.full(size, 50.0 if even else 1.5)) for size in table)
    tables = rng.multinomial(rows, np.outer(one, other).ravel(), runs).reshape(-1, *table)
    noisy = tables + sigma * rng.standard_normal(tables.shape)
    ours = np.mean([independence(each, sigma**2, DRAWS, rng)[1] <= 0.05 for each in noisy])
    expected = noisy.sum(axis=2, keepdims=True) * noisy.sum(axis=1, keepdims=True)
    expected = np.maximum(expected / noisy.sum(axis=(1, 2), keepdims=True), 0.5)
    naive = ((noisy - expected) ** 2 / expected).sum(axis=(1, 2))
    return ours, float((stats.chi2.sf(naive, (table[0] - 1) * (table[1] - 1)) <= 0.05).mean())


NULL = [
    ((2, 2), 1_000, 0.3, True),
    ((2, 2), 1_000, 1.0, False),
    ((2, 2), 10_000, 0.3, True),
    ((3, 4), 1_000, 1.0, True),
    ((3, 4), 1_000, 3.0, False),
    ((3, 4), 10_000, 0.3, True),
    ((3, 4), 10_000, 1.0, False),
    ((2, 10), 1_000, 1.0, False),
    ((6, 6), 1_000, 1.0, False),
    ((6, 6), 100_000, 1.0, False),
]


@pytest.mark.slow
@pytest.mark.parametrize(("table", "rows", "epsilon", "even"), NULL)
def test_tables_of_nothing_are_significant_in_4_to_6_of_100(table, rows, epsilon, even):
    """8,000 tables without association, dense and sparse, with much noise and little; ignoring it is never better."""
    ours, naive = type_one(table, rows, SIGMA[epsilon], even=even)
    assert 0.04 < ours < 0.06
    assert naive > ours - 0.01


def test_a_null_without_the_noise_in_it_would_be_noticed():
    """Planted defect: with the noise left out of the drawn tables, twice as many tables of nothing are significant."""
    rng = np.random.default_rng(3)
    tables = rng.multinomial(1_000, np.full(12, 1 / 12), 300).reshape(-1, 3, 4) + 4.5 * rng.standard_normal((300, 3, 4))
    assert np.mean([independence(table, 0.0, 199, rng)[1] <= 0.05 for table in tables]) > 0.09


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1_000, 10_000, 100_000])
@pytest.mark.parametrize("epsilon", [0.3, 1.0, 3.0])
def test_total_intervals_hold_the_strength_of_populations(rows, epsilon):
    """3,000 samples each of a population of 3 by 4 with some association: 93 to 97 %."""
    found, exact = sampled(rows, epsilon)
    known = np.isfinite(found[:, 0])
    if rows == 1_000 and epsilon == 0.3:
        # Margins are mostly within the noise: then there is no V, rather than a wrong one.
        assert known.mean() < 0.99
        return
    assert known.mean() > 0.99
    assert 0.93 < ((found[:, 3] <= exact) & (exact <= found[:, 4]))[known].mean() < 0.97


def sampled(rows: int, epsilon: float, runs: int = 3_000) -> tuple[np.ndarray, float]:
    """V with its intervals of samples of a population, and its V."""
    rng = np.random.default_rng(rows + int(10 * epsilon))
    shares = np.outer([0.5, 0.3, 0.2], [0.4, 0.3, 0.2, 0.1]) * np.exp(
        np.array([[0, 0.2, 0, -0.3], [0, -0.2, 0.3, 0], [0.2, 0, -0.4, 0.4]])
    )
    shares /= shares.sum()
    expected = np.outer(shares.sum(axis=1), shares.sum(axis=0))
    exact = float(np.sqrt(((shares - expected) ** 2 / expected).sum() / 2))
    sigma = SIGMA[epsilon]
    samples = rng.multinomial(rows, shares.ravel(), runs).reshape(-1, 3, 4)
    noisy = samples + sigma * rng.standard_normal(samples.shape)
    return np.array([strength(each, sigma**2, DRAWS, rng) for each in noisy]), exact
