"""Cohorts, survivors and contexts: what a hospital insists on before it plays its part."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import Rejected
from protocols.farrsum.cohort import Cohort, check_survivors, cohort, context, from_bitmap, to_bitmap

TAU = b"t" * 32


@pytest.fixture(scope="module")
def epoch(hospitals):
    """Ten hospitals: c = 3, t = Q = 7, m = 8."""
    return hospitals.quick_epoch(10)[0]


def announced(epoch, **changes):
    """Check a round for everybody."""
    sound = {"slot": 1, "tau": TAU, "contributors": epoch.members, "minimum": 8}
    return cohort(epoch=epoch, **{**sound, **changes})


def test_a_sound_round_is_accepted(epoch):
    """Members become indexes, sorted, whatever their order was."""
    assert announced(epoch, contributors=epoch.members[::-1]) == Cohort(
        slot=1, tau=TAU, members=tuple(range(10)), minimum=8
    )


def test_contributors_are_in_the_freeze(epoch):
    """A cohort with an invented member is refused."""
    with pytest.raises(Rejected, match="out-of-scope: contributors outside the freeze"):
        announced(epoch, contributors=(*epoch.members, "invented"))


def test_contributors_do_not_repeat(epoch):
    """A member named twice is refused: it would count twice towards m."""
    with pytest.raises(Rejected, match="malformed: contributors repeat"):
        announced(epoch, contributors=(*epoch.members[:9], epoch.members[0]))


@pytest.mark.parametrize("minimum", [0, 1, 7])
def test_the_minimum_is_at_least_what_a_hospital_computes(epoch, minimum):
    """A round with a lower m than the hospital's own is refused, even when m is the quorum."""
    with pytest.raises(Rejected, match="cohort-too-small: 10 contributors"):
        announced(epoch, minimum=minimum)


def test_the_cohort_is_at_least_its_minimum(epoch):
    """A round that could never reach its minimum is refused."""
    with pytest.raises(Rejected, match="cohort-too-small: 8 contributors, 9 survivors"):
        announced(epoch, contributors=epoch.members[:8], minimum=9)


def test_a_hand_picked_cohort_meets_the_quorum_of_the_whole(epoch):
    """The minimum never falls below Q of the whole epoch, so a small cohort is refused however m is set."""
    for size in range(1, 7):
        for minimum in range(1, size + 1):
            with pytest.raises(Rejected, match="cohort-too-small"):
                announced(epoch, contributors=epoch.members[:size], minimum=minimum)


def test_survivors_are_in_the_cohort(epoch):
    """A hospital in neither list cannot be named a survivor."""
    known = announced(epoch, contributors=epoch.members[:9], minimum=8)
    with pytest.raises(Rejected, match="bad-survivors: survivors outside the cohort"):
        check_survivors((*range(8), 9), epoch=epoch, cohort=known)


def test_survivors_are_at_least_the_minimum(epoch):
    """One survivor fewer than m is refused, and repeating one does not help."""
    known = announced(epoch)
    assert check_survivors(range(8), epoch=epoch, cohort=known) == tuple(range(8))
    for survivors in (range(7), (*range(7), 0)):
        with pytest.raises(Rejected, match="too-few: 7 survivors, 8 needed"):
            check_survivors(survivors, epoch=epoch, cohort=known)


def test_enough_survivors_are_in_the_committee(epoch):
    """Where the committee is a part, t of the survivors are in it: one of them is honest and ties all together."""
    drawn = replace(epoch, committee=(0, 1, 2, 3), parameters=replace(epoch.parameters, committee=4, threshold=3))
    known = announced(drawn)
    assert check_survivors((1, 2, 3, *range(4, 10)), epoch=drawn, cohort=known)
    with pytest.raises(Rejected, match="too-few: survivors in the committee"):
        check_survivors((2, 3, *range(4, 10)), epoch=drawn, cohort=known)


def test_a_context_names_everything_that_was_agreed(epoch):
    """Another epoch, slot, announcement, cohort or survivor set is another context; the order of survivors is not."""
    known = announced(epoch)
    first = context(range(8), epoch=epoch, cohort=known)
    assert context((*range(7, -1, -1),), epoch=epoch, cohort=known) == first
    others = {
        first,
        context(range(8), epoch=replace(epoch, digest=b"e" * 32), cohort=known),
        context(range(8), epoch=epoch, cohort=replace(known, slot=2)),
        context(range(8), epoch=epoch, cohort=replace(known, tau=b"T" * 32)),
        context(range(8), epoch=epoch, cohort=replace(known, members=known.members[:9])),
        context(range(9), epoch=epoch, cohort=known),
    }
    assert len(others) == 6


@given(data=st.data(), size=st.integers(1, 40))
def test_bitmaps_survive_the_round_trip(data, size):
    """Indexes become bits, lowest first, and come back sorted."""
    chosen = data.draw(st.sets(st.integers(0, size - 1)))
    bits = to_bitmap(tuple(chosen), size)
    assert int.from_bytes(bits, "little") == sum(1 << index for index in chosen)
    assert from_bitmap(bits, size) == tuple(sorted(chosen))


class Sealed(bytes):
    """Bytes whose length may be asked for, and nothing else."""

    def __iter__(self):
        """Fail."""
        raise AssertionError("it was read")


def test_a_bitmap_of_another_length_is_not_unfolded():
    """A message of 16 MiB would unfold to 134 million numbers: its length alone is reason to refuse it."""
    with pytest.raises(Rejected, match="malformed: bitmap"):
        from_bitmap(Sealed(b"\xff" * 64), 10)


@pytest.mark.parametrize(
    ("bits", "size"), [(b"\x10", 4), (b"", 4), (b"\x01\x00", 4), (bytes(1 << 16), 4), (b"\x00\x02", 9)]
)
def test_a_bitmap_has_one_length_and_no_bit_beyond(bits, size):
    """A set has one spelling: another length, or a bit that names nobody, is refused."""
    with pytest.raises(Rejected, match="malformed: bitmap"):
        from_bitmap(bits, size)
