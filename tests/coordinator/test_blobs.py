import asyncio
import os
import time
from dataclasses import replace

import grpc
import numpy as np
import pytest

from coordinator import questions
from coordinator.blob_store import AFTER, LIFE, LONG_KEPT, MOST_MESSAGES, UPDATE_LIFE, BlobStore
from protocols import blobs, checks, ring
from protocols.blobs import Blob, blob_of
from protocols.errors import Rejected
from protocols.wire_pb2 import Announcement as AnnouncementMessage
from protocols.wire_pb2 import BlobOffer, BlobPart, BlobWanted, NodeMessage, State, Upload
from protocols.wire_pb2_grpc import BlobsStub
from tests.coordinator.federation import SOON, coordinator, get, refused

CONTENT = bytes(range(256)) * 20
SUM = [11111, 111110000]


@pytest.fixture
def short(monkeypatch):
    """Let every vector travel beside its upload, and every sum beside its release."""
    monkeypatch.setattr(blobs, "INLINE_BYTES", 8)


@pytest.fixture
def store(tmp_path):
    """Return a store with room for 100,000 bytes, 10,000 of one analyst."""
    return BlobStore(home=tmp_path, most_bytes=100_000, most_member_bytes=10_000)


def parts(data, size=1000, start=0):
    """Return content in parts."""
    return [BlobPart(offset=at, data=data[at : at + size]) for at in range(start, len(data), size)]


def put(store, place, data, **changes):
    """Put all of some content in its place."""
    turn = store.begin(place)
    for part in parts(data, **changes):
        store.add(place, turn, part)
    store.finish(place)


async def long_round(running):
    """Ask, and let all five hospitals answer; return the analyst and the final status."""
    hospitals = await running.hospitals()
    analyst = running.analyst()
    status = await analyst.start()
    for hospital in hospitals:
        await hospital.answer(await hospital.hear("announcement"))
    return analyst, await analyst.end_of(status)


# --- rounds


def test_long_vectors_travel_beside_their_uploads_and_give_the_sum(federation, tmp_path, short):
    """Uploads and release name their vectors by digest; the sum is right, and what hospitals sent is deleted."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            analyst, status = await long_round(running)
            release = await analyst.answer(status)
            assert release.blob == blob_of(ring.pack(release.vector))
            assert list(ring.centred(release.vector)) == SUM
            await asyncio.sleep(0.1)
            assert not list((tmp_path / "blobs" / "uploads").rglob("*"))

    asyncio.run(scenario())


def test_an_upload_without_its_vector_is_refused(federation, tmp_path, short):
    """A name is no vector: the link is closed with the reason, and the round goes on without that hospital."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            aden, *others = await running.hospitals()
            analyst = running.analyst()
            status = await analyst.start()
            signed = aden.signed_upload(await aden.hear("announcement"))
            await aden.put(signed, content=aden.long[next(iter(aden.long))][:16])
            await aden.say(NodeMessage(upload=signed))
            assert (await aden.hear("closing")).code == "unknown-blob"
            for hospital in others:
                await hospital.answer(await hospital.hear("announcement"))
            release = await analyst.answer(await analyst.end_of(status))
            assert list(ring.centred(release.vector)) == [11110, 111100000]

    asyncio.run(scenario())


