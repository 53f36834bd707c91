"""Starts an app's process, waits for it no longer than agreed, and ends it with everything that it started."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

from node.apps.jail import OPEN, WORK, Limits
from protocols.app_message import Scalar

CHILD = Path(__file__).with_name("child.py")
MOST_SAID = 64 << 10
"""Bytes kept of what an app says to its output, from the beginning."""
_NO_SANDBOX = 3
_PATIENCE = 10.0
"""Seconds that a process which was killed may take to go."""
_LOOK = 0.02
"""Seconds between two looks at the process, at least."""
_REST = 2
"""How many times as long as a look took: many processes are not to take the node's time."""
_MOST_OPEN = 2048
"""Descriptors that all processes of an app may have together: each is looked at in each look."""
_BEYOND = 1 << 62
"""Bytes that are more than any app may use."""
_HELD = ("RssAnon:", "RssShmem:", "VmSwap:", "VmPTE:")
"""What the kernel says of a process's memory, in kilobytes."""
_SOCKET = 425_984
"""Bytes that a socket holds at most, as systems come."""
_SLACK = 16 << 20
_ADDRESSES = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One call of an app."""

    files: Mapping[str, bytes]
    """The app's own."""
    client: str
    """Its ClientApp, ``module:attribute``."""
    config: Mapping[str, Scalar]
    """Its own settings."""
    node_config: Mapping[str, Scalar]
    """What the app is told of the hospital."""
    rows: bytes
    """The file of rows."""
    rows_name: str
    """Its name."""
    message: bytes
    """What the app is sent, as ``protocols.app_message`` writes it."""
    most_reply: int
    """Longest reply, in bytes."""
    memory: int
    """Bytes that it may use."""
    threads: int
    """Threads that numerical libraries are told to use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call ended. All of it is for the operator."""

    reply: bytes | None
    """What the app replied; None: nothing that can be looked at."""
    ending: str
    """``replied``, ``failed``, ``too long``, ``too large``, ``stopped`` or ``no sandbox``."""
    said: bytes
    """The beginning of what it wrote to its output."""


@functools.cache
def why_none() -> str:
    """Return why apps cannot be shut off on this machine, in the system's words; empty: they can. Tried once.

    Guarantee: where any part of the sandbox cannot be had, the answer is not empty. Test:
    tests/node/test_apps_sandbox.py::test_a_machine_without_namespaces_is_said_to_have_no_sandbox.
    """
    if sys.platform != "linux":
        return "only Linux has what it takes"
    job = {"files": [], "limits": asdict(_limits(1 << 30, 10, 1 << 20)), "sandbox": True, "probe": True}
    with tempfile.TemporaryDirectory(prefix="farr-app-") as root, _memory("job") as source, _memory("reply") as replies:
        _put(source, json.dumps(job | {"root": root, "seen": [str(path) for path in seen()]}).encode() + b"\n")
        done = subprocess.run(
            _command(source, replies),
            env=_environment(1, sandbox=True),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=(source, replies),
            timeout=60,
            check=False,
        )
    if done.returncode == 0:
        return ""
    return done.stderr.decode(errors="replace").strip()[-200:] or f"it ended with {done.returncode}"


def run(
    job: Job,
    seconds: float,
    *,
    sandbox: bool,
    hidden: tuple[Path, ...] = (),
    stop: Event | None = None,
    place: Path | None = None,
) -> Outcome:
    """Call an app and return how it ended, at the latest a little after ``seconds`` or after ``stop`` was set.

    ``sandbox``: False only where the operator overrode it. ``hidden``: folders that must not lie in what a sandbox
    shows. ``place``: where its folder is made, the system's own place without it. Never raises for what an app does.

    Guarantee: when this returns, no process that the app started is running. Tests:
    tests/redteam/test_apps_attacked.py::test_children_of_an_app_end_with_it,
    tests/redteam/test_apps_attacked.py::test_an_app_that_never_ends_is_ended.
    """
    shown = seen()
    if sandbox and any(path == each or each in path.parents for path in hidden for each in shown):
        return Outcome(reply=None, ending="no sandbox", said=b"the node's folders lie inside of Python's own")
    with contextlib.ExitStack() as stack:
        root = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="farr-app-", dir=place, ignore_cleanup_errors=True))
        )
        if not sandbox:
            (root / "work").mkdir()
        source, replies, output = (stack.enter_context(_memory(name)) for name in ("job", "reply", "output"))
        parts = {f"app/{path}": content for path, content in job.files.items()}
        parts |= {f"data/{job.rows_name}": job.rows, "data/message": job.message}
        header = {
            "files": [[path, len(content)] for path, content in parts.items()],
            "limits": asdict(_limits(job.memory, int(seconds) * (job.threads + 1) + 1, job.most_reply)),
            "sandbox": sandbox,
            "root": str(root),
            "seen": [str(path) for path in shown],
            "rows": job.rows_name,
            "client": job.client,
            "config": dict(job.config),
            "node_config": dict(job.node_config),
        }
        _put(source, json.dumps(header).encode() + b"\n", *parts.values())
        environment = _environment(job.threads, sandbox=sandbox)
        limits = _Until(seconds=seconds, memory=job.memory, stop=stop or Event())
        code, late = _call(source, replies, output, environment, limits)
        said = os.pread(output, MOST_SAID, 0)
        size = os.fstat(replies).st_size
        if late:
            return Outcome(reply=None, ending=late, said=said)
        if code != 0:
            return Outcome(reply=None, ending="no sandbox" if code == _NO_SANDBOX else "failed", said=said)
        if size > job.most_reply:
            return Outcome(reply=None, ending="too large", said=said)
        return Outcome(reply=os.pread(replies, size, 0), ending="replied", said=said)


