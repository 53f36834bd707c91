"""The requests that were made from a home, kept there as they were signed: what an answer is held against later."""

from __future__ import annotations

from pathlib import Path

from farr import files
from protocols import checks, request
from protocols.errors import Rejected
from protocols.request import Request
from protocols.roster import Roster
from protocols.wire_pb2 import Request as RequestMessage
from protocols.wire_pb2 import Signed

FOLDER = "requests"


def keep(home: Path, identifier: bytes, signed: Signed) -> None:
    """Keep a signed request before it is handed in."""
    files.make_folder(home / FOLDER)
    files.replace(home / FOLDER / f"{identifier.hex()}.bin", signed.SerializeToString(deterministic=True))


def find(home: Path, identifier: bytes, roster: Roster) -> Request | None:
    """Return a request that was made from this home, its signature verified; None where there is none."""
    try:
        signed = Signed.FromString((home / FOLDER / f"{identifier.hex()}.bin").read_bytes())
    except FileNotFoundError:
        return None
    made_at = checks.parse(RequestMessage, signed.body).created_at
    kept = request.read_form(signed, roster=roster, now=made_at)
    if kept.id != identifier:
        raise Rejected("replayed", "a kept request under another's name")
    return kept
