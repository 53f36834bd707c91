"""The coordinator and the other hospitals of a round with one real node, played with protocols/ message by message."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np

from protocols import announcement as announcements
from protocols import round as rounds
from protocols import upload as uploads
from protocols.farrsum import seat as seats
from protocols.farrsum.cohort import to_bitmap
from protocols.farrsum.slot_record import SlotRecord
from protocols.farrsum.slots import AHEAD, read_deposit
from protocols.upload import Upload
from protocols.wire_pb2 import Confirm
from tests.node.rig import NAME, NOW, SITE, digest_of, exchange_of, freeze_of, key_of, roster


class Company:
    """The others of an epoch: they add zeros without noise, so that a sum is what the node added."""

    def __init__(self, deposits, *, number=1, held=roster, site=SITE):
        """Seat the others; ``deposits`` are the node's."""
        self.site, self.held = site, held
        self.seats = {
            other: seats.take_seat(
                freeze_of(number, held),
                number=number,
                roster=held,
                roster_digest=digest_of(held),
                member=other,
                exchange=exchange_of(other, number),
            )
            for other in held.nodes
            if other != site
        }
        self.epoch = next(iter(self.seats.values())).epoch
        self.deposits = {self.epoch.index[site]: {each.slot: each for each in deposits}}
        for seat in self.seats.values():
            message, _ = seats.deposit(range(1, AHEAD + 1), seat=seat, entropy=os.urandom)
            self.deposits[seat.own] = {each.slot: each for each in message.deposits}


class Played:
    """One announced round."""

    def __init__(self, company, signed, upload=None, *, entries=2):
        """Have everybody else upload, and take the node's upload where there is one."""
        self.company = company
        announcement = announcements.read(signed, roster=company.held, now=NOW)
        self.state = rounds.open_round(announcement, signed, entries=entries, epoch=company.epoch)
        self.entered = {}
        for other, seat in company.seats.items():
            entered = self.entered[other] = seats.enter(announcement, self.state.tau, seat=seat)
            masked = seats.mask(np.zeros(entries, dtype=np.uint64), seat=seat, entered=entered, entropy=os.urandom)
            self.take(
                uploads.write(
                    Upload(
                        site=other,
                        announcement=self.state.tau,
                        vector=masked.vector,
                        salt=masked.shares.salt,
                        sealed=b"".join(masked.shares.sealed.values()),
                    ),
                    federation=NAME,
                    key=key_of(other),
                )
            )
            self.entered[other] = (entered, masked.shares.own)
        if upload is not None:
            self.take(upload)

    def take(self, upload):
        """Take an upload."""
        self.state = rounds.take_upload(self.state, upload, roster=self.company.held, now=NOW)

    def without(self, *sites):
        """Return the same round as it would be had these hospitals not uploaded."""
        index = self.company.epoch.index
        gone = {index[site] for site in sites}
        other = object.__new__(Played)
        other.company, other.entered = self.company, self.entered
        kept = {own: shares for own, shares in self.state.uploads.items() if own not in gone}
        other.state = replace(self.state, uploads=kept)
        return other

    @property
    def confirm(self):
        """Return the question to the witnesses: the survivors are those who uploaded."""
        bitmap = to_bitmap(sorted(self.state.uploads), len(self.company.epoch.members))
        return Confirm(announcement=self.state.tau, survivors=bitmap)

    def unmask(self, *confirmations, others=True):
        """Return the question to the node once the others, and the node with these messages, have confirmed."""
        state, question = rounds.fix_survivors(replace(self.state, survivors=None))
        for message in confirmations:
            state = rounds.take_confirmation(state, self.company.site, message, roster=self.company.held)
        for other, seat in self.company.seats.items():
            if others:
                _, message = seats.confirm(
                    question,
                    record=SlotRecord().announce(state.tau),
                    seat=seat,
                    entered=self.entered[other][0],
                    federation=NAME,
                    key=key_of(other),
                )
                state = rounds.take_confirmation(state, other, message, roster=self.company.held)
        self.fixed = state
        return rounds.ask_committee(state, self._sealed(state))[self.company.site]

    def finish(self, shares):
        """Return the sum, once the others and the node with these shares have answered."""
        state = rounds.take_shares(self.fixed, self.company.site, shares)
        for other, question in rounds.ask_committee(state, self._sealed(state)).items():
            if other != self.company.site:
                entered, own = self.entered[other]
                _, message = seats.unmask(
                    question,
                    record=SlotRecord().announce(state.tau),
                    seat=self.company.seats[other],
                    entered=entered,
                    own_shares=seats.OwnShares(slot_share=b"", self_share=own),
                    roster=self.company.held,
                )
                state = rounds.take_shares(state, other, message)
        slot = state.announcement.slot
        backups = {own: self.company.deposits[own][slot].backups for own in rounds.dropped(state)}
        return rounds.close(state, backups=backups, released_at=NOW, seconds=1.0).vector

    def _sealed(self, state):
        slot = state.announcement.slot
        return {
            own: read_deposit(self.company.deposits[own][slot], epoch=self.company.epoch, own=own)
            for own in rounds.dropped(state)
        }
