"""Long content on the coordinator's disk: what came so far of each blob, until it is whole, and what was made of it.

    blobs/messages/<analyst>/    what analysts sent for their requests, by digest
    blobs/uploads/<round>/<site>/    hospitals' long vectors of open rounds
    blobs/releases/    long sums, by digest

What is not whole yet ends in ``.part``. A blob is whole once its digest was checked, and never changes after that.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np

from protocols import blobs, ring
from protocols import release as releases
from protocols.blobs import Blob
from protocols.errors import Rejected
from protocols.ring import Ring
from protocols.wire_pb2 import BlobPart, Signed

FOLDER = "blobs"

LIFE = 24 * 3600.0
"""Seconds for which what an analyst sent is kept without a request that needs it."""

AFTER = 600.0
"""Seconds for which it is kept once its request has ended, should the same be asked again."""

LONG_KEPT = (1 << 20) * ring.ENTRY_BYTES
"""Bytes of the longest sum of a question. Such a sum is kept for ever; one of an update for ``UPDATE_LIFE``."""

UPDATE_LIFE = 7 * 24 * 3600.0
"""Seconds for which the long sum of an update is kept; the signed release, which names its digest, is kept for ever."""

MOST_MESSAGES = 256
"""Most blobs of one analyst at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a blob is, or comes to be."""

    folder: Path
    """The folder of whoever sends it."""
    blob: Blob
    """Its name."""

    @property
    def file(self) -> Path:
        """Return the file of the whole blob."""
        return self.folder / self.blob.digest.hex()

    @property
    def part(self) -> Path:
        """Return the file of what came so far."""
        return self.folder / f"{self.blob.digest.hex()}.part"

    @property
    def whole(self) -> bool:
        """Tell whether all of it is there, its digest checked."""
        return _size(self.file) == self.blob.size

    @property
    def held(self) -> int:
        """Return how many of its bytes are there."""
        return self.blob.size if self.whole else (_size(self.part) or 0)


@dataclass(kw_only=True)
class BlobStore:
    """All blobs. Methods may be called from any thread; those that write bytes or hash take as long as the disk."""

    home: Path
    """The coordinator's home."""
    most_bytes: int
    """Of all blobs together, those announced and not yet there included."""
    most_member_bytes: int
    """Of what one analyst sent."""
    _turns: dict[Path, object] = field(default_factory=dict, init=False)
    _expected: dict[Path, int] = field(default_factory=dict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def __post_init__(self) -> None:
        """Drop what was sent for rounds: none outlives the process."""
        shutil.rmtree(self._root / "uploads", ignore_errors=True)

    @property
    def _root(self) -> Path:
        return self.home / FOLDER

    # --- where

    def message(self, analyst: str, blob: Blob) -> Place:
        """Return the place of what an analyst sends for a request."""
        return Place(folder=self._root / "messages" / analyst, blob=blob)

    def upload(self, tau: bytes, site: str, blob: Blob) -> Place:
        """Return the place of a hospital's vector for a round."""
        return Place(folder=self._root / "uploads" / tau.hex() / site, blob=blob)

    def release(self, blob: Blob) -> Place:
        """Return the place of a released sum."""
        return Place(folder=self._root / "releases", blob=blob)

    # --- coming in

    def begin(self, place: Place, *, only: bool = False) -> object:
        """Return the turn to add to a blob; whoever had it before has it no more.

        ``only``: the sender has no other blob there. Raises Rejected("busy") where there is no room.

        Guarantee: no member makes the coordinator keep more than its share, nor all of them more than there is room
        for. Test: tests/coordinator/test_blobs.py::test_nobody_fills_the_disk.
        """
        with self._lock:
            if only:
                self._clear(place)
            self._admit(place, only=only)
            turn = object()
            self._turns[place.part] = turn
            self._expected[place.part] = place.blob.size
        return turn

    def add(self, place: Place, turn: object, part: BlobPart) -> None:
        """Add a part to what is there; raise Rejected for one that does not follow it.

        Guarantee: of two calls that send the same blob only the later one is heard, so a right byte is never written
        over. Test: tests/coordinator/test_blobs.py::test_a_wrong_part_never_replaces_a_right_one.
        """
        with self._lock:
            if self._turns.get(place.part) is not turn:
                raise Rejected("displaced", "another call sends this blob")
            blobs.check_part(part, held=_size(place.part) or 0, blob=place.blob)
            try:
                with place.part.open("ab") as file:
                    file.write(part.data)
            except OSError as error:
                # What a full disk cut short is not there, so that the next part follows what is.
                os.truncate(place.part, part.offset)
                raise Rejected("busy", "disk") from error

    def finish(self, place: Place) -> None:
        """Check the digest of a blob whose last byte is there, and let it be whole; one with another is dropped.

        Guarantee: nothing counts as whole that is not what its digest says, whoever sent it and however often the link
        or the coordinator went down. Test:
        tests/coordinator/test_blobs.py::test_what_is_not_what_its_digest_says_is_dropped.
        """
        if place.whole:
            return
        try:
            # Outside the lock: nothing can be added to what is complete, and others need not wait.
            with place.part.open("rb") as file:
                good = hashlib.file_digest(file, "sha256").digest() == place.blob.digest
                os.fsync(file.fileno())
            with self._lock:
                self._turns.pop(place.part, None)
                self._expected.pop(place.part, None)
                if good:
                    place.part.replace(place.file)
                    _sync(place.folder)
                else:
                    place.part.unlink()
        except FileNotFoundError as error:
            raise Rejected("displaced", "the blob was dropped, or finished by another call") from error
        if not good:
            raise Rejected("bad-digest", "blob")

    def keep(self, total: Ring) -> Blob:
        """Keep a long sum, durably; return its name."""
        data = ring.view(total)
        place = self.release(blobs.blob_of(data))
        self._make(place.folder)
        with place.part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        place.part.replace(place.file)
        _sync(place.folder)
        return place.blob

    # --- going out

    def pieces(self, place: Place) -> Iterator[Ring]:
        """Yield a whole blob as numbers, a part at a time; raise Rejected for one that is not there."""
        if not place.whole:
            raise Rejected("unknown-blob", "not whole")
        with place.file.open("rb") as file:
            while data := file.read(blobs.CHUNK):
                yield np.frombuffer(data, dtype="<u8").astype(np.uint64, copy=False)

    def has_sum(self, signed: Signed | None) -> bool:
        """Tell whether a release is there with all of its sum."""
        blob = releases.blob_of(signed) if signed else None
        return signed is not None and (blob is None or self.release(blob).whole)

    def part(self, place: Place, offset: int) -> bytes:
        """Return a part of a whole blob, from an offset on; empty at its end."""
        with place.file.open("rb") as file:
            file.seek(offset)
            return file.read(blobs.CHUNK)

    # --- letting go

    def drop_uploads(self, tau: bytes) -> None:
        """Delete what hospitals sent for a round."""
        folder = self._root / "uploads" / tau.hex()
        with self._lock:
            for table in (self._turns, self._expected):
                for path in [each for each in table if folder in each.parents]:
                    del table[path]
        shutil.rmtree(folder, ignore_errors=True)

    def retire(self, place: Place) -> None:
        """Let what an analyst sent go soon, now that its request has ended."""
        if place.whole:
            since = time.time() - LIFE + AFTER
            os.utime(place.file, (since, since))

    def sweep(self, now: float, needed: Collection[Path]) -> None:
        """Delete what has outlived its time by ``now``, seconds since 1970, except the ``needed`` files."""
        for path in self._files("messages"):
            if path not in needed and _age(path, now) > LIFE:
                path.unlink(missing_ok=True)
        for path in self._files("releases"):
            if (_size(path) or 0) > LONG_KEPT and _age(path, now) > UPDATE_LIFE:
                path.unlink(missing_ok=True)
        with self._lock:
            for table in (self._turns, self._expected):
                for path in [each for each in table if not each.exists()]:
                    del table[path]

    # --- parts

    def _admit(self, place: Place, *, only: bool) -> None:
        present = _size(place.part) or 0
        more = max(0, place.blob.size - max(present, self._expected.get(place.part, 0)))
        used = {path: max(_size(path) or 0, self._expected.get(path, 0)) for path in self._files("")}
        own = [size for path, size in used.items() if path.parent == place.folder]
        beyond = not only and (sum(own) + more > self.most_member_bytes or len(own) >= MOST_MESSAGES)
        if beyond or sum(used.values()) + more > self.most_bytes:
            raise Rejected("busy", "blobs")
        self._make(place.folder)
        place.part.touch(mode=0o600)

    def _make(self, folder: Path) -> None:
        # Vectors are hidden by masks and messages are models; neither is for others on this machine.
        self._root.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _clear(self, place: Place) -> None:
        if place.folder.is_dir():
            for other in place.folder.iterdir():
                if other not in (place.part, place.file):
                    self._expected.pop(other, None)
                    self._turns.pop(other, None)
                    other.unlink()

    def _files(self, below: str) -> list[Path]:
        return [path for path in (self._root / below).rglob("*") if path.is_file()]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _sync(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
