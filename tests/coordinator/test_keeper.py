"""The coordinator's log, the heads that it passes on, and the evidence that it hands out."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from types import SimpleNamespace

import pytest

from coordinator import evidence
from coordinator import log as logs
from coordinator.members import Members
from coordinator.serve import STATE_FILE
from coordinator.store import Store
from protocols import announcement as announcements
from protocols import checkpoint as checkpoints
from protocols import evidence as proofs
from protocols import release as releases
from protocols.checkpoint import Checkpoint, Witness
from protocols.log import Log
from protocols.wire_pb2 import NodeMessage, Receipt, RequestId
from tests.coordinator.federation import HOSPITALS, NAME, coordinator, refused
from tests.protocols.test_log import add, fresh


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Checkpoints are signed and spread at once."""
    monkeypatch.setattr(evidence, "PACE", 0.1)


def entries_of(home):
    """Return the kinds of the log's entries, and whether it verifies."""
    with contextlib.closing(sqlite3.connect(home / STATE_FILE)) as connection:
        log = Log(connection=connection, table="log")
        assert log.verify() is None
        return [each.kind for each in log.entries()]


def checkpoint_of(hospital, log, **changes):
    """Return a hospital's signed checkpoint of its log."""
    size, _ = log.head()
    parts = {"federation": NAME, "member": hospital.party.id, "size": size, "root": log.root(size), "at": 7}
    return checkpoints.write(Checkpoint(**(parts | changes)), hospital.party.identity)


def receipt_of(hospital, release, request):
    """Return a hospital's receipt of a release, and its log."""
    log = fresh(2)
    read = releases.read(release, federation=NAME, coordinator_key=hospital.roster.coordinator.identity_key)
    tau = announcements.tau(read.announcement)
    told = {"request": read.id.hex(), "round": tau.hex()}
    add(log, kind="answered", **told, analyst=request.analyst, purpose=request.purpose, units=5, spent=5)
    add(log, kind="released", **told, release=releases.digest_of(release).hex())
    shown = [log.shown(number, 4) for number in (3, 4)]
    return Receipt(announcement=tau, entries=shown, checkpoint=checkpoint_of(hospital, log)), log


async def head_of(hospital, member, size=1):
    """Wait until a hospital heard a checkpoint of a member with at least so many entries."""
    while True:
        for signed in (await hospital.hear("heads")).checkpoints:
            if signed.signer == member and checkpoints.parsed(signed).size >= size:
                return signed


async def witness(hospital, signed):
    """Have a hospital witness a checkpoint."""
    said = Witness(member=hospital.party.id, checkpoint=checkpoints.digest_of(signed), keeper=signed.signer, at=7)
    made = checkpoints.write_witness(said, federation=NAME, key=hospital.party.identity)
    await hospital.say(NodeMessage(witness=made))


def test_the_log_tells_of_every_step(federation, tmp_path):
    """The roster, a request, its round and its release; a cancelled request too; none of it twice after a restart."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            await running.answering(HOSPITALS[:4])
            await running.analyst().ask()
            # The fifth is away, so this one is sure to wait.
            waiting = await running.analyst().submit(minimum=5, fresh=True, sites=HOSPITALS)
            await running.analyst().stub.Cancel(RequestId(id=waiting.id))
            told = ["roster", "submitted", "announced", "released", "submitted"]
            assert entries_of(tmp_path)[:5] == told
            assert "cancelled" in entries_of(tmp_path)
            before = entries_of(tmp_path)
            await running.crash()
            await running.start()
            assert entries_of(tmp_path) == before

    asyncio.run(scenario())


def test_the_evidence_of_a_release_holds_for_a_stranger(federation, tmp_path):
    """Receipts and witnesses are kept and handed out with the log's own proof; all of it verifies offline."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            analyst = running.analyst()
            status = await analyst.ask()
            release = await hospitals[0].hear("release")
            request = releases.announced(
                releases.read(release, federation=NAME, coordinator_key=federation.roster.coordinator.identity_key),
                roster=federation.roster,
                now=status.created_at,
            ).request
            for hospital in hospitals[:3]:
                await hospital.say(NodeMessage(receipt=receipt_of(hospital, release, request)[0]))
            signed = await head_of(hospitals[0], "convener", 4)
            await witness(hospitals[0], signed)
            await head_of(hospitals[4], hospitals[0].party.id, 4)
            await asyncio.sleep(0.3)
            found = await analyst.stub.Prove(RequestId(id=status.release))
            proven = proofs.read(
                found.SerializeToString(deterministic=True), registrar_key=federation.authority.registrar.public
            )
            assert proven.flaws == ()
            assert [each.site for each in proven.answered] == list(HOSPITALS[:3])
            assert proven.missing == HOSPITALS[3:]
            assert [each.kind for each in proven.coordinator] == ["submitted", "announced", "released"]
            assert proven.witnesses == (hospitals[0].party.id,)

    asyncio.run(scenario())


