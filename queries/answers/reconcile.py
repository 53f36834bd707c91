"""Subtotals that add up: measured sums of several levels, made consistent without bias.

Each level of a rollup is measured with noise of its own. The weighted least squares estimate uses all of them, so it
is linear in what was measured (hence unbiased) and no noisier than any level alone (Hay et al., PVLDB 3, 2010, section
4; here with the noise of each level).
"""

from __future__ import annotations

from collections.abc import Sequence

from queries.answers.quantity import Floats


def reconcile(levels: Sequence[Floats], variances: Sequence[float]) -> tuple[tuple[Floats, ...], tuple[float, ...]]:
    """Return consistent sums and the variance of the noise in an entry of each level.

    ``levels``: for each number of keys from none to all, the measured sums with one axis for each key: shapes (),
    (a,), (a, b) and so on. ``variances``: of the noise in an entry of each.
    """
    merged, spread = [levels[-1]], [variances[-1]]
    # Upwards: a total as it was measured, and as the sum over what lies below it, weighted by their precision.
    for level, variance in zip(reversed(levels[:-1]), reversed(variances[:-1]), strict=True):
        below, cells = merged[0], merged[0].shape[-1]
        of_sum = cells * spread[0]
        trust = of_sum / (variance + of_sum) if variance + of_sum else 0.5
        merged.insert(0, trust * level + (1 - trust) * below.sum(axis=-1))
        spread.insert(0, variance * of_sum / (variance + of_sum) if variance + of_sum else 0.0)
    # Downwards: what a total knows better than the sum below it is divided evenly.
    found, errors = [merged[0]], [spread[0]]
    for below, variance in zip(merged[1:], spread[1:], strict=True):
        cells = below.shape[-1]
        found.append(below + ((found[-1] - below.sum(axis=-1)) / cells)[..., None])
        errors.append(variance * (1 - 1 / cells) + errors[-1] / cells**2)
    return tuple(found), tuple(errors)
