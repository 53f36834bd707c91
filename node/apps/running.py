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
from queries.asked.app_time import lasting, settling
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

    def __call__(self, step: AppStep, rows: AppRows) -> NDArray[np.int64]:
        """Return the app's clipped update in whole units, ``step.entries`` long.

        Raises Rejected for what is public: the policy does not name the app, its code is not here, no sandbox is to be
        had, the message did not come or does not fit the step, the node ends.

        Guarantee: once the app has started, this returns a vector of ``step.entries`` whole numbers whose L2 norm is
        at most ``BOUND_UPDATE``, never earlier than ``seconds`` and ``settling`` after the start, whatever the app
        does. Tests: tests/redteam/test_apps_attacked.py::test_a_hostile_app_leaves_zeros_or_a_clipped_vector,
        tests/redteam/test_apps_attacked.py::test_the_answer_leaves_at_a_time_that_no_app_decides.
        """
        files, message, sent = self._ready(step)
        rules = self.rules()
        begun = self.monotonic()
        at = int(self.clock())
        _log.info("an app starts", extra={"app": step.app.hex()})
        ending, detail, said, vector = "failed", "", b"", None
        try:
            described = about(files)
            outcome = sandbox.run(
                sandbox.Job(
                    files=files,
                    client=described.client,
                    config=described.config,
                    node_config={TABLE: rows.table},
                    rows=parquet_of(rows),
                    rows_name=NAME,
                    message=sent,
                    most_reply=most_bytes(sent),
                    memory=rules.most_bytes,
                    threads=self.threads,
                ),
                step.seconds - (self.monotonic() - begun),
                sandbox=not sandbox.why_none(),
                hidden=self.hidden,
                stop=self.stop,
                place=self._place(),
            )
            ending, said = outcome.ending, outcome.said
            if outcome.reply is not None:
                vector = _whole(numbers(message, outcome.reply), step)
                ending = "answered"
        except BadReplyError as error:
            ending, detail = error.code, error.detail
        except Exception as error:  # noqa: BLE001  whatever it is, it may depend on a row, and must not show
            ending, detail = "failed", f"{type(error).__name__}: {error}"
        took = self.monotonic() - begun
        self._tell(step, at=at, took=took, ending=ending, detail=detail, said=said)
        (self.sleep or self.stop.wait)(_left(step, self.monotonic() - begun))
        _log.info("an app's time is over", extra={"app": step.app.hex()})
        if self.stop.is_set():
            # Whatever the app did: that the node ends is its operator's doing.
            raise Rejected("unavailable", "the node ends")
        return np.zeros(step.entries, dtype=np.int64) if vector is None else vector

    def sweep(self) -> None:
        """Remove what the app of a node that was killed left behind: without a sandbox, its rows."""
        shutil.rmtree(self.home / PLACE, ignore_errors=True)

    def _place(self) -> Path:
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

    def _tell(self, step: AppStep, *, at: int, took: float, ending: str, detail: str, said: bytes) -> None:
        report = reports.Report(
            at=at,
            app=step.app.hex(),
            kind=step.kind,
            seconds=round(took, 3),
            ending=ending,
            detail=detail[:2000],
            said=said.decode(errors="replace"),
        )
        try:
            reports.write(self.home, report)
        except OSError as error:
            # A full disk depends on how much apps said; it is the operator's all the same, and says nothing of why.
            _log.warning("the report of an app could not be kept", extra={"error": type(error).__name__})


def _left(step: AppStep, took: float) -> float:
    """Return the seconds to wait: until the agreed moment, or on a machine that was too slow for it, the next one."""
    settle = settling(step.entries)
    late = took - lasting(step)
    return -late if late <= 0 else -late % settle


def _whole(values: NDArray[np.float64], step: AppStep) -> NDArray[np.int64]:
    if values.shape != (step.entries,):
        raise BadReplyError("length", f"{values.size} numbers, not {step.entries}")
    return clipping.update(values, step.clip / ONE)
