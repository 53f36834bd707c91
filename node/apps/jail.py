"""Shuts a process off before it loads an app: no network, no file but what it was handed, no other process in sight.

Nothing but Python's standard library is behind this, and the process has one thread: Linux lets no other enter a user
namespace. The pieces are those that bubblewrap uses: user, mount, process, network, IPC and host name namespaces, a
root of its own that is read-only, no privilege and no way to one, limits on memory, time and number.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import select
import signal
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from node.apps import filter  # noqa: A004  the kernel's word for it

_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
"""Of mounts, host name, IPC, users, processes, network."""
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE, _DETACH = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18, 2
_KEPT = MappingProxyType({1: 1, 2: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048, 4096: 1 << 21})
"""What statvfs calls a mount's flags, and mount: a namespace must keep those that it was given."""
_PIVOT_ROOT = MappingProxyType({"x86_64": 155, "aarch64": 41})
_PDEATHSIG, _DUMPABLE, _CAPBSET_DROP, _SUBREAPER, _NO_NEW_PRIVS = 1, 4, 24, 36, 38
_CAPABILITIES = 64

OWN = Path("/farr")
"""Where an app finds what it is handed."""
WORK = OWN / "work"
"""Its current folder, the one that it can write to."""
INSIDE = 1000
"""User and group number in the sandbox."""
NOBODY = 65534
"""User and group outside that the app of an administrator's node has."""

OPEN = 256
"""Descriptors that each process of an app may have."""
_LAST = 19
"""How far behind all others an app is in a queue for the processor: as far as it goes."""
_ATTEMPTS, _PAUSE = 10, 0.15
"""The kernel takes one change of a session's place in a tenth of a second."""

_FILES = 1 << 15
"""Files that each of the two folders in memory may hold."""

_LINKS = ("lib", "lib64", "bin", "sbin", "lib32")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_libc = ctypes.CDLL(None, use_errno=True)


class JailError(Exception):
    """The system does not give what the sandbox needs; the text names the step, nothing of a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the processes of an app may use."""

    memory: int
    """Bytes of address space of each process."""
    seconds: int
    """Seconds of processor time of each process."""
    processes: int
    """Processes and threads at a time."""
    file: int
    """Bytes of each file."""
    scratch: int
    """Bytes of all files together."""


