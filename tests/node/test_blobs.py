from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest

from node import blobs as carrying
from node.blobs import Blobs, Sender
from node.books.ledger import Ledger
from node.books.promises import Promises
from node.books.state import read_state
from node.gate import Gate, Withheld, wanted
from node.vectors import FOLDER, Vectors
from protocols import announcement as announcements
from protocols import blobs, ring, upload
from protocols.blobs import Blob
from protocols.credentials import Credentials
from protocols.errors import Rejected
from protocols.upload import Upload
from protocols.wire_pb2 import BlobHeld, BlobPart, Role
from protocols.wire_pb2_grpc import BlobsServicer, add_BlobsServicer_to_server
from tests.coordinator.federation import Authority
from tests.node.rig import NAME, SITE, Rig, announce, key_of

CONTENT = os.urandom(3 * blobs.CHUNK + 5)
DIGEST = hashlib.sha256(CONTENT).digest()
SOON = 60.0


@pytest.fixture
def rig(tmp_path, monkeypatch):
    """A node whose vectors all travel beside their uploads."""
    monkeypatch.setattr(blobs, "INLINE_BYTES", 8)
    made = Rig(tmp_path / "home")
    object.__setattr__(made.answerer, "keep", Vectors(home=tmp_path / "home").keep)
    yield made
    made.close()


@pytest.fixture
def home(tmp_path):
    """The node's home."""
    return tmp_path / "home"


@contextmanager
def gate_of(home):
    """Hold a node's gate."""
    with closing(read_state(home)) as reader:
        yield Gate(
            member=SITE,
            ledger=Ledger(connection=reader),
            promises=Promises(connection=reader),
            policy_file=home / "policy.toml",
            tables=("stay",),
        )


# --- out


def test_a_long_vector_is_kept_before_its_upload_is_committed(rig, home):
    """When the charge is committed the file is there, its owner's alone; the same announcement names the same one."""
    seen = []

    def step(name):
        if name == "stored":
            seen.extend(path.stat().st_mode & 0o777 for path in (home / FOLDER).iterdir())

    object.__setattr__(rig.answerer, "step", step)
    signed = rig.answer(announce())
    blob = upload.blob_of(signed)
    assert seen == [0o600]
    assert blob.size == 4 * ring.ENTRY_BYTES
    Vectors(home=home).insist(blob)
    assert rig.answer(announce()) == signed


def test_a_vector_that_cannot_be_kept_is_not_charged(rig, home):
    """A full disk leaves no charge and no upload behind."""

    def full(_blob, _vector):
        raise OSError(28, "No space left on device")

    object.__setattr__(rig.answerer, "keep", full)
    with pytest.raises(OSError, match="No space"):
        rig.answer(announce())
    with closing(read_state(home)) as reader:
        assert Ledger(connection=reader).spent() == 0
        assert reader.execute("SELECT count(*) FROM uploads").fetchone() == (0,)


def test_without_a_place_a_long_vector_is_not_charged(rig, home):
    """A node that was put together without one refuses."""
    from node.answer import Answerer

    object.__setattr__(rig.answerer, "keep", Answerer.__dataclass_fields__["keep"].default)
    with pytest.raises(Exception, match="no place"):
        rig.answer(announce())


def test_only_the_vector_of_a_charged_upload_leaves(rig, home):
    """The gate names what a committed upload names; for one that was not charged it has no name."""
    signed = rig.answer(announce())
    blob = upload.blob_of(signed)
    bare = Upload(site=SITE, announcement=bytes(32), vector=ring.unpack(bytes(32), 4), salt=b"", sealed=b"")
    forged = upload.write(bare, federation=NAME, key=key_of(SITE))
    with gate_of(home) as gate:
        offer = gate.offer(signed)
        assert blobs.read(offer.blob) == blob
        assert offer.announcement == announcements.tau(announce())
        with pytest.raises(Withheld):
            gate.offer(forged)


def test_a_short_vector_has_no_name(tmp_path):
    """It travels inside its upload, and nothing beside it."""
    rig = Rig(tmp_path / "home")
    try:
        signed = rig.answer(announce())
        with gate_of(tmp_path / "home") as gate, pytest.raises(Withheld):
            gate.offer(signed)
    finally:
        rig.close()


