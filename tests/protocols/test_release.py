from dataclasses import replace

import numpy as np
import pytest

from protocols import announcement as announcements
from protocols import blobs, ring
from protocols import release as releases
from protocols.errors import Rejected
from protocols.release import Release
from protocols.signing import sign
from protocols.wire_pb2 import Note
from protocols.wire_pb2 import Release as ReleaseMessage
from tests.protocols.parties import FEDERATION, HOSPITALS, NOW, announcement, key_of, roster, vector


def release(**changes):
    """Return a release, unsigned."""
    value = Release(
        id=bytes(range(16)),
        announcement=announcements.write(announcement(), roster(), key_of("convener")),
        vector=vector(5, -6),
        contributors=HOSPITALS[:3],
        notes={"brest": (Note.NOTE_OWN_ROW_WITHHELD,)},
        released_at=NOW + 2,
        seconds=1.5,
    )
    return replace(value, **changes)


def read(signed, coordinator="convener"):
    """Read as an analyst would."""
    return releases.read(signed, federation=FEDERATION, coordinator_key=key_of(coordinator).public)


def test_a_release_comes_back_as_it_was_written():
    """The sum, who is in it, their notes, and how it was hidden."""
    signed = releases.write(release(), roster(), key_of("convener"))
    back = read(signed)
    assert np.array_equal(back.vector, release().vector)
    empty = vector()
    assert replace(back, vector=empty) == replace(release(), vector=empty)
    assert back.masks == "farrsum"
    assert releases.write(back, roster(), key_of("convener")) == signed


def test_only_the_coordinator_releases():
    """A sum that anybody else signed, or that was changed, is none."""
    with pytest.raises(Rejected, match="bad-signature"):
        read(releases.write(release(), roster(), key_of("aden")))
    signed = releases.write(release(), roster(), key_of("convener"))
    signed.body = releases.write(release(vector=vector(5, -7)), roster(), key_of("convener")).body
    with pytest.raises(Rejected, match="bad-signature"):
        read(signed)


def test_the_announcement_behind_a_release_is_verified_too():
    """An analyst can see whom the coordinator asked, and that it asked what she signed."""
    back = read(releases.write(release(), roster(), key_of("convener")))
    assert releases.announced(back, roster=roster(), now=NOW) == announcement()
    forged = release(announcement=announcements.write(announcement(), roster(), key_of("aden")))
    with pytest.raises(Rejected, match="bad-signature"):
        releases.announced(forged, roster=roster(), now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        lambda message: setattr(message, "federation", "elsewhere"),
        lambda message: setattr(message, "vector", bytes(9)),
        lambda message: message.contributors.reverse(),
        lambda message: setattr(message, "announcement", b"\xff"),
    ],
)
def test_a_malformed_release_is_refused_although_signed(change):
    """Another federation, odd bytes, an unsorted list, an announcement that is none."""
    message = ReleaseMessage.FromString(releases.write(release(), roster(), key_of("convener")).body)
    change(message)
    signed = sign(
        key_of("convener"),
        kind="release",
        signer="convener",
        federation=FEDERATION,
        body=message.SerializeToString(deterministic=True),
    )
    with pytest.raises(Rejected, match="malformed"):
        read(signed)


def test_releases_that_differ_have_different_names():
    """The digest is over the signed bytes."""
    one = releases.write(release(), roster(), key_of("convener"))
    other = releases.write(release(seconds=1.6), roster(), key_of("convener"))
    assert releases.digest_of(one) != releases.digest_of(other)


def test_a_long_sum_is_the_one_that_was_signed(monkeypatch):
    """A sum that came beside its release passes only as it was signed; the release itself is short."""
    inside = releases.write(release(), roster(), key_of("convener"))
    monkeypatch.setattr(blobs, "INLINE_BYTES", 8)
    signed = releases.write(release(), roster(), key_of("convener"))
    content = ring.pack(release().vector)
    assert releases.blob_of(signed) == blobs.blob_of(content)
    assert releases.blob_of(inside) is None
    key = key_of("convener").public

    def with_sum(message, vector):
        return releases.read(message, federation=FEDERATION, coordinator_key=key, vector=vector)

    back = with_sum(signed, content)
    assert np.array_equal(back.vector, release().vector)
    # A sum that is known by its name only is signed in the same bytes.
    named = release(vector=vector(), blob=blobs.blob_of(content))
    assert releases.write(named, roster(), key_of("convener")) == signed
    for wrong in (b"", content[:-8], content + bytes(8), bytes(16)):
        with pytest.raises(Rejected):
            with_sum(signed, wrong)
    with pytest.raises(Rejected):
        with_sum(inside, content)
    both = ReleaseMessage.FromString(signed.body)
    both.vector = content
    body = both.SerializeToString()
    twice = sign(key_of("convener"), kind="release", signer="convener", federation=FEDERATION, body=body)
    with pytest.raises(Rejected):
        with_sum(twice, content)