def bind_to_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Be sent a signal when the parent ends.

    Guarantee: a node that is killed leaves no app running. Test:
    tests/redteam/test_apps_attacked.py::test_an_app_ends_with_its_node.
    """
    _prctl(_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def enter(root: Path, seen: Sequence[Path], limits: Limits, fill: Callable[[Path], None]) -> None:
    """Go on in a sandbox; the process that called waits for the one that goes on, and ends with its exit code.

    ``root``: an empty folder, to mount on. ``seen``: folders and files that can be read under their own paths.
    ``fill`` writes the read-only part of the new root, given its path. Afterwards only ``WORK`` can be written to.
    Raises JailError.

    Guarantee: afterwards there is no network interface that is up, no file of the machine but ``seen`` (read-only),
    no process of the machine, and no privilege, nor a way to regain one. Tests:
    tests/redteam/test_apps_attacked.py::test_an_app_that_opens_a_socket_reaches_nobody,
    tests/redteam/test_apps_attacked.py::test_an_app_sees_no_file_of_the_node,
    tests/redteam/test_apps_attacked.py::test_an_app_that_kills_its_parent_ends_alone,
    tests/redteam/test_apps_attacked.py::test_an_app_gains_no_privilege.
    """
    renamed = _own_namespaces()
    _mount("none", "/", None, _REC | _PRIVATE)
    _mount("tmpfs", str(root), "tmpfs", _NOSUID | _NODEV, "mode=755")
    for path in seen:
        _see(root, path)
    for name in _LINKS:
        if (Path("/") / name).is_symlink() and not (root / name).exists():
            (root / name).symlink_to((Path("/") / name).readlink())
    _devices(root, limits)
    fill(root)
    (root / "proc").mkdir()
    work = root / WORK.relative_to("/")
    work.mkdir(parents=True)
    _mount("tmpfs", str(work), "tmpfs", _NOSUID | _NODEV, f"mode=777,{_room(limits)}")
    _go_on_as_first()
    _own_processes(root)
    _own_root(root)
    os.chdir(WORK)
    if renamed:
        _forget_bounding()
        os.setgroups([])
        os.setresgid(INSIDE, INSIDE, INSIDE)
        os.setresuid(INSIDE, INSIDE, INSIDE)
    drop_privileges()
    # A change of user takes these two back.
    _prctl(_DUMPABLE, 1)
    _prctl(_PDEATHSIG, signal.SIGKILL)
    limit(limits)


def guard() -> None:
    """Go on in a child without a sandbox; the process that called ends every descendant when the child ends.

    Guarantee: children that left the process group are ended too. Test:
    tests/redteam/test_apps_attacked.py::test_children_of_an_app_without_a_sandbox_end_with_it.
    """
    _prctl(_SUBREAPER, 1)
    watcher = os.getpid()
    child = os.fork()
    if child == 0:
        bind_to_parent(watcher)
        _begin_last_session()
        return
    ended = [0]
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.wait()
            if pid == child:
                ended[0] = os.waitstatus_to_exitcode(status)
                break
    with contextlib.suppress(ChildProcessError):
        while True:
            for orphan in _children(watcher):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(orphan, signal.SIGKILL)
            os.wait()
    os._exit(ended[0] & 0xFF)


def limit(limits: Limits) -> None:
    """Set the limits of this process and of all that it starts, never above those it has, and go behind all others.

    Guarantee: what the node has to do comes first, however much an app computes, so that little of what an app does
    shows in how fast the node answers. Test: tests/redteam/test_apps_attacked.py::test_an_app_stands_behind_the_node.
    """
    for kind, most in (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_CPU, limits.seconds),
        (resource.RLIMIT_NPROC, limits.processes),
        (resource.RLIMIT_FSIZE, limits.file),
        (resource.RLIMIT_NOFILE, OPEN),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 1 << 16),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 4096),
        # With these nobody comes back from where the line below goes.
        (resource.RLIMIT_NICE, 0),
        (resource.RLIMIT_RTPRIO, 0),
    ):
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))
    os.nice(_LAST)


def die_first() -> None:
    """Be what the system ends where memory runs out, with all that is started from here; where it can be said."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def drop_privileges() -> None:
    """Give up every capability and the system calls of ``filter.py``, for this process and all that it starts."""
    _forget_bounding()
    header = struct.pack("Ii", 0x20080522, 0)
    if _libc.capset(header, bytes(24)) != 0:
        raise JailError(_why("capset"))
    _prctl(_NO_NEW_PRIVS, 1)
    if not filter.install():
        raise JailError("seccomp")


def _own_namespaces() -> bool:
    """Enter new namespaces; return whether the process is the administrator in them, and nobody is to follow."""
    user, group = os.geteuid(), os.getegid()
    if user != 0:
        _unshare()
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{INSIDE} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{INSIDE} {group} 1")
        return False
    # Only who is outside of the new namespace may map a second user into it.
    process, (listen, tell) = os.getpid(), os.pipe()
    helper = os.fork()
    if helper == 0:
        try:
            os.close(tell)
            os.read(listen, 1)
            Path(f"/proc/{process}/uid_map").write_text(f"0 0 1\n{INSIDE} {NOBODY} 1")
            Path(f"/proc/{process}/gid_map").write_text(f"0 0 1\n{INSIDE} {NOBODY} 1")
        except OSError:
            os._exit(1)
        os._exit(0)
    os.close(listen)
    try:
        _unshare()
    finally:
        os.close(tell)
        _, status = os.waitpid(helper, 0)
    if status != 0:
        raise JailError("uid_map")
    return True


