"""Writing files that hold secrets or state: never readable by others, never half written."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from farr.errors import FarrError
from farr.texts import _

PRIVATE = 0o600
FOLDER = 0o700


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter, or make the one that is there such a folder."""
    folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    folder.chmod(FOLDER)


def create_private(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can read; raise FileExistsError rather than replace one.

    Guarantee: there is no moment in which another user of the machine could open the file, or in which it is there in
    part: it is made with its final mode under another name and linked when it is complete. Test:
    tests/farr/test_home.py::test_a_secret_is_private_from_its_first_moment.
    """
    fresh = _write_beside(path, data)
    try:
        os.link(fresh, path)
    finally:
        fresh.unlink()
    sync(path.parent)


def replace(path: Path, data: bytes) -> None:
    """Put ``data`` in the place of a file: after a crash it holds the old content or the new one, never a part.

    Only the owner can read the file.
    """
    _write_beside(path, data).replace(path)
    sync(path.parent)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock against other processes of this machine, waiting for it.

    The system lets go of it however a process ends.
    """
    if os.name != "posix":  # a node, which serves beside its operator's commands, runs on Linux only
        yield
        return
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_private(path: Path) -> bytes:
    """Return a secret; raise FarrError when other users of the machine could have read it."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        raise FarrError(
            "open-key",
            _("other users of this machine can read {path}").format(path=path),
            remedy=_("chmod 600 {path}; if others work on this machine, then renew with a new signing key").format(
                path=path
            ),
        )
    return path.read_bytes()


def _write_beside(path: Path, data: bytes) -> Path:
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    fresh.unlink(missing_ok=True)
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    except OSError as error:
        error.filename = str(path)  # the name that people know
        raise
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        # Half a secret on a full disk is nobody's.
        fresh.unlink(missing_ok=True)
        raise
    return fresh


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    # A new name is durable only once its folder is; Windows has no way to say so, and does it by itself.
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
