"""Reads an app's files from a folder, or from an archive as ``flwr build`` makes one, into memory, all or nothing."""

from __future__ import annotations

import io
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from protocols.app_bundle import MOST_BYTES, MOST_FILES, check_files, skipped
from protocols.errors import Rejected

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that an archive can name: two archives of the same files are the same bytes."""

_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    # Another method or a password; an end before the end; names and numbers that are none.
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    IndexError,
)
"""What Python's reader of archives raises for one that was damaged."""


def read_bundle(path: Path) -> dict[str, bytes]:
    """Return an app's files by path, from its folder or archive; raise Rejected for what an app may not hold.

    Raises OSError where they cannot be read.

    Guarantee: links are never followed, so an app holds nothing that lies outside its folder. Test:
    tests/node/test_apps_bundle.py::test_a_link_in_an_app_is_refused.
    """
    files = dict(_of_folder(path) if path.is_dir() else _of_archive(path))
    check_files(files)
    return dict(sorted(files.items()))


def write_bundle(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of an app's files: the same bytes for the same files."""
    check_files(files)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in sorted(files.items()):
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


def _of_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    room, count = MOST_BYTES, 0
    for parent, folders, names in os.walk(folder):
        inside = Path(parent).relative_to(folder)
        folders[:] = sorted(name for name in folders if not skipped((inside / name).as_posix()))
        for name in [*names, *folders]:
            relative = (inside / name).as_posix()
            if skipped(relative):
                continue
            found = (Path(parent) / name).lstat()
            if name in folders and stat.S_ISDIR(found.st_mode):
                continue
            if not stat.S_ISREG(found.st_mode):
                raise Rejected("malformed", f"an app holds files only, no links: {relative}")
            content = _read(Path(parent) / name, room)
            room, count = room - len(content), count + 1
            if room < 0 or count > MOST_FILES:
                raise Rejected("oversized", "an app's folder; build an archive of what belongs to it")
            yield relative, content


def _read(path: Path, room: int) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        return file.read(room + 1)


def _of_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    room = MOST_BYTES
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir() and not skipped(entry.filename)]
            if len(entries) > MOST_FILES or len({entry.filename for entry in entries}) < len(entries):
                raise Rejected("malformed", "an app's archive has too many files, or two of one name")
            for entry in entries:
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise Rejected("malformed", f"an app holds files only, no links: {entry.filename[:200]!r}")
                with archive.open(entry) as file:
                    content = file.read(room + 1)
                room -= len(content)
                if room < 0:
                    raise Rejected("oversized", "an app's archive")
                yield entry.filename, content
    except _DAMAGED as error:
        raise Rejected("malformed", "neither a folder nor an archive of an app") from error
