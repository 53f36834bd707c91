"""A whole round in memory, message by message, from the epoch's keys to the signed release: the specification.

The services exchange exactly these messages, so for the same entropy, keys and noisy vectors they make the same bytes
(tests/journeys/test_same_bytes.py). ``farrsum/rehearsal.py`` is the sum alone, without requests and signatures on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from protocols import announcement as announcements
from protocols import release as releases
from protocols import request as requests
from protocols import roster as rosters
from protocols import round as rounds
from protocols import upload as uploads
from protocols.announcement import Announcement
from protocols.farrsum import epoch as epochs
from protocols.farrsum import seat as seats
from protocols.farrsum.epoch import ExchangeKey
from protocols.farrsum.field import Entropy
from protocols.farrsum.parameters import honest, least_survivors
from protocols.farrsum.slot_record import SlotRecord
from protocols.farrsum.slots import read_deposit
from protocols.farrsum.unmasking import OwnShares
from protocols.ring import Ring
from protocols.signing import IdentityKey
from protocols.upload import Upload
from protocols.wire_pb2 import Note, Signed


@dataclass(frozen=True, kw_only=True)
class Hospital:
    """A hospital of the rehearsal."""

    key: IdentityKey
    """Its identity."""
    vector: Ring
    """Its tally with its noise; zeros with noise where the request does not ask it."""
    entropy: Entropy
    """Where its secrets come from."""
    notes: tuple[Note, ...] = ()
    """Its public remarks."""


@dataclass(frozen=True, kw_only=True)
class Convened:
    """What the coordinator chooses."""

    key: IdentityKey
    """Its identity."""
    epoch: int
    """Number of the epoch."""
    slot: int
    """Of the round."""
    deadline: int
    """Seconds since 1970, UTC."""
    now: int
    """Seconds since 1970, UTC."""


def run_round(
    request: Signed,
    *,
    signed_roster: Signed,
    registrar_key: bytes,
    federation: str,
    hospitals: Mapping[str, Hospital],
    convened: Convened,
    silent: frozenset[str] = frozenset(),
) -> Signed:
    """Run one epoch with one round and return the signed release; raise Rejected where a real round would give none.

    ``silent`` hospitals deposit a slot, but never upload.
    """
    now = convened.now
    roster = rosters.read(signed_roster, federation=federation, registrar_key=registrar_key)
    pinned = rosters.digest_of(signed_roster)
    asked = requests.read(request, roster=roster, now=now)

    # Epoch: each hospital signs an exchange key, the coordinator freezes the list, each hospital checks it.
    exchange = {site: ExchangeKey.from_seed(hospital.entropy(32)) for site, hospital in hospitals.items()}
    keys = [
        epochs.write_key(convened.epoch, roster, pinned, member=site, key=hospital.key, exchange=exchange[site])
        for site, hospital in hospitals.items()
    ]
    freeze = epochs.freeze(convened.epoch, keys)
    epoch = epochs.read_freeze(freeze, number=convened.epoch, roster=roster, roster_digest=pinned)
    taken = {
        site: seats.take_seat(
            freeze, number=convened.epoch, roster=roster, roster_digest=pinned, member=site, exchange=exchange[site]
        )
        for site in hospitals
    }

    # Deposit: each hospital prepares the slot.
    deposited, slot_shares = {}, {}
    for site, seat in taken.items():
        message, kept = seats.deposit([convened.slot], seat=seat, entropy=hospitals[site].entropy)
        deposited[seat.own] = message.deposits[0]
        slot_shares[site] = kept[convened.slot]

    # Announce: the coordinator opens the round for everybody in the epoch.
    minimum = least_survivors(epoch.parameters, len(epoch.members), asked.minimum)
    announcement = Announcement(
        request=asked,
        signed_request=request,
        roster=roster.version,
        epoch=epoch.number,
        freeze=epoch.digest,
        slot=convened.slot,
        contributors=epoch.members,
        minimum=minimum,
        colluders=asked.trust.colluders(len(roster.nodes)),
        honest=honest(minimum, asked.trust, len(roster.nodes)),
        deadline=convened.deadline,
    )
    signed = announcements.write(announcement, roster, convened.key)
    state = rounds.open_round(announcement, signed, entries=_entries(hospitals), epoch=epoch)

    # Upload: each hospital reads the announcement for itself, binds its slot to it, masks and signs.
    entered, records, own_shares, hidden = {}, {}, {}, {}
    for site, seat in taken.items():
        read = announcements.read(signed, roster=roster, now=now)
        entered[site] = seats.enter(read, announcements.tau(signed), seat=seat)
        records[site] = SlotRecord().announce(state.tau)
        if site in silent:
            continue
        masked = seats.mask(hospitals[site].vector, seat=seat, entered=entered[site], entropy=hospitals[site].entropy)
        upload = Upload(
            site=site,
            announcement=state.tau,
            vector=masked.vector,
            salt=masked.shares.salt,
            sealed=b"".join(masked.shares.sealed.values()),
            notes=hospitals[site].notes,
        )
        hidden[seat.own] = masked.vector
        own_shares[site] = OwnShares(slot_share=slot_shares[site], self_share=masked.shares.own)
        signed_upload = uploads.write(upload, federation=federation, key=hospitals[site].key)
        state = rounds.take_upload(state, signed_upload, roster=roster, now=now)

    # Confirm: the coordinator fixes the survivors, each witness signs them.
    state, question = rounds.fix_survivors(state)
    for site, seat in taken.items():
        if site not in silent and seat.own in epoch.witnesses:
            records[site], confirmation = seats.confirm(
                question,
                record=records[site],
                seat=seat,
                entered=entered[site],
                federation=federation,
                key=hospitals[site].key,
            )
            state = rounds.take_confirmation(state, site, confirmation, roster=roster)

    # Unmask: each committee member checks the quorum and releases one share per hospital.
    gone = rounds.dropped(state)
    sealed = {index: read_deposit(deposited[index], epoch=epoch, own=index) for index in gone}
    for site, unmask in rounds.ask_committee(state, sealed).items():
        if site not in silent:
            records[site], shares = seats.unmask(
                unmask,
                record=records[site],
                seat=taken[site],
                entered=entered[site],
                own_shares=own_shares[site],
                roster=roster,
            )
            state = rounds.take_shares(state, site, shares)

    # Finish: the coordinator takes the masks off and signs the sum.
    backups = {index: deposited[index].backups for index in gone}
    release = rounds.close(
        state, backups=backups, released_at=now, seconds=0.0, vectors=lambda index, _blob: (hidden[index],)
    )
    return releases.write(release, roster, convened.key)


def _entries(hospitals: Mapping[str, Hospital]) -> int:
    (entries,) = {len(hospital.vector) for hospital in hospitals.values()}
    return entries
