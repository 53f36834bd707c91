"""The noise of what the secure sum releases has the stated law, from the statement to the figure that is shown.

Each round compiles a question, takes exact bounded tallies of prepared files, and lets exactly m of n hospitals
survive. Of these, c pool what they know with the coordinator, so they contribute no noise: what is left is the noise
that the price relies on, h shares. 400 rounds of 50 hospitals and 20 of 298 take minutes and run under ``make slow``
(``pytest -m slow --timeout 1800 tests/distributions``); the usual run has fewer rounds of longer vectors, and 160
hospitals where a committee is drawn.

Each test also runs on planted defects, where it must raise the alarm: a test that never did would say nothing. A
quarter of the rounds shows them: 1,600 draws put a scale of four fifths 20 standard deviations off.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from node import noise
from protocols.farrsum.parameters import Trust, honest, least_survivors, parameters
from queries.cost import measurement as measurements
from queries.cost.measurement import BlockNoise, Measurement
from queries.errors import PrivacyError
from tests.distributions.asked import Asked, Floats, Ints, names
from tests.distributions.rounds import Rounds

ALPHA = 1e-6
"""Of each test of fit: a false alarm in a million runs."""

STATEMENT = "SELECT ward, COUNT(*) AS stays, SUM(days) AS days FROM stay GROUP BY ward"
"""Two blocks, the second ten times as sensitive: each has a grid of its own."""

PULSE = bytes(range(32))
"""What a beacon gave, where a committee is drawn."""

Runs = Callable[["Case", Path], Floats]
"""What was released less what is true: shape (rounds, estimates, cells)."""


@dataclass(frozen=True)
class Case:
    """So many rounds of one question among so many hospitals."""

    hospitals: int
    rho: Fraction
    rounds: int
    cells: int

    @property
    def colluders(self) -> int:
        """Hospitals without noise, c."""
        return Trust.THIRD.colluders(self.hospitals)

    @property
    def survivors(self) -> int:
        """Hospitals in the sum, m."""
        known = parameters(roster_nodes=self.hospitals, nodes=self.hospitals, beacon=True)
        return least_survivors(known, self.hospitals)

    @cached_property
    def asked(self) -> Asked:
        """The question, at the price of h shares."""
        shares = honest(self.survivors, Trust.THIRD, self.hospitals)
        assert shares == self.survivors - self.colluders
        return Asked(STATEMENT, self.cells, self.hospitals, self.rho, shares)

    @property
    def unrefined_sd(self) -> float:
        """The standard deviation that a share of the counts would have on whole rows."""
        return min(float(each.share_scale / each.grid) for each in self.asked.noises)


# Noise of counts at these prices: ten rows and two thirds of a row at 5 hospitals, one and a half at 50, 3.4 at 160,
# 4.7 at 298. From 151 on a committee is drawn.
WIDE = Case(hospitals=5, rho=Fraction(1, 100), rounds=400, cells=16)
FIVE = replace(WIDE, rho=Fraction(5, 2))
FIFTY = Case(hospitals=50, rho=Fraction(2, 5), rounds=5, cells=240)
DRAWN = Case(hospitals=160, rho=Fraction(17, 200), rounds=2, cells=400)
MANY = Case(hospitals=298, rho=Fraction(91, 2000), rounds=2, cells=400)
MANY_SUMS = replace(MANY, rounds=400, cells=64)


# --- the path ---------------------------------------------------------------------------------------------------------


def in_rounds(case: Case, folder: Path) -> Floats:
    """Run whole rounds: noise, masks, confirm, unmask, sum, decode. Who drops out, and who colludes, changes."""
    asked, exact = case.asked, case.asked.exact(folder)
    rounds = Rounds(names(case.hospitals), pulse=PULSE if case.hospitals >= DRAWN.hospitals else b"")
    assert (rounds.minimum, rounds.epoch.parameters.everybody) == (case.survivors, case.hospitals < DRAWN.hospitals)
    released = []
    for number in range(case.rounds):
        present = [(7 * number + place) % case.hospitals for place in range(case.survivors)]
        colluding = set(present[: case.colluders])
        vectors = {
            own: (exact[own] * asked.grids).view(np.uint64)
            if own in colluding
            else noise.noisy_vector(exact[own], asked.measurement)
            for own in present
        }
        total = rounds.run(vectors).view(np.int64)
        released.append(asked.estimates(total, len(present)) - asked.truth(present))
    return np.array(released)


def in_sums(case: Case, folder: Path, batch: int = 200) -> Floats:
    """Add noisy vectors without masks, ``batch`` rounds at a time, so that the table draws the noise; decode."""
    asked, exact, present = case.asked, case.asked.exact(folder), range(case.survivors)
    several = Measurement(
        blocks=tuple(replace(block, entries=block.entries * batch) for block in asked.measurement.blocks),
        honest=asked.honest,
    )
    without = sum(exact[: case.colluders]) * asked.grids
    released = []
    for _ in range(case.rounds // batch):
        total = np.zeros(sum(block.entries for block in several.blocks), dtype=np.uint64)
        for own in present[case.colluders :]:
            total += noise.noisy_vector(_repeated(exact[own], batch), several)
        sums = total.view(np.int64).reshape(-1, batch, case.cells).swapaxes(0, 1).reshape(batch, -1) + without
        released += [asked.estimates(each, len(present)) - asked.truth(present) for each in sums]
    return np.array(released)


def _repeated(exact: Ints, batch: int) -> Ints:
    return np.concatenate([np.tile(block, batch) for block in np.split(exact, 2)])


# --- the law ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """How well the noise of one estimate fits N(0, sigma^2)."""

    variance: float
    """p-value of the chi-square test of the variance, two-sided."""
    shape: float
    """p-value of the chi-square test over 20 bins of equal chance, fewer where the grid is too coarse for 20."""
    repeats: bool
    """Whether two rounds had the same noise."""

    @property
    def alarm(self) -> bool:
        """Whether the noise has another law."""
        return min(self.variance, self.shape) < ALPHA or self.repeats


def fit(off: Floats, stated: BlockNoise, shares: int) -> Fit:
    """Compare the noise in each round and cell with the law that is stated for so many shares."""
    sd = float(stated.variance(shares)) ** 0.5
    draws = off.ravel() / sd
    squares = float((draws**2).sum())
    variance = 2 * min(stats.chi2.cdf(squares, draws.size), stats.chi2.sf(squares, draws.size))
    # Edges lie between two points of the grid, so a bin's chance is exact to the sum's distance from a Gaussian.
    step = 1 / (stated.grid * sd)
    edges = np.unique((np.floor(stats.norm.ppf(np.linspace(0, 1, 21)[1:-1]) / step) + 0.5) * step)
    expected = np.diff(np.r_[0.0, stats.norm.cdf(edges), 1.0]) * draws.size
    seen = np.bincount(np.searchsorted(edges, draws), minlength=len(expected))
    shape = float(stats.chisquare(seen, expected).pvalue)
    steps = np.rint(off * stated.grid)
    assert np.allclose(steps, off * stated.grid, atol=1e-6)
    return Fit(variance=float(variance), shape=shape, repeats=len(np.unique(steps, axis=0)) < len(steps))


def fits(case: Case, runs: Runs, folder: Path) -> tuple[Fit, ...]:
    """Run a case; return the fit of its counts and of its sums."""
    off = runs(case, folder)
    assert off.shape == (case.rounds, 2, case.cells)
    return tuple(fit(off[:, place], stated, case.asked.honest) for place, stated in enumerate(case.asked.noises))


def alarmed(case: Case, runs: Runs, folder: Path) -> bool:
    """Tell whether any estimate's noise has another law than the stated one."""
    return any(each.alarm for each in fits(case, runs, folder))


