"""Four audits of a node's whole path (plan, preparation, bound, noise, decoding), each also run on planted defects.

A: the noise follows the declared law. B: no patient moves the tally further than stated. C: nobody who sees many
releases tells two neighbouring data sets apart better than the stated loss allows. D: the same from one release, with
twenty thousand patients who are each in or out by a coin. An audit that raised no alarm at a defect would say nothing.

A to C audit two questions: rows in each cell, and a pack of two parts with seven blocks, of every measure, of cells of
a statistic's own, and of unequal weights.
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
from node.records.prepare import prepare
from node.scan.scan import Scanner
from queries.agreed.catalogue import Catalogue, Label, NumberColumn, Table
from queries.asked.plan import EVERYTHING, Aggregate, BandKey, Between, Bound, FlagKey, Part, Plan
from queries.cost.accounting import rho_of_units
from queries.cost.measurement import BlockNoise, Measurement, calibrate
from queries.cost.sensitivity import of_tally
from queries.cost.tally import PatientCount, Tally, tally
from tests.node.change import beyond

ALPHA = 1e-6
CANARIES = 20_000
PACKS = [pytest.param(False, id="cells"), pytest.param(True, id="pack")]

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
    """One question on a table of cells, asked of hospitals whose rows are (patient, cell).

    The pack asks beside it for patients by half, with subtotals, and of the upper half for a mean and a share. Who has
    all rows in the last cell reaches the worst case of all its blocks at once.
    """

    cells: int
    rows: int
    rho: Fraction
    honest: int
    folder: Path
    bounded: bool = True
    pack: bool = False

    @property
    def agreed(self) -> Catalogue:
        """The catalogue."""
        return catalogue(self.cells)

    @property
    def tally(self) -> Tally:
        """The question: rows in each cell, and perhaps more."""
        half = Between(column="cell", low=self.cells // 2, high=None)
        bound = Bound(rows=self.rows, groups=self.rows)
        counted = Part(
            table="row",
            where=EVERYTHING,
            keys=(BandKey(column="cell", starts=tuple(range(self.cells))),),
            aggregates=(Aggregate(statistic="count"),),
            bound=bound,
        )
        halves = replace(
            counted,
            keys=(FlagKey(term=half),),
            aggregates=(Aggregate(statistic="patients"),),
            bound=Bound(rows=1, groups=1),
            subtotals=True,
        )
        upper = replace(
            counted,
            where=half,
            keys=(),
            aggregates=(
                Aggregate(statistic="mean", column="cell"),
                Aggregate(statistic="share", by=(FlagKey(term=Between(column="cell", low=self.cells - 1, high=None)),)),
            ),
            weight=3,
        )
        parts = (counted, halves, upper) if self.pack else (counted,)
        return tally(Plan(catalogue=self.agreed.digest, parts=parts), self.agreed)

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
            parts = tuple(replace(part, bound=Bound(rows=60, groups=60)) for part in asked.plan.parts)
            asked = replace(asked, plan=replace(asked.plan, parts=parts))
        scanner = Scanner(made.path)
        try:
            return scanner.tally(asked, self.agreed, "h", {}, own_row=True)
        finally:
            scanner.close()

    def releases(self, exact: list[Ints], count: int, batch: int) -> Floats:
        """Return releases of the hospitals' sum, one in a row, drawn ``batch`` at a time, in standard deviations."""
        shape, measurement = self.tally, self.measurement
        blocks = tuple(replace(block, entries=block.entries * batch) for block in measurement.blocks)
        several = Measurement(blocks=blocks, honest=self.honest)
        ends = [*shape.offsets[1:]]
        drawn = []
        for _ in range(count // batch):
            total = np.zeros(shape.entries * batch, dtype=np.uint64)
            for vector in exact:
                tiled = [np.tile(piece, batch) for piece in np.split(vector, ends)]
                total += noise.noisy_vector(np.concatenate(tiled), several)
            pieces = np.split(total.astype(np.int64), [end * batch for end in ends])
            scales = [block.grid * float(block.variance(self.honest)) ** 0.5 for block in blocks]
            drawn.append(np.hstack([piece.reshape(batch, -1) / sd for piece, sd in zip(pieces, scales, strict=True)]))
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
    real, kept = noise._draw, {}

    def draw(asked: BlockNoise, entropy: Callable[[int], bytes]) -> Ints:
        if asked not in kept:
            kept[asked] = real(asked, entropy)
        return kept[asked]

    monkeypatch.setattr(noise, "_draw", draw)


# --- A: the law of the noise ------------------------------------------------------------------------------------------


def law_alarm(asked: Federation) -> bool:
    """Compare releases of empty hospitals with the declared variance and with the normal law, block by block."""
    shape = asked.tally
    empty = [np.zeros(shape.entries, dtype=np.int64)] * asked.honest
    released = asked.releases(empty, 400, batch=1)
    if len(np.unique(released, axis=0)) < 0.99 * len(released):
        return True
    if asked.pack:  # blocks of few entries need more releases to say as much; so many come from the table sampler
        released = np.vstack([released, asked.releases(empty, 12_000, batch=12_000)])
    blocks = zip(np.split(released, [*shape.offsets[1:]], axis=1), asked.measurement.blocks, strict=True)
    return any(
        block_alarm(draws.ravel(), block.grid * float(block.variance(asked.honest)) ** 0.5) for draws, block in blocks
    )


def block_alarm(draws: Floats, steps: float) -> bool:
    """Compare draws, in standard deviations of ``steps`` steps of the grid, with the normal law on that grid."""
    squares = float((draws**2).sum())
    variance = 2 * min(stats.chi2.cdf(squares, draws.size), stats.chi2.sf(squares, draws.size))
    # Edges lie between two points of the grid, so a bin's chance is exact to the sum's distance from a Gaussian.
    edges = np.unique((np.floor(stats.norm.ppf(np.linspace(0, 1, 21)[1:-1]) * steps) + 0.5) / steps)
    expected = np.diff(np.r_[0.0, stats.norm.cdf(edges), 1.0]) * draws.size
    seen = np.bincount(np.searchsorted(edges, draws), minlength=len(expected))
    law = stats.chisquare(seen, expected).pvalue
    assert 0 <= min(variance, law) <= max(variance, law) <= 1
    return bool(variance < ALPHA or law < ALPHA)


def law_of(federation: Callable[..., Federation], *, pack: bool) -> Federation:
    """The question of audit A."""
    return federation(cells=16, rows=3, rho=Fraction(1, 3), honest=3, pack=pack)


@pytest.mark.parametrize("pack", PACKS)
def test_the_noise_of_a_release_has_the_declared_law(federation, pack) -> None:
    """The sum of three hospitals' shares on each refined grid has the variance and the shape that are charged for."""
    assert not law_alarm(law_of(federation, pack=pack))


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.usefixtures("small_scale")
def test_the_law_audit_notices_noise_that_is_a_fifth_too_small(federation, pack) -> None:
    """Planted defect: scale -20 %."""
    assert law_alarm(law_of(federation, pack=pack))


@pytest.mark.parametrize("place", [5, *(pytest.param(place, marks=pytest.mark.slow) for place in (0, 1, 2, 3, 4, 6))])
def test_the_law_audit_notices_one_block_whose_noise_is_a_fifth_too_small(federation, monkeypatch, place) -> None:
    """Planted defect: scale -20 % in one block of the pack only, whichever it is."""
    asked, real = law_of(federation, pack=True), noise._draw
    blocks = asked.measurement.blocks
    assert len(blocks) == 7

    def draw(given: BlockNoise, entropy: Callable[[int], bytes]) -> Ints:
        drawn.append(given)
        small = (len(drawn) - 1) % len(blocks) == place
        return real(replace(given, share_scale=given.share_scale * Fraction(4, 5)) if small else given, entropy)

    drawn: list[BlockNoise] = []
    monkeypatch.setattr(noise, "_draw", draw)
    assert law_alarm(asked)


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.usefixtures("reused_noise")
def test_the_law_audit_notices_noise_that_is_used_twice(federation, pack) -> None:
    """Planted defect: the same noise in every release."""
    assert law_alarm(law_of(federation, pack=pack))


# --- B: the sensitivity -----------------------------------------------------------------------------------------------


def sensitivity_alarm(asked: Federation) -> set[int]:
    """Drop one heavy patient from random tables; return the blocks that move further than stated."""
    chance, found = random.Random(20261031), set()  # noqa: S311 - made-up rows
    for number in range(6):
        others = [(chance.randrange(1, 9), chance.randrange(-2, asked.cells + 2)) for _ in range(chance.randrange(30))]
        cell = asked.cells - 1 if number < 2 else chance.randrange(asked.cells)
        heavy = [(0, cell if chance.random() < 0.7 else chance.randrange(asked.cells)) for _ in range(40)]
        everybody = others + heavy
        chance.shuffle(everybody)
        found |= beyond(asked.exact(everybody) - asked.exact(others), asked.tally).keys()
    return found


@pytest.mark.parametrize("pack", PACKS)
def test_no_heavy_patient_moves_the_tally_further_than_stated(federation, pack) -> None:
    """With the bound there is no alarm; with the planted defect (no bound on rows) there is, in every sum."""
    asked = federation(cells=16, rows=3, rho=Fraction(1, 3), honest=1, pack=pack)
    assert not sensitivity_alarm(asked)
    sums = {place for place, block in enumerate(asked.tally.blocks) if not isinstance(block.measure, PatientCount)}
    assert sensitivity_alarm(replace(asked, bounded=False)) >= sums


# --- C: the distinguishing game ---------------------------------------------------------------------------------------


def distance(asked: Federation, count: int, batch: int) -> float:
    """Return how far apart releases with and without the worst patient are seen to be, at least.

    Direction and threshold come from one half of the releases, the test from the other. The distance is that of two
    normals of deviation 1 which are as easy to tell apart, by exact binomial limits on both kinds of error.
    """
    base = [(1, 0), (1, 0)]
    without, with_patient = (asked.exact(rows) for rows in (base, base + [(0, asked.cells - 1)] * 50))
    first, second = asked.releases([without], count, batch), asked.releases([with_patient], count, batch)
    half = count // 2
    direction = second[:half].mean(0) - first[:half].mean(0)
    outside, inside = first @ direction, second @ direction
    threshold = (np.median(outside[:half]) + np.median(inside[:half])) / 2
    wrong = [int((outside[half:] > threshold).sum()), int((inside[half:] <= threshold).sum())]
    limits = [float(stats.beta.ppf(1 - ALPHA / 2, errors + 1, half - errors)) for errors in wrong]
    return float(sum(stats.norm.isf(limit) for limit in limits))


def game_alarm(asked: Federation, count: int, batch: int) -> bool:
    """Tell whether releases are seen further apart than sqrt(2 rho), which a loss of rho allows at most."""
    return distance(asked, count, batch) > float(2 * asked.measurement.rho) ** 0.5


def game_of(federation: Callable[..., Federation], *, bounded: bool = True, pack: bool = False) -> Federation:
    """The question of audit C."""
    return federation(cells=2, rows=3, rho=Fraction(2), honest=1, bounded=bounded, pack=pack)


@pytest.mark.parametrize("pack", PACKS)
def test_many_releases_tell_neighbours_apart_no_better_than_the_cost_allows(federation, pack) -> None:
    """The patient who reaches the stated sensitivity, ten thousand releases each with and without."""
    assert not game_alarm(game_of(federation, pack=pack), *((20_000, 20_000) if pack else (10_000, 500)))


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.usefixtures("small_scale")
def test_the_game_notices_noise_that_is_a_fifth_too_small(federation, pack) -> None:
    """Planted defect: scale -20 %."""
    assert game_alarm(game_of(federation, pack=pack), *((20_000, 20_000) if pack else (10_000, 500)))


@pytest.mark.usefixtures("reused_noise")
def test_the_game_notices_noise_that_is_used_twice(federation) -> None:
    """Planted defect: the same noise in every release."""
    assert game_alarm(game_of(federation), 400, batch=1)


@pytest.mark.parametrize("pack", PACKS)
def test_the_game_notices_a_patient_whose_rows_are_not_bounded(federation, pack) -> None:
    """Planted defect: fifty rows of one patient where three were charged for."""
    assert game_alarm(game_of(federation, bounded=False, pack=pack), 1_000, batch=500)


def test_the_game_notices_a_part_that_was_not_charged_for(federation) -> None:
    """Planted defect: the cost of one part, whichever, left out of the sum, as if its rows were another patient's."""
    asked = game_of(federation, pack=True)
    seen, blocks = distance(asked, 80_000, batch=20_000), asked.measurement.blocks
    assert seen <= float(2 * asked.measurement.rho) ** 0.5
    for part in range(3):
        charged = sum(each.rho for block, each in zip(asked.tally.blocks, blocks, strict=True) if block.part != part)
        assert seen > float(2 * charged) ** 0.5


# --- D: one release ---------------------------------------------------------------------------------------------------


def one_release_alarm(asked: Federation) -> bool:
    """Guess from one release which canaries were in; alarm when more guesses are right than the cost allows."""
    coin = np.frombuffer(os.urandom(CANARIES), dtype=np.uint8) & 1
    exact = asked.exact([(canary, canary) for canary in np.flatnonzero(coin).tolist()])
    assert (exact == coin).all()
    (block,) = asked.measurement.blocks
    middle = 0.5 / float(block.variance(1)) ** 0.5
    right = int(((asked.releases([exact], 1, batch=1)[0] > middle) == coin).sum())
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
