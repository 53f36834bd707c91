"""The apps that an operator put on the node: one archive each, named by the digest of what is in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from node.apps.bundle import read_bundle, write_bundle
from protocols.app_bundle import bundle_digest
from protocols.errors import Rejected

FOLDER = "apps"
"""Of the node's home."""
DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class AppStore:
    """The apps of a node. Holding one allows nothing: the policy names those that may run."""

    home: Path
    """The node's home."""

    def keep(self, files: dict[str, bytes]) -> bytes:
        """Keep an app, readable by its owner only, and return its digest; raise Rejected for what is no app."""
        digest = bundle_digest(files)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._folder / f".{digest.hex()}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(write_bundle(files))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path(digest))
        return digest

    def files(self, digest: bytes) -> dict[str, bytes]:
        """Return an app's files by path; raise Rejected("no-app") where it is not here or not what its name says.

        Guarantee: the files returned have this digest, whatever happened to the archive since; they are handed to the
        sandbox from memory, so what was checked is what runs. Test:
        tests/node/test_apps_allowed.py::test_an_app_that_was_changed_on_the_disk_is_not_run.
        """
        try:
            files = read_bundle(self._path(digest))
            found = bundle_digest(files)
        except (OSError, Rejected) as error:
            raise Rejected("no-app", f"{digest.hex()}: {type(error).__name__}") from None
        if found != digest:
            raise Rejected("no-app", f"the files of {digest.hex()} were changed")
        return files

    def digests(self) -> tuple[bytes, ...]:
        """Return the digests of all apps that are here, sorted; whether their files are sound is not looked at."""
        names = sorted(path.stem for path in self._folder.glob("*.zip")) if self._folder.is_dir() else []
        return tuple(bytes.fromhex(name) for name in names if _is_digest(name))

    def remove(self, digest: bytes) -> bool:
        """Remove an app; return whether it was here."""
        path = self._path(digest)
        there = path.exists()
        path.unlink(missing_ok=True)
        return there

    @property
    def _folder(self) -> Path:
        return self.home / FOLDER

    def _path(self, digest: bytes) -> Path:
        return self._folder / f"{digest.hex()}.zip"


def _is_digest(name: str) -> bool:
    return len(name) == 2 * DIGEST_BYTES and all(letter in "0123456789abcdef" for letter in name)
