import numpy as np
import pytest

from protocols import blobs, ring, upload
from protocols.errors import Rejected
from protocols.signing import sign
from protocols.upload import Upload
from protocols.wire_pb2 import Note
from protocols.wire_pb2 import Upload as UploadMessage
from tests.protocols.parties import FEDERATION, key_of, roster, vector

TAU = bytes(range(32))


def signed(site="aden", key=None, tau=TAU, values=(1, -2, 3), notes=()):
    """Return a signed upload."""
    answer = Upload(site=site, announcement=tau, vector=vector(*values), salt=bytes(16), sealed=bytes(36), notes=notes)
    return upload.write(answer, federation=FEDERATION, key=key_of(key or site))


def read(message, entries=3):
    """Read as the coordinator would."""
    return upload.read(message, roster=roster(), announcement=TAU, entries=entries)


def test_an_upload_comes_back_as_it_was_written():
    """Entries survive the ring, and so do the notes and the sealed shares."""
    answer = read(signed(notes=(Note.NOTE_TABLE_ABSENT,)))
    assert np.array_equal(ring.centred(answer.vector), [1, -2, 3])
    assert (answer.site, answer.announcement, answer.notes) == ("aden", TAU, (Note.NOTE_TABLE_ABSENT,))
    assert (answer.salt, answer.sealed) == (bytes(16), bytes(36))


@pytest.mark.parametrize(
    ("message", "code"),
    [
        pytest.param(signed(tau=bytes(32)), "replayed", id="another announcement"),
        pytest.param(signed(tau=b""), "replayed", id="no announcement"),
        pytest.param(signed(values=(1, 2)), "wrong-length", id="an entry short"),
        pytest.param(signed(values=(1, 2, 3, 4)), "wrong-length", id="an entry long"),
        pytest.param(signed(key="brest"), "bad-signature", id="another hospital's key"),
        pytest.param(signed(site="oz"), "unknown-member", id="nobody"),
        pytest.param(signed(site="ada"), "wrong-role", id="an analyst"),
        pytest.param(signed(notes=(Note.NOTE_UNSPECIFIED,)), "malformed", id="an empty note"),
        pytest.param(signed(notes=(77,)), "malformed", id="an unknown note"),
        pytest.param(signed(notes=(Note.NOTE_TABLE_ABSENT,) * 2), "malformed", id="one note twice"),
    ],
)
def test_what_is_not_this_hospitals_upload_for_this_round_is_refused(message, code):
    """Another round's, another length, another signer."""
    with pytest.raises(Rejected, match=code):
        read(message)


@pytest.mark.parametrize("length", [0, 1, 23, 25])
def test_a_vector_of_odd_bytes_is_refused(length):
    """Only whole entries, as many as the plan says."""
    body = UploadMessage(announcement=TAU, vector=bytes(length)).SerializeToString()
    with pytest.raises(Rejected, match="wrong-length"):
        read(sign(key_of("aden"), kind="upload", signer="aden", federation=FEDERATION, body=body))


def test_an_upload_beyond_the_limit_is_refused_before_its_signature_is_looked_at():
    """The longest tally fits; a byte more than its frame does not."""
    message = signed()
    message.body = bytes(upload.MOST_BYTES + 1)
    with pytest.raises(Rejected, match="oversized"):
        read(message)


def test_a_vector_travels_in_one_way_only(monkeypatch):
    """A long one by its name, of exactly so many entries; a short one inside its upload: never otherwise, or both."""
    short = signed()
    monkeypatch.setattr(blobs, "INLINE_BYTES", 16)
    long = signed()
    taken = read(long)
    assert taken.blob == upload.blob_of(long) == blobs.blob_of(ring.pack(vector(1, -2, 3)))
    assert len(taken.vector) == 0
    assert len(long.body) < len(short.body) + 40
    for message, entries in ((short, 3), (long, 4)):
        with pytest.raises(Rejected):
            read(message, entries)
    both = UploadMessage.FromString(long.body)
    both.vector = ring.pack(vector(1, -2, 3))
    with pytest.raises(Rejected, match="wrong-length"):
        read(sign(key_of("aden"), kind="upload", signer="aden", federation=FEDERATION, body=both.SerializeToString()))
    monkeypatch.setattr(blobs, "INLINE_BYTES", 24)
    assert upload.blob_of(short) is None
    with pytest.raises(Rejected, match="malformed"):
        read(long)
