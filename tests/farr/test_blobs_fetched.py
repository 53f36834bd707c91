import hashlib

import pytest

from farr import blobs as carrying
from farr.errors import FarrError
from protocols import blobs
from protocols.blobs import Blob, blob_of
from protocols.wire_pb2 import BlobPart

CONTENT = bytes(range(256)) * 4000


class Wire:
    """Stands for the line: keeps what is put, gives what it has, and breaks when it is told to."""

    def __init__(self, held=b"", breaks=()):
        """Start with some bytes; ``breaks``: after so many parts, one number a call."""
        self.held = bytearray(held)
        self.breaks = list(breaks)
        self.parts = 0
        self.offers = 0

    def offer(self, _offer):
        """Say how much is there."""
        self.offers += 1
        return len(self.held)

    def put(self, parts):
        """Take parts, up to a break."""
        for part in self._some(parts):
            blobs.check_part(part, held=len(self.held), blob=blob_of(CONTENT))
            self.held += part.data
        return len(self.held)

    def get(self, wanted):
        """Give parts, up to a break."""
        whole = bytes(self.held)
        yield from self._some(
            BlobPart(offset=at, data=whole[at : at + blobs.CHUNK])
            for at in range(wanted.offset, len(whole), blobs.CHUNK)
        )

    def _some(self, parts):
        most = self.breaks.pop(0) if self.breaks else 1 << 30
        for number, part in enumerate(parts):
            if number >= most:
                raise FarrError("unreachable", "the wire broke")
            self.parts += 1
            yield part


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Do not pause."""
    monkeypatch.setattr(carrying, "PAUSE", 0.0)


def test_content_is_sent_once_across_breaks():
    """Each attempt goes on from what arrived; what is there already is not sent at all."""
    wire, told = Wire(breaks=[1, 0, 2]), []
    digest = carrying.send(wire, CONTENT, lambda arrived, size: told.append((arrived, size)))
    assert digest == hashlib.sha256(CONTENT).digest()
    assert bytes(wire.held) == CONTENT
    assert wire.parts == -(-len(CONTENT) // blobs.CHUNK)
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    parts = wire.parts
    carrying.send(wire, CONTENT)
    assert wire.parts == parts


def test_a_sum_is_fetched_once_across_breaks():
    """Each attempt asks for what is missing."""
    wire = Wire(CONTENT, breaks=[1, 0, 2])
    assert carrying.fetch(wire, blob_of(CONTENT), bytes(16)) == CONTENT
    assert wire.parts == -(-len(CONTENT) // blobs.CHUNK)


@pytest.mark.parametrize("wrong", [CONTENT[::-1], CONTENT[:-1] + b"x", CONTENT + b"x"])
def test_what_is_not_what_the_release_names_is_not_taken(wrong):
    """Content of another digest or length is refused, with what to do."""
    with pytest.raises(FarrError, match="not what the signed release names") as refused:
        carrying.fetch(Wire(wrong), blob_of(CONTENT), bytes(16))
    assert refused.value.remedy


def test_a_coordinator_that_stays_away_is_given_up(monkeypatch):
    """After a while without a byte the failure is told as it is."""
    monkeypatch.setattr(carrying, "PATIENCE", 0.05)
    empty, full = (Wire(held, breaks=[0] * 1_000_000) for held in (b"", CONTENT))
    for call in (lambda: carrying.send(empty, CONTENT), lambda: carrying.fetch(full, blob_of(CONTENT), bytes(16))):
        with pytest.raises(FarrError, match="broke") as failed:
            call()
        assert failed.value.code == "unreachable"


def test_a_sum_that_ends_too_early_is_given_up(monkeypatch):
    """A coordinator that gives fewer bytes than it signed is not waited for without end."""
    monkeypatch.setattr(carrying, "PATIENCE", 0.05)
    with pytest.raises(FarrError) as failed:
        carrying.fetch(Wire(CONTENT[:-1]), blob_of(CONTENT), bytes(16))
    assert failed.value.code == "timeout"


def test_what_is_refused_is_told_at_once():
    """A refusal is not tried again."""

    class Refusing(Wire):
        """Refuses."""

        def offer(self, _offer):
            """Count and refuse."""
            super().offer(_offer)
            raise FarrError("no-mandate", "no")

    wire = Refusing()
    with pytest.raises(FarrError) as refused:
        carrying.send(wire, CONTENT)
    assert (refused.value.code, wire.offers) == ("no-mandate", 1)


def test_too_much_is_not_sent_and_nothing_needs_no_sending(monkeypatch):
    """The limit is told before the first byte; an empty message has a digest, and nothing to keep."""
    monkeypatch.setattr(blobs, "MOST_BYTES", 10)
    wire = Wire()
    with pytest.raises(FarrError, match="more than may be sent") as refused:
        carrying.send(wire, bytes(11))
    assert refused.value.code == "oversized"
    assert carrying.send(wire, b"") == hashlib.sha256(b"").digest()
    assert wire.offers == 0


def test_a_name_is_all_that_is_needed_to_fetch():
    """The release's own words: digest and size."""
    blob = Blob(digest=hashlib.sha256(CONTENT).digest(), size=len(CONTENT))
    assert carrying.fetch(Wire(CONTENT), blob, bytes(16)) == CONTENT
