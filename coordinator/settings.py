"""What a coordinator is started with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from protocols.credentials import Credentials
from protocols.wire_pb2 import Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorSettings:
    """Everything that varies between coordinators; nothing else is read from the surroundings."""

    credentials: Credentials
    """Who the coordinator is."""
    home: Path
    """Folder of its state; nothing is written outside it."""
    roster: Signed = field(repr=False)
    """The roster that it joined with, or a newer one; one in the state that is newer still takes precedence."""
    catalogue: bytes = field(repr=False)
    """The catalogue file that goes with ``roster``."""
    listen: str = "127.0.0.1:0"
    """Where to answer, HOST:PORT; port 0 lets the system choose."""
    round_seconds: float = 60.0
    """How long hospitals have for an answer."""
    straggler_seconds: float = 5.0
    """How long a round that has enough answers waits for the rest."""
    phase_seconds: float = 10.0
    """How long hospitals have to confirm who answered, and then to help open the sum."""
    epoch_seconds: float = 3600.0
    """How long the keys of an epoch are used, if nothing ends it before."""
    settle_seconds: float = 0.3
    """How long an epoch that is to be opened waits, after a hospital connected, for others to connect too."""
    pace_seconds: float = 2.0
    """Least time between two openings of an epoch."""
    grace_seconds: float = 2.0
    """How long a round waits for hospitals that left a moment ago, once enough others are there."""
    most_waiting: int = 1000
    """Most requests that wait or run at once; each analyst's share of them: coordinator/shares.py."""
    most_running: int = 16
    """Most rounds at once; further requests wait for a place, as do those beyond an analyst's share."""
    most_blob_bytes: int = 64 << 30
    """Most bytes of disk for long content: messages to apps, hospitals' long vectors, long sums."""
    most_member_blob_bytes: int = 2 << 30
    """Most of it that one analyst's messages take."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970, UTC."""
