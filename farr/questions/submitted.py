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


def kept(home: Path, identifier: bytes) -> Signed | None:
    """Return the bytes of a request that was made from this home; None where there is none."""
    try:
        return Signed.FromString((home / FOLDER / f"{identifier.hex()}.bin").read_bytes())
    except FileNotFoundError:
        return None


def of_run(home: Path, run: bytes) -> tuple[Request, ...]:
    """Return the rounds of a run of training that were asked from this home, by number and then by time."""
    found = []
    for path in (home / FOLDER).glob("*.bin"):
        signed = Signed.FromString(path.read_bytes())
        if checks.parse(RequestMessage, signed.body).run.id == run:
            found.append((request.asked_for(signed), path.stem))
    asked = [each for each, name in found if each.id.hex() == name]
    return tuple(sorted(asked, key=lambda each: (each.run.round if each.run else 0, each.created_at)))


def find(home: Path, identifier: bytes, roster: Roster) -> Request | None:
    """Return a request that was made from this home, its signature verified; None where there is none."""
    signed = kept(home, identifier)
    if signed is None:
        return None
    made_at = checks.parse(RequestMessage, signed.body).created_at
    made = request.read_form(signed, roster=roster, now=made_at)
    if made.id != identifier:
        raise Rejected("replayed", "a kept request under another's name")
    return made
