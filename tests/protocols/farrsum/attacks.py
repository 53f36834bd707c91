"""A malicious coordinator for tests: ten hospitals, of which it holds the keys of three."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from protocols.farrsum.cohort import context
from protocols.farrsum.confirming import KIND
from protocols.farrsum.epoch import write_key
from protocols.signing import sign

HONEST, CORRUPT = tuple(range(7)), (7, 8, 9)
EVERYBODY = HONEST + CORRUPT
LEAST = 5
SLOT = 1


class Attack:
    """Ten hospitals with deposits in two slots, and a coordinator that holds the keys of three."""

    def __init__(self, hospitals, knowledge, label):
        self.hospitals, self.knowledge = hospitals, knowledge
        self.coordinator = hospitals.quick_hospitals(10, label)
        self.epoch = self.coordinator.epoch
        self.members = hospitals.federation(10)
        for slot in (SLOT, SLOT + 1):
            self.coordinator.deposit(slot)
        self.announced = self.coordinator.announced(SLOT)
        self.vectors = np.random.default_rng(1).integers(0, 1 << 64, size=(10, 3), dtype=np.uint64)

    def at(self, index):
        """Return a hospital."""
        return self.coordinator.at(index)

    def announce(self, indexes=EVERYBODY, announced=None):
        """Announce a round."""
        for index in indexes:
            self.at(index).announce(announced or self.announced)

    def upload(self, indexes=EVERYBODY, slot=SLOT):
        """Let hospitals upload."""
        for index in indexes:
            self.coordinator.upload(slot, index, self.vectors[index])

    def cohort(self, index=0, slot=SLOT):
        """Return the round as one hospital took it."""
        return self.at(index).rounds[slot]

    def corrupt_signatures(self, survivors, cohort=None, epoch=None):
        """Sign a survivor set with every corrupt hospital's key: nothing holds them to one."""
        epoch = epoch or self.epoch
        body = epoch.digest + context(survivors, epoch=epoch, cohort=cohort or self.cohort())
        return {
            index: sign(
                self.members.identities[self.epoch.members[index]], kind=KIND, signer=self.epoch.members[index],
                federation="test", body=body,
            ).signature
            for index in CORRUPT
        }  # fmt: skip

    def confirm(self, survivors, honest=HONEST):
        """Collect the signatures of honest and corrupt witnesses."""
        return {
            **self.coordinator.confirmations(SLOT, survivors, honest),
            **self.corrupt_signatures(survivors),
        }

    def boxes(self, keeper, survivors, slot=SLOT):
        """Return what a keeper would be asked to open."""
        return self.coordinator.sealed_for(slot, keeper, survivors, self.cohort(slot=slot))

    def unmask(self, keeper, survivors, confirmations, boxes=None):
        """Ask a keeper."""
        asked = self.boxes(keeper, survivors) if boxes is None else boxes
        return self.at(keeper).unmask(SLOT, survivors, confirmations, asked)

    def open(self, survivors, honest=HONEST):
        """Run a round to its end for one survivor set; the corrupt answer as well."""
        confirmations = self.confirm(survivors, honest)
        answers = self.coordinator.answers(SLOT, survivors, confirmations, (*honest, *CORRUPT))
        return self.coordinator.finish(SLOT, survivors, answers, self.cohort())

    def known(self, slot=SLOT):
        """Return what the adversary can work out about one slot, checked against the promise."""
        found = self.knowledge.from_hospitals(self.coordinator, slot, CORRUPT)
        assert self.knowledge.is_one_sum(found, LEAST), found
        return found

    def sign_key(self, name, exchange=None, number=1):
        """Sign an exchange key of a hospital; its own, if no other is given."""
        members = self.members
        return write_key(
            number, members.roster, members.roster_digest, member=name, key=members.identities[name],
            exchange=exchange or self.hospitals.quick_exchange(name),
        )  # fmt: skip

    def keys(self):
        """Return everybody's keys of the epoch."""
        return [self.sign_key(name) for name in self.epoch.members]

    def holding_back(self, missing):
        """Return a coordinator that counts zeros for one upload."""
        uploads = self.coordinator.uploads[SLOT]
        zeros = replace(uploads[missing], vector=np.zeros_like(uploads[missing].vector))
        return self.hospitals.Coordinator(
            hospitals=self.coordinator.hospitals, epoch=self.epoch, deposits=self.coordinator.deposits,
            uploads={SLOT: {**uploads, missing: zeros}},
        )  # fmt: skip
