"""What a lab's folder says of the lab: its processes, its address, and who is working on it right now.

lab.json   the processes that were started, each with its start time      logs/         their output
lab.lock   held while a lab goes up or down                               analyst/      home of the lab's analyst
registrar/ coordinator/ nodes/<site>/   homes of the other parties
earlier/<number>/   what labs that were in the folder before left, each as a lab's folder
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from farr import files
from farr.errors import FarrError
from farr.lab.processes import Process, alive
from farr.texts import _

RECORD = "lab.json"
LOCK = "lab.lock"
LOGS = "logs"
ANALYST = "analyst"
COORDINATOR = "coordinator"
REGISTRAR = "registrar"
NODES = "nodes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """The processes of a lab."""

    home: Path
    """Its folder."""
    address: str = ""
    """Where the coordinator answers, HOST:PORT; empty until it does."""
    processes: tuple[Process, ...] = ()
    """In the order of their start."""
    earlier: Path | None = None
    """Where what an earlier lab left is kept, of a lab that was just started; None: there was none."""

    def with_process(self, process: Process) -> Lab:
        """Return the lab with one more process, recorded durably."""
        more = replace(self, processes=(*self.processes, process))
        write(more)
        return more

    def running(self) -> tuple[Process, ...]:
        """Return the processes that run now."""
        return tuple(process for process in self.processes if alive(process))


def is_lab(home: Path) -> bool:
    """Tell whether a folder is a lab's."""
    return (home / RECORD).is_file()


def analyst_home(home: Path) -> Path:
    """Return the home to ask questions from: a lab's folder stands for its analyst's."""
    return home / ANALYST if is_lab(home) else home


def write(lab: Lab) -> None:
    """Record the lab in its folder."""
    plain = {"address": lab.address, "processes": [asdict(process) for process in lab.processes]}
    files.replace(lab.home / RECORD, json.dumps(plain, indent=1).encode() + b"\n")


def read(home: Path) -> Lab:
    """Read the record; raise FarrError when there is none."""
    try:
        plain = json.loads((home / RECORD).read_text(encoding="utf-8"))
        processes = tuple(Process(**process) for process in plain["processes"])
    except FileNotFoundError:
        raise FarrError(
            "no-lab",
            _("{folder} holds no lab").format(folder=home),
            remedy=_("start one: farr lab up --home {folder} ...").format(folder=home),
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise FarrError("damaged-lab", _("{file} cannot be read").format(file=home / RECORD)) from error
    return Lab(home=home, address=plain["address"], processes=processes)


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the lab's lock; raise FarrError when another command holds it."""
    with (home / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FarrError(
                "busy",
                _("another command is working on the lab in {folder}").format(folder=home),
                remedy=_("wait for it to end"),
            ) from None
        yield
