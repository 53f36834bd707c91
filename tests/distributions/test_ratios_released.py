"""Odds ratios, risk ratios and differences over thousands of releases: real tables, simulated populations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from queries.asked.reading import Reading
from tests.distributions.clinics import Clinic, diabetes, heart, stroke
from tests.distributions.drawn import Drawn, Figures
from tests.queries.cohort import COHORT

RELEASES = 10_000
READINGS = ("odds_ratio", "risk_ratio", "risk_difference")

REAL = {
    "death by aspirin, stroke": (stroke, "ODDS_RATIO(died = 'Y', aspirin = 'Y')"),
    "death by drowsiness, stroke": (stroke, "ODDS_RATIO(died = 'Y', conscious = 'D')"),
    "disease by sex, heart": (heart, "ODDS_RATIO(disease = 'Y', sex = 'M')"),
    "readmission by sex, diabetes": (diabetes, "ODDS_RATIO(again = 'soon', sex = 'F')"),
}


def figure(name: str, counts: np.ndarray) -> float:
    """The figure of exact counts, in the order of the block: neither, exposed only, event only, both."""
    d, b, c, a = counts
    return {
        "odds_ratio": a * d / (b * c),
        "risk_ratio": a / (a + b) * (c + d) / c,
        "risk_difference": a / (a + b) - c / (c + d),
    }[name]


def known_counts(name: str, clinic: Clinic) -> np.ndarray | None:
    """The exact counts that were computed beside the records, where they were."""
    if name.startswith("disease"):
        table = pd.DataFrame(clinic.answers["sex_x_disease"])
        return np.array([table.loc["0", "0.0"], table.loc["0", "1.0"], table.loc["1", "0.0"], table.loc["1", "1.0"]])
    if name.startswith("death by aspirin"):
        table = pd.DataFrame(clinic.answers["aspirin_x_dead14"])
        return np.array([table.loc["0", "N"], table.loc["0", "Y"], table.loc["1", "N"], table.loc["1", "Y"]])
    return None


def released(question: Drawn, counts: np.ndarray, name: str, epsilon: float, *, sites: int = 1, seed: int = 5):
    """Figures of releases of tables; ``sites``: so many hospitals each add the whole noise, the naive way."""
    noisy = question.released(counts, epsilon, np.random.default_rng(seed), times=sites)
    return question.read(noisy, epsilon, Reading(name=name)), noisy


@pytest.fixture(scope="module", params=REAL)
def real(request, tmp_path_factory):
    """A real collection: its name, itself, the question, the exact vector."""
    collection, call = REAL[request.param]
    clinic = collection()
    (exact,) = clinic.exact(tmp_path_factory.mktemp("real"), [call])
    return request.param, clinic, clinic.drawn(call), exact


@pytest.mark.slow
@pytest.mark.parametrize("reading", READINGS)
def test_real_tables_are_read_as_they_are(real, reading):
    """10,000 releases at two budgets: unbiased, covered in 93 to 97 %, and closer than per-hospital noise would be."""
    name, clinic, question, exact = real
    expected = known_counts(name, clinic)
    assert expected is None or exact.tolist() == expected.tolist()
    truth = figure(reading, exact.astype(float))
    assert question.read(exact[None].astype(float), None, Reading(name=reading)).value[0, 0] == pytest.approx(truth)
    for epsilon in (0.3, 1.0):
        found, _ = released(question, np.tile(exact, (RELEASES, 1)), reading, epsilon)
        assert 0.93 < found.covered([truth])[0] < 0.97
        # With 50 women ill of 194, at an epsilon of 0.3 a ratio's own law is skew: what is left is of third order.
        strict = not (name.startswith("disease") and epsilon == 0.3)
        assert abs(found.bias([truth])[0]) < (4 if strict else 8)
        naive, _ = released(question, np.tile(exact, (RELEASES, 1)), reading, epsilon, sites=clinic.hospitals)
        spread, wide = (np.subtract(*np.nanquantile(each.value, [0.975, 0.025])) for each in (found, naive))
        assert wide > 1.5 * spread or np.isnan(naive.value).mean() > 0.05


def population(share: float, other: float) -> np.ndarray:
    """Shares of the four cells where four in ten are exposed."""
    return np.array([0.6 * (1 - other), 0.4 * (1 - share), 0.6 * other, 0.4 * share])


def samples(reading: str, rows: int, epsilon: float, *, share: float, runs: int) -> tuple[Figures, np.ndarray, float]:
    """Figures of samples of a population, their noisy counts, and its figure."""
    question = COHORT.drawn("ODDS_RATIO(died = 'Y', sex = 'M')")
    shares = population(share, 0.2)
    counts = np.random.default_rng(rows).multinomial(rows, shares, runs)
    return (*released(question, counts, reading, epsilon), figure(reading, shares))


@pytest.mark.slow
@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("rows", [1_000, 10_000, 100_000])
@pytest.mark.parametrize("epsilon", [0.3, 1.0, 3.0])
def test_total_intervals_cover_populations(reading, rows, epsilon):
    """10,000 samples of a population at three sizes and three budgets: 93 to 97 %."""
    found, _, truth = samples(reading, rows, epsilon, share=0.3, runs=10_000)
    assert 0.93 < ((found.total_low <= truth) & (truth <= found.total_high)).mean() < 0.97


@pytest.mark.slow
@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize(("rows", "epsilon"), [(1_000, 1.0), (10_000, 0.3), (100_000, 1.0)])
def test_nothing_is_called_a_difference_in_4_to_6_of_100(reading, rows, epsilon):
    """20,000 samples of a population without a difference: total intervals exclude none of it in 4 to 6 %."""
    found, _, truth = samples(reading, rows, epsilon, share=0.2, runs=20_000)
    assert truth in (0, pytest.approx(1))
    assert 0.04 < ((truth < found.total_low) | (found.total_high < truth)).mean() < 0.06


def naive_covered(reading: str, noisy: np.ndarray, truth: float) -> float:
    """Share of intervals that hold the truth where the noise is ignored: Woolf's, Katz's and Wald's."""
    d, b, c, a = np.maximum(noisy, 0.5).T
    one, other = a / (a + b), c / (c + d)
    value, half = {
        "odds_ratio": (np.log(a * d / (b * c)), np.sqrt(1 / a + 1 / b + 1 / c + 1 / d)),
        "risk_ratio": (np.log(one / other), np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))),
        "risk_difference": (one - other, np.sqrt(one * (1 - one) / (a + b) + other * (1 - other) / (c + d))),
    }[reading]
    wanted = truth if reading == "risk_difference" else np.log(truth)
    return float((np.abs(value - wanted) <= 1.96 * half).mean())


@pytest.mark.slow
@pytest.mark.parametrize("reading", READINGS)
def test_ignoring_the_noise_covers_too_little(reading):
    """1,000 rows at an epsilon of 0.3: the usual intervals hold the population's figure in less than 85 %."""
    _, noisy, truth = samples(reading, 1_000, 0.3, share=0.3, runs=10_000)
    assert naive_covered(reading, noisy, truth) < 0.85
