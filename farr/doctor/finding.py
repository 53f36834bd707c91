"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farr.hospital.conformance import Conformance


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found."""

    name: str
    """Which check, for scripts."""
    good: bool
    """Whether the node can serve as far as this check goes."""
    text: str
    """For people: what was found."""
    code: str = ""
    """What is wrong, for scripts; empty where nothing is."""
    remedy: str = ""
    """For people: what to do about it."""
    tables: tuple[Conformance, ...] = ()
    """Of the check of the data: how each table's files fit the catalogue."""

    def to_plain(self) -> dict[str, object]:
        """Return the finding for scripts, without what depends on records."""
        return {"check": self.name, "good": self.good, "text": self.text} | (
            {"code": self.code, "remedy": self.remedy} if self.code or self.remedy else {}
        )
