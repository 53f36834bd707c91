"""The processes of a lab: started apart from the terminal, known by start time, stopped without harm to others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE = 10.0
"""Seconds between asking a process to end and ending it."""

MARK = "FARR_LAB"
"""The environment variable that every process of a lab inherits, with the lab's folder in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that a lab started, as its pid file records it."""

    name: str
    """``coordinator`` or the hospital's id."""
    pid: int
    """Process id; also the id of its session and group."""
    started: str
    """When the system says that it started. A later process with the same id has another."""
    log: str
    """The file with its output, inside the lab's folder."""


def start(name: str, arguments: Sequence[str], *, lab: Path, log: Path) -> Process:
    """Start `farr` with these arguments in a session of its own, marked as of ``lab``, its output added to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "farr", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, MARK: str(lab), "PYTHONUNBUFFERED": "1"},
        )
    # Popen objects that are dropped while the child runs would complain; who is alive is read from the system anyway.
    child.returncode = 0
    return Process(name=name, pid=child.pid, started=started_at(child.pid), log=str(log))


def started_at(pid: int) -> str:
    """Return the start time of a process in the system's own words; empty when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self").exists() else _started_by_ps(pid)
    # State comes first after the name in parentheses, the start time in clock ticks since boot is the 20th.
    return "" if fields[0] in "ZX" else fields[19]


def alive(process: Process) -> bool:
    """Tell whether this very process runs; one that took over its number does not count."""
    _reap(process.pid)
    return bool(process.started) and started_at(process.pid) == process.started


def stop(processes: Iterable[Process], grace: float = GRACE) -> list[Process]:
    """End processes: ask, wait up to ``grace`` seconds in all, then kill. Return those that still run.

    Guarantee: a process that merely has the number of one of these is not touched.
    Test: tests/farr/test_lab.py::test_a_stranger_with_the_same_number_is_left_alone.
    """
    waiting = [process for process in processes if alive(process)]
    for process in waiting:
        _signal(process, signal.SIGTERM)
    waiting = _wait(waiting, grace)
    for process in waiting:
        _signal(process, signal.SIGKILL)
    return _wait(waiting, 5.0)


def marked(lab: Path) -> list[Process]:
    """Return every process that carries the lab's mark, recorded or not; none where the system has no /proc."""
    found = []
    mark = f"{MARK}={lab}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark not in (folder / "environ").read_bytes().split(b"\0"):
                continue
        except OSError:
            continue
        pid = int(folder.name)
        if started := started_at(pid):
            found.append(Process(name=f"process {pid}", pid=pid, started=started, log=""))
    return found


def tail(log: Path, lines: int = 12) -> str:
    """Return the last lines of a log."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _wait(processes: list[Process], seconds: float) -> list[Process]:
    deadline = time.monotonic() + seconds
    while (processes := [process for process in processes if alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return processes


def _signal(process: Process, number: signal.Signals) -> None:
    if not alive(process):
        return
    try:
        # A killed leader leaves no time to its own children, so they go with it; a polite end they arrange themselves.
        (os.killpg if number == signal.SIGKILL else os.kill)(process.pid, number)
    except ProcessLookupError:
        return


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _started_by_ps(pid: int) -> str:
    """Ask ps, where the system has no /proc."""
    listed = subprocess.run(
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return "" if len(listed) < 2 or listed[0].startswith("Z") else listed[1].strip()  # noqa: PLR2004
