"""What a node's home needs beside its keys: its policy, and where its data are."""

from __future__ import annotations

from pathlib import Path

from farr import files
from farr.lab.hospitals import Hospital
from node.authority import policy as policies
from node.settings import Source, write_source


def furnish(folder: Path, hospital: Hospital, mapping: Path | None, policy: str) -> None:
    """Write the policy and the source of a node that joined, as ``farr node join`` does."""
    write_source(folder, Source(data=hospital.folder, mapping=mapping))
    files.create_private(folder / policies.FILE, policy.encode())


def policy_with(lifetime_epsilon: float, **changes: str) -> str:
    """Return the default policy with another budget for life, for a lab, where time is short and everybody is known.

    All of the budget may go to statistics or to research, and in one month; and the hospitals of a lab, which all join
    in one minute, count at once. ``changes``: other values as well, such as ``networks='"all"'``, as TOML writes them.
    """
    policy = policy_of(
        lifetime_epsilon=repr(lifetime_epsilon),
        epsilon_per_period=repr(lifetime_epsilon),
        statistics=repr(lifetime_epsilon),
        newcomer_days="0",
        **changes,
    )
    return policy.replace("# research = 3.0\n", f"research = {lifetime_epsilon!r}\n")


def policy_of(**changes: str) -> str:
    """Return the default policy with other values, as TOML writes them, by key."""
    lines = policies.DEFAULT.splitlines(keepends=True)
    places = {line.partition(" = ")[0]: place for place, line in enumerate(lines) if " = " in line}
    for key, value in changes.items():
        lines[places[key]] = f"{key} = {value}\n"
    return "".join(lines)
