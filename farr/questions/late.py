"""What to do about hospitals that have not loaded the whole period."""

from __future__ import annotations

from enum import Enum


class Late(Enum):
    """What to do about hospitals that are not ready."""

    STOP = "stop"
    """Ask nothing and name them."""
    ASK = "ask"
    """Ask them all the same."""
    LEAVE_OUT = "leave-out"
    """Ask the others."""