def seen() -> tuple[Path, ...]:
    """Return what an app can read of the machine: Python, the system's libraries, and the two packages it needs."""
    found = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix):
        found |= {Path(prefix) / name for name in ("bin", "lib", "lib64", "pyvenv.cfg")}
    found |= {Path(name) for name in ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/bin")}
    found |= {Path("/etc/ld.so.cache"), Path("/etc/localtime")}
    for package in ("node", "protocols"):
        specification = importlib.util.find_spec(package)
        if specification is not None and specification.origin is not None:
            found.add(Path(specification.origin).parent)
    kept: list[Path] = []
    for path in sorted(found):
        # What is inside of a folder that is shown already need not be shown again.
        if path.exists() and not path.is_symlink() and not any(each in path.parents for each in kept):
            kept.append(path)
    return tuple(kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Until:
    """When an app is ended from outside."""

    seconds: float
    memory: int
    stop: Event


def _call(source: int, replies: int, output: int, environment: dict[str, str], until: _Until) -> tuple[int, str]:
    """Return the exit code, and why the process was ended where it was."""
    ends = time.monotonic() + until.seconds
    process = subprocess.Popen(
        _command(source, replies),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(source, replies),
        start_new_session=True,
    )
    late = ""
    family: list[int] = []
    while process.poll() is None and not late:
        began = time.monotonic()
        family = _family(process.pid)
        if time.monotonic() >= ends:
            late = "too long"
        elif _held(tuple(family)) > until.memory:
            late = "too large"
        elif until.stop.is_set():
            late = "stopped"
        else:
            now = time.monotonic()
            time.sleep(max(0.0, min(max(_LOOK, _REST * (now - began)), ends - now)))
    if late:
        # The watcher, see ``jail.py``, ends all others and then itself.
        process.terminate()
    try:
        code = process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        family = _family(process.pid)
        process.kill()
        code = process.wait(_PATIENCE)
    _see_off(family)
    return code, late


def _see_off(family: list[int]) -> None:
    """Wait until the processes are gone; end those that are not."""
    until = time.monotonic() + _PATIENCE
    while (left := [pid for pid in family if _running(pid)]) and time.monotonic() < until:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_LOOK)


def _running(pid: int) -> bool:
    # Only what was seen as a descendant a moment ago, and is still this program: a number may be another's by now.
    try:
        return str(CHILD).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _family(first: int) -> list[int]:
    """Return the descendants of a process."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parent = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found, ahead = [], [first]
    while ahead:
        children = parents.get(ahead.pop(), [])
        found += children
        ahead += children
    return found


def _held(processes: tuple[int, ...]) -> int:
    """Return the bytes of memory that processes hold, beside what is in files; what several share counts for each.

    What is in the swap counts, and so does what the kernel holds for them: their page tables, and what each of their
    sockets may hold at most. More descriptors than ``_MOST_OPEN`` count as ``_BEYOND``.

    Guarantee: a look takes some tens of milliseconds, whatever an app has open. Test:
    tests/redteam/test_apps_attacked.py::test_an_app_keeps_a_bounded_number_of_files_open.
    """
    held = opened = 0
    for pid in processes:
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
                if line.startswith(_HELD):
                    held += int(line.split()[1]) << 10
        sockets, descriptors = _opened(pid)
        held += _SOCKET * sockets
        opened += descriptors
        if opened > _MOST_OPEN:
            return _BEYOND
    return held


def _opened(pid: int) -> tuple[int, int]:
    """Return how many sockets and descriptors a process has; of one that hides them, how many it may have."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208  many times a second
    except PermissionError:
        return OPEN, OPEN
    except OSError:  # it has ended
        return 0, 0
    sockets = 0
    for name in names:
        with contextlib.suppress(OSError):  # closed meanwhile
            sockets += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")  # noqa: PTH115  as above
    return sockets, len(names)


def _command(source: int, replies: int) -> list[str]:
    # -I: neither the environment nor the current folder says what is imported.
    return [sys.executable, "-I", "-B", str(CHILD), str(source), str(replies), str(os.getpid())]


def _environment(threads: int, *, sandbox: bool) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(WORK) if sandbox else "/nonexistent",
        "FLWR_HOME": str(WORK / ".flwr") if sandbox else "/nonexistent",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FARR_SANDBOX": "" if sandbox else "none",
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
    } | ({"TMPDIR": str(WORK)} if sandbox else {})


def _limits(memory: int, seconds: int, most_reply: int) -> Limits:
    largest = max(most_reply, _SLACK)
    # Libraries reserve far more addresses than they use; what is used is looked at while the app runs.
    return Limits(
        memory=memory + _ADDRESSES, seconds=seconds, processes=256, file=largest, scratch=max(memory // 4, _SLACK)
    )


@contextlib.contextmanager
def _memory(name: str) -> Iterator[int]:
    """Hold a file that is in memory only: rows and replies are on no disk."""
    held = os.memfd_create(f"farr-{name}", os.MFD_CLOEXEC)
    try:
        yield held
    finally:
        os.close(held)


def _put(target: int, *parts: bytes) -> None:
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[os.write(target, view) :]
