"""Secure rounds in memory for the tests of noise: one epoch, and a slot for each round.

The steps and their order are those of ``protocols/farrsum/rehearsal.py``. The freeze is read once for all hospitals,
which would all find the same in it; just the quorum confirms, just the threshold unmasks, and the first of them checks
the quorum's signatures for all.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from protocols.farrsum import unmasking
from protocols.farrsum.cohort import check_survivors, cohort
from protocols.farrsum.confirming import confirm
from protocols.farrsum.edges import edges
from protocols.farrsum.epoch import ExchangeKey, freeze, read_freeze, write_key
from protocols.farrsum.finishing import finish
from protocols.farrsum.masking import CHECKS, hide
from protocols.farrsum.parameters import least_survivors
from protocols.farrsum.slot_record import SlotRecord
from protocols.farrsum.slots import deposit, read_deposit
from protocols.farrsum.unmasking import OwnShares, release_shares
from protocols.ring import Ring
from protocols.roster import Member, Roster
from protocols.signing import IdentityKey
from protocols.wire_pb2 import Role

FEDERATION = "noise"
DIGEST = bytes(32)
"""Of the roster."""


class Rounds:
    """An epoch of a federation's hospitals."""

    def __init__(self, names: tuple[str, ...], pulse: bytes = b"") -> None:
        """Make identities and exchange keys, freeze them, derive all edges; ``pulse``: a beacon's verified value."""
        self.keys = {name: IdentityKey.from_seed(hashlib.sha256(name.encode()).digest()) for name in names}
        self.roster = Roster(
            federation=FEDERATION,
            version=1,
            issued_at=1,
            catalogue_digest=bytes(32),
            members=tuple(
                Member(
                    id=name,
                    role=Role.ROLE_NODE,
                    identity_key=self.keys[name].public,
                    certificate_digest=hashlib.sha256(b"certificate of " + name.encode()).digest(),
                    label_en=name,
                    label_zh=name,
                    attributes={},
                    joined_at=1,
                    expires_at=1 << 40,
                )
                for name in names
            ),
        )
        exchange = {name: ExchangeKey.from_seed(os.urandom(32)) for name in names}
        frozen = freeze(
            1,
            [
                write_key(1, self.roster, DIGEST, member=name, key=self.keys[name], exchange=exchange[name])
                for name in names
            ],
            pulse,
        )
        self.epoch = read_freeze(frozen, number=1, roster=self.roster, roster_digest=DIGEST)
        self.names = self.epoch.members
        self.edges = [edges(self.epoch, own, exchange[name]) for own, name in enumerate(self.names)]
        self.minimum = least_survivors(self.epoch.parameters, len(names))
        self.slot = 0

    def run(self, vectors: Mapping[int, Ring]) -> Ring:
        """Run a round in which these hospitals upload and all others drop out after depositing; return the sum."""
        epoch, everybody = self.epoch, range(len(self.names))
        self.slot += 1
        slot, tau = self.slot, hashlib.sha256(f"round {self.slot}".encode()).digest()
        announced = cohort(epoch=epoch, slot=slot, tau=tau, contributors=self.names, minimum=self.minimum)

        deposits, own_shares = {}, {}
        for own in everybody:
            deposits[own], kept = deposit(slot, epoch=epoch, own=own, edges=self.edges[own], entropy=os.urandom)
            own_shares[own] = OwnShares(slot_share=kept or b"", self_share=None)

        records, uploads = {}, {}
        for own, vector in vectors.items():
            records[own] = SlotRecord().announce(tau).send(tau)
            uploads[own] = hide(
                vector, epoch=epoch, own=own, edges=self.edges[own], slot=slot, tau=tau,
                cohort=announced.members, entropy=os.urandom,
            )  # fmt: skip
            own_shares[own] = replace(own_shares[own], self_share=uploads[own].shares.own)

        survivors = check_survivors(tuple(uploads), epoch=epoch, cohort=announced)
        confirmations = {}
        for own in [own for own in survivors if own in epoch.witnesses][: epoch.parameters.quorum]:
            records[own], signed = confirm(
                survivors, record=records[own], epoch=epoch, cohort=announced, own=own,
                federation=FEDERATION, key=self.keys[self.names[own]],
            )  # fmt: skip
            confirmations[own] = signed.signature

        shares = {
            own: uploads[own].shares if own in uploads else read_deposit(deposits[own], epoch=epoch, own=own)
            for own in everybody
        }
        answers = {}
        with pytest.MonkeyPatch.context() as patch:
            for own in [own for own in survivors if own in epoch.point][: epoch.parameters.threshold]:
                sealed = {other: (shares[other].salt, shares[other].sealed[own]) for other in everybody if other != own}
                records[own], answers[own] = release_shares(
                    survivors, record=records[own], epoch=epoch, cohort=announced, own=own, edges=self.edges[own],
                    own_shares=own_shares[own], confirmations=confirmations, sealed=sealed, roster=self.roster,
                )  # fmt: skip
                patch.setattr(unmasking, "check_quorum", lambda *_, **__: None)

        total = np.zeros(len(next(iter(vectors.values()))) + CHECKS, dtype=np.uint64)
        for masked in uploads.values():
            np.add(total, masked.vector, out=total)
        backups = {own: deposits[own].backups for own in everybody if own not in uploads}
        return finish(total, epoch=epoch, cohort=announced, survivors=survivors, backups=backups, answers=answers)