def test_the_stated_law_is_the_one_that_is_paid_for():
    """Sigma, made by h = m - c shares, is what rho buys at the sensitivities of 1 and 10, to a thousandth."""
    shares = {5: (4, 1), 50: (40, 16), 160: (128, 53), 298: (239, 99)}
    for case in (WIDE, FIVE, FIFTY, DRAWN, MANY):
        assert (case.survivors, case.colluders) == shares[case.hospitals]
        for stated, sensitivity in zip(case.asked.noises, (1, 10), strict=True):
            paid = sensitivity / float(case.rho) ** 0.5
            assert 1 <= float(stated.variance(case.asked.honest)) ** 0.5 / paid < 1.001


@pytest.mark.parametrize(
    ("case", "runs"),
    [
        pytest.param(WIDE, in_rounds, id="5 hospitals, 400 rounds"),
        pytest.param(FIVE, in_rounds, id="5 hospitals, 400 rounds, refined grid"),
        pytest.param(FIFTY, in_rounds, id="50 hospitals, 5 rounds"),
        pytest.param(DRAWN, in_rounds, id="160 hospitals, 2 rounds"),
        pytest.param(MANY_SUMS, in_sums, id="298 hospitals, 400 sums"),
        pytest.param(
            replace(FIFTY, rounds=400, cells=16), in_rounds, id="50 hospitals, 400 rounds", marks=pytest.mark.slow
        ),
        pytest.param(
            replace(MANY, rounds=20, cells=32), in_rounds, id="298 hospitals, 20 rounds", marks=pytest.mark.slow
        ),
    ],
)
def test_the_noise_of_h_hospitals_has_the_stated_law(case, runs, tmp_path):
    """What m survivors release, c of them without noise, is off by N(0, sigma^2), afresh in each round."""
    assert not alarmed(case, runs, tmp_path)


