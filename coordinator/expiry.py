"""Telling the coordinator's operator, day by day, that its certificate is about to end: nobody could call it then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from cryptography import x509

EARLY = 60
"""Days before the end of the certificate from which on the log says so."""

_DAY = 86_400

log = logging.getLogger(__name__)


async def watch(certificate: bytes, clock: Callable[[], float]) -> None:
    """Look once a day, for ever; ``certificate`` is the coordinator's, PEM, ``clock`` seconds since 1970, UTC.

    Test: tests/coordinator/test_serve.py::test_the_log_says_every_day_that_the_certificate_ends.
    """
    ends = x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()
    while True:
        days = int((ends - clock()) // _DAY)
        if days < EARLY:
            log.warning("the certificate ends: farr coordinator renew, and a restart", extra={"days": days})
        await asyncio.sleep(_DAY)
