"""Hidden vectors: uniform to whoever lacks a mask, and only for hospitals of the round."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from protocols.errors import Rejected
from protocols.farrsum import field
from protocols.farrsum.masking import hide, with_checks
from protocols.farrsum.masks import expand

TAU = b"t" * 32


@pytest.fixture(scope="module")
def epoch_and_edges(hospitals):
    """Five hospitals and their edges."""
    return hospitals.quick_epoch(5)


def masked(hospitals, epoch_and_edges, vector, *, own=0, cohort=range(5), label="entropy", **changes):
    """Hide a vector."""
    epoch, known = epoch_and_edges
    sound = {"slot": 1, "tau": TAU}
    return hide(
        vector, epoch=epoch, own=own, edges=known[own], cohort=tuple(cohort), entropy=hospitals.Fresh(label),
        **{**sound, **changes},
    )  # fmt: skip


def test_the_check_coordinates_are_constants():
    """A one and a zero follow the vector, whatever it holds; the vector itself is not changed."""
    vector = np.array([7, 0], dtype=np.uint64)
    assert with_checks(vector).tolist() == [7, 0, 1, 0]
    assert vector.tolist() == [7, 0]


def test_hiding_leaves_the_vector_alone(hospitals, epoch_and_edges):
    """The caller's vector keeps its values: the masks go onto a copy."""
    vector = np.arange(8, dtype=np.uint64)
    result = masked(hospitals, epoch_and_edges, vector)
    assert vector.tolist() == list(range(8))
    assert len(result.vector) == 10


def test_a_hidden_vector_is_uniform(hospitals, epoch_and_edges):
    """Its bytes are uniform for a vector of zeros (chi-square, level 1e-6), alone and as a difference of two slots."""
    zeros = np.zeros(20_000, dtype=np.uint64)
    first, second = (masked(hospitals, epoch_and_edges, zeros, slot=slot).vector for slot in (1, 2))
    for vector in (first, first - second):
        counts = np.bincount(vector.view(np.uint8), minlength=256)
        assert stats.chisquare(counts).pvalue > 1e-6


def test_the_self_mask_alone_hides(hospitals, epoch_and_edges):
    """With every pairwise mask known, two runs still differ in every entry: the self-mask is new each time."""
    zeros = np.zeros(64, dtype=np.uint64)
    one, other = (masked(hospitals, epoch_and_edges, zeros, label=label).vector for label in ("one", "other"))
    assert np.all(one != other)


def test_the_pairwise_masks_cancel_and_nothing_less(hospitals, epoch_and_edges):
    """Without self-masks, all five add up to the sum of the vectors, and no four of them do."""
    epoch, known = epoch_and_edges
    vectors = [np.full(16, own + 1, dtype=np.uint64) for own in range(5)]
    bare = []
    for own, vector in enumerate(vectors):
        draws = hospitals.Fresh(f"own/{own}")
        hidden = hide(
            vector, epoch=epoch, own=own, edges=known[own], slot=1, tau=TAU, cohort=tuple(range(5)), entropy=draws
        ).vector
        secret = field.to_bytes(field.uniform(field.LIMBS, hospitals.Fresh(f"own/{own}")))
        expand(hidden, [(secret, -1)], TAU)
        bare.append(hidden)
    assert np.sum(bare, axis=0, dtype=np.uint64).tolist() == [15] * 16 + [5, 0]
    for absent in range(5):
        rest = [hidden for own, hidden in enumerate(bare) if own != absent]
        assert np.all(np.sum(rest, axis=0, dtype=np.uint64)[:16] != 15 - vectors[absent])


def test_only_partners_of_the_round_mask(hospitals, epoch_and_edges):
    """A partner outside the cohort adds no mask, so its absence leaves none behind."""
    zeros = np.zeros(8, dtype=np.uint64)
    everybody = masked(hospitals, epoch_and_edges, zeros).vector
    fewer = masked(hospitals, epoch_and_edges, zeros, cohort=range(4)).vector
    expand(everybody, [(epoch_and_edges[1][0][4].seed(1), -1)], TAU)
    assert np.array_equal(everybody, fewer)


def test_a_hospital_outside_the_cohort_sends_nothing(hospitals, epoch_and_edges):
    """A hospital in neither list of a round hides no vector for it."""
    with pytest.raises(Rejected, match="out-of-scope: not in the cohort"):
        masked(hospitals, epoch_and_edges, np.zeros(4, dtype=np.uint64), own=4, cohort=range(4))


def test_threads_hide_alike(hospitals, epoch_and_edges):
    """The hidden vector is the same for any number of threads."""
    vector = np.arange(150_000, dtype=np.uint64)
    alone = masked(hospitals, epoch_and_edges, vector)
    shared = masked(hospitals, epoch_and_edges, vector, threads=3)
    assert np.array_equal(alone.vector, shared.vector)
    assert alone.shares == shared.shares
