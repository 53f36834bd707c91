"""The errors of the package: each is a code that may travel, with a text for the log of whoever refuses.

ProtocolError
└── Rejected    a message is refused; ``code`` is one of protocols/codes.py
"""

from __future__ import annotations

from protocols.codes import ADVICE


class ProtocolError(Exception):
    """Something in the protocol went wrong."""


class Rejected(ProtocolError):
    """A message is refused and changes nothing.

    Guarantee: only ``code`` leaves the refuser; ``detail`` stays in its own log. The code says what public check
    failed, never anything about a record. Test: tests/protocols/test_codes.py.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        """Refuse with a code of ``protocols/codes.py``."""
        if code not in ADVICE:
            raise ProtocolError(f"no such code: {code}")
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