def test_a_vector_goes_on_from_where_a_cut_link_stopped(federation, tmp_path, short):
    """What came of a vector before the hospital was cut off is there when it comes back, and only the rest is sent."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            aden, *others = await running.hospitals()
            analyst = running.analyst()
            status = await analyst.start()
            signed = aden.signed_upload(await aden.hear("announcement"))
            (data,) = aden.long.values()
            assert await aden.put(signed, content=data[:16]) == 16
            await aden.cut()
            await aden.connect()
            announced = await aden.hear("announcement")
            offer = BlobOffer(blob=blobs.write(blob_of(data)), announcement=tau_of(signed))
            assert (await BlobsStub(aden.channel).Offer(offer, timeout=SOON)).size == 16
            assert await aden.put(signed, offset=16) == len(data)
            await aden.say(NodeMessage(upload=signed))
            await aden.prepare(checks.parse(AnnouncementMessage, announced.body).epoch)
            for hospital in others:
                await hospital.answer(await hospital.hear("announcement"))
            release = await analyst.answer(await analyst.end_of(status))
            assert list(ring.centred(release.vector)) == SUM

    asyncio.run(scenario())


def tau_of(signed):
    """Return the digest of the announcement that an upload answers."""
    return checks.parse(Upload, signed.body).announcement


def test_only_those_concerned_send_and_fetch(federation, tmp_path, short):
    """A hospital sends its own vector for an open round, and fetches nothing that no request sends it.

    An analyst fetches the sum of a release that it may read; a registrar and a stranger nothing at all.
    """

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            aden, brest, *others = await running.hospitals()
            analyst = running.analyst()
            status = await analyst.start()
            signed = aden.signed_upload(await aden.hear("announcement"))
            (data,) = aden.long.values()
            stub = BlobsStub(aden.channel)
            good = BlobOffer(blob=blobs.write(blob_of(data)), announcement=tau_of(signed))
            longer = BlobOffer(blob=blobs.write(Blob(digest=bytes(32), size=1 << 20)), announcement=good.announcement)
            other = BlobOffer(blob=good.blob, announcement=bytes(32))
            assert (await refused(stub.Offer(longer)))[1] == "wrong-length"
            assert (await refused(stub.Offer(other)))[1] == "late"
            assert (await refused(stub.Offer(BlobOffer(blob=good.blob))))[1] == "late"
            assert await aden.put(signed) == len(data)
            wanted = BlobWanted(digest=blob_of(data).digest)
            for hospital in (aden, brest):
                assert (await refused(get(hospital.channel, wanted)))[1] == "unknown-blob"
            mallory = running.analyst("bela")
            assert (await refused(mallory.get(replaced(wanted, release=status.id))))[1] == "unknown-request"
            await aden.say(NodeMessage(upload=signed))
            for hospital in (brest, *others):
                await hospital.answer(await hospital.hear("announcement"))
            ended = await analyst.end_of(status)
            release = await analyst.answer(ended)
            assert list(ring.centred(release.vector)) == SUM
            assert (await refused(analyst.get(replaced(wanted, release=ended.release))))[1] == "unknown-blob"
            assert (await refused(stub.Offer(good)))[1] == "late"
            office = running.channel(federation.parties["office"])
            assert (await refused(BlobsStub(office).Offer(good)))[1] == "wrong-role"
            stranger = running.channel(federation.stranger)
            assert (await refused(BlobsStub(stranger).Offer(good)))[1] == "unknown-member"

    asyncio.run(scenario())


def replaced(wanted, **changes):
    """Return a question for a blob, changed."""
    fields = {"digest": wanted.digest, "offset": wanted.offset, "release": wanted.release}
    return BlobWanted(**{**fields, **changes})


def test_a_long_sum_is_fetched_again_from_any_byte(federation, tmp_path, short):
    """After a cut an analyst asks for what is missing, and gets just that."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            analyst, status = await long_round(running)
            release = await analyst.answer(status)
            whole = ring.pack(release.vector)
            for offset in (0, 5, len(whole) - 1, len(whole)):
                wanted = BlobWanted(digest=release.blob.digest, offset=offset, release=status.release)
                assert await analyst.get(wanted) == whole[offset:]

    asyncio.run(scenario())


