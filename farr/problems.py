"""Errors as people and scripts see them: one readable block, or one JSON object."""

from __future__ import annotations

from dataclasses import dataclass, field

from farr.errors import FarrError
from farr.figures import tables
from farr.texts import _, translate


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A refusal or a failure."""

    code: str
    """For scripts."""
    message: str
    """What is wrong, in the language in use."""
    remedy: str = ""
    """What to do about it."""
    place: str = ""
    """Where in the statement: its line and a row of carets."""
    details: dict[str, object] = field(default_factory=dict)
    """More for scripts."""
    refused: bool = True
    """Whether a rule forbids what was asked; else something went wrong or is missing."""

    def to_plain(self) -> dict[str, object]:
        """Return the error object of ``--json``."""
        return {"error": {"code": self.code, "message": self.message, "remedy": self.remedy, **self.details}}

    def to_text(self) -> str:
        """Return the block for people."""
        head = _("Refused ({code}): {message}") if self.refused else _("Failed ({code}): {message}")
        head = head.format(code=self.code, message=self.message)
        place = "\n".join(f"    {line}" for line in self.place.splitlines())
        remedy = _("What to do: {remedy}").format(remedy=self.remedy) if self.remedy else ""
        return "\n".join(part for part in (head, place, remedy) if part)


def problem_of(error: BaseException) -> Problem | None:
    """Return what to tell people about an error, or None where it is not one that Farr expects."""
    from protocols.errors import ProtocolError, Rejected
    from queries.errors import CatalogueError, QueryError, StatementError

    if isinstance(error, FarrError):
        return Problem(
            code=error.code, message=error.message, remedy=error.remedy, details=error.details, refused=False
        )
    if isinstance(error, StatementError):
        place = tables.pointer(error.text, error.start, error.end) if error.text else ""
        details: dict[str, object] = {"start": error.start, "end": error.end} if error.text else {}
        return _of_query(error, place=place, details=details)
    if isinstance(error, CatalogueError):
        return _of_query(error, details={"file": error.file, "key": error.key})
    if isinstance(error, QueryError):
        return _of_query(error)
    if isinstance(error, Rejected):
        return Problem(code=error.code, message=advice(error.code), details={"detail": error.detail})
    if isinstance(error, ProtocolError):
        return Problem(code="protocol", message=translate(str(error)), refused=False)
    if isinstance(error, OSError):
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return Problem(code="file", message=message, refused=False)
    return None


def advice(code: str) -> str:
    """Return what a code of another party means, in the language in use."""
    from protocols.codes import ADVICE

    return translate(ADVICE.get(code, "")) or _("the other side refused with a code that this version does not know")


def _of_query(error: object, *, place: str = "", details: dict[str, object] | None = None) -> Problem:
    code, message, remedy = (getattr(error, name) for name in ("code", "message", "remedy"))
    return Problem(code=code, message=translate(message), remedy=translate(remedy), place=place, details=details or {})
