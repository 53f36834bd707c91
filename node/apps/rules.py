"""What the hospital's policy says of apps, read anew for every round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node.authority import policy
from node.authority.policy import PolicyError
from node.authority.training import MEGABYTE
from protocols.errors import Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRules:
    """What apps may do here."""

    apps: frozenset[bytes]
    """Digests of those that may run."""
    unsandboxed: bool
    """Whether they may run where no sandbox is to be had."""
    most_seconds: int
    """Most that a round may take."""
    most_bytes: int
    """Memory that an app may use."""


NONE = AppRules(apps=frozenset(), unsandboxed=False, most_seconds=0, most_bytes=0)
"""No app runs."""


def rules_in(file: Path) -> Callable[[], AppRules]:
    """Return what reads the rules from a policy file; that raises Rejected("policy") where the file is wrong."""

    def read() -> AppRules:
        try:
            training = policy.load(file).training
        except PolicyError as error:
            raise Rejected("policy", error.message) from None
        if training is None:
            return NONE
        return AppRules(
            apps=frozenset(training.apps),
            unsandboxed=training.unsandboxed_apps,
            most_seconds=60 * training.most_app_minutes,
            most_bytes=MEGABYTE * training.most_app_megabytes,
        )

    return read
