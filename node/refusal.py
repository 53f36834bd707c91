"""Saying no: a code and a random reference leave the node; why, stays with its operator under the same reference."""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node.answer import Answerer
from node.audit import REFUSED, Audit
from node.state import transaction
from protocols import announcement as announcements
from protocols.errors import ProtocolError, Rejected
from protocols.roster import Roster
from protocols.wire_pb2 import NodeMessage, Refusal, Signed

FOLDER = "failures"
"""Folder of the node's home with a file for each fault, readable by its owner only."""

MOST_FILES = 100
"""Faults that are kept."""

MOST_DETAIL = 300
"""Characters of a refusal's detail in the audit log."""

_log = logging.getLogger("node.answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replier:
    """Turns every announcement into one message: an upload or a refusal."""

    answerer: Answerer
    """Answers."""
    home: Path
    """The node's home."""
    clock: Callable[[], float]
    """Seconds since 1970, UTC."""

    def reply(self, signed: Signed, roster: Roster, waited: float = 0.0) -> NodeMessage:
        """Return what the coordinator is to hear of an announcement; never raises for one.

        Guarantee: a refusal carries a code, and a reference drawn at random, never derived from data or from an
        exception's text. Test: tests/node/test_answer.py::test_a_fault_leaves_a_code_and_a_random_reference.
        """
        tau = announcements.tau(signed)
        try:
            return NodeMessage(upload=self.answerer.answer(signed, roster, waited))
        except Rejected as rejected:
            reference, code = secrets.token_hex(16), rejected.code
            _log.warning("a question was refused", extra={"round": tau.hex(), "reference": reference, "code": code})
            return self._refusal(tau, code, reference, rejected.detail)
        except Exception as fault:  # noqa: BLE001
            reference = secrets.token_hex(16)
            self._keep(reference, fault)
            _log.error("a question failed", extra={"round": tau.hex(), "reference": reference, "error": _kind(fault)})
            return self._refusal(tau, "unavailable", reference, _kind(fault))

    def turn_away(self, tau: bytes) -> NodeMessage:
        """Return a refusal for a question that finds the queue full; touches no state, so any thread may ask."""
        reference = secrets.token_hex(16)
        _log.warning("the queue is full", extra={"round": tau.hex(), "reference": reference, "code": "busy"})
        return NodeMessage(refusal=Refusal(announcement=tau, code="busy", reference=reference))

    def _refusal(self, tau: bytes, code: str, reference: str, detail: str) -> NodeMessage:
        self._tell(tau, code, reference, detail)
        return NodeMessage(refusal=Refusal(announcement=tau, code=code, reference=reference))

    def _tell(self, tau: bytes, code: str, reference: str, detail: str) -> None:
        connection, at = self.answerer.connection, int(self.clock())
        audit = Audit(connection=connection)
        facts = {"round": tau.hex(), "code": code, "reference": reference, "detail": detail[:MOST_DETAIL]}
        try:
            with transaction(connection):
                if audit.has_room(at):
                    audit.append(REFUSED, at, facts)
        except (sqlite3.Error, ProtocolError) as fault:
            # A full disk must not keep the coordinator from hearing the refusal.
            _log.error("a refusal was not kept", extra={"reference": reference, "error": _kind(fault)})

    def _keep(self, reference: str, fault: Exception) -> None:
        folder = self.home / FOLDER
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            kept = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
            for path in kept[: max(0, len(kept) - MOST_FILES + 1)]:
                path.unlink(missing_ok=True)
            descriptor = os.open(folder / f"{reference}.txt", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.writelines(traceback.format_exception(fault))
        except OSError as error:
            _log.error("a fault's detail was not kept", extra={"reference": reference, "error": _kind(error)})


def _kind(error: BaseException) -> str:
    return type(error).__name__
