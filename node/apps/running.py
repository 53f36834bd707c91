"""One round of an app at a hospital: what can be said of it before any row is looked at, and what follows in silence.

An app has seen every patient, so whatever it does may depend on one: that it fails, how long it takes, what it
replies. From the moment it starts nothing of that shows: it gives a vector of the agreed length, zeros where it gave
none, at a time that was fixed before.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray

from node.apps import reports, sandbox
from node.apps.allowed import AppStore
from node.apps.replies import BadReplyError, most_bytes, numbers
from node.apps.rows import NAME, parquet_of
from node.apps.rules import AppRules
from node.scan.steps import AppRows
from protocols.app_bundle import about
from protocols.app_entries import entries_of
from protocols.app_message import AppMessage, category, decode
from protocols.errors import Rejected
from queries.asked.app_time import lasting
from queries.asked.plan import ONE, AppStep
from queries.models import clipping

TABLE = "farr-table"
"""Under this key of ``node_config`` an app finds the name of the table that its rows are of."""
PLACE = "apps/running"
"""Of the node's home: where the folder of the app that runs is. With a sandbox nothing is ever written into it."""
FETCHING = 600.0
"""Seconds that a message may take to come."""

_log = logging.getLogger("node.apps")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What became of a call. All of it may depend on rows."""

    ending: str
    detail: str = ""
    said: bytes = b""
    vector: NDArray[np.int64] | None = None


_FAILED = _Made(ending="failed")
_TOO_LATE = _Made(ending="too late", detail="the machine was not done with the app, or its reply, in time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Apps:
    """Runs apps. Called with a step and the hospital's rows, it gives the tally: see ``node.scan.steps.App``."""

    home: Path
    """The node's home: its apps, and reports for the operator."""
    hidden: tuple[Path, ...]
    """Folders that no app may see, such as the home and the source files."""
    rules: Callable[[], AppRules]
    """Reads the policy as it is now."""
    fetch: Callable[[bytes, int, float], bytes]
    """Gets a message by its digest and size within so many seconds; raises Rejected."""
    threads: int = 1
    """Threads that an app's numerical libraries are told to use."""
    monotonic: Callable[[], float] = time.monotonic
    """Seconds, for waiting."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970, UTC, for reports."""
    stop: Event = field(default_factory=Event)
    """Set when the node is told to end: no app goes on then."""
    sleep: Callable[[float], object] | None = None
    """Waits; None: until ``stop`` is set, at most."""
    _workers: list[threading.Thread] = field(default_factory=list)
    """The threads of calls that were not over in time, and that of the last call."""

    def __call__(self, step: AppStep, rows: AppRows) -> NDArray[np.int64]:
        """Return the app's clipped update in whole units, ``step.entries`` long.

        Raises Rejected for what is public: the policy does not name the app, its code is not here, no sandbox is to be
        had, the message did not come or does not fit the step, the node ends.

        Guarantee: once the app has started, this returns a vector of ``step.entries`` whole numbers whose L2 norm is
        at most ``BOUND_UPDATE``, ``seconds`` and ``settling`` after the start, neither earlier nor later, whatever the
        app does, or did in the round before: what is not ready then is zeros. Tests:
        tests/redteam/test_apps_attacked.py::test_a_hostile_app_leaves_zeros_or_a_clipped_vector,
        tests/redteam/test_apps_attacked.py::test_the_answer_leaves_at_a_time_that_no_app_decides,
        tests/node/test_apps_allowed.py::test_what_is_not_ready_at_the_agreed_moment_is_zeros_at_that_moment.
        """
        files, message, sent = self._ready(step)
        memory = self.rules().most_bytes
        begun = self.monotonic()
        at = int(self.clock())
        _log.info("an app starts", extra={"app": step.app.hex()})
        before = tuple(worker for worker in self._workers if worker.is_alive())
        call = _Call(
            apps=self,
            step=step,
            rows=rows,
            files=files,
            message=message,
            sent=sent,
            begun=begun,
            memory=memory,
            before=before,
        )
        worker = threading.Thread(target=call.make, name="node-app", daemon=True)
        self._workers[:] = [*before, worker]
        worker.start()
        worker.join(max(0.0, lasting(step) - (self.monotonic() - begun)))
        took = self.monotonic() - begun
        # What is ready a moment later counts no more: that it was late may be the app's doing, and must not show.
        made = _TOO_LATE if worker.is_alive() else call.made
        self._tell(step, at=at, took=took, made=made)
        if (left := lasting(step) - (self.monotonic() - begun)) > 0:
            (self.sleep or self.stop.wait)(left)
        _log.info("an app's time is over", extra={"app": step.app.hex()})
        if self.stop.is_set():
            # Whatever the app did: that the node ends is its operator's doing.
            raise Rejected("unavailable", "the node ends")
        return np.zeros(step.entries, dtype=np.int64) if made.vector is None else made.vector

    def sweep(self) -> None:
        """Remove what the app of a node that was killed left behind: without a sandbox, its rows."""
        shutil.rmtree(self.home / PLACE, ignore_errors=True)

    def place(self) -> Path:
        """Return where the folder of an app that runs is made."""
        place = self.home / PLACE
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return place

    def _ready(self, step: AppStep) -> tuple[dict[str, bytes], AppMessage, bytes]:
        """Return the app's files and its message; raise Rejected. No row is looked at."""
        rules = self.rules()
        if step.app not in rules.apps:
            raise Rejected("policy", f"the policy does not name the app {step.app.hex()}")
        if step.seconds > rules.most_seconds:
            raise Rejected("policy", f"a round of the app may take {rules.most_seconds} s")
        if (why := sandbox.why_none()) and not rules.unsandboxed:
            raise Rejected("no-sandbox", why)
        if importlib.util.find_spec("flwr") is None:
            raise Rejected("no-app", "Flower is not installed: pip install farr[train]")
        files = AppStore(home=self.home).files(step.app)
        about(files)
        sent = self.fetch(step.message, step.size, FETCHING)
        if len(sent) != step.size or hashlib.sha256(sent).digest() != step.message:
            raise Rejected("unavailable", "the app's message is not the one that the plan names")
        message = decode(sent)
        if category(message) != step.kind or entries_of(message) != step.entries:
            raise Rejected("bad-plan", "the app's message is of another kind or length than the plan says")
        return files, message, sent

    def _tell(self, step: AppStep, *, at: int, took: float, made: _Made) -> None:
        report = reports.Report(
            at=at,
            app=step.app.hex(),
            kind=step.kind,
            seconds=round(took, 3),
            ending=made.ending,
            detail=made.detail[:2000],
            said=made.said.decode(errors="replace"),
        )
        try:
            reports.write(self.home, report)
        except OSError as error:
            # A full disk depends on how much apps said; it is the operator's all the same, and says nothing of why.
            _log.warning("the report of an app could not be kept", extra={"error": type(error).__name__})