def _unshare() -> None:
    if _libc.unshare(ctypes.c_int(_NAMESPACES)) != 0:
        raise JailError(_why("unshare"))


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = None if kind is None else kind.encode()
    more = None if options is None else options.encode()
    if _libc.mount(source.encode(), target.encode(), encoded, ctypes.c_ulong(flags), more) != 0:
        raise JailError(_why(f"mount {target}"))


def _see(root: Path, path: Path) -> None:
    """Show a folder or file of the machine, read-only, with everything that is mounted in it."""
    target = root / path.relative_to("/")
    if path.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount(str(path), str(target), None, _BIND | _REC)
    for mounted in _mounts_at(target):
        flags = sum(ours for theirs, ours in _KEPT.items() if os.statvfs(mounted).f_flag & theirs)
        _mount("none", str(mounted), None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV | flags)


def _mounts_at(target: Path) -> list[Path]:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    places = {Path(line.split(" ")[4].encode().decode("unicode_escape")) for line in lines}
    return sorted(place for place in places if place == target or target in place.parents)


def _devices(root: Path, limits: Limits) -> None:
    devices = root / "dev"
    devices.mkdir()
    for name in _DEVICES:
        (devices / name).touch()
        _mount(f"/dev/{name}", str(devices / name), None, _BIND)
    (devices / "shm").mkdir()
    _mount("tmpfs", str(devices / "shm"), "tmpfs", _NOSUID | _NODEV, f"mode=777,{_room(limits)}")
    (devices / "fd").symlink_to("/proc/self/fd")


def _room(limits: Limits) -> str:
    # The number as well: the kernel holds memory of its own for each file, however empty.
    return f"size={limits.scratch},nr_inodes={_FILES}"


def _go_on_as_first() -> None:
    """Fork: the child is the first of the new process namespace, and all processes in it end with it."""
    listen, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(listen)
        # Who waits for the first process of a namespace waits for all in it.
        signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    os.close(tell)
    _prctl(_PDEATHSIG, signal.SIGKILL)
    # The parent is of another namespace and has no number here: that it still lives shows in its end of the pipe.
    if select.select([listen], [], [], 0)[0]:
        os._exit(1)
    os.close(listen)
    _begin_last_session()


def _begin_last_session() -> None:
    """Begin a session that is behind all others, where a system shares the processor by session before it asks nice."""
    os.setsid()
    for _ in range(_ATTEMPTS):
        try:
            Path("/proc/self/autogroup").write_text(str(_LAST))
        except BlockingIOError:  # another process of the machine did the same a moment ago
            time.sleep(_PAUSE)
        except OSError:  # this system does not
            return
        else:
            return


def _own_processes(root: Path) -> None:
    hidden = _NOSUID | _NODEV | _NOEXEC
    try:
        _mount("proc", str(root / "proc"), "proc", hidden)
    except JailError:
        return  # in some containers; most apps do without
    # Inside a further user namespace an app would have privileges again, over little, but over the kernel's edges.
    with contextlib.suppress(OSError):
        (root / "proc/sys/user/max_user_namespaces").write_text("0")
    _mount("none", str(root / "proc"), None, _REMOUNT | _BIND | _RDONLY | hidden)


def _own_root(root: Path) -> None:
    os.chdir(root)
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise JailError("pivot_root is not known on this processor")
    if _libc.syscall(ctypes.c_long(number), b".", b".") != 0:
        raise JailError(_why("pivot_root"))
    if _libc.umount2(b".", ctypes.c_int(_DETACH)) != 0:
        raise JailError(_why("umount"))
    os.chdir("/")
    _mount("none", "/", None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)


def _forget_bounding() -> None:
    for capability in range(_CAPABILITIES):
        _libc.prctl(_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The name in parentheses may hold anything; what follows it does not.
                if int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry.name))
    return found


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise JailError(_why(f"prctl {option}"))


def _why(step: str) -> str:
    return f"{step}: {os.strerror(ctypes.get_errno())}"