def test_a_vector_that_was_changed_on_disk_does_not_leave(rig, home):
    """What is sent is what the committed upload names, whatever became of the file."""
    blob = upload.blob_of(rig.answer(announce()))
    vectors = Vectors(home=home)
    path = vectors.path(blob)
    good = path.read_bytes()
    path.write_bytes(bytes(len(good)))
    with pytest.raises(Rejected, match="unavailable"):
        vectors.insist(blob)
    path.write_bytes(good)
    vectors.insist(blob)
    vectors.drop(blob)
    with pytest.raises(Rejected, match="unavailable"):
        vectors.insist(blob)


def test_vectors_of_rounds_that_are_long_over_are_deleted(tmp_path):
    """What a lost round left behind does not stay."""
    vectors = Vectors(home=tmp_path)
    first, second = (ring.unpack(bytes([number] * 32), 4) for number in (1, 2))
    one, other = (blobs.blob_of(ring.view(each)) for each in (first, second))
    vectors.keep(one, first)
    os.utime(vectors.path(one), (time.time() - 7201, time.time() - 7201))
    vectors.keep(other, second)
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [other.digest.hex()]


def test_a_vector_that_is_dropped_while_another_is_kept_spoils_nothing(tmp_path, monkeypatch):
    """The loop deletes what the coordinator has while the desk looks through the folder: no round is lost by it."""
    vectors = Vectors(home=tmp_path)
    vector = ring.unpack(bytes(32), 4)
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: [*listed(folder), folder / ("ab" * 32)])
    vectors.keep(blob := blobs.blob_of(ring.view(vector)), vector)
    vectors.insist(blob)


def test_progress_is_told_once(tmp_path):
    """A link that is cut in every transfer is dialled quickly for as long as each one brings something."""
    sender = Sender(gate=None, vectors=Vectors(home=tmp_path))
    blob = Blob(digest=bytes(32), size=100)
    found = []
    for held in (0, 10, 10, 30):
        sender._note(blob, held)
        found.append(sender.advanced())
    assert found == [False, True, False, True]
    assert not sender.advanced()


def give_up(home, signed, servicer=None):
    """Carry a vector to a server that has the service, or none of it, and see that it is given up."""

    async def scenario(gate):
        server = grpc.aio.server()
        if servicer is not None:
            add_BlobsServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(Rejected, match="unavailable"):
                await asyncio.wait_for(Sender(gate=gate, vectors=Vectors(home=home)).carry(channel, signed), SOON)
        await server.stop(0)

    with gate_of(home) as gate:
        asyncio.run(scenario(gate))


def test_a_vector_that_nobody_takes_is_given_up(rig, home, monkeypatch):
    """A coordinator that does not know of long vectors, or has no room, is not asked for ever."""
    monkeypatch.setattr(carrying, "PAUSE", 0.01)
    monkeypatch.setattr(carrying, "PATIENCE", 0.1)
    signed = rig.answer(announce())

    give_up(home, signed)
    Vectors(home=home).insist(upload.blob_of(signed))


class Deaf(BlobsServicer):
    """Ends every transfer well and keeps nothing of it."""

    def __init__(self):
        """Nothing was sent yet."""
        self.puts = 0

    async def Offer(self, request, context):  # noqa: N802
        """Say that nothing is there."""
        return BlobHeld(size=0)

    async def Put(self, parts, context):  # noqa: N802
        """Take nothing."""
        self.puts += 1
        return BlobHeld(size=0)


def test_a_coordinator_that_takes_a_vector_and_keeps_nothing_is_not_sent_it_without_end(rig, home, monkeypatch):
    """Transfers that bring nothing forward are paced like those that fail, and given up like them."""
    monkeypatch.setattr(carrying, "PAUSE", 0.05)
    monkeypatch.setattr(carrying, "PATIENCE", 0.3)
    signed, deaf = rig.answer(announce()), Deaf()

    give_up(home, signed, deaf)
    assert 1 <= deaf.puts <= 8
    Vectors(home=home).insist(upload.blob_of(signed))


# --- in


