"""Deposits: shares for the committee and wrapped seeds, for one slot of one epoch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols.errors import Rejected
from protocols.farrsum import field, labels, sealing, shamir
from protocols.farrsum.slots import pairwise_seeds, read_deposit
from protocols.wire_pb2 import Deposit


@pytest.fixture(scope="module")
def deposited(hospitals):
    """Six hospitals that deposited slots 1 and 2."""
    coordinator = hospitals.quick_hospitals(6, "slots")
    coordinator.deposit(1)
    coordinator.deposit(2)
    return coordinator


def opened(coordinator, slot, owner, keepers):
    """Return the slot secret of ``owner`` from the shares of ``keepers``."""
    epoch = coordinator.epoch
    rows = []
    for keeper in keepers:
        if keeper == owner:
            share = coordinator.at(owner).own[slot].slot_share
        else:
            salt, sealed = coordinator.sealed(slot, owner, keeper, survived=False)
            share = sealing.unseal(
                coordinator.at(keeper).edges[owner].receiving, kind=labels.SLOT_SHARE, slot=slot, salt=salt,
                sealed=sealed, bound_to=epoch.digest,
            )  # fmt: skip
        rows.append(field.from_bytes(share))
    weights = shamir.weights([epoch.point[keeper] for keeper in keepers])
    return shamir.reconstruct(weights, np.array(rows))


def test_t_members_open_a_slot_and_find_the_pairwise_seeds(deposited):
    """Any t keepers, the hospital itself among them or not, unwrap exactly the seeds that it shares in that slot."""
    threshold = deposited.epoch.parameters.threshold
    for keepers in (range(threshold), range(6 - threshold, 6)):
        secret = opened(deposited, 1, 0, keepers)
        seeds = pairwise_seeds(deposited.deposits[1][0].backups, secret, 1, epoch=deposited.epoch, own=0)
        assert seeds == {partner: edge.seed(1) for partner, edge in deposited.at(0).edges.items()}


def test_a_slot_opens_no_other(deposited):
    """One slot's secret does not unwrap another slot's seeds, and the wrapped bytes of two slots differ throughout."""
    secret = opened(deposited, 1, 0, range(5))
    wrong = pairwise_seeds(deposited.deposits[2][0].backups, secret, 2, epoch=deposited.epoch, own=0)
    right = {partner: edge.seed(2) for partner, edge in deposited.at(0).edges.items()}
    assert all(wrong[partner] != right[partner] for partner in right)
    also = pairwise_seeds(deposited.deposits[1][0].backups, secret, 2, epoch=deposited.epoch, own=0)
    assert all(also[partner] != deposited.at(0).edges[partner].seed(1) for partner in right)


def test_a_share_of_one_slot_opens_in_no_other(deposited):
    """A sealed share of slot 1 handed over as slot 2's does not open."""
    salt, sealed = deposited.sealed(1, 0, 1, survived=False)
    with pytest.raises(Rejected, match="bad-share"):
        sealing.unseal(
            deposited.at(1).edges[0].receiving, kind=labels.SLOT_SHARE, slot=2, salt=salt, sealed=sealed,
            bound_to=deposited.epoch.digest,
        )  # fmt: skip


def test_a_deposit_of_another_epoch_is_refused(deposited):
    """What was deposited under another freeze is of no use."""
    message = Deposit()
    message.CopyFrom(deposited.deposits[1][0])
    message.freeze = b"o" * 32
    with pytest.raises(Rejected, match="wrong-epoch: deposit"):
        read_deposit(message, epoch=deposited.epoch, own=0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backups": bytes(32 * 4)}, "malformed: backups"),
        ({"backups": bytes(32 * 6)}, "malformed: backups"),
        ({"sealed": bytes(36 * 4)}, "malformed: sealed shares"),
        ({"sealed": bytes(36 * 5 + 1)}, "malformed: sealed shares"),
        ({"salt": b""}, "malformed: sealed shares"),
        ({"salt": bytes(17)}, "malformed: sealed shares"),
    ],
)
def test_a_deposit_has_one_size(deposited, changes, said):
    """One share for each other keeper, one seed for each partner, one salt: anything else is refused."""
    message = Deposit()
    message.CopyFrom(deposited.deposits[1][0])
    for name, value in changes.items():
        setattr(message, name, value)
    with pytest.raises(Rejected, match=said):
        read_deposit(message, epoch=deposited.epoch, own=0)


def test_a_hospital_outside_the_committee_keeps_no_share(hospitals):
    """Where the committee is a part, the others share with all of it, keep nothing and wrap seeds for it only."""
    coordinator = hospitals.quick_hospitals(6, "drawn")
    drawn = replace(
        coordinator.epoch,
        committee=(0, 2, 4, 5),
        parameters=replace(coordinator.epoch.parameters, committee=4, threshold=3),
    )
    coordinator.epoch = drawn
    for hospital in coordinator.hospitals.values():
        hospital.epoch = drawn
    coordinator.deposit(1)
    outside = coordinator.slot_shares(1, 1)
    assert coordinator.at(1).own[1].slot_share == b""
    assert tuple(outside.sealed) == (0, 2, 4, 5)
    assert len(coordinator.deposits[1][1].backups) == 32 * 4
    assert tuple(coordinator.slot_shares(1, 4).sealed) == (0, 2, 5)
    assert len(coordinator.at(4).own[1].slot_share) == 20
    secret = opened(coordinator, 1, 4, (0, 2, 4))
    seeds = pairwise_seeds(coordinator.deposits[1][4].backups, secret, 1, epoch=drawn, own=4)
    assert seeds == {partner: coordinator.at(4).edges[partner].seed(1) for partner in (0, 1, 2, 3, 5)}
