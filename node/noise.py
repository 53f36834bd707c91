"""Noise: a hospital's share for a whole tally, drawn only after its cost was computed a second time.

OpenDP samples and accounts. Long vectors, which it would take seconds for, come from an exact table of the same law, or
at scales too large for a table from one and a rejection.
Its modules are imported one by one: ``opendp.prelude`` would load scikit-learn and polars.
"""

from __future__ import annotations

import math
import os
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from opendp.domains import atom_domain, vector_domain
from opendp.measurements import make_gaussian
from opendp.metrics import l2_distance
from opendp.mod import enable_features

from node.sampler import MOST_SCALE, Entropy, table
from node.wide_sampler import draw_wide
from queries.cost.measurement import LEAST_SHARE_SCALE, BlockNoise, Measurement
from queries.cost.tally import MOST_BLOCKS
from queries.errors import PrivacyError

enable_features("contrib")

MOST_OPENDP_ENTRIES = 10_000
"""Longest vector that OpenDP samples (10 to 28 microseconds for each entry); the own samplers take over beyond."""

MOST_OPENDP_ENTRIES_WIDE = 16
"""The same at scales that no table is made for: there the own sampler hardly needs preparation, and a model's rounds
have dozens to hundreds of entries each."""

SLACK = 1e-9
"""Relative difference between two computations of a cost that rounding explains."""


@lru_cache(maxsize=MOST_BLOCKS)
def _share(scale: float) -> Any:
    """Return OpenDP's measurement: adds a discrete Gaussian of this scale to each entry of a vector of integers."""
    return make_gaussian(vector_domain(atom_domain(T="i64")), l2_distance(T="f64"), scale=scale)


@lru_cache(maxsize=MOST_BLOCKS)
def _loss(scale: float, l2_squared: int, grid: int) -> float:
    """Return OpenDP's loss of one share; kept, since a question and the rounds of a run ask for the same ones again."""
    loss: float = _share(scale).map(math.sqrt(l2_squared) * grid)
    return loss


def check_cost(noise: BlockNoise, honest: int) -> None:
    """Raise PrivacyError unless OpenDP's own account of a block's share agrees with the stated cost.

    Guarantee: the scale that is sampled from is exactly the one that was charged for, is not below the least share
    scale, and OpenDP's loss of ``honest`` such shares together is finite and at most the stated one.
    Test: tests/node/test_noise.py::test_noise_smaller_than_its_cost_is_never_drawn.
    """
    scale = float(noise.share_scale)
    if Fraction(scale) != noise.share_scale or noise.share_scale < LEAST_SHARE_SCALE or noise.grid < 1 or honest < 1:
        raise PrivacyError("the noise has a scale that cannot be sampled", remedy="report this as a defect")
    loss = _loss(scale, noise.sensitivity.l2_squared, noise.grid) / honest
    if not math.isfinite(loss) or loss > float(noise.rho) * (1 + SLACK):
        raise PrivacyError("the noise costs more than was charged for it", remedy="report this as a defect")


def noise_shares(measurement: Measurement, entropy: Entropy = os.urandom) -> NDArray[np.int64]:
    """Return fresh noise for all blocks laid end to end, each in steps of its own grid.

    Raises PrivacyError, having drawn nothing, where any block's cost does not hold up.
    Guarantee: entries are independent discrete Gaussians of the blocks' share scales, fresh at every call.
    Tests: tests/distributions/test_audits.py.
    """
    for noise in measurement.blocks:
        check_cost(noise, measurement.honest)
    drawn = [_draw(noise, entropy) for noise in measurement.blocks]
    return np.concatenate(drawn) if drawn else np.zeros(0, dtype=np.int64)


def noisy_vector(
    exact: NDArray[np.int64], measurement: Measurement, entropy: Entropy = os.urandom
) -> NDArray[np.uint64]:
    """Return ``exact`` on each block's grid plus a fresh share, mod 2^64; raise PrivacyError as ``noise_shares`` does.

    The noise is drawn on zeros and added here, because OpenDP's addition saturates at the ends of 64 bits.
    """
    grids = np.repeat(
        np.array([noise.grid for noise in measurement.blocks], dtype=np.uint64),
        [noise.entries for noise in measurement.blocks],
    )
    if exact.shape != grids.shape:
        raise PrivacyError("the vector has another length than its noise", remedy="report this as a defect")
    return exact.astype(np.uint64) * grids + noise_shares(measurement, entropy).astype(np.uint64)


def _draw(noise: BlockNoise, entropy: Entropy) -> NDArray[np.int64]:
    if noise.entries > MOST_OPENDP_ENTRIES_WIDE and noise.share_scale > MOST_SCALE:
        return draw_wide(noise.share_scale, noise.entries, entropy)
    if noise.entries > MOST_OPENDP_ENTRIES:
        return table(noise.share_scale).draw(noise.entries, entropy)
    return np.array(_share(float(noise.share_scale))([0] * noise.entries), dtype=np.int64)
