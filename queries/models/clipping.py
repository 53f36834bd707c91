"""Clipping: a patient's numbers become whole numbers whose L2 norm is within a bound, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queries.asked.plan import NumberTerm, Step
from queries.models.design import Floats

BOUND = 1 << 16
"""Largest L2 norm of what a patient adds to a gradient or to an information, in the tally's units: one is the clip (or
the reach) over this."""

BOUND_LOSS = 1 << 12
"""What a patient adds to the first number of a loss, and the most to the second."""

MOST_LOSS = 8.0
"""The minus log-likelihood of a patient at which it is cut: ``BOUND_LOSS`` units."""

MOST_SQUARE = 1.0
"""The same of a model of a number, whose loss is half a squared residual: residuals beyond seven tenths of the bounds
of the outcome are cut, which makes R squared a little too high where some patients are far out. Twice as much would cut
none, with twice the noise; half as much would cut whole groups where values pile up at a bound."""

BOUND_UPDATE = 1 << 20
"""Largest L2 norm of a hospital's update by an app, in the tally's units."""

MOST_OF_ROW = float(1 << 26)
"""Where one number of one row is cut before a patient's rows are added: sums of 2^26 rows are still exact."""

_EXACT = 2.0**53
_A_LITTLE_LESS = 1 - 2.0**-40
"""Covers the rounding of a square root, a division and a multiplication, each of 2^-53."""


def most_loss(step: Step) -> float:
    """Return the minus log-likelihood of a patient at which it is cut."""
    of_number = step.model == "linear" or (step.model == "network" and isinstance(step.outcome, NumberTerm))
    return MOST_SQUARE if of_number else MOST_LOSS


def whole(values: Floats) -> Floats:
    """Return the nearest whole numbers within ``MOST_OF_ROW``, in place."""
    np.clip(values, -MOST_OF_ROW, MOST_OF_ROW, out=values)
    return np.rint(values, out=values)


def clipped(values: Floats, bound: int, width: int = 0) -> Floats:
    """Return vectors of whole numbers, one a row, shortened to an L2 norm of at most ``bound``, in place.

    A vector within the bound is unchanged. A longer one is scaled towards zero and its numbers are cut to whole ones.
    Its length is then checked in whole numbers, so that no rounding of floats is relied on: a vector that were still
    too long, or not of numbers, would be left out.

    ``values`` has the shape (patients, numbers) and holds whole numbers up to 2^52. ``bound`` is below 2^26. ``width``
    is the model's: of a vector without the numbers that are 0 for all who are there, how many it has with them.

    Guarantee: the sum of squares of each vector is at most ``bound`` squared, as whole numbers; each vector follows
    from its own numbers only, not from how many numbers the others brought along. Tests:
    tests/queries/test_clipping.py::test_no_vector_is_longer_than_its_bound,
    tests/redteam/test_training_attacked.py::test_a_patient_alone_in_a_stratum.
    """
    squares = _squares(values)
    # A sum of squares below 2^53 had only partial sums that floats hold: any order of adding gives the same.
    far = np.flatnonzero(~(squares < _EXACT))
    if len(far):
        values[far] = _nearer(values[far], max(width, values.shape[1]))
        squares[far] = _squares(values[far])
    long = np.flatnonzero(~(squares <= bound * bound))
    if len(long):
        shorter = np.trunc(values[long] * (bound * _A_LITTLE_LESS / np.sqrt(squares[long]))[:, None])
        shorter[~(_squares(shorter) <= bound * bound)] = 0.0
        values[long] = shorter
    return values


def _squares(values: Floats) -> Floats:
    found: Floats = np.einsum("ij,ij->i", values, values)
    return found


def _nearer(values: Floats, width: int) -> Floats:
    # Far beyond every bound: the direction is kept, the caller cuts the length, and the squares are exact again.
    most = float(1 << ((53 - width.bit_length()) // 2))
    with np.errstate(invalid="ignore"):
        held = values * (most / np.abs(values).max(axis=1))[:, None]
    return np.where(np.isfinite(held), np.trunc(held), 0.0)


def update(values: NDArray[np.float64], clip: float) -> NDArray[np.int64]:
    """Return a hospital's update in whole units of ``clip / BOUND_UPDATE``, its L2 norm at most ``BOUND_UPDATE``.

    What is not a number is 0; an infinite one is the largest float.

    Guarantee: any two updates are at most ``2 * BOUND_UPDATE`` apart in L2 norm, whatever an app returned.
    Test: tests/distributions/test_training_audits.py::test_two_updates_are_at_most_twice_the_bound_apart.
    """
    held = np.nan_to_num(values.astype(np.float64).ravel())
    largest = float(np.abs(held).max(initial=0.0))
    if largest == 0.0:
        return np.zeros(len(held), dtype=np.int64)
    # scaled by the largest first, so that no square leaves the range of floats
    shares = held / largest
    scale = min(largest / clip, 1 / float(np.sqrt((shares * shares).sum()))) * BOUND_UPDATE
    found = np.rint(shares * scale).astype(np.int64)
    length = int((found * found).sum())
    if length > BOUND_UPDATE**2:
        found = np.trunc(shares * (scale * _A_LITTLE_LESS)).astype(np.int64)
        length = int((found * found).sum())
    return found if length <= BOUND_UPDATE**2 else np.zeros(len(held), dtype=np.int64)
