"""What is kept of a run, so that it can be taken up and none of its rounds is paid for twice.

    HOME/runs/<id>/run.json     for the owner only: the recipe, the price, and each round's request and release

Each round's request is on the disk before it leaves (``farr.questions.submitted``), and says which round of which run
it is; so ``run.json`` need not be written with every round, and a process that was killed loses nothing. A run that was
cut short is taken up by giving the releases of its rounds, verified once more, to the same algorithm.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from farr import files
from farr.errors import FarrError
from farr.questions import submitted
from farr.texts import _
from farr.training.recipe import Recipe, read
from farr.training.strict import WRONG, made, texts
from protocols.errors import Rejected
from protocols.request import ID_BYTES
from queries.errors import QueryError

FOLDER = "runs"
FILE = "run.json"
LOCK = "lock"
FORMAT = 1

_LARGEST = 1 << 50
"""Above any price in ledger units, count or time that a run has."""

RUNNING, FINISHED, STOPPED = "running", "finished", "stopped"
"""States of a run; one that was interrupted is running and goes on when it is resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRound:
    """One round that was asked, or is about to be."""

    number: int
    """From 1; a round that is tried again keeps its number."""
    request: str
    """Id of the request, hex."""
    rho_units: int
    """The price that was agreed on, in ledger units; 0 where no hospital heard of it."""
    charged_units: int = 0
    """What each hospital whose records are in the sum was charged, in ledger units: at most the price."""
    release: str = ""
    """Id of the release, hex; empty while there is none."""
    released_at: int = 0
    """Seconds since 1970, UTC."""
    answered: tuple[str, ...] = ()
    """The hospitals that were asked and whose records are in the sum."""
    contributors: int = 0
    """All hospitals in the sum, those that only helped with the noise too."""
    failed: str = ""
    """The code with which it ended without an answer; empty where it did not."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, as far as it has come."""

    id: str
    """16 random bytes, hex."""
    recipe: Recipe
    """What is trained."""
    catalogue: str
    """Digest of the catalogue that it was begun under, hex."""
    part: str
    """The template of every round's question, in its canonical spelling."""
    sites: tuple[str, ...]
    """The hospitals that are asked, in every round the same."""
    minimum: int
    """Fewest that must answer each round."""
    rho_units: int
    """Most that the whole run costs, in ledger units."""
    most_rounds: int
    """Most rounds."""
    purpose: str
    """A name from the analyst's mandate."""
    patience: int
    """Seconds for which hospitals that hold a round for approval are waited for."""
    begun_at: int
    """Seconds since 1970, UTC."""
    by_residence: bool = False
    """Whether the mandate's regions are where patients live."""
    rounds: tuple[KeptRound, ...] = ()
    """In the order in which they were asked."""
    state: str = RUNNING
    """``running``, ``finished`` or ``stopped``."""
    why: str = ""
    """Of a stopped run, the code."""
    format: int = field(default=FORMAT)
    """Of the file."""

    @property
    def answered(self) -> tuple[KeptRound, ...]:
        """Return the rounds that were answered, by number."""
        return tuple(sorted((each for each in self.rounds if each.release), key=lambda each: each.number))

    @property
    def spent_units(self) -> int:
        """Return what the answered rounds cost: as each hospital charged it, by the noise that was drawn."""
        return sum(each.charged_units for each in self.answered)

    @property
    def lost_units(self) -> int:
        """Return what rounds that ended without an answer cost at most: hospitals that did answer were charged."""
        return sum(each.rho_units for each in self.rounds if each.failed)

    @property
    def committed_units(self) -> int:
        """Return what all rounds cost at most: answered ones, ones that failed, and one that is under way."""
        return sum(each.charged_units if each.release else each.rho_units for each in self.rounds)

    def round(self, number: int) -> KeptRound | None:
        """Return the round of a number that was answered or is under way; None where it has to be asked."""
        return next((each for each in self.rounds if each.number == number and not each.failed), None)

    def asked(self, added: KeptRound) -> Run:
        """Return the run with a round about to be asked."""
        return replace(self, rounds=(*self.rounds, added), state=RUNNING, why="")

    def changed(self, request: str, **changes: Any) -> Run:
        """Return the run with other facts of one round."""
        return replace(
            self, rounds=tuple(replace(each, **changes) if each.request == request else each for each in self.rounds)
        )


