"""Bringing a lab up and down."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from farr.client import Federation as Connection
from farr.errors import FarrError
from farr.lab import earlier, founding, processes, record
from farr.lab.hospitals import Hospital
from farr.lab.node_homes import furnish
from farr.lab.processes import Process, alive
from farr.lab.record import Lab
from farr.lab.watchdog import Watch
from farr.questions.states import PASSING
from farr.texts import _
from queries.agreed.catalogue import Catalogue

PATIENCE = 120.0
"""Seconds for all hospitals to connect."""

SPLIT = "data"
"""Folder for data that `--split-by` split."""

Progress = Callable[[int, int], None]
"""Told how many hospitals are connected, and of how many."""


@dataclass(frozen=True, kw_only=True)
class Federation:
    """What to bring up."""

    catalogue: Catalogue
    """What the hospitals agreed on."""
    hospitals: Sequence[Hospital]
    """One node process each."""
    mapping: Path | None = None
    """How all hospitals' files are written; None: as the catalogue has it."""
    policy: str = ""
    """Text of every node's policy; empty: the default."""
    name: str = "lab"
    """Name of the federation."""


def up(home: Path, federation: Federation, watch: Watch, *, progress: Progress = lambda _connected, _of: None) -> Lab:
    """Start a lab in ``home``, guarded by ``watch``, and return it once every hospital is connected.

    What an earlier lab left there is put by, and nothing is touched in a folder that holds anything else. Whatever
    stops the start (a failing process, Ctrl-C), everything that was started is stopped again.
    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with record.locked(home):
        refuse_running(home)
        _refuse_strange(home)
        lab = Lab(home=home, earlier=earlier.put_by(home))
        record.write(lab)
        watch.arm()
        try:
            return _start(lab, federation, progress)
        except BaseException:
            _stop(home)
            raise


def down(home: Path) -> list[Process]:
    """Stop a lab; return the processes that would not end. Raises FarrError when the folder holds no lab."""
    home = home.resolve()
    record.read(home)
    with record.locked(home):
        return _stop(home)


def _start(lab: Lab, federation: Federation, progress: Progress) -> Lab:
    hospitals = federation.hospitals
    if not hospitals:
        raise FarrError("no-data", _("there is no hospital"), remedy=_("give a folder with one folder for each"))
    address = founding.found(
        lab.home,
        federation=federation.name,
        catalogue=federation.catalogue,
        hospitals=hospitals,
        now=int(time.time()),
    )
    lab = replace(lab, address=address)
    for hospital in hospitals:
        furnish(lab.home / record.NODES / hospital.id, hospital, federation.mapping, federation.policy)
    serve = ("coordinator", "serve", "--home", str(lab.home / record.COORDINATOR), "--listen", address)
    lab = _start_one(lab, record.COORDINATOR, serve)
    for hospital in hospitals:
        node = str(lab.home / record.NODES / hospital.id)
        lab = _start_one(lab, hospital.id, ("node", "serve", "--home", node))
    _wait(lab, len(hospitals), progress)
    return lab


def _start_one(lab: Lab, name: str, arguments: Sequence[str]) -> Lab:
    log = lab.home / record.LOGS / f"{name}.log"
    return lab.with_process(processes.start(name, arguments, lab=lab.home, log=log))


def _wait(lab: Lab, hospitals: int, progress: Progress) -> None:
    deadline = time.monotonic() + PATIENCE
    connected = -1
    with Connection.open(lab.home / record.ANALYST) as federation:
        while connected < hospitals:
            _check_alive(lab)
            if time.monotonic() > deadline:
                raise FarrError(
                    "timeout",
                    _("only {connected} of {hospitals} hospitals connected in {seconds:.0f} seconds").format(
                        connected=max(connected, 0), hospitals=hospitals, seconds=PATIENCE
                    ),
                    remedy=_("look into the logs in {folder}").format(folder=lab.home / record.LOGS),
                )
            now = _connected(federation)
            if now != connected:
                connected = now
                progress(connected, hospitals)
            if connected < hospitals:
                time.sleep(0.1)


def _connected(federation: Connection) -> int:
    try:
        return federation.connected_now()
    except FarrError as error:
        if error.code not in PASSING:
            raise
        return 0


def _check_alive(lab: Lab) -> None:
    for process in lab.processes:
        if not alive(process):
            log = Path(process.log)
            raise FarrError(
                "start-failed",
                _("{name} ended while the lab was starting. The end of {log}:").format(name=process.name, log=log)
                + "\n"
                + processes.tail(log),
                remedy=_("correct what it complains about; everything that was started has been stopped"),
            )


def refuse_running(home: Path) -> None:
    """Raise FarrError where a lab runs in the folder."""
    if record.is_lab(home) and (running := record.read(home).running()):
        raise FarrError(
            "lab-running",
            _("the lab in {folder} is running already ({count} processes)").format(folder=home, count=len(running)),
            remedy=_("use it, or stop it first: farr lab down --home {folder}").format(folder=home),
        )


def _refuse_strange(home: Path) -> None:
    known = {record.LOCK, record.RECORD, SPLIT, earlier.FOLDER, *(earlier.OWN if record.is_lab(home) else ())}
    if strange := {path.name for path in home.iterdir()} - known:
        raise FarrError(
            "folder-in-use",
            _("{folder} holds other files, such as {file}").format(folder=home, file=min(strange)),
            remedy=_("name an empty folder, or one that an earlier lab used"),
        )


def _stop(home: Path) -> list[Process]:
    recorded = record.read(home).processes if record.is_lab(home) else ()
    # The hospitals first: a coordinator that goes first would have them all dial again.
    left = processes.stop(recorded[1:]) + processes.stop(recorded[:1])
    left += processes.stop(processes.marked(home))
    if not left and record.is_lab(home):
        record.write(replace(record.read(home), processes=()))
    return left
