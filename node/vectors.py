"""Long vectors of uploads, in files of the node's home until the coordinator has them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from protocols import ring
from protocols.announcement import LONGEST_ROUND
from protocols.blobs import Blob
from protocols.errors import Rejected
from protocols.ring import Ring

FOLDER = "vectors"
"""Folder of the node's home, readable by its owner only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """The files, by digest. What they hold is noisy and hidden by masks already."""

    home: Path
    """The node's home."""

    def keep(self, blob: Blob, vector: Ring) -> None:
        """Keep a vector, durably; what is left of rounds that are long over is deleted.

        Guarantee: an upload that was committed can be sent in full after any crash, so that its round loses no hospital
        that was charged. Test: tests/node/test_blobs.py::test_a_long_vector_is_kept_before_its_upload_is_committed.
        """
        folder = self.home / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in folder.iterdir():
            # Meanwhile the node's loop may delete what the coordinator has: see ``drop``.
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > 2 * LONGEST_ROUND:
                    path.unlink()
        half = folder / f".{blob.digest.hex()}"
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(ring.view(vector))
            file.flush()
            os.fsync(file.fileno())
        half.replace(self.path(blob))
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def path(self, blob: Blob) -> Path:
        """Return the file of a vector."""
        return self.home / FOLDER / blob.digest.hex()

    def insist(self, blob: Blob) -> None:
        """Raise Rejected unless the file holds what the blob's name stands for."""
        try:
            with self.path(blob).open("rb") as file:
                if hashlib.file_digest(file, "sha256").digest() == blob.digest:
                    return
        except FileNotFoundError:
            pass
        raise Rejected("unavailable", "the vector is no longer here")

    def drop(self, blob: Blob) -> None:
        """Delete a vector that the coordinator has."""
        self.path(blob).unlink(missing_ok=True)
