"""All that Farr needs of Flower at the researcher's machine and that Flower does not promise to keep.

The rest of this package imports only what Flower publishes (``flwr.app``, ``flwr.serverapp``). What is used here is
listed in ``PRIVATE``, and tests/farr/test_flower_contract.py holds every release of Flower that the pins allow to it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Set before the import: Flower would tell its makers about every run.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"

from flwr.app import Error, Message
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.serverapp import ServerApp
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from farr.errors import FarrError
from farr.texts import _

PRIVATE = (
    "flwr.common.constant:SUPERLINK_NODE_ID",
    "flwr.common.constant:ErrorCode.NODE_UNAVAILABLE",
    "flwr.common.constant:ErrorCode.REPLY_MESSAGE_UNAVAILABLE",
    "flwr.supercore.run:Run.create_empty",
    "flwr.supercore.task_identity:TaskIdentity",
)
"""Names that Flower may move or change in any release."""

__all__ = ["PRIVATE", "Run", "empty_run", "has_main", "name_message", "task", "unavailable"]

_RUNNING = threading.Lock()


@contextmanager
def task(run: int) -> Iterator[None]:
    """Give this process the identity without which Flower makes no message, for one run of one app.

    Flower keeps it once in a process, so a second run at the same time is refused with FarrError.
    """
    if not _RUNNING.acquire(blocking=False):
        raise FarrError(
            "busy",
            _("another Flower app runs in this process"),
            remedy=_("run each app in a process of its own"),
        )
    try:
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = run, run, SUPERLINK_NODE_ID
        yield
    finally:
        _RUNNING.release()


def empty_run(run: int) -> Run:
    """Return what Flower calls a run, with nothing in it but its number."""
    return Run.create_empty(run)


def has_main(app: ServerApp) -> bool:
    """Return whether a ServerApp has a main function; one without is of Flower's older kind."""
    return getattr(app, "_main", None) is not None


def name_message(message: Message, identifier: str) -> None:
    """Give a message its id, as Flower's own server does when it takes one."""
    message.metadata.__dict__["_message_id"] = identifier


def unavailable(message: Message, *, reason: str, reached: bool) -> Message:
    """Return the reply of a hospital that gave none; ``reached``: whether it was asked at all."""
    code = ErrorCode.REPLY_MESSAGE_UNAVAILABLE if reached else ErrorCode.NODE_UNAVAILABLE
    return Message(Error(code, reason), reply_to=message)
