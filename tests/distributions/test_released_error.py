"""How far released figures are from the exact ones: sqrt(answered / h) times one central draw, and as far as they say.

A federation prices its noise for h honest survivors. Where more hospitals answer, or none colludes, there is more noise
than that, and the intervals that analysts see must allow for exactly as much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from node import noise
from protocols.farrsum.parameters import Trust, honest, least_survivors, parameters
from queries.answers.estimates import estimates
from queries.cost.accounting import rho_of
from queries.cost.measurement import BlockNoise, Measurement
from queries.cost.tally import RowCount
from tests.distributions.asked import Asked, Ints

STATEMENT = "SELECT ward, COUNT(days) AS stays, AVG(days) AS days FROM stay GROUP BY ward"
"""A linear figure, and a ratio with Fieller's interval."""

PRICE = rho_of(0.5)
"""Noise of a dozen steps of its grid and more: where there are only a few, the ends of an interval skip whole steps,
and exact coverage strays from 95 % by a percent or two."""

CELLS = 8
RELEASES = 5_000


@dataclass(frozen=True)
class Errors:
    """Of 5,000 releases of 8 counts and 8 means."""

    ratio: float
    """Root mean square error of the counts, in central draws."""
    covered: tuple[float, float]
    """Share of 95 % intervals with the exact figure inside: of counts, of means."""


def repeated(measurement: Measurement, times: int) -> Measurement:
    """Return the noise of so many releases at once."""
    blocks = tuple(replace(block, entries=block.entries * times) for block in measurement.blocks)
    return Measurement(blocks=blocks, honest=measurement.honest)


def asked_of(hospitals: int) -> tuple[Asked, int]:
    """Return the question and m: the fewest hospitals that can answer it."""
    known = parameters(roster_nodes=hospitals, nodes=hospitals, beacon=True)
    fewest = least_survivors(known, hospitals)
    shares = honest(fewest, Trust.THIRD, hospitals)
    return Asked(STATEMENT, CELLS, hospitals, PRICE, shares), fewest


@pytest.fixture(scope="module")
def central() -> float:
    """The error of counts from one trusted place at the same price, over 800,000 draws."""
    asked = replace(asked_of(5)[0], honest=1)
    counts = next(place for place, block in enumerate(asked.tally.blocks) if isinstance(block.measure, RowCount))
    block = asked.measurement.blocks[counts]
    drawn = noise.noise_shares(repeated(Measurement(blocks=(block,), honest=1), 100_000)) / block.grid
    return float(np.sqrt((drawn**2).mean()))


def sums(asked: Asked, exact: tuple[Ints, ...], answered: tuple[int, ...]) -> Iterator[tuple[int, Ints]]:
    """Add the hospitals' noisy vectors of all releases one after the other; yield the sum where so many are in it."""
    several = repeated(asked.measurement, RELEASES)
    total = np.zeros(asked.tally.entries * RELEASES, dtype=np.uint64)
    for count, vector in enumerate(exact, start=1):
        blocks = [np.tile(block, RELEASES) for block in np.split(vector, len(asked.tally.blocks))]
        total += noise.noisy_vector(np.concatenate(blocks), several)
        if count in answered:
            yield count, total.view(np.int64)


def errors(asked: Asked, total: Ints, answered: int, central: float) -> Errors:
    """Compare the figures of all releases, estimated as one table's are, with the exact ones."""
    rows = np.split(total, len(asked.tally.blocks))
    blocks = [row / block.grid for row, block in zip(rows, asked.measurement.blocks, strict=True)]
    variances = [float(block.variance(answered)) for block in asked.measurement.blocks]
    found = estimates(asked.tally, asked.agreed, blocks, variances)[-1]
    counts, means = (found.of(column.expression) for column in asked.question.view.columns[1:])
    stays, days = asked.truth(range(answered))
    covered = []
    for figure, truth in ((counts, stays), (means, days / stays)):
        low, high = figure.interval()
        true = np.tile(truth, RELEASES)
        covered.append(float(((low <= true) & (true <= high)).mean()))
    # The first release is what an analyst would have been shown.
    first = asked.answer(np.concatenate([row[:CELLS] for row in rows]), answered).rows
    assert [row.cells[1].value for row in first] == counts.value[:CELLS].tolist()
    assert [row.cells[2].low for row in first] == pytest.approx(means.interval()[0][:CELLS])
    off = float(np.sqrt(((counts.value - np.tile(stays, RELEASES)) ** 2).mean()))
    return Errors(ratio=off / central, covered=(covered[0], covered[1]))


def measured(hospitals: int, folder: Path, central: float) -> dict[float, Errors]:
    """Return the errors where the fewest hospitals answer and where all do, by sqrt(answered / h)."""
    asked, fewest = asked_of(hospitals)
    exact = asked.exact(folder)
    return {
        (answered / asked.honest) ** 0.5: errors(asked, total, answered, central)
        for answered, total in sums(asked, exact, (fewest, hospitals))
    }


def close(expected: float, found: Errors) -> bool:
    """Tell whether the error is the expected one within 2 %."""
    return abs(found.ratio / expected - 1) < 0.02


def honest_intervals(found: Errors) -> bool:
    """Tell whether 94 to 96 % of the intervals have the exact figure inside."""
    return all(0.94 <= share <= 0.96 for share in found.covered)


@pytest.mark.parametrize("hospitals", [5, 10, 50, 298])
def test_figures_are_as_far_off_as_the_noise_of_those_who_answered(hospitals, central, tmp_path):
    """With m or all hospitals: the stated error within 2 %, and 95 % intervals that cover 94 to 96 %."""
    found = measured(hospitals, tmp_path, central)
    assert len(found) == 2
    for expected, each in found.items():
        assert close(expected, each)
        assert honest_intervals(each)


def test_a_scale_that_is_a_fifth_too_small_is_noticed(central, monkeypatch, tmp_path):
    """Planted defect: figures closer than stated, and intervals too wide for them."""
    real = noise._draw

    def draw(asked: BlockNoise, entropy: Callable[[int], bytes]) -> Ints:
        return real(replace(asked, share_scale=asked.share_scale * Fraction(4, 5)), entropy)

    monkeypatch.setattr(noise, "_draw", draw)
    for expected, each in measured(10, tmp_path, central).items():
        assert not close(expected, each)
        assert not honest_intervals(each)


def test_intervals_for_fewer_shares_than_are_in_the_sum_are_noticed(central, monkeypatch, tmp_path):
    """Planted defect: intervals state the noise of h shares where all who answered added theirs."""
    real = BlockNoise.variance
    shares = asked_of(10)[0].honest
    monkeypatch.setattr(BlockNoise, "variance", lambda self, _: real(self, shares))
    for expected, each in measured(10, tmp_path, central).items():
        assert close(expected, each)
        assert not honest_intervals(each)
