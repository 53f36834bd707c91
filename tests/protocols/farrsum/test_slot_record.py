"""What a hospital binds itself to, in a slot and among epochs: once said, only the same again."""

from __future__ import annotations

import pytest

from protocols.errors import Rejected
from protocols.farrsum.epoch_record import EpochRecord
from protocols.farrsum.slot_record import SlotRecord

ONE, OTHER = b"1" * 32, b"2" * 32


def test_a_slot_carries_one_announcement():
    """The same announcement again is accepted and changes nothing; another is refused."""
    bound = SlotRecord().announce(ONE)
    assert bound.announce(ONE) == bound
    with pytest.raises(Rejected, match="slot-used: another announcement"):
        bound.announce(OTHER)


def test_a_slot_hides_one_vector():
    """A second vector is refused, even for the same announcement: its masks would be those of the first."""
    sent = SlotRecord().announce(ONE).send(ONE)
    with pytest.raises(Rejected, match="slot-used: another vector"):
        sent.send(ONE)


def test_a_slot_confirms_one_survivor_set():
    """The same set again is accepted; another is refused, whether or not key shares were released."""
    bound = SlotRecord().announce(ONE).confirm(ONE, b"a")
    assert bound.confirm(ONE, b"a") == bound
    for record in (bound, bound.release(ONE, b"a"), bound.release(ONE, b"b")):
        with pytest.raises(Rejected, match="slot-used: another survivor set was confirmed"):
            record.confirm(ONE, b"b")


def test_a_slot_releases_for_one_survivor_set():
    """The same set again is accepted; another is refused. A set that a quorum confirmed need not be one's own."""
    bound = SlotRecord().announce(ONE).confirm(ONE, b"a").release(ONE, b"b")
    assert bound.release(ONE, b"b") == bound
    with pytest.raises(Rejected, match="slot-used: shares were released for another"):
        bound.release(ONE, b"a")


def test_nothing_is_said_about_a_round_that_was_not_accepted():
    """Upload, confirmation and release need the announcement first, and that very one."""
    for record in (SlotRecord(), SlotRecord().announce(OTHER)):
        with pytest.raises(Rejected, match="unknown-round: upload"):
            record.send(ONE)
        with pytest.raises(Rejected, match="unknown-round: confirm"):
            record.confirm(ONE, b"a")
        with pytest.raises(Rejected, match="unknown-round: unmask"):
            record.release(ONE, b"a")


def test_an_epoch_number_gets_one_key():
    """A second key for a number, or one for an earlier number, is refused: also by a hospital that restarted."""
    bound = EpochRecord().offer(3)
    for number in (0, 2, 3):
        with pytest.raises(Rejected, match=f"wrong-epoch: a key for 3 was signed already, {number} was asked"):
            bound.offer(number)
    assert bound.offer(4) == EpochRecord(number=4)


def test_an_epoch_number_gets_one_freeze():
    """The same freeze again is accepted; another, or one of another number, is refused."""
    bound = EpochRecord().offer(3).accept(3, ONE)
    assert bound.accept(3, ONE) == bound
    with pytest.raises(Rejected, match="wrong-epoch: another freeze was accepted"):
        bound.accept(3, OTHER)
    for number in (2, 4):
        with pytest.raises(Rejected, match=f"wrong-epoch: a freeze of {number}, the last key was for 3"):
            bound.accept(number, ONE)
    assert bound.offer(4).accept(4, OTHER).frozen == OTHER