class Coordinator(BlobsServicer):
    """Gives what it is told to, and counts."""

    def __init__(self):
        """Start with the right content, and no cuts."""
        self.content = CONTENT
        self.calls = []
        self.cut_after = []
        self.code = ""
        self.hold = None

    def Get(self, request, context):  # noqa: N802
        """Give the parts from the offset on, up to a cut."""
        self.calls.append(request.offset)
        most = self.cut_after.pop(0) if self.cut_after else len(self.content)
        if self.code:
            context.set_trailing_metadata((("farr-code", self.code),))
            context.abort(grpc.StatusCode.NOT_FOUND, self.code)
        for start in range(request.offset, min(len(self.content), request.offset + most), blobs.CHUNK):
            yield BlobPart(offset=start, data=self.content[start : start + blobs.CHUNK])
            if self.hold is not None:
                self.hold.wait(SOON)
        if most < len(self.content):
            context.abort(grpc.StatusCode.UNAVAILABLE, "cut")


@pytest.fixture(scope="module")
def authority():
    """One CA for all tests."""
    return Authority()


@pytest.fixture
def far(authority, monkeypatch):
    """A coordinator, and how to dial it."""
    monkeypatch.setattr(carrying, "PAUSE", 0.02)
    party, own = authority.party("convener", Role.ROLE_COORDINATOR), authority.party(SITE, Role.ROLE_NODE)
    server, coordinator = grpc.server(ThreadPoolExecutor(2)), Coordinator()
    add_BlobsServicer_to_server(coordinator, server)
    tls = grpc.ssl_server_credentials([(party.key_pem, party.certificate_pem)], authority.pem, True)
    port = server.add_secure_port("127.0.0.1:0", tls)
    server.start()
    coordinator.credentials = Credentials(
        federation=NAME,
        member=SITE,
        role=Role.ROLE_NODE,
        address=f"127.0.0.1:{port}",
        ca_certificate=authority.pem,
        certificate=own.certificate_pem,
        tls_key=own.key_pem,
        identity=key_of(SITE),
        registrar_key=bytes(32),
    )
    yield coordinator
    server.stop(0)


def test_what_a_request_names_is_fetched_across_cuts(far, tmp_path):
    """Each attempt goes on from the last byte that came, and what was fetched once is not fetched again."""
    far.cut_after = [blobs.CHUNK, 1, blobs.CHUNK]
    fetcher = Blobs(home=tmp_path, credentials=far.credentials)
    assert fetcher.fetch(DIGEST, len(CONTENT), SOON) == CONTENT
    assert far.calls == [0, blobs.CHUNK, 2 * blobs.CHUNK, 3 * blobs.CHUNK]
    assert fetcher.fetch(DIGEST, len(CONTENT), SOON) == CONTENT
    assert len(far.calls) == 4


def test_a_node_that_starts_again_goes_on(far, tmp_path):
    """What came before the end of the process is kept in the home."""
    far.cut_after = [blobs.CHUNK] + [0] * 100
    with pytest.raises(Rejected, match="unavailable"):
        Blobs(home=tmp_path, credentials=far.credentials).fetch(DIGEST, len(CONTENT), 0.3)
    far.cut_after, far.calls = [], []
    assert Blobs(home=tmp_path, credentials=far.credentials).fetch(DIGEST, len(CONTENT), SOON) == CONTENT
    assert far.calls == [blobs.CHUNK]


def test_what_is_not_what_the_request_names_is_not_taken(far, tmp_path):
    """Other content of the same length, more of it, or less, is never returned."""
    fetcher = Blobs(home=tmp_path, credentials=far.credentials)
    for wrong in (CONTENT[::-1], CONTENT + b"x", CONTENT[:-1]):
        far.content = wrong
        with pytest.raises(Rejected, match="unavailable"):
            fetcher.fetch(DIGEST, len(CONTENT), 0.4)
    far.content = CONTENT
    assert fetcher.fetch(DIGEST, len(CONTENT), SOON) == CONTENT