@dataclass(slots=True, kw_only=True)
class _Call:
    """One call of an app, made in a thread of its own: whoever waits for it waits no longer than agreed."""

    apps: Apps
    step: AppStep
    rows: AppRows
    files: dict[str, bytes]
    message: AppMessage
    sent: bytes
    begun: float
    memory: int
    before: tuple[threading.Thread, ...]
    made: _Made = _FAILED

    @property
    def left(self) -> float:
        """Return how many seconds of the app's time are left."""
        return self.step.seconds - (self.apps.monotonic() - self.begun)

    def make(self) -> None:
        """Run the app and read what it replied. Never raises."""
        try:
            if not self._alone():
                self.made = _TOO_LATE
                return
            outcome = self._outcome()
            self.made = _Made(ending=outcome.ending, said=outcome.said)
            if outcome.reply is not None:
                vector = _whole(numbers(self.message, outcome.reply), self.step)
                self.made = _Made(ending="answered", said=outcome.said, vector=vector)
        except BadReplyError as error:
            self.made = _Made(ending=error.code, detail=error.detail, said=self.made.said)
        except Exception as error:  # noqa: BLE001  whatever it is, it may depend on a row, and must not show
            self.made = _Made(ending="failed", detail=f"{type(error).__name__}: {error}", said=self.made.said)

    def _alone(self) -> bool:
        """Wait for apps whose end took longer than agreed, within this one's time; return whether all are over.

        That they are not may be their doing, and may depend on a row: nobody is to see it by when this one is over.
        """
        for worker in self.before:
            worker.join(max(0.0, self.left))
        return not any(worker.is_alive() for worker in self.before)

    def _outcome(self) -> sandbox.Outcome:
        apps, described = self.apps, about(self.files)
        job = sandbox.Job(
            files=self.files,
            client=described.client,
            config=described.config,
            node_config={TABLE: self.rows.table},
            rows=parquet_of(self.rows),
            rows_name=NAME,
            message=self.sent,
            most_reply=most_bytes(self.sent),
            memory=self.memory,
            threads=apps.threads,
        )
        return sandbox.run(
            job,
            self.left,
            sandbox=not sandbox.why_none(),
            hidden=apps.hidden,
            stop=apps.stop,
            place=apps.place(),
        )


def _whole(values: NDArray[np.float64], step: AppStep) -> NDArray[np.int64]:
    if values.shape != (step.entries,):
        raise BadReplyError("length", f"{values.size} numbers, not {step.entries}")
    return clipping.update(values, step.clip / ONE)
