"""An app's files are read from a folder or an archive, all or nothing, and kept by their digest."""

import contextlib
import os
import zipfile
from pathlib import Path

import pytest

from node.apps.bundle import read_bundle, write_bundle
from protocols.app_bundle import DESCRIPTION, MOST_BYTES, bundle_digest
from protocols.errors import Rejected

MEAN = Path(__file__).resolve().parents[1] / "apps" / "mean"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an app, and with what is no part of it."""
    for path, content in read_bundle(MEAN).items():
        target = tmp_path / "app" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    for path in (".git/config", "mean/__pycache__/client_app.cpython-311.pyc", ".env"):
        target = tmp_path / "app" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"not of the app")
    return tmp_path / "app"


def test_hidden_files_and_what_python_left_are_no_part(folder: Path) -> None:
    """The folder has the digest of the app, whatever lies beside it."""
    assert bundle_digest(read_bundle(folder)) == bundle_digest(read_bundle(MEAN))
    assert sorted(read_bundle(folder)) == [
        "mean/client_app.py",
        "pyproject.toml",
    ]


def test_an_archive_is_the_folder(folder: Path, tmp_path: Path) -> None:
    """An archive of the same files is the same app, and is the same bytes each time."""
    files = read_bundle(folder)
    packed = write_bundle(files)
    (tmp_path / "app.fab").write_bytes(packed)
    assert read_bundle(tmp_path / "app.fab") == files
    assert write_bundle(dict(reversed(files.items()))) == packed


@pytest.mark.parametrize("kind", ["file", "folder", "archive"])
def test_a_link_in_an_app_is_refused(folder: Path, tmp_path: Path, kind: str) -> None:
    """A link to a file or folder of the machine is not followed, on the disk or in an archive."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.py").write_text("a key")
    source = folder
    if kind == "archive":
        source = tmp_path / "app.zip"
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("pyproject.toml", "")
            entry = zipfile.ZipInfo("mean/key.py")
            entry.external_attr = 0o120777 << 16
            archive.writestr(entry, str(tmp_path / "secret" / "key.py"))
    elif kind == "file":
        (folder / "mean" / "key.py").symlink_to(tmp_path / "secret" / "key.py")
    else:
        (folder / "secret").symlink_to(tmp_path / "secret")
    with pytest.raises(Rejected, match="no links"):
        read_bundle(source)


def test_a_pipe_in_an_app_is_refused(folder: Path) -> None:
    """Reading does not wait for what is no file."""
    os.mkfifo(folder / "mean" / "pipe.py")
    with pytest.raises(Rejected, match="files only"):
        read_bundle(folder)


def test_an_archive_that_grows_is_cut_off(tmp_path: Path) -> None:
    """An archive of a few bytes that unpacks to more than an app may have is refused, without unpacking all of it."""
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pyproject.toml", bytes(4 * MOST_BYTES))
    assert (tmp_path / "bomb.zip").stat().st_size < MOST_BYTES // 100
    with pytest.raises(Rejected, match="oversized"):
        read_bundle(tmp_path / "bomb.zip")


@pytest.mark.parametrize("name", ["../outside.py", "/etc/outside.py", "a/../../b.py"])
def test_a_name_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    """No archive names a file outside of the app."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("pyproject.toml", "")
        archive.writestr(name, "")
    if name.startswith(".."):
        # Parts that begin with a dot are hidden, so no part of the app.
        assert list(read_bundle(tmp_path / "a.zip")) == ["pyproject.toml"]
        return
    try:
        found = read_bundle(tmp_path / "a.zip")
    except Rejected:
        return
    assert list(found) == ["pyproject.toml"]


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04" + bytes(50)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file of another kind is refused in words."""
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(Rejected, match="neither a folder nor an archive"):
        read_bundle(tmp_path / "a.zip")


def test_a_damaged_archive_is_refused_whatever_is_damaged(tmp_path: Path) -> None:
    """Names that are no text, or cut, and compressed parts that are none: one refusal, nothing of the reader's own."""
    files = {DESCRIPTION: b"[project]\nname = 'a'\n", "a/b.py": b"x = 1\n" * 50}
    archive = tmp_path / "app.zip"
    for kind in (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(archive, "w", kind) as made:
            for path, content in files.items():
                made.writestr(path, content)
            made.writestr(".é", b"is no part of it, and its name is no ASCII")
        good = archive.read_bytes()
        assert read_bundle(archive) == files
        for place in range(0, len(good), 2):
            for byte in (0, 255):
                archive.write_bytes(good[:place] + bytes([byte]) + good[place + 1 :])
                with contextlib.suppress(Rejected, OSError):
                    read_bundle(archive)