def test_a_hospital_that_comes_back_hears_what_it_owes(federation, tmp_path):
    """Its own head, so that it knows if it was rolled back, and the releases that it showed no receipt for."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            await running.analyst().ask()
            first = hospitals[0]
            release = await first.hear("release")
            log = fresh(3)
            await first.say(NodeMessage(checkpoint=checkpoint_of(first, log)))
            await head_of(hospitals[1], first.party.id, 3)
            await first.cut()
            await first.connect()
            assert checkpoints.parsed(await head_of(first, first.party.id)).size == 3
            assert await first.hear("release") == release

    asyncio.run(scenario())


def test_a_receipt_that_proves_nothing_ends_the_link(federation, tmp_path):
    """Another's checkpoint, or an entry that its log does not hold: the link is closed with the code."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            first, second = (await running.hospitals())[:2]
            log = fresh(3)
            await first.say(NodeMessage(checkpoint=checkpoint_of(second, log)))
            assert (await first.hear("closing")).code == "bad-signature"
            entry = log.shown(2, 3)
            entry.facts = "{}"
            receipt = Receipt(announcement=bytes(32), entries=[entry], checkpoint=checkpoint_of(second, log))
            await second.say(NodeMessage(receipt=receipt))
            assert (await second.hear("closing")).code == "bad-proof"

    asyncio.run(scenario())


def test_a_fork_is_logged_and_the_newest_word_is_spread(federation, tmp_path):
    """A hospital that signs a second history is named in the coordinator's log, which hospitals witness."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            first, second = (await running.hospitals())[:2]
            await first.say(NodeMessage(checkpoint=checkpoint_of(first, fresh(3))))
            await head_of(second, first.party.id, 3)
            other = fresh(2)
            add(other, kind="refused")
            await first.say(NodeMessage(checkpoint=checkpoint_of(first, other)))
            await asyncio.sleep(0.5)
            assert entries_of(tmp_path).count("equivocation") == 1

    asyncio.run(scenario())


def test_a_hospital_that_forks_for_ever_fills_no_log(tmp_path):
    """Each member's forks are told so often and no more; the others' still are."""
    with contextlib.closing(Store(tmp_path / STATE_FILE)) as store:
        for number in range(logs.MOST_TOLD + 5):
            with store.together():
                told = logs.equivocation(store.log, {"member": "cork", "held": f"{number:064x}", "other": "b"}, 7)
            assert told == (number < logs.MOST_TOLD)
        with store.together():
            assert logs.equivocation(store.log, {"member": "aden", "held": "a", "other": "b"}, 7)
        assert [each.kind for each in store.log.entries()].count("equivocation") == logs.MOST_TOLD + 1


def test_one_hospital_does_not_fill_the_room_for_what_waits_to_be_written(federation, tmp_path, monkeypatch):
    """It has a share of it: what another shows after it is kept, and after the next write so is its own again."""
    monkeypatch.setattr(evidence, "MOST_PENDING", 4)
    monkeypatch.setattr(evidence, "MOST_PENDING_OF_ONE", 3)
    roster, signed = federation.issue(version=1)
    members = Members(signed=signed, roster=roster, catalogue=None, clock=time.time)
    loud, quiet = (SimpleNamespace(party=federation.parties[id_]) for id_ in HOSPITALS[:2])
    log = fresh(2)
    with contextlib.closing(Store(tmp_path / STATE_FILE)) as store:
        keeper = evidence.Keeper(settings=federation.settings(tmp_path), store=store, members=members, links=None)
        heads = []
        for _ in range(2):
            for _ in range(6):
                add(log, kind="refused")
                keeper.take_checkpoint(loud.party.id, checkpoint_of(loud, log))
            keeper.take_checkpoint(quiet.party.id, checkpoint_of(quiet, log))
            keeper.flush()
            heads.append({each.signer: checkpoints.parsed(each).size for each in store.evidence.heads()})
    assert heads == [{loud.party.id: size - 3, quiet.party.id: size} for size in (8, 14)]


def test_a_witness_of_another_log_is_refused(federation, tmp_path):
    """Hospitals witness the coordinator's log; and only in their own name."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            first, second = (await running.hospitals())[:2]
            await witness(first, checkpoint_of(second, fresh(3)))
            assert (await first.hear("closing")).code == "malformed"

    asyncio.run(scenario())


def test_evidence_of_an_unknown_release_is_refused(federation, tmp_path):
    """Nothing is said of what is not there."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            analyst = running.analyst()
            assert (await refused(analyst.stub.Prove(RequestId(id=bytes(16)))))[1] == "unknown-request"

    asyncio.run(scenario())
