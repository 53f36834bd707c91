"""A small process that ends a lab whose starter vanished: killed, crashed, or its terminal closed.

The starter holds a pipe to it and says through it that the lab is its own to stop. When the pipe closes after that
without another word, all processes of the lab are stopped.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from farr.lab import record
from farr.lab.processes import marked, stop

MINE = "stop them"
LEAVE = "leave them running"


class Watch:
    """Guards the processes of a lab from ``arm`` on; they outlive the block only after ``release``.

    Guarantee: a starter that is killed at any moment leaves no process of the lab behind. Test:
    tests/journeys/test_lab_journey.py::test_a_killed_start_leaves_no_process.
    """

    def __init__(self, home: Path) -> None:
        """Watch over the lab whose record is, or will be, in ``home``."""
        self._home = home
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "farr.lab.watchdog", str(self._home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        return self

    def arm(self) -> None:
        """Say that the lab in the folder is the starter's own: nobody else's was running there."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(MINE)
            self._process.stdin.flush()

    def release(self) -> None:
        """Let the processes run on."""
        self._close(LEAVE)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close("")

    def _close(self, word: str) -> None:
        if self._process is None or self._process.stdin is None or self._process.stdin.closed:
            return
        with suppress(BrokenPipeError):
            self._process.stdin.write(word)
            self._process.stdin.close()
        self._process.wait()


def watch(home: Path, said: str) -> None:
    """Stop every process of the lab if that, and nothing more, was said."""
    if said == MINE:
        # One that was started a moment before the end may not be recorded yet, but it is marked.
        stop((*(record.read(home).processes if record.is_lab(home) else ()), *marked(home)))


if __name__ == "__main__":
    watch(Path(sys.argv[1]), sys.stdin.read())