def test_an_answer_whose_sum_is_gone_is_not_given_again(federation, tmp_path, short):
    """The same question opens another round once the long sum of the first one was deleted."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            hospitals = await running.answering()
            assert len(hospitals) == 5
            analyst = running.analyst()
            first = await analyst.ask()
            again = await analyst.ask()
            assert again.reused
            assert again.release == first.id
            release = await analyst.answer(first)
            (tmp_path / "blobs" / "releases" / release.blob.digest.hex()).unlink()
            third = await analyst.ask()
            assert not third.reused
            assert third.state == State.STATE_ANSWERED

    asyncio.run(scenario())


def test_a_slow_hospital_of_a_long_round_is_waited_for_as_long_again_as_the_others_took(
    federation, tmp_path, short, monkeypatch
):
    """Where long vectors travel on slow lines, the last one need not be as quick as for a few numbers."""
    monkeypatch.setattr(questions, "BYTES_A_SECOND", 1)

    async def scenario():
        async with coordinator(federation, tmp_path, straggler_seconds=0.1) as running:
            *others, essen = await running.hospitals()
            analyst = running.analyst()
            status = await analyst.start()
            await asyncio.sleep(1.5)
            for hospital in others:
                await hospital.answer(await hospital.hear("announcement"))
            await analyst.until(status, lambda now: now.answered == 4)
            await asyncio.sleep(0.5)
            await essen.answer(await essen.hear("announcement"))
            release = await analyst.answer(await analyst.end_of(status))
            assert list(ring.centred(release.vector)) == SUM

    asyncio.run(scenario())


# --- messages


def test_a_message_is_sent_in_pieces_across_a_restart_of_the_coordinator(federation, tmp_path):
    """What came before the coordinator was killed is there when it is back; only the rest is sent, then it is whole."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            analyst = running.analyst()
            offer = BlobOffer(blob=blobs.write(blob_of(CONTENT)))
            assert await put_some(analyst, offer, CONTENT[:3000]) == 3000
            await running.crash()
            await running.start()
            analyst = running.analyst()
            assert await put_some(analyst, offer, CONTENT, start=3000) == len(CONTENT)
            file = tmp_path / "blobs" / "messages" / "ada" / blob_of(CONTENT).digest.hex()
            assert file.read_bytes() == CONTENT
            # Nobody but a hospital that an open request sends it to may fetch it.
            aden = await running.hospital("aden")
            wanted = BlobWanted(digest=blob_of(CONTENT).digest)
            assert (await refused(get(aden.channel, wanted)))[1] == "unknown-blob"

    asyncio.run(scenario())


async def put_some(analyst, offer, data, start=0):
    """Send some of a message's bytes."""

    async def some():
        for part in parts(data, start=start):
            yield BlobPart(offer=offer, offset=part.offset, data=part.data)

    return (await BlobsStub(analyst._channel).Put(some(), timeout=SOON)).size


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"data": bytes(1000)}, "bad-digest"),
        ({"offset": 1}, "malformed"),
        ({"data": CONTENT + b"x"}, "oversized"),
        ({"data": b""}, "oversized"),
    ],
)
def test_what_is_not_what_its_digest_says_is_dropped(federation, tmp_path, changed, code):
    """Other content, a gap, too much and nothing are refused by their code; nothing whole comes of them."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            analyst = running.analyst()
            content = CONTENT[:1000]
            offer = BlobOffer(blob=blobs.write(blob_of(content)))

            async def wrong():
                yield BlobPart(**{"offer": offer, "offset": 0, "data": content, **changed})

            stub = BlobsStub(analyst._channel)
            status, told = await refused(stub.Put(wrong(), timeout=SOON))
            assert told == code
            assert status != grpc.StatusCode.OK
            assert (await stub.Offer(offer, timeout=SOON)).size == 0
            assert await analyst.put(content) == len(content)

    asyncio.run(scenario())


# --- the store


def test_a_wrong_part_never_replaces_a_right_one(store):
    """Parts only follow what is there, only from the newest call, and never once the blob is whole."""
    place = store.message("ada", blob_of(CONTENT))
    early = store.begin(place)
    first, second, *rest = parts(CONTENT)
    store.add(place, early, first)
    with pytest.raises(Rejected, match="malformed"):
        store.add(place, early, BlobPart(offset=0, data=b"wrong"))
    late = store.begin(place)
    with pytest.raises(Rejected, match="displaced"):
        store.add(place, early, second)
    for part in (second, *rest):
        store.add(place, late, part)
    store.finish(place)
    with pytest.raises(Rejected):
        store.add(place, late, BlobPart(offset=len(CONTENT), data=b"more"))
    with pytest.raises(Rejected):
        store.add(place, store.begin(place), BlobPart(offset=1, data=b"wrong"))
    assert place.file.read_bytes() == CONTENT


def test_another_members_part_changes_nothing(store):
    """Two analysts that send the same content do not meet: what one gets wrong the other does not feel."""
    mine, theirs = (store.message(name, blob_of(CONTENT)) for name in ("ada", "bela"))
    put(store, mine, CONTENT)
    with pytest.raises(Rejected, match="bad-digest"):
        put(store, theirs, bytes(len(CONTENT)))
    assert mine.whole
    assert not theirs.whole
    assert theirs.held == 0


def test_nobody_fills_the_disk(store):
    """An analyst's own share, the number of its files and the room for all hold, announced bytes included."""
    for number in range(2):
        store.begin(store.message("ada", Blob(digest=bytes([number] * 32), size=4000)))
    with pytest.raises(Rejected, match="busy"):
        store.begin(store.message("ada", Blob(digest=bytes([9] * 32), size=2001)))
    store.begin(store.message("ada", Blob(digest=bytes([0] * 32), size=4000)))
    for number in range(9):
        store.begin(store.upload(bytes(32), f"site{number}", Blob(digest=bytes([number] * 32), size=10_000)), only=True)
    with pytest.raises(Rejected, match="busy"):
        store.begin(store.message("bela", Blob(digest=bytes(32), size=3000)))
    store.drop_uploads(bytes(32))
    store.begin(store.message("bela", Blob(digest=bytes(32), size=3000)))