def new_id() -> str:
    """Return an id that no run has yet."""
    return secrets.token_hex(ID_BYTES)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only process that takes a run further; raise FarrError("busy") where another one does.

    Guarantee: two processes, or two threads of one, never ask the same round under two ids, for which hospitals would
    charge twice. The system lets go of the lock however a process ends, and what a researcher's app has forked does not
    hold it on. Windows has no such lock. Tests:
    tests/farr/test_training_run.py::test_a_run_is_taken_further_by_one_process_at_a_time,
    tests/farr/test_training_run.py::test_a_process_that_was_forked_meanwhile_does_not_hold_the_run.
    """
    if os.name != "posix":
        yield
        return
    import fcntl

    files.make_folder(folder)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, files.PRIVATE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FarrError(
                "busy",
                _("another process is at run {id}").format(id=folder.name[:8]),
                remedy=_("let it end, or end it: what it has paid for is kept"),
            ) from None
        except OSError as error:
            raise FarrError(
                "no-lock",
                _("{folder} is on a file system that keeps no locks: two processes could pay for one round").format(
                    folder=folder
                ),
                remedy=_("have the home on a disk of this machine"),
            ) from error
        try:
            yield
        finally:
            # Closing alone would leave it to a process that was forked meanwhile.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def write(home: Path, run: Run) -> None:
    """Keep a run: after a crash the file holds what it held before, or this, and only its owner can read it."""
    folder = folder_of(home, run.id)
    files.make_folder(home / FOLDER)
    files.make_folder(folder)
    plain = _plain(run) | {"recipe": run.recipe.to_plain(), "rounds": [_plain(each) for each in run.rounds]}
    files.replace(folder / FILE, json.dumps(plain, ensure_ascii=False).encode() + b"\n")


def recovered(home: Path, run: Run) -> Run:
    """Return a run with the rounds that were asked after it was last written.

    Guarantee: a round's request is on the disk before it leaves, so a round that was paid for is found again, however
    the process ended. Tests: tests/farr/test_training_run.py::test_a_run_that_was_cut_anywhere_pays_for_no_round_twice,
    tests/farr/test_training_run.py::test_a_run_that_was_killed_pays_for_no_round_twice.
    """
    known = {each.request for each in run.rounds}
    try:
        requests = submitted.of_run(home, bytes.fromhex(run.id))
    except (DecodeError, Rejected) as error:
        # It may be that of a round of this very run, which would be asked and paid for again.
        raise FarrError(
            "damaged-run",
            _("a request among those in {folder} is damaged").format(folder=home / submitted.FOLDER),
            remedy=_("take the damaged file away, if it is of no round of run {id}").format(id=run.id[:8]),
        ) from error
    for asked in requests:
        if asked.run is not None and asked.id.hex() not in known:
            run = run.asked(KeptRound(number=asked.run.round, request=asked.id.hex(), rho_units=asked.rho_units))
    return run


def folder_of(home: Path, identifier: str) -> Path:
    """Return the folder of a run."""
    return home / FOLDER / identifier


def find(home: Path, identifier: str) -> Run:
    """Return a run by its id or the beginning of it; raise FarrError where there is none, or more than one."""
    if not re.fullmatch(r"[0-9a-f]{1,32}", identifier.lower()):
        raise _none(identifier)
    found = sorted(path.parent.name for path in (home / FOLDER).glob(f"{identifier.lower()}*/{FILE}"))
    if not found:
        raise _none(identifier)
    if len(found) > 1:
        raise FarrError(
            "ambiguous",
            _("{count} begin with {id}").format(count=len(found), id=identifier),
            remedy=_("write more of it"),
        )
    return _read(home, found[0])


def every(home: Path, damaged: Callable[[FarrError], None] = lambda _error: None) -> tuple[Run, ...]:
    """Return the runs that were begun from a home, newest first; ``damaged`` hears of those that cannot be read.

    Of one that is not at its end, rounds that were asked after it was last written are there too.
    """
    found = []
    for path in (home / FOLDER).glob(f"*/{FILE}"):
        try:
            run = _read(home, path.parent.name)
            found.append(recovered(home, run) if run.state == RUNNING else run)
        except FarrError as error:
            damaged(error)
    return tuple(sorted(found, key=lambda run: (-run.begun_at, run.id)))


def _read(home: Path, identifier: str) -> Run:
    path = folder_of(home, identifier) / FILE
    try:
        plain = json.loads(path.read_bytes(), parse_float=Decimal)
        run = read_run(plain, read(plain["recipe"], FILE))
    except (*WRONG, QueryError) as error:
        raise FarrError(
            "damaged-run",
            _("{path} is damaged ({error})").format(path=path, error=type(error).__name__),
            remedy=_("its releases are kept: farr releases list; begin another run"),
        ) from error
    if run.format != FORMAT or run.id != identifier:
        raise FarrError("damaged-run", _("{path} is another version's").format(path=path))
    return run


def read_run(plain: Mapping[str, Any], recipe: Recipe) -> Run:
    """Return a run from plain values; raise one of ``strict.WRONG`` where they are not a run's."""
    rounds = tuple(made(KeptRound, each, answered=texts(each.get("answered", []))) for each in plain["rounds"])
    run = made(Run, plain, recipe=recipe, rounds=rounds, sites=texts(plain["sites"]))
    nodes: tuple[Run | KeptRound, ...] = (run, *rounds)
    counts = [value for node in nodes for value in _plain(node).values() if type(value) is int]
    if not all(0 <= value < _LARGEST for value in counts):
        raise ValueError(run.id)
    return run


def _plain(node: Run | KeptRound) -> dict[str, Any]:
    return {item.name: getattr(node, item.name) for item in fields(node)}


def _none(identifier: str) -> FarrError:
    return FarrError(
        "unknown-run",
        _("there is no run with the id {id}").format(id=identifier),
        remedy=_("list them: farr models list"),
    )
