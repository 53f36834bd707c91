"""Who is in a round, who survived it, and what a hospital insists on before it plays its part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.errors import Rejected
from protocols.farrsum import labels
from protocols.farrsum.epoch import Epoch
from protocols.farrsum.parameters import least_survivors
from protocols.hashing import digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """One announced round, in indexes of the epoch."""

    slot: int
    """Never used twice in an epoch."""
    tau: bytes
    """Digest of the announcement."""
    members: tuple[int, ...]
    """C, sorted."""
    minimum: int
    """m: fewest survivors."""


def cohort(*, epoch: Epoch, slot: int, tau: bytes, contributors: Sequence[str], minimum: int) -> Cohort:
    """Check an announced round against what every hospital computes for itself.

    Guarantee: a round has at least Q and four fifths of its cohort as survivors, all of them in the freeze, so m - c
    honest hospitals are in any sum that opens. Test: tests/protocols/farrsum/test_cohort.py.
    """
    if not set(contributors) <= epoch.index.keys():
        raise Rejected("out-of-scope", "contributors outside the freeze")
    members = tuple(sorted(epoch.index[contributor] for contributor in contributors))
    if len(set(members)) != len(members):
        raise Rejected("malformed", "contributors repeat")
    if minimum < least_survivors(epoch.parameters, len(members)) or len(members) < minimum:
        raise Rejected("cohort-too-small", f"{len(members)} contributors, {minimum} survivors")
    return Cohort(slot=slot, tau=tau, members=members, minimum=minimum)


def check_survivors(survivors: Sequence[int], *, epoch: Epoch, cohort: Cohort) -> tuple[int, ...]:
    """Return a survivor set in order, if a hospital may help to open its sum; raise Rejected otherwise."""
    chosen = tuple(sorted(set(survivors)))
    if not set(chosen) <= set(cohort.members):
        raise Rejected("bad-survivors", "survivors outside the cohort")
    if len(chosen) < cohort.minimum:
        raise Rejected("too-few", f"{len(chosen)} survivors, {cohort.minimum} needed")
    if len(set(chosen) & epoch.point.keys()) < epoch.parameters.threshold:
        raise Rejected("too-few", "survivors in the committee")
    return chosen


def context(survivors: Sequence[int], *, epoch: Epoch, cohort: Cohort) -> bytes:
    """Return the digest that names one survivor set of one round: what witnesses sign."""
    return digest(
        labels.CONTEXT,
        epoch.digest,
        cohort.slot.to_bytes(8, "big"),
        cohort.tau,
        to_bitmap(cohort.members, len(epoch.members)),
        to_bitmap(survivors, len(epoch.members)),
    )


def to_bitmap(indexes: Sequence[int], size: int) -> bytes:
    """Return one bit an index, lowest first, in whole bytes."""
    bits = bytearray(-(-size // 8))
    for index in indexes:
        bits[index // 8] |= 1 << index % 8
    return bytes(bits)


def from_bitmap(bits: bytes, size: int) -> tuple[int, ...]:
    """Read a bitmap of exactly ``size`` bits back; raise Rejected for another length or a bit beyond it.

    Guarantee: a bitmap of another length is not read: what it would unfold to could be more than the memory. Test:
    tests/protocols/farrsum/test_cohort.py::test_a_bitmap_of_another_length_is_not_unfolded.
    """
    if len(bits) != -(-size // 8):
        raise Rejected("malformed", "bitmap")
    found = tuple(8 * place + bit for place, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1)
    if found and found[-1] >= size:
        raise Rejected("malformed", "bitmap")
    return found
