"""Finishing: the coordinator takes the masks off the sum of the survivors and checks that nothing else is left."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from protocols.errors import Rejected
from protocols.farrsum import field, shamir
from protocols.farrsum.cohort import Cohort
from protocols.farrsum.edges import sign_of
from protocols.farrsum.epoch import Epoch
from protocols.farrsum.field import Elements
from protocols.farrsum.masking import CHECKS
from protocols.farrsum.masks import SignedSeed, expand
from protocols.farrsum.slots import pairwise_seeds
from protocols.ring import Ring


def finish(
    total: Ring,
    *,
    epoch: Epoch,
    cohort: Cohort,
    survivors: tuple[int, ...],
    backups: Mapping[int, bytes],
    answers: Mapping[int, Mapping[int, bytes]],
    threads: int = 1,
) -> Ring:
    """Return the sum of the survivors' vectors.

    ``total`` is the sum of their hidden vectors; ``backups`` hold the wrapped seeds of each dropped hospital;
    ``answers`` hold, by committee member, its share for each hospital of the cohort. Raises Rejected when fewer than t
    answered, when an answer is not one share for each hospital of the cohort, or when a wrong share, backup or vector
    makes the check coordinates wrong: then nothing is released.

    Guarantee: a sum is returned only if the survivors' check coordinates add up to their number and to zero. Test:
    tests/protocols/farrsum/test_round.py::test_a_wrong_share_never_gives_a_wrong_sum.
    """
    if backups.keys() != set(cohort.members) - set(survivors):
        raise Rejected("malformed", "one backup for each hospital that dropped out")
    opened = secrets(answers, epoch, cohort)
    seeds: list[SignedSeed] = [(field.to_bytes(opened[member]), -1) for member in survivors]
    alive = set(survivors)
    for member in cohort.members:
        if member not in alive:
            unwrapped = pairwise_seeds(backups[member], opened[member], cohort.slot, epoch=epoch, own=member)
            seeds += [(seed, -sign_of(partner, member)) for partner, seed in unwrapped.items() if partner in alive]
    bare = total.copy()
    expand(bare, seeds, cohort.tau, threads=threads)
    if not np.array_equal(bare[-CHECKS:], np.array([len(survivors), 0], dtype=np.uint64)):
        raise Rejected("bad-sum", "check coordinates")
    return bare[:-CHECKS]


def secrets(answers: Mapping[int, Mapping[int, bytes]], epoch: Epoch, cohort: Cohort) -> Mapping[int, Elements]:
    """Return the secret that the answers open for each hospital of the cohort; see ``finish`` for what is refused."""
    for keeper, shares in answers.items():
        if keeper not in epoch.point:
            raise Rejected("wrong-role", "an answer of someone outside the committee")
        if shares.keys() != set(cohort.members):
            raise Rejected("malformed", "one key share for each hospital of the cohort")
        if any(len(share) != field.SECRET_BYTES for share in shares.values()):
            raise Rejected("malformed", "key share")
    keepers = sorted(answers)[: epoch.parameters.threshold]
    if len(keepers) < epoch.parameters.threshold:
        raise Rejected("too-few", f"{len(keepers)} committee members answered, {epoch.parameters.threshold} needed")
    joined = b"".join(answers[keeper][member] for keeper in keepers for member in cohort.members)
    at_zero = shamir.weights([epoch.point[keeper] for keeper in keepers])
    limbs = shamir.reconstruct(at_zero, field.from_bytes(joined).reshape(len(keepers), -1)).reshape(-1, field.LIMBS)
    return dict(zip(cohort.members, limbs, strict=True))
