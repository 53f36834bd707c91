from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node import seats
from protocols.errors import Rejected
from protocols.farrsum.slots import AHEAD
from protocols.wire_pb2 import Confirm, Deposits, OpenEpoch
from tests.node.company import Company, Played
from tests.node.rig import (
    HOSPITALS,
    SITE,
    Rig,
    announce,
    digest_of,
    freeze_of,
    open_epoch,
    request,
    roster,
)


@pytest.fixture
def rig(tmp_path):
    """A node with a seat in the first epoch."""
    made = Rig(tmp_path / "home")
    yield made
    made.close()


def state_of(rig):
    """Return all that is durable of epochs and slots."""
    return [rig.connection.execute(f"SELECT * FROM {table}").fetchall() for table in ("epochs", "slots")]


def refused(code, function, *arguments):
    """Check that a call is refused with a code."""
    with pytest.raises(Rejected) as rejected:
        function(*arguments)
    assert rejected.value.code == code


def test_a_whole_round_gives_what_the_node_added(rig):
    """Announced, uploaded, confirmed and unmasked, the sum is the node's own noisy vector: the others add zeros."""
    signed = announce()
    played = Played(Company(rig.deposits), signed, rig.answer(signed))
    confirmation = rig.seats.confirm(played.confirm)
    vector = played.finish(rig.seats.unmask(played.unmask(confirmation)))
    assert np.array_equal(vector, rig.noisy[-1])


def test_a_hospital_whose_upload_came_too_late_helps_to_open_the_others_sum(rig):
    """Named as dropped, it gives the share of its slot's secret and not that of its self-mask: the sum is zeros."""
    signed = announce()
    rig.answer(signed)
    played = Played(Company(rig.deposits), signed)
    confirmation = rig.seats.confirm(played.confirm)
    vector = played.finish(rig.seats.unmask(played.unmask(confirmation)))
    assert np.array_equal(vector, np.zeros(2, dtype=np.uint64))


def test_an_epoch_gets_one_key(rig):
    """Asked again, or for an older epoch, the node signs no second key, also after a restart; the next it signs."""
    rig.offer(5)
    for number in (5, 4, 1):
        refused("wrong-epoch", rig.offer, number)
    rig.close()
    again = Rig(rig.home, number=0)
    refused("wrong-epoch", again.offer, 5)
    before = state_of(again)
    refused("stale-roster", again.seats.offer, OpenEpoch(epoch=6, roster=2), roster, digest_of(roster))
    for number in (0, 1 << 63, (1 << 64) - 1):
        refused("malformed", again.seats.offer, open_epoch(number), roster, digest_of(roster))
    left = replace(roster, members=tuple(each for each in roster.members if each.id != SITE))
    refused("unknown-member", again.seats.offer, open_epoch(6), left, digest_of(left))
    assert state_of(again) == before
    again.sit(6)
    assert again.seats.number == 6
    again.close()


def test_a_second_freeze_is_refused(rig):
    """One list of keys an epoch: the first again gives the same bytes, another one changes nothing, over restarts."""
    before = state_of(rig)
    assert [each for message in rig.seats.accept(freeze_of()) for each in message.deposits] == rig.deposits
    refused("wrong-epoch", rig.seats.accept, freeze_of(sites=("aden", "brest", "cork")))
    assert state_of(rig) == before
    rig.close()
    again = Rig(rig.home, number=0)
    refused("wrong-epoch", again.seats.accept, freeze_of())
    assert state_of(again) == before
    again.close()


def test_a_pulse_that_nobody_verified_is_refused(rig):
    """A freeze with a beacon value is refused: the node could not tell one that the coordinator made up."""
    rig.offer(2)
    before = state_of(rig)
    drawn = freeze_of(2)
    drawn.pulse = bytes(32)
    refused("no-beacon", rig.seats.accept, drawn)
    assert state_of(rig) == before


def test_a_freeze_that_does_not_fit_is_refused(rig):
    """Before a key was sent, for another epoch than the key's, without the own key, or of too few: no seat."""
    refused("wrong-epoch", rig.seats.accept, freeze_of(2))
    rig.offer(2)
    before = state_of(rig)
    refused("wrong-epoch", rig.seats.accept, freeze_of(1))
    refused("wrong-epoch", rig.seats.accept, freeze_of(3))
    refused("not-in-freeze", rig.seats.accept, freeze_of(2, sites=("aden", "cork", "dover")))
    refused("too-few-nodes", rig.seats.accept, freeze_of(2, sites=("aden", "brest")))
    forged = freeze_of(2)
    forged.keys[0].signature = bytes(64)
    refused("bad-signature", rig.seats.accept, forged)
    assert state_of(rig) == before
    assert rig.seats.number == 1
    assert rig.seats.accept(freeze_of(2))
    assert rig.seats.number == 2


def test_a_restarted_node_waits_for_the_next_epoch(rig):
    """Its keys are gone: it holds no seat and answers nothing of the old epoch, and takes part in the next."""
    signed = announce()
    upload = rig.answer(signed)
    rig.close()
    again = Rig(rig.home, number=0)
    played = Played(Company(rig.deposits), signed, upload)
    assert again.seats.number == 0
    assert again.seats.waiting() == again.seats.replenish() == []
    refused("unknown-round", again.seats.confirm, played.confirm)
    refused("unknown-round", again.seats.unmask, played.unmask())
    refused("wrong-epoch", again.answer, announce(request(2), slot=2))
    assert again.answer(signed) == upload
    again.sit(2)
    assert again.answer(announce(request(2), number=2)).kind == "upload"
    again.close()