def test_an_analyst_has_a_limited_number_of_messages(store):
    """Tiny blobs cannot use up the disk's files either."""
    for number in range(MOST_MESSAGES):
        store.begin(store.message("ada", Blob(digest=number.to_bytes(32, "big"), size=1)))
    with pytest.raises(Rejected, match="busy"):
        store.begin(store.message("ada", Blob(digest=bytes([255] * 32), size=1)))


def test_a_hospital_has_one_vector_a_round(store):
    """Another name under the same round takes the place of the first."""
    for content in (CONTENT, CONTENT[::-1]):
        place = store.upload(bytes(32), "aden", blob_of(content))
        store.add(place, store.begin(place, only=True), parts(content)[0])
    assert [path.name for path in place.folder.iterdir()] == [place.part.name]


def test_what_has_outlived_its_time_goes_and_what_is_needed_stays(store):
    """Messages go after a day, or soon after their request ended; long sums of updates after a week, others never."""
    now = time.time()
    old, needed, used, fresh = (store.message("ada", blob_of(CONTENT[at : at + 500])) for at in range(4))
    for at, place in enumerate((old, needed, used, fresh)):
        put(store, place, CONTENT[at : at + 500])
    for place in (old, needed):
        os.utime(place.file, (now - LIFE - 1, now - LIFE - 1))
    store.retire(used)
    store.sweep(now, {needed.file})
    assert [place.whole for place in (old, needed, used, fresh)] == [False, True, True, True]
    store.sweep(now + AFTER + 1, {needed.file})
    assert [place.whole for place in (old, needed, used, fresh)] == [False, True, False, True]

    long, short = (store.keep(np.zeros(entries, dtype=np.uint64)) for entries in (LONG_KEPT // 8 + 1, LONG_KEPT // 8))
    store.sweep(now + UPDATE_LIFE + 60, ())
    assert not store.release(long).whole
    assert store.release(short).whole


def test_hospitals_vectors_do_not_outlive_the_process_and_messages_do(store, tmp_path):
    """A round ends with the coordinator's process; what an analyst sent is there for the next one."""
    message, vector = store.message("ada", blob_of(CONTENT)), store.upload(bytes(32), "aden", blob_of(CONTENT))
    put(store, message, CONTENT)
    store.add(vector, store.begin(vector, only=True), parts(CONTENT)[0])
    again = BlobStore(home=tmp_path, most_bytes=100_000, most_member_bytes=10_000)
    assert again.message("ada", blob_of(CONTENT)).whole
    assert again.upload(bytes(32), "aden", blob_of(CONTENT)).held == 0


def test_a_blob_is_its_owners_alone(store):
    """No other user of the machine can read what is kept."""
    place = store.message("ada", blob_of(CONTENT))
    put(store, place, CONTENT)
    assert place.file.stat().st_mode & 0o077 == 0
    assert (store.home / "blobs").stat().st_mode & 0o077 == 0


def test_numbers_are_read_in_pieces(store):
    """A vector is read a part at a time, and is what was kept."""
    numbers = np.arange((blobs.CHUNK + 800) // 8, dtype=np.uint64)
    place = store.release(store.keep(numbers))
    found = list(store.pieces(place))
    assert [len(each) for each in found] == [blobs.CHUNK // 8, 100]
    assert np.array_equal(np.concatenate(found), numbers)
    with pytest.raises(Rejected, match="unknown-blob"):
        next(store.pieces(replace(place, blob=blob_of(b"another"))))
