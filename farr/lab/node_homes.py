"""What a node's home needs beside its keys: its policy, and where its data are."""

from __future__ import annotations

from pathlib import Path

from farr import files
from farr.lab.hospitals import Hospital
from node import policy as policies
from node.settings import Source, write_source


def furnish(folder: Path, hospital: Hospital, mapping: Path | None, policy: str) -> None:
    """Write the policy and the source of a node that joined, as ``farr node join`` does."""
    write_source(folder, Source(data=hospital.folder, mapping=mapping))
    files.create_private(folder / policies.FILE, policy.encode())


def policy_with(lifetime_epsilon: float) -> str:
    """Return the default policy with another budget for life."""
    line = next(line for line in policies.DEFAULT.splitlines() if line.startswith("lifetime_epsilon"))
    return policies.DEFAULT.replace(line, f"lifetime_epsilon = {lifetime_epsilon!r}")