def test_a_refusal_ends_the_attempts(far, tmp_path):
    """Content that the coordinator does not have for this node is not asked for again and again."""
    far.code = "unknown-blob"
    begun = time.monotonic()
    with pytest.raises(Rejected, match="unavailable"):
        Blobs(home=tmp_path, credentials=far.credentials).fetch(DIGEST, len(CONTENT), 2 * SOON)
    assert time.monotonic() - begun < SOON
    assert far.calls == [0]


@pytest.mark.parametrize("what", ["a coordinator that says nothing", "the pause between two attempts"])
def test_a_node_that_ends_waits_for_nothing_that_is_fetched(far, tmp_path, monkeypatch, what):
    """Told to end, a fetch is given up at once, and so is every later one; what came is there for the next start."""
    silent = what.startswith("a coordinator")
    if silent:
        far.hold = threading.Event()
    else:
        monkeypatch.setattr(carrying, "PAUSE", 30.0)
        far.cut_after = [blobs.CHUNK]
    fetcher = Blobs(home=tmp_path, credentials=far.credentials)
    with ThreadPoolExecutor(1) as beside:
        fetching = beside.submit(fetcher.fetch, DIGEST, len(CONTENT), 60.0)
        deadline = time.monotonic() + SOON
        while not list((tmp_path / carrying.FOLDER).glob("*.part")) and time.monotonic() < deadline:
            time.sleep(0.01)
        begun = time.monotonic()
        fetcher.end()
        with pytest.raises(Rejected, match="unavailable"):
            fetching.result(SOON)
    assert time.monotonic() - begun < 1
    if silent:
        far.hold.set()
    calls = len(far.calls)
    with pytest.raises(Rejected, match="unavailable"):
        fetcher.fetch(DIGEST, len(CONTENT), SOON)
    assert len(far.calls) == calls
    far.cut_after = []
    assert Blobs(home=tmp_path, credentials=far.credentials).fetch(DIGEST, len(CONTENT), SOON) == CONTENT
    assert far.calls[-1] == blobs.CHUNK


def test_nothing_is_fetched_for_nothing(tmp_path):
    """An empty message needs no coordinator, and has one digest."""
    fetcher = Blobs(home=tmp_path, credentials=None)
    assert fetcher.fetch(hashlib.sha256(b"").digest(), 0, 1.0) == b""
    with pytest.raises(Rejected):
        fetcher.fetch(DIGEST, 0, 1.0)


def test_only_the_newest_are_kept(far, tmp_path):
    """A run of many rounds does not fill the disk."""
    fetcher = Blobs(home=tmp_path, credentials=far.credentials)
    for number in range(carrying.KEPT + 3):
        far.content = bytes([number]) * 100
        assert fetcher.fetch(hashlib.sha256(far.content).digest(), 100, SOON) == far.content
    kept = {path.name for path in (tmp_path / carrying.FOLDER).iterdir()}
    assert len(kept) == carrying.KEPT
    assert hashlib.sha256(far.content).hexdigest() in kept


def test_what_never_comes_in_full_does_not_fill_the_disk(far, tmp_path):
    """The beginnings of messages whose rest the coordinator keeps back are bounded like the messages."""
    folder = tmp_path / carrying.FOLDER
    folder.mkdir()
    for number in range(carrying.KEPT + 2):
        (folder / f"{number:064x}.part").write_bytes(b"begun")
    far.code = "unknown-blob"
    with pytest.raises(Rejected, match="unavailable"):
        Blobs(home=tmp_path, credentials=far.credentials).fetch(DIGEST, len(CONTENT), SOON)
    assert len(list(folder.iterdir())) <= carrying.KEPT


@pytest.mark.parametrize(("digest", "held"), [(bytes(31), 0), (bytes(33), 0), (bytes(32), -1), (bytes(32), 1 << 40)])
def test_a_question_for_no_blob_does_not_leave(digest, held):
    """A digest and an offset within a blob, and nothing that could carry more."""
    with pytest.raises(Withheld):
        wanted(digest, held)


def test_the_state_holds_no_long_vector(rig, home):
    """What is append-only stays small: the file goes when the coordinator has it, the upload stays."""
    rig.answer(announce())
    with closing(sqlite3.connect(home / "node.db")) as connection:
        ((size,),) = connection.execute("SELECT length(upload) FROM uploads").fetchall()
    assert size < 1000
