"""Contributions: what the patients of one hospital add to a round of training, in whole numbers.

A patient's part is clipped by the patient: rows are added before the length is looked at, and nothing of it depends on
who else is there, to the last bit. See ``elementary`` for why that takes care, and ``clipping`` for the bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from queries.asked.plan import ONE, POINT, Step
from queries.models.clipping import BOUND, BOUND_LOSS, clipped, most_loss, whole
from queries.models.design import Design
from queries.models.families import Rows
from queries.models.information import MOST_ROWS, added, products, rounded
from queries.models.network import Pass
from queries.models.shape import Shape

Ints = NDArray[np.int64]

_ENTRIES = 1 << 15
"""Numbers of a matrix of patients by coefficients that are held at once: 256 KiB, which stay in a processor's cache."""

_NETWORK_ROWS = 1 << 12
"""Most rows that go through a network at once."""

_NETWORK_NUMBERS = 1 << 21
"""Numbers that these rows have in all layers together: 16 MiB, of which there are a few at a time."""


def tally_of(step: Step, design: Design, shape: Shape) -> Ints:
    """Return all sums of a step over a hospital's patients, end to end in the order of ``step.wants``.

    Gradient: of the log-likelihood, ``shape.width`` numbers in units of ``clip / BOUND``. Information: the upper
    triangle row by row, off the diagonal times the square root of 2, in units of ``reach / BOUND``. Loss:
    ``BOUND_LOSS`` for each patient, then the losses in units of ``most_loss(step) / BOUND_LOSS``. Grades: rows in each
    band of the linear predictor (slowest; a value equal to a cut lies above it), of a Cox model by interval of exit,
    and by outcome (fastest).

    Guarantee: a patient's part of a gradient has an L2 norm of at most ``BOUND``, of a loss of at most
    sqrt(2) ``BOUND_LOSS``, of grades of at most the number of the patient's rows; taking a patient away moves these by
    that part, and an information by at most ``BOUND``, whoever else is there.
    Tests: tests/queries/test_contributions.py::test_one_patient_more_moves_no_sum_further_than_its_bound,
    tests/queries/test_contributions.py::test_a_patient_adds_the_same_alone_and_among_thousands.
    """
    return tally_of_all(step, (design,), shape)


def tally_of_all(step: Step, designs: Iterable[Design], shape: Shape) -> Ints:
    """Return what ``tally_of`` does, of a hospital's patients in several designs, each patient in one of them.

    Informations are rounded once, after the last: the sum of ``tally_of`` over designs would be rounded as often as
    there are designs, and that may move further with one patient than the bound.

    Guarantee: however the patients are divided, the same numbers. Test:
    tests/queries/test_contributions.py::test_sums_do_not_depend_on_how_patients_are_divided.
    """
    with np.errstate(all="ignore"):  # no warning may tell of a row
        return _tally(step, designs, shape)


def _tally(step: Step, designs: Iterable[Design], shape: Shape) -> Ints:
    sums = [np.zeros(_length(want, step, shape), dtype=np.int64) for want in step.wants]
    network = step.model == "network"
    most = _rows_at_once(shape) if network else MOST_ROWS
    for piece in chain.from_iterable(_pieces(design, most) for design in designs):
        rows = Pass(step=step, design=piece, shape=shape) if network else Rows(step=step, design=piece, shape=shape)
        for place, want in enumerate(step.wants):
            if want == "gradient":
                sums[place][rows.places] += _gradient(rows, step.clip)
            elif want == "loss":
                sums[place] += _loss(rows)
            elif want == "grades":
                sums[place] += _grades(rows, len(sums[place]))
            elif isinstance(rows, Rows):  # a network has none, and a plan that wants it is refused
                added(sums[place].reshape(2, shape.width, shape.width), products(rows, step.reach, shape.width))
    for place, want in enumerate(step.wants):
        if want == "information":
            sums[place] = rounded(sums[place].reshape(2, shape.width, shape.width))
    return np.concatenate(sums)


def _rows_at_once(shape: Shape) -> int:
    """Return how many rows go through a network at once.

    Guarantee: a network from a stranger takes no more memory than any other question, however wide its layers are.
    Test: tests/redteam/test_training_attacked.py::test_a_network_of_wide_layers.
    """
    held = shape.columns + sum(layer.width for layer in shape.layers)
    return max(1, min(_NETWORK_ROWS, _NETWORK_NUMBERS // held))


def _length(want: str, step: Step, shape: Shape) -> int:
    if want == "gradient":
        return shape.width
    if want == "information":  # whole, until it is rounded
        return 2 * shape.width**2
    if want == "loss":
        return 2
    return (len(step.cuts) + 1) * max(1, len(shape.intervals) - 1) * 2


def _pieces(design: Design, most: int) -> Iterator[Design]:
    """Yield the design in pieces of whole patients, of at most so many rows unless one patient has more."""
    ends = np.append(design.starts[1:], design.rows)
    patient = 0
    while patient < design.patients:
        first = int(design.starts[patient])
        after = max(patient + 1, int(np.searchsorted(ends, first + most, side="right")))
        rows = slice(first, int(ends[after - 1]))
        yield Design(
            starts=design.starts[patient:after] - first,
            x=design.x[rows],
            outcome=design.outcome[rows],
            exposure=design.exposure[rows],
            stratum=design.stratum[rows],
        )
        patient = after


def _gradient(rows: Rows | Pass, clip: int) -> Ints:
    """Return the sum of clipped gradients, by ``rows.places``: rows are made whole, added by patient, then clipped."""
    scale = BOUND * ONE / clip
    starts = rows.design.starts
    counts = np.diff(np.append(starts, rows.design.rows))
    found = np.zeros(len(rows.places))
    step = max(1, _ENTRIES // len(rows.places))
    for first in range(0, len(starts), step):
        begins, several = starts[first : first + step], counts[first : first + step]
        sums = whole(rows.gradients(begins) * scale)
        for number in range(1, int(several.max())):
            more = np.flatnonzero(several > number)
            sums[more] += whole(rows.gradients(begins[more] + number) * scale)
        found += clipped(sums, BOUND, rows.shape.width).sum(axis=0)
    return found.astype(np.int64)


def _loss(rows: Rows | Pass) -> Ints:
    """Return the patients and the sum of their losses, each cut to [0, most_loss(step)]."""
    losses = whole(np.nan_to_num(rows.losses * (BOUND_LOSS / most_loss(rows.step))))
    by_patient = np.clip(np.add.reduceat(losses, rows.design.starts), 0.0, BOUND_LOSS)
    return np.array([BOUND_LOSS * rows.design.patients, int(by_patient.sum())])


def _grades(rows: Rows | Pass, cells: int) -> Ints:
    """Return the rows of each band, interval of exit and outcome: each row adds 1 in one cell."""
    cuts = np.array(rows.step.cuts, dtype=np.float64) / POINT
    band = np.searchsorted(cuts, rows.predictor, side="right")
    outcome = (rows.design.outcome > 0).astype(np.intp)
    return np.bincount((band * rows.intervals + rows.exits) * 2 + outcome, minlength=cells)
