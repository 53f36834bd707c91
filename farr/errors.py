"""What can go wrong between a person and a federation: a code for scripts, a message and a remedy for people."""

from __future__ import annotations

from collections.abc import Mapping


class FarrError(Exception):
    """Something was refused or failed.

    Messages are made of public texts and of codes that other parties sent, never of free text that they sent.
    """

    def __init__(
        self, code: str, message: str, *, remedy: str = "", details: Mapping[str, object] | None = None
    ) -> None:
        """Say what is wrong, in words that are translated already, and what to do about it.

        ``details`` are added to the error's JSON object.
        """
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.details = dict(details or {})

    def __str__(self) -> str:
        """Return the message, and the remedy after a dash."""
        return f"{self.message} - {self.remedy}" if self.remedy else self.message
