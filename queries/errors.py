"""The errors of the package, each with a code that scripts can rely on and a remedy that people can follow.

QueryError
├── CatalogueError     the federation's agreement is wrong: which file, which key
├── StatementError     the question is not one that Farr answers: where in the text
├── PlanError          bytes that claim to be a plan are not one, or do not fit the catalogue
├── PrivacyError       the privacy asked for cannot be given
└── AuthorityError     the question reaches beyond the authority of whoever asks it
"""

from __future__ import annotations


class QueryError(Exception):
    """A question, or the agreement behind it, is refused.

    Guarantee: every message is made of public text (the statement, the catalogue), never of a record; the package
    sees no record. Test: tests/queries/test_refusals.py.
    """

    code = "query"

    def __init__(self, message: str, *, remedy: str = "") -> None:
        """Say what is wrong and what to do instead."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the message, and the remedy after a dash."""
        return f"{self.message} - {self.remedy}" if self.remedy else self.message


class CatalogueError(QueryError):
    """A catalogue file says something that it must not say."""

    code = "catalogue"

    def __init__(self, message: str, *, file: str, key: str, remedy: str) -> None:
        """Name the file, the key inside it (dotted), what is wrong and what to write instead."""
        super().__init__(f"{file}: {key}: {message}", remedy=remedy)
        self.file = file
        self.key = key


class StatementError(QueryError):
    """A statement is not in the subset that Farr answers."""

    code = "statement"

    def __init__(self, message: str, *, remedy: str, text: str = "", start: int = 0, end: int = 0) -> None:
        """Point at ``text[start:end]`` (0-based characters, end excluded); an empty text means: no place known."""
        super().__init__(message, remedy=remedy)
        self.text = text
        self.start = start
        self.end = end

    def pointer(self) -> str:
        """Return the offending line with a row of carets under the place, or an empty string."""
        if not self.text:
            return ""
        first = self.text.rfind("\n", 0, self.start) + 1
        last = self.text.find("\n", self.start)
        line = self.text[first : len(self.text) if last < 0 else last]
        width = max(1, min(self.end, first + len(line)) - self.start)
        return f"{line}\n{' ' * (self.start - first)}{'^' * width}"


class PlanError(QueryError):
    """Bytes are not a plan, or the plan does not fit the catalogue."""

    code = "plan"


class PrivacyError(QueryError):
    """The privacy or accuracy asked for cannot be given."""

    code = "privacy"


class AuthorityError(QueryError):
    """A question reaches beyond the authority of whoever asks it; ``code`` is one of protocols/codes.py."""

    def __init__(self, code: str, message: str, *, remedy: str) -> None:
        """Name the code, what lies beyond and what may be asked instead."""
        super().__init__(message, remedy=remedy)
        self.code = code
