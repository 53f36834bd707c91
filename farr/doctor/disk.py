"""The disk under a node's home: room, rights, what kind of file system, and who else works on it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

from farr.doctor.finding import Finding
from farr.texts import _

LEAST_FREE = 200 << 20
"""Bytes below which a node should not be left alone: its ledger, its log and the copy of the data grow."""

NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs"}
    | {"ocfs2", "gfs2", "davfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.davfs", "fuse.rclone", "fuse.s3fs"}
)
"""File systems on which SQLite's locks do not hold or its write-ahead log cannot be shared."""

SECRET = frozenset({".key", ".db", ".db-wal", ".db-shm", ".duckdb", ".wal"})
"""How the names of files end that hold keys, the ledger or patients' rows."""

LOCK, RUNNING = "serve.lock", "serve.pid"
"""What a node's service holds in its home while it runs, and writes there; node/serve.py makes them."""

MOUNTS = Path("/proc/self/mountinfo")

StatVfs = Callable[[Path], os.statvfs_result]


def rights(folder: Path) -> Finding:
    """Tell whether only the owner can enter the home and read keys, state and prepared data in it."""
    secret = (path for path in sorted(folder.rglob("*")) if not path.is_symlink() and _is_secret(path))
    open_to_others = [
        path.name if path == folder else str(path.relative_to(folder))
        for path in (folder, *secret)
        if _is_open_to_others(path)
    ]
    if open_to_others:
        text = _("other users of this machine can read {names}").format(names=", ".join(open_to_others[:10]))
        remedy = _("chmod -R go= {folder}; if others work on this machine, renew with a new signing key").format(
            folder=folder
        )
        return Finding(name="rights", good=False, code="open-files", text=text, remedy=remedy)
    return Finding(name="rights", good=True, text=_("only the owner can read keys, state and prepared data"))


def _is_open_to_others(path: Path) -> bool:
    # A node that serves makes and removes files meanwhile: one that is gone is open to nobody.
    with contextlib.suppress(FileNotFoundError):
        return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    return False


def _is_secret(path: Path) -> bool:
    return path.is_dir() or path.suffix in SECRET or path.parent.name == "failures"


def writable(folder: Path) -> Finding:
    """Tell whether files can be written in the home, by writing one."""
    probe = folder / f".check.{os.getpid()}"
    try:
        with probe.open("wb") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return _unwritable(folder, error)
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return Finding(name="home", good=True, text=_("the home can be written"))


def _unwritable(folder: Path, error: OSError) -> Finding:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        text = _("the disk under {folder} is full").format(folder=folder)
        remedy = _("free some room, or raise the quota; the node answers nothing until then, and loses nothing")
        return Finding(name="home", good=False, code="full", text=text, remedy=remedy)
    if error.errno == errno.EROFS:
        text = _("the disk under {folder} is read-only").format(folder=folder)
        remedy = _("mount it for writing; if the system made it so by itself, look for disk errors first: dmesg")
        return Finding(name="home", good=False, code="read-only", text=text, remedy=remedy)
    text = _("this user cannot write in {folder}").format(folder=folder)
    remedy = _("run the node as the owner of the folder, or: chown -R USER {folder}").format(folder=folder)
    return Finding(name="home", good=False, code="not-owner", text=text, remedy=remedy)


def room(folder: Path, look: StatVfs = os.statvfs) -> Finding:
    """Tell whether there is room for what the node writes."""
    found = look(folder)
    free = found.f_bavail * found.f_frsize
    nodes_left = found.f_favail > 0 or found.f_files == 0
    if free < LEAST_FREE or not nodes_left:
        what = _("{free} MB are free under {folder}") if nodes_left else _("no more files fit on the disk of {folder}")
        text = what.format(free=free >> 20, folder=folder)
        remedy = _("free {least} MB at least, and room for one more copy of the data").format(least=LEAST_FREE >> 20)
        return Finding(
            name="disk", good=False, code="full" if free < 1 << 20 else "nearly-full", text=text, remedy=remedy
        )
    return Finding(name="disk", good=True, text=_("there is room on the disk"))


def kind(folder: Path, mounts: Path = MOUNTS) -> Finding:
    """Tell whether the home is on a disk of this machine."""
    system = _file_system(folder.resolve(), mounts)
    if system in NETWORK:
        text = _("{folder} is on a network file system ({system})").format(folder=folder, system=system)
        remedy = _("move the home to a disk of this machine: on a network file system the ledger can be damaged")
        return Finding(name="place", good=False, code="network-disk", text=text, remedy=remedy)
    return Finding(name="place", good=True, text=_("the home is on a disk of this machine"))


def _file_system(folder: Path, mounts: Path) -> str:
    """Return the kind of file system that a folder is on; empty where this system does not say."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, system = "", ""
    for line in lines:
        # proc(5): ID PARENT MAJOR:MINOR ROOT POINT OPTIONS ... - TYPE SOURCE OPTIONS; blanks are written \040.
        before, _dash, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or not kinds:  # noqa: PLR2004
            continue
        point = fields[4].replace("\\040", " ")
        if (folder == Path(point) or Path(point) in folder.parents) and len(point) >= len(best):
            best, system = point, kinds[0]
    return system


def alone(folder: Path) -> Finding:
    """Tell whether another process works on the home; the node's own service that runs is named and fine."""
    lock = folder / LOCK
    if not lock.exists():
        return Finding(name="process", good=True, text=_("no process serves this home"))
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _held(folder)
    except OSError:
        pass
    return Finding(name="process", good=True, text=_("no process serves this home"))


def _held(folder: Path) -> Finding:
    try:
        process = int((folder / RUNNING).read_text(encoding="utf-8"))
        os.kill(process, 0)
    except PermissionError:
        pass
    except (OSError, ValueError):
        text = _("a process that cannot be seen from here serves this home, perhaps in a container")
        remedy = _("stop it before you start another: two would count one budget twice, so the second is refused")
        return Finding(name="process", good=False, code="held", text=text, remedy=remedy)
    return Finding(
        name="process",
        good=True,
        text=_("process {number} serves this home; a second one would be refused").format(number=process),
        remedy=_("to start another, stop it first: kill {number}").format(number=process),
    )
