"""The hospital's side of a round, message by message."""

from dataclasses import replace

import numpy as np
import pytest

from protocols.announcement import Announcement
from protocols.errors import Rejected
from protocols.farrsum import seat as seats
from protocols.farrsum.cohort import to_bitmap
from protocols.farrsum.seat import Seat
from protocols.farrsum.slot_record import SlotRecord
from protocols.farrsum.slots import read_deposit
from protocols.farrsum.unmasking import OwnShares
from protocols.request import Request
from protocols.wire_pb2 import Confirm, Deposit, Signed, Unmask, WitnessSignature

SIZE, SLOT, TAU = 5, 3, bytes(range(32))
EVERYBODY = tuple(range(SIZE))


class Table:
    """Five hospitals with their seats, one deposited slot, and an announced round that all have uploaded for."""

    def __init__(self, hospitals, *, sites=None, asked=3):
        self.members = hospitals.federation(SIZE)
        epoch, edges = hospitals.quick_epoch(SIZE)
        self.epoch = epoch
        self.seats = [Seat(epoch=epoch, own=own, edges=edges[own]) for own in EVERYBODY]
        request = Request(
            federation=self.members.roster.federation,
            id=bytes(16),
            analyst="ada",
            plan=b"",
            view=b"",
            rho_units=1,
            sites=tuple(sites or epoch.members),
            minimum=asked,
            purpose="",
            created_at=0,
            expires_at=1,
            statement="",
            fresh=False,
        )
        self.announcement = Announcement(
            request=request,
            signed_request=Signed(),
            roster=1,
            epoch=epoch.number,
            freeze=epoch.digest,
            slot=SLOT,
            contributors=epoch.members,
            minimum=4,
            colluders=1,
            honest=3,
            deadline=1,
        )
        entropy = [hospitals.Fresh(f"seat {own}") for own in EVERYBODY]
        made = [seats.deposit([SLOT], seat=seat, entropy=entropy[seat.own]) for seat in self.seats]
        self.deposits = [
            read_deposit(message.deposits[0], epoch=epoch, own=own) for own, (message, _) in enumerate(made)
        ]
        self.entered = [seats.enter(self.announcement, TAU, seat=seat) for seat in self.seats]
        self.masked = [
            seats.mask(np.zeros(2, np.uint64), seat=seat, entered=self.entered[seat.own], entropy=entropy[seat.own])
            for seat in self.seats
        ]
        self.own = [
            OwnShares(slot_share=kept[SLOT], self_share=masked.shares.own)
            for (_, kept), masked in zip(made, self.masked, strict=True)
        ]

    def confirm(self, own, survivors):
        """Ask a witness to sign."""
        message = Confirm(announcement=TAU, survivors=to_bitmap(survivors, SIZE))
        return seats.confirm(
            message,
            record=SlotRecord().announce(TAU).send(TAU),
            seat=self.seats[own],
            entered=self.entered[own],
            federation=self.members.roster.federation,
            key=self.members.identities[self.epoch.members[own]],
        )[1]

    def asked(self, keeper, survivors, signers=EVERYBODY):
        """Return what a committee member is asked with these witnesses' signatures."""
        pieces = [
            shares.salt + shares.sealed[keeper]
            for own in EVERYBODY
            if own != keeper
            for shares in [self.masked[own].shares if own in survivors else self.deposits[own]]
        ]
        signatures = [
            WitnessSignature(witness=each, signature=self.confirm(each, survivors).signed.signature) for each in signers
        ]
        return Unmask(
            announcement=TAU,
            survivors=to_bitmap(survivors, SIZE),
            confirmations=signatures,
            sealed=b"".join(pieces),
        )

    def unmask(self, keeper, message):
        """Ask a committee member for its shares."""
        return seats.unmask(
            message,
            record=SlotRecord().announce(TAU).send(TAU),
            seat=self.seats[keeper],
            entered=self.entered[keeper],
            own_shares=self.own[keeper],
            roster=self.members.roster,
        )[1]


@pytest.fixture
def table(hospitals):
    """A round that everybody has uploaded for."""
    return Table(hospitals)


@pytest.mark.parametrize("change", [{"freeze": bytes(32)}, {"epoch": 99}], ids=["another list", "another number"])
def test_a_round_of_another_freeze_is_refused(table, change):
    """A hospital enters a round of the list and the number that its seat is in, and no other."""
    with pytest.raises(Rejected, match="wrong-epoch"):
        seats.enter(replace(table.announcement, **change), TAU, seat=table.seats[0])


def test_every_member_of_the_committee_releases_a_share_for_each_hospital(table):
    """With a quorum of confirmations each keeper gives 20 bytes for each hospital, survivors and dropped ones."""
    for survivors in (EVERYBODY, EVERYBODY[:4]):
        for keeper in survivors:
            shares = table.unmask(keeper, table.asked(keeper, survivors, survivors[:4]))
            assert len(seats.split_released(shares, table.entered[0].cohort)) == SIZE


def test_survivors_without_enough_of_those_asked_are_not_signed_and_not_opened(hospitals):
    """Three of five are asked and wanted: survivors that lack one get neither signature nor share."""
    table = Table(hospitals, sites=hospitals.federation(SIZE).names[:3], asked=3)
    message = table.asked(0, EVERYBODY)
    lacking = (1, 2, 3, 4)
    with pytest.raises(Rejected, match="too-few: of the hospitals that the request asks"):
        table.confirm(1, lacking)
    message.survivors = to_bitmap(lacking, SIZE)
    with pytest.raises(Rejected, match="too-few: of the hospitals that the request asks"):
        table.unmask(1, message)


def test_a_witness_counts_once_however_often_it_is_named(table):
    """Four entries with the signatures of three witnesses are no quorum of four."""
    message = table.asked(0, EVERYBODY, (0, 1, 2, 2))
    with pytest.raises(Rejected, match="bad-quorum: a witness is named twice"):
        table.unmask(0, message)


def test_signatures_and_sealed_shares_have_one_length(table):
    """A short or long signature, a share too many or too few, a short answer: each is malformed."""
    message = table.asked(0, EVERYBODY)
    for signature in (b"", bytes(63), bytes(65), bytes(1 << 16)):
        wrong = Unmask.FromString(message.SerializeToString())
        wrong.confirmations[0].signature = signature
        with pytest.raises(Rejected, match="malformed: confirmation"):
            table.unmask(0, wrong)
    for sealed in (message.sealed[:-1], message.sealed + bytes(52), b""):
        wrong = Unmask.FromString(message.SerializeToString())
        wrong.sealed = sealed
        with pytest.raises(Rejected, match="malformed: sealed shares"):
            table.unmask(0, wrong)
    shares = table.unmask(0, message)
    shares.shares += bytes(20)
    with pytest.raises(Rejected, match="malformed: key shares"):
        seats.split_released(shares, table.entered[0].cohort)


def test_a_deposit_swollen_by_unknown_fields_is_refused(hospitals):
    """The coordinator keeps deposits for as long as their epoch lasts, so their size is all theirs."""
    epoch, edges = hospitals.quick_epoch(SIZE)
    sound, _ = seats.deposit([SLOT], seat=Seat(epoch=epoch, own=0, edges=edges[0]), entropy=hospitals.Fresh("swollen"))
    (deposit,) = sound.deposits
    read_deposit(deposit, epoch=epoch, own=0)
    swollen = Deposit.FromString(deposit.SerializeToString() + b"\xba\x3e\x80\x80\x01" + bytes(1 << 14))
    with pytest.raises(Rejected, match="oversized"):
        read_deposit(swollen, epoch=epoch, own=0)
