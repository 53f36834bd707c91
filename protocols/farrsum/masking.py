"""Masking: a hospital hides its noisy vector for one announcement, and shares the key of its self-mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from protocols.errors import Rejected
from protocols.farrsum import field, labels
from protocols.farrsum.edges import Edge, sign_of
from protocols.farrsum.epoch import Epoch
from protocols.farrsum.field import Entropy
from protocols.farrsum.masks import expand
from protocols.farrsum.slots import SealedShares, share_out
from protocols.ring import Ring

CHECKS = 2
"""Coordinates added to every vector: a 1, whose sum must be the number of survivors, and a 0, whose sum must be 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """A hidden vector and the shares that let the committee take its self-mask off."""

    vector: Ring
    """Vector and check coordinates, uniform to anyone without the masks."""
    shares: SealedShares
    """Of the self-mask's key."""


def with_checks(vector: Ring) -> Ring:
    """Append the check coordinates: public constants, never counts of patients."""
    return np.concatenate([vector, np.array([1, 0], dtype=np.uint64)])


def hide(
    vector: Ring,
    *,
    epoch: Epoch,
    own: int,
    edges: Mapping[int, Edge],
    slot: int,
    tau: bytes,
    cohort: Sequence[int],
    entropy: Entropy,
    threads: int = 1,
) -> Masked:
    """Mask a noisy vector for the round ``tau`` with the partners that are in the cohort.

    ``SlotRecord.send`` must be durable before. Raises Rejected for a hospital that is not in the cohort.

    Guarantee: without the self-mask's key and with one unrevealed pairwise seed, the result is uniform; both are
    released for one survivor set at most. Test: tests/protocols/farrsum/test_masking.py, test_knowledge.py.
    """
    present = set(cohort)
    if own not in present:
        raise Rejected("out-of-scope", "not in the cohort")
    secret = field.uniform(field.LIMBS, entropy)
    hidden = with_checks(vector)
    seeds = [(field.to_bytes(secret), 1)]
    seeds += [
        (edges[partner].seed(slot), sign_of(own, partner)) for partner in epoch.partners(own) if partner in present
    ]
    expand(hidden, seeds, tau, threads=threads)
    shares = share_out(
        secret, epoch=epoch, own=own, edges=edges, kind=labels.SELF_SHARE, slot=slot, bound_to=tau, entropy=entropy
    )
    return Masked(vector=hidden, shares=shares)