# --- planted defects --------------------------------------------------------------------------------------------------


Plant = Callable[[pytest.MonkeyPatch, Case], None]
SHORT = ((replace(FIVE, rounds=100), in_rounds), (FIFTY, in_rounds), (MANY_SUMS, in_sums))
on_each = pytest.mark.parametrize(("case", "runs"), SHORT, ids=[f"{case.hospitals} hospitals" for case, _ in SHORT])


def small_scale(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    """Draw with four fifths of the scale that was charged for."""
    real = noise._draw

    def draw(asked: BlockNoise, entropy: Callable[[int], bytes]) -> Ints:
        return real(replace(asked, share_scale=asked.share_scale * Fraction(4, 5)), entropy)

    monkeypatch.setattr(noise, "_draw", draw)


def reuse(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    """Let each hospital's noise serve two rounds, as a second attempt that draws none of its own would."""
    real, kept, calls = noise._draw, {}, itertools.count()

    def draw(asked: BlockNoise, entropy: Callable[[int], bytes]) -> Ints:
        number, place = divmod(next(calls), 2 * case.asked.honest)
        if number % 2 == 0:
            kept[place] = real(asked, entropy)
        return kept[place]

    monkeypatch.setattr(noise, "_draw", draw)


def unrefined_grid(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    """Draw whole rows, and account as if shares that small added up to a Gaussian."""
    monkeypatch.setattr(measurements, "LEAST_SHARE_SCALE", 0)
    monkeypatch.setattr(noise, "LEAST_SHARE_SCALE", 0)
    # What was worked out before the defect is remembered by the question's figures alone.
    monkeypatch.setattr(measurements, "_block_noise", measurements._block_noise.__wrapped__)
    monkeypatch.setattr(measurements, "loss", lambda l2_squared, scale, shares, _: l2_squared / (2 * shares * scale**2))


PLANTED = [
    pytest.param(case, runs, plant, id=f"{plant.__name__}-{case.hospitals} hospitals", marks=marks)
    for place, plant in enumerate((small_scale, reuse, unrefined_grid))
    for where, (case, runs) in enumerate(SHORT)
    for marks in ([] if place == where else [pytest.mark.slow],)
]
"""Each defect at one size in the usual run, at all three in the slow one."""


@pytest.mark.parametrize(("case", "runs", "plant"), PLANTED)
def test_a_planted_defect_raises_the_alarm(case, runs, plant, monkeypatch, tmp_path):
    """Scale -20 %, noise that serves twice, and whole rows where a share then has a deviation under 0.4."""
    assert case.unrefined_sd < 0.4
    planted = replace(case)
    plant(monkeypatch, planted)
    assert (planted.asked.noises[0].grid == 1) is (plant is unrefined_grid)
    assert alarmed(planted, runs, tmp_path)


@on_each
def test_noise_that_is_smaller_than_its_price_is_not_drawn(case, runs):
    """A measurement whose shares are a fifth too small, or lie on whole rows, is refused before anything is drawn."""
    exact = np.zeros(case.asked.tally.entries, dtype=np.int64)
    for change in (
        lambda block: replace(block, share_scale=Fraction(int(block.share_scale * 4 / 5 * 1024), 1024)),
        lambda block: replace(block, grid=1, share_scale=Fraction(int(block.share_scale / block.grid * 1024), 1024)),
    ):
        wrong = replace(case.asked.measurement, blocks=tuple(map(change, case.asked.measurement.blocks)))
        with pytest.raises(PrivacyError):
            noise.noisy_vector(exact, wrong)