def test_two_epochs_overlap(rig):
    """A round of the epoch before ends there while the next one carries new rounds; of the third before, nothing."""
    one, two = announce(), announce(request(2), number=2)
    played = Played(Company(rig.deposits), one, rig.answer(one))
    rig.deposits = []
    rig.sit(2)
    other = Played(Company(rig.deposits, number=2), two, rig.answer(two))
    for each, noisy in ((other, rig.noisy[1]), (played, rig.noisy[0])):
        confirmation = rig.seats.confirm(each.confirm)
        assert np.array_equal(each.finish(rig.seats.unmask(each.unmask(confirmation))), noisy)
    rig.sit(3)
    refused("unknown-round", rig.seats.confirm, played.confirm)
    refused("wrong-epoch", rig.answer, announce(request(3), slot=2))
    assert rig.seats.confirm(other.confirm)


def test_slots_are_replenished(rig):
    """Sixteen slots wait for rounds; each that is used is replaced by the next number, and none is prepared twice."""
    assert [each.slot for each in rig.deposits] == list(range(1, AHEAD + 1))
    assert rig.seats.replenish() == []
    for number in range(1, 40):
        rig.answer(announce(request(number), slot=number))
        if number % 3 == 0:
            rig.deposits += [each for message in rig.seats.replenish() for each in message.deposits]
    assert [each.slot for each in rig.deposits] == list(range(1, 39 + AHEAD + 1))
    (waiting,) = rig.seats.waiting()
    assert list(waiting.deposits) == rig.deposits[39:]


def test_slots_that_are_passed_over_are_made_up_for(rig):
    """A hospital that was away for some rounds is as far ahead as the others after its next one."""
    rig.answer(announce(slot=12))
    (made,) = rig.seats.replenish()
    assert [each.slot for each in made.deposits] == list(range(AHEAD + 1, 12 + AHEAD + 1))
    rig.answer(announce(request(2), slot=11))
    refused("malformed", rig.answer, announce(request(3), slot=29))


def test_deposits_of_two_epochs_travel_apart(rig):
    """The coordinator may have given up one of them, and then reads no more of that message."""
    rig.sit(2)
    assert [len({each.freeze for each in message.deposits}) for message in rig.seats.waiting()] == [1, 1]


def test_messages_out_of_order_are_refused(rig):
    """Confirm and unmask before the announcement, unmask before a quorum: refused, and nothing is bound."""
    company, signed = Company(rig.deposits), announce()
    early = Played(company, signed)
    refused("unknown-round", rig.seats.confirm, early.confirm)
    refused("unknown-round", rig.seats.unmask, early.unmask())
    refused("unknown-round", rig.seats.confirm, Confirm(announcement=b"\x01" * 5000, survivors=b""))
    played = Played(company, signed, rig.answer(signed))
    before = state_of(rig)
    refused("bad-quorum", rig.seats.unmask, played.unmask(others=False))
    refused("too-few", rig.seats.confirm, played.without("aden", "cork").confirm)
    refused("malformed", rig.seats.confirm, Confirm(announcement=played.state.tau, survivors=b"\xff"))
    assert state_of(rig) == before
    assert rig.seats.confirm(played.confirm)


def test_a_second_survivor_set_is_refused(rig):
    """The same set again gives the same signature; another one is refused and changes nothing, whoever it names."""
    signed = announce()
    played = Played(Company(rig.deposits), signed, rig.answer(signed))
    first = rig.seats.confirm(played.confirm)
    before = state_of(rig)
    assert rig.seats.confirm(played.confirm) == first
    for gone in HOSPITALS:
        refused("slot-used", rig.seats.confirm, played.without(gone).confirm)
    assert state_of(rig) == before
    message = rig.replier.confirm(played.without("aden").confirm)
    assert [each.refusal.code for each in message] == ["slot-used"]


def test_shares_leave_for_one_survivor_set(rig):
    """Even a quorum of others for a second set opens nothing; the same set again gives the same shares."""
    signed = announce()
    played = Played(Company(rig.deposits), signed, rig.answer(signed))
    first = rig.seats.unmask(played.unmask())
    before = state_of(rig)
    assert rig.seats.unmask(played.unmask()) == first
    for gone in HOSPITALS:
        refused("slot-used", rig.seats.unmask, played.without(gone).unmask())
    assert state_of(rig) == before


def test_an_epoch_lasts_no_longer_than_its_roster(rig):
    """C is a part of the whole roster, so under a newer roster no round is entered with keys of the older one."""
    newer = replace(roster, version=4)
    old = announce(held=newer, freeze=rig.deposits[0].freeze)
    refused("wrong-epoch", rig.answer, old, newer)
    rig.sit(2, newer)
    assert rig.answer(announce(held=newer, number=2), newer)


def test_rounds_that_were_entered_long_ago_are_forgotten(rig, monkeypatch):
    """The memory that rounds take is bounded; the newest can still be confirmed."""
    monkeypatch.setattr(seats, "MOST_ROUNDS", 2)
    company = Company(rig.deposits)
    played = []
    for number in (1, 2, 3):
        signed = announce(request(number), slot=number)
        played.append(Played(company, signed, rig.answer(signed)))
    refused("unknown-round", rig.seats.confirm, played[0].confirm)
    assert all(rig.seats.confirm(each.confirm) for each in played[1:])


def test_a_deposit_says_nothing_twice(rig):
    """No salt, sealed share or wrapped seed of one slot comes again in another."""
    parts = [part for each in rig.deposits for part in (each.salt, each.sealed, each.backups)]
    assert len(set(parts)) == len(parts)
    assert isinstance(rig.seats.waiting()[0], Deposits)
