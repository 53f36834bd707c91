"""The errors of the package, and the one place where a refusal becomes a gRPC status.

    CoordinatorError
    └── AlreadyRunning    another coordinator works on the same home

Refusals are protocols.errors.Rejected; ``coded`` wraps every handler of the server.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from types import MappingProxyType
from typing import Any

import grpc

from protocols.errors import Rejected

CODE_KEY = "farr-code"
"""Trailing metadata under which the code of a refusal travels."""

TIME_KEY = "farr-time"
"""Trailing metadata that states the coordinator's clock, in seconds since 1970: a member's own may be wrong."""

INTERNAL = "internal"
"""The code for the coordinator's own faults."""

_STATUS: Mapping[str, grpc.StatusCode] = MappingProxyType(
    {
        "unknown-member": grpc.StatusCode.PERMISSION_DENIED,
        "wrong-role": grpc.StatusCode.PERMISSION_DENIED,
        "expired-certificate": grpc.StatusCode.PERMISSION_DENIED,
        "bad-signature": grpc.StatusCode.PERMISSION_DENIED,
        "bad-token": grpc.StatusCode.PERMISSION_DENIED,
        "no-mandate": grpc.StatusCode.PERMISSION_DENIED,
        "expired-mandate": grpc.StatusCode.PERMISSION_DENIED,
        "wrong-purpose": grpc.StatusCode.PERMISSION_DENIED,
        "out-of-region": grpc.StatusCode.PERMISSION_DENIED,
        "wrong-table": grpc.StatusCode.PERMISSION_DENIED,
        "oversized": grpc.StatusCode.RESOURCE_EXHAUSTED,
        "busy": grpc.StatusCode.RESOURCE_EXHAUSTED,
        "unknown-request": grpc.StatusCode.NOT_FOUND,
        "unknown-blob": grpc.StatusCode.NOT_FOUND,
        "unknown-roster": grpc.StatusCode.NOT_FOUND,
        "unavailable": grpc.StatusCode.UNAVAILABLE,
        INTERNAL: grpc.StatusCode.INTERNAL,
    }
)

log = logging.getLogger(__name__)

Handler = Callable[[Any, Any, Any], Awaitable[Any]]


class CoordinatorError(Exception):
    """The coordinator cannot start; the text is for its operator."""


class AlreadyRunning(CoordinatorError):
    """Another coordinator works on the same home."""


def status_of(code: str) -> grpc.StatusCode:
    """Return the gRPC status that goes with a code."""
    return _STATUS.get(code, grpc.StatusCode.INVALID_ARGUMENT)


def coded(handler: Handler) -> Handler:
    """Wrap a gRPC handler, so that a caller learns the code of a refusal and nothing else.

    Guarantee: no exception's text leaves the coordinator, neither a refusal's detail nor that of a defect. Test:
    tests/coordinator/test_refusals.py::test_a_defect_of_the_coordinator_shows_nothing_but_its_code.
    """

    @wraps(handler)
    async def edge(service: Any, message: Any, context: Any) -> Any:
        try:
            return await handler(service, message, context)
        except Rejected as refusal:
            code = refusal.code
            log.info("refused", extra={"code": code, "peer": context.peer()})
        except grpc.aio.AbortError:
            raise
        except Exception:
            code = INTERNAL
            log.exception("failed", extra={"code": code, "peer": context.peer()})
        stated = (TIME_KEY, str(int(time.time())))
        return await context.abort(status_of(code), details=code, trailing_metadata=((CODE_KEY, code), stated))

    return edge
