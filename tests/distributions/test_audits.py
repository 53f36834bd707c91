"""Four audits of a node's whole path (plan, preparation, bound, noise, decoding), each also run on planted defects.

A: the noise follows the declared law. B: no patient moves the tally further than stated. C: nobody who sees many
releases tells two neighbouring data sets apart better than the stated loss allows. D: the same from one release, with
twenty thousand patients who are each in or out by a coin. An audit that raised no alarm at a defect would say nothing.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from node import noise
from node.prepare import prepare
from node.scan import Scanner
from queries.accounting import rho_of_units
from queries.catalogue import Catalogue, Label, NumberColumn, Table
from queries.measurement import BlockNoise, Measurement, calibrate
from queries.plan import EVERYTHING, Aggregate, BandKey, Bound, Plan
from queries.sensitivity import of_tally
from queries.tally import Tally, tally

ALPHA = 1e-6
CANARIES = 20_000

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def catalogue(high: int) -> Catalogue:
    """Return a table of patients and cells."""
    label = Label(en="x", zh="x")
    cell = NumberColumn(name="cell", label=label, low=0, high=high - 1, step=Fraction(1))
    table = Table(name="row", label=label, patient="pid", columns=(cell,), rows_per_patient=60)
    return Catalogue(
        name="audit",
        version="1",
        tables=(table,),
        site_attributes=(),
        sites_per_patient=1,
        rows_per_site=10**6,
        source=f"audit {high}".encode(),
    )


@dataclass(frozen=True)
class Federation:
    """One question on a table of cells, asked of hospitals whose rows are (patient, cell)."""

    cells: int
    rows: int
    rho: Fraction
    honest: int
    folder: Path
    bounded: bool = True

    @property
    def agreed(self) -> Catalogue:
        """The catalogue."""
        return catalogue(self.cells)

    @property
    def tally(self) -> Tally:
        """The question: rows in each cell."""
        plan = Plan(
            catalogue=self.agreed.digest,
            table="row",
            where=EVERYTHING,
            keys=(BandKey(column="cell", starts=tuple(range(self.cells))),),
            aggregates=(Aggregate(statistic="count"),),
            bound=Bound(rows=self.rows, groups=self.rows),
        )
        return tally(plan, self.agreed)

    @property
    def measurement(self) -> Measurement:
        """The noise that the question costs."""
        return calibrate(self.tally, of_tally(self.tally, 1), self.rho, self.honest)

    def exact(self, rows: list[tuple[int, int]]) -> Ints:
        """Prepare and scan one hospital's rows."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "row.csv").write_text("pid,cell\n" + "".join(f"{p},{c}\n" for p, c in rows))
        made = prepare(self.folder / "home", self.folder, None, self.agreed, bytes(32))
        asked = self.tally
        if not self.bounded:
            asked = replace(asked, plan=replace(asked.plan, bound=Bound(rows=60, groups=60)))
        scanner = Scanner(made.path)
        try:
            return scanner.tally(asked, self.agreed, "h", {}, own_row=True)
        finally:
            scanner.close()

    def releases(self, exact: list[Ints], count: int, batch: int) -> Floats:
        """Return releases of the hospitals' sum, one in a row, drawn ``batch`` at a time."""
        measurement = self.measurement
        (block,) = measurement.blocks
        several = Measurement(blocks=(replace(block, entries=block.entries * batch),), honest=self.honest)
        drawn = []
        for _ in range(count // batch):
            total = np.zeros(self.cells * batch, dtype=np.uint64)
            for vector in exact:
                total += noise.noisy_vector(np.tile(vector, batch), several)
            drawn.append(total.astype(np.int64).reshape(batch, self.cells) / block.grid)
        return np.concatenate(drawn)


@pytest.fixture
def federation(tmp_path: Path) -> Callable[..., Federation]:
    """Make federations whose hospital lies in this folder."""
    return partial(Federation, folder=tmp_path / "hospital")


@pytest.fixture
def small_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw with four fifths of the scale that was charged for."""
    real = noise._draw

    def draw(asked: BlockNoise, entropy: Callable[[int], bytes]) -> Ints:
        return real(replace(asked, share_scale=asked.share_scale * Fraction(4, 5)), entropy)

    monkeypatch.setattr(noise, "_draw", draw)


@pytest.fixture
def reused_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw once, and hand the same noise out for ever."""
    real, kept = noise._draw, []

    def draw(asked: BlockNoise, entropy: Callable[[int], bytes]) -> Ints:
        kept.append(kept[0] if kept else real(asked, entropy))
        return kept[0]

    monkeypatch.setattr(noise, "_draw", draw)


# --- A: the law of the noise ------------------------------------------------------------------------------------------


def law_alarm(asked: Federation) -> bool:
    """Compare 400 releases of empty hospitals with the declared variance and with the normal law on the grid."""
    empty = [np.zeros(asked.cells, dtype=np.int64)] * asked.honest
    released = asked.releases(empty, 400, batch=1)
    (block,) = asked.measurement.blocks
    sd = float(block.variance(asked.honest)) ** 0.5
    draws = released.ravel() / sd
    squares = float((draws**2).sum())
    variance = 2 * min(stats.chi2.cdf(squares, draws.size), stats.chi2.sf(squares, draws.size))
    # Edges lie between two points of the grid, so a bin's chance is exact to the sum's distance from a Gaussian.
    step = 1 / (block.grid * sd)
    edges = np.unique((np.floor(stats.norm.ppf(np.linspace(0, 1, 21)[1:-1]) / step) + 0.5) * step)
    expected = np.diff(np.r_[0.0, stats.norm.cdf(edges), 1.0]) * draws.size
    seen = np.bincount(np.searchsorted(edges, draws), minlength=len(expected))
    shape = stats.chisquare(seen, expected).pvalue
    assert 0 <= min(variance, shape) <= max(variance, shape) <= 1
    repeats = len(np.unique(released, axis=0)) < 0.99 * len(released)
    return bool(variance < ALPHA or shape < ALPHA or repeats)


def law_of(federation: Callable[..., Federation]) -> Federation:
    """The question of audit A."""
    return federation(cells=16, rows=3, rho=Fraction(1, 3), honest=3)


def test_the_noise_of_a_release_has_the_declared_law(federation) -> None:
    """The sum of three hospitals' shares on the refined grid has the variance and the shape that are charged for."""
    assert not law_alarm(law_of(federation))


@pytest.mark.usefixtures("small_scale")
def test_the_law_audit_notices_noise_that_is_a_fifth_too_small(federation) -> None:
    """Planted defect: scale -20 %."""
    assert law_alarm(law_of(federation))


@pytest.mark.usefixtures("reused_noise")
def test_the_law_audit_notices_noise_that_is_used_twice(federation) -> None:
    """Planted defect: the same noise in every release."""
    assert law_alarm(law_of(federation))


# --- B: the sensitivity -----------------------------------------------------------------------------------------------


def sensitivity_alarm(asked: Federation) -> bool:
    """Drop one heavy patient from random tables and compare the change with the stated figures."""
    (stated,) = of_tally(asked.tally, 1)
    chance = random.Random(20261031)  # noqa: S311 - made-up rows
    for _ in range(6):
        others = [(chance.randrange(1, 9), chance.randrange(-2, asked.cells + 2)) for _ in range(chance.randrange(30))]
        cell = chance.randrange(asked.cells)
        heavy = [(0, cell if chance.random() < 0.7 else chance.randrange(asked.cells)) for _ in range(40)]
        everybody = others + heavy
        chance.shuffle(everybody)
        change = [int(moved) for moved in asked.exact(everybody) - asked.exact(others)]
        if sum(moved**2 for moved in change) > stated.l2_squared or sum(map(abs, change)) > stated.l1:
            return True
    return False


@pytest.mark.parametrize("bounded", [True, False])
def test_no_heavy_patient_moves_the_tally_further_than_stated(federation, bounded) -> None:
    """With the bound there is no alarm; with the planted defect (no bound on rows) there is."""
    asked = federation(cells=16, rows=3, rho=Fraction(1, 3), honest=1, bounded=bounded)
    assert sensitivity_alarm(asked) is not bounded


# --- C: the distinguishing game ---------------------------------------------------------------------------------------


def game_alarm(asked: Federation, count: int, batch: int) -> bool:
    """Tell releases with and without the worst patient apart: direction and threshold from one half, test on the other.

    A release of loss rho is at most as easy to tell apart as two normals sqrt(2 rho) apart; the alarm is a lower
    bound on that distance, by exact binomial limits on both kinds of error, above it.
    """
    base = [(1, 1), (1, 1)]
    without, with_patient = (asked.exact(rows) for rows in (base, base + [(0, 0)] * 50))
    first, second = asked.releases([without], count, batch), asked.releases([with_patient], count, batch)
    half = count // 2
    direction = second[:half].mean(0) - first[:half].mean(0)
    outside, inside = first @ direction, second @ direction
    threshold = (np.median(outside[:half]) + np.median(inside[:half])) / 2
    wrong = [int((outside[half:] > threshold).sum()), int((inside[half:] <= threshold).sum())]
    limits = [float(stats.beta.ppf(1 - ALPHA / 2, errors + 1, half - errors)) for errors in wrong]
    return sum(stats.norm.isf(limit) for limit in limits) > float(2 * asked.measurement.rho) ** 0.5


def game_of(federation: Callable[..., Federation], *, bounded: bool = True) -> Federation:
    """The question of audit C."""
    return federation(cells=2, rows=3, rho=Fraction(2), honest=1, bounded=bounded)


def test_many_releases_tell_neighbours_apart_no_better_than_the_cost_allows(federation) -> None:
    """The patient who reaches the stated sensitivity, ten thousand releases each with and without."""
    assert not game_alarm(game_of(federation), 10_000, batch=500)


@pytest.mark.usefixtures("small_scale")
def test_the_game_notices_noise_that_is_a_fifth_too_small(federation) -> None:
    """Planted defect: scale -20 %."""
    assert game_alarm(game_of(federation), 10_000, batch=500)


@pytest.mark.usefixtures("reused_noise")
def test_the_game_notices_noise_that_is_used_twice(federation) -> None:
    """Planted defect: the same noise in every release."""
    assert game_alarm(game_of(federation), 400, batch=1)


def test_the_game_notices_a_patient_whose_rows_are_not_bounded(federation) -> None:
    """Planted defect: fifty rows of one patient where three were charged for."""
    assert game_alarm(game_of(federation, bounded=False), 1_000, batch=500)


# --- D: one release ---------------------------------------------------------------------------------------------------


def one_release_alarm(asked: Federation) -> bool:
    """Guess from one release which canaries were in; alarm when more guesses are right than the cost allows."""
    coin = np.frombuffer(os.urandom(CANARIES), dtype=np.uint8) & 1
    exact = asked.exact([(canary, canary) for canary in np.flatnonzero(coin).tolist()])
    assert (exact == coin).all()
    right = int(((asked.releases([exact], 1, batch=1)[0] > 0.5) == coin).sum())
    allowed = stats.norm.cdf(float(2 * asked.measurement.rho) ** 0.5 / 2)
    return bool(stats.binom.sf(right - 1, CANARIES, allowed) < ALPHA)


def canaries_of(federation: Callable[..., Federation]) -> Federation:
    """The question of audit D."""
    return federation(cells=CANARIES, rows=1, rho=rho_of_units(1 << 39), honest=1)


def test_one_release_betrays_no_more_canaries_than_the_cost_allows(federation) -> None:
    """Twenty thousand patients with a cell each, in one release of the table sampler."""
    assert not one_release_alarm(canaries_of(federation))


@pytest.mark.usefixtures("small_scale")
def test_one_release_with_noise_a_fifth_too_small_betrays_more(federation) -> None:
    """Planted defect: scale -20 %."""
    assert one_release_alarm(canaries_of(federation))
