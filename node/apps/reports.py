"""What happened when an app ran, for the operator's eyes: these files depend on patients' rows and leave no node."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = "apps/reports"
"""Of the node's home."""
MOST_KEPT = 100
"""Reports that are kept; the oldest go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One call of an app."""

    at: int
    """When it began, seconds since 1970."""
    app: str
    """Digest of its code, in hexadecimal digits."""
    kind: str
    """What it was asked to do."""
    seconds: float
    """How long it took; the answer waited in any case until its time was over."""
    ending: str
    """``answered``, or a code of why zeros were sent."""
    detail: str
    """In words. May hold what the app wrote, so anything of a patient."""
    said: str
    """The beginning of what the app wrote to its output. Likewise."""


def write(home: Path, report: Report) -> None:
    """Keep a report, readable by its owner only.

    Guarantee: neither the number of the reports nor anything in them is sent anywhere; the node's log, which may be
    gathered by others, has no word of it. Test: tests/redteam/test_apps_attacked.py::test_no_log_says_how_an_app_ended.
    """
    folder = home / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = 1 + max((int(path.stem) for path in _kept(folder)), default=0)
    path = folder / f"{number:08}.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(report), file)
    for old in _kept(folder)[:-MOST_KEPT]:
        old.unlink(missing_ok=True)


def read(home: Path) -> Iterator[Report]:
    """Yield the reports that are kept, the newest first; those that cannot be read are left out."""
    for path in reversed(_kept(home / FOLDER)):
        try:
            yield Report(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue


def _kept(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if path.stem.isdigit()) if folder.is_dir() else []
