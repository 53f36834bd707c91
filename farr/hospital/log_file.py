"""A party's whole log, checked offline: from its home, or from a file that its operator exported.

The file is lines of JSON in one spelling: who keeps the log, then every entry, then every signed checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from farr.errors import FarrError
from farr.texts import _
from protocols import checkpoint as checkpoints
from protocols import checks, merkle
from protocols import roster as rosters
from protocols.errors import Rejected
from protocols.log import START, Entry, link
from protocols.roster import Roster
from protocols.wire_pb2 import Signed

FORMAT = "farr log 1"

NODE_STATE, NODE_TABLE = "node.db", "audit"
COORDINATOR_STATE, COORDINATOR_TABLE = "coordinator.sqlite", "log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A log with what its keeper signed of it."""

    member: str
    """Id of the keeper."""
    federation: str
    """Where it is kept."""
    entries: tuple[Entry, ...]
    """Oldest first."""
    checkpoints: tuple[Signed, ...]
    """Smallest first."""
    roster: Signed
    """A roster of the federation, with the keeper's key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check of a log found."""

    member: str
    """Id of the keeper."""
    entries: int
    """How many there are."""
    head: bytes
    """Digest of the last one."""
    signed: int
    """Entries that the newest checkpoint covers; what follows only the chain holds together."""
    bad_entry: int | None
    """Number of the first entry that is not as it was written, or is not there."""
    bad_checkpoint: int | None
    """Size of the first checkpoint that is not the keeper's or does not fit the entries."""

    @property
    def good(self) -> bool:
        """Return whether everything is as it was written."""
        return self.bad_entry is None and self.bad_checkpoint is None

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {
            "good": self.good,
            "member": self.member,
            "entries": self.entries,
            "head": self.head.hex(),
            "signed": self.signed,
            "first_bad_entry": self.bad_entry,
            "first_bad_checkpoint": self.bad_checkpoint,
        }


def check(kept: Kept, roster: Roster) -> Checked:
    """Check a log by its own chain and by every checkpoint that its keeper signed.

    Guarantee: a changed, added, removed or reordered entry that a checkpoint covers is named, also where the chain
    after it was written anew. Test: tests/farr/test_log_file.py::test_the_first_bad_entry_is_named.
    """
    subtrees: dict[tuple[int, int], bytes] = {}

    def at(level: int, position: int) -> bytes:
        return subtrees[level, position]

    bad, previous = None, START
    for expected, entry in enumerate(kept.entries, start=1):
        fits = entry.digest == link(previous, entry.number, entry.kind, entry.at, entry.facts)
        if entry.number != expected or not fits:
            bad = expected
            break
        subtrees.update({(a, b): c for a, b, c in merkle.grown(expected - 1, merkle.leaf(entry.digest), at)})
        previous = entry.digest
    good = len(kept.entries) if bad is None else bad - 1
    signed, bad_checkpoint = 0, None
    member = roster.by_id.get(kept.member)
    for each in kept.checkpoints:
        found = None
        if member is not None and each.signer == kept.member:
            with contextlib.suppress(Rejected):
                found = checkpoints.read_with(each, federation=roster.federation, public_key=member.identity_key)
        if found is None:
            bad_checkpoint = bad_checkpoint or max(1, signed)
        elif found.size > good:
            # Cut off at the end, or bad before: the checkpoint cannot be reached.
            bad = bad or good + 1
        elif merkle.root(found.size, at) != found.root:
            bad = min(bad or found.size, signed + 1)
            bad_checkpoint = bad_checkpoint or found.size
        else:
            signed = found.size
    return Checked(
        member=kept.member,
        entries=len(kept.entries),
        head=previous,
        signed=signed,
        bad_entry=bad,
        bad_checkpoint=bad_checkpoint,
    )


def of_home(folder: Path, *, member: str, federation: str, roster: Signed) -> Kept:
    """Return the log in a hospital's or a coordinator's home; raise FarrError where there is none."""
    for file, table in ((NODE_STATE, NODE_TABLE), (COORDINATOR_STATE, COORDINATOR_TABLE)):
        if (folder / file).is_file():
            with contextlib.closing(sqlite3.connect(f"file:{folder / file}?mode=ro", uri=True)) as connection:
                return Kept(
                    member=member,
                    federation=federation,
                    entries=tuple(_entries(connection, table)),
                    checkpoints=tuple(_checkpoints(connection)),
                    roster=roster,
                )
    raise FarrError(
        "no-log",
        _("{folder} holds no log yet").format(folder=folder),
        remedy=_("name the home of a hospital or of a coordinator that has run, or a file of evidence"),
    )


def write(kept: Kept) -> bytes:
    """Return the file of a log."""
    head = {
        "format": FORMAT,
        "member": kept.member,
        "federation": kept.federation,
        "roster": _hex(kept.roster),
        "entries": len(kept.entries),
        "checkpoints": len(kept.checkpoints),
    }
    lines: list[object] = [head]
    lines += [[each.number, each.kind, each.at, each.facts, each.digest.hex()] for each in kept.entries]
    lines += [_hex(each) for each in kept.checkpoints]
    return b"".join(_line(each) for each in lines)


def read(data: bytes, *, registrar_key: bytes) -> tuple[Kept, Roster]:
    """Return a log from its file, with the roster that names its keeper; raise FarrError for any other file."""
    try:
        lines = [json.loads(line) for line in data.split(b"\n")[:-1]]
        head = lines[0]
        count, signed = int(head["entries"]), int(head["checkpoints"])
        kept = Kept(
            member=checks.name(head["member"], "member"),
            federation=checks.name(head["federation"], "federation"),
            entries=tuple(_entry(line) for line in lines[1 : 1 + count]),
            checkpoints=tuple(checks.parse(Signed, bytes.fromhex(line)) for line in lines[1 + count :]),
            roster=checks.parse(Signed, bytes.fromhex(head["roster"])),
        )
        whole = head["format"] == FORMAT and len(kept.checkpoints) == signed and write(kept) == data
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, Rejected) as error:
        raise _wrong(_("the file is not a log as it was exported")) from error
    if not whole:
        raise _wrong(_("the file is not a log as it was exported"))
    try:
        roster = rosters.read(kept.roster, federation=kept.federation, registrar_key=registrar_key)
    except Rejected as rejected:
        raise _wrong(_("the roster in the file is not this registrar's: {code}").format(code=rejected.code)) from None
    return kept, roster


def is_log(data: bytes) -> bool:
    """Tell whether these bytes claim to be the file of a log."""
    return data.startswith(b'{"format":"' + FORMAT.encode())


def _entry(line: Sequence[object]) -> Entry:
    number, kind, at, facts, linked = line
    if not (isinstance(number, int) and isinstance(at, int) and abs(number) < 1 << 62 and abs(at) < 1 << 62):
        raise ValueError("numbers of an entry")
    return Entry(number=number, kind=str(kind), at=at, facts=str(facts), digest=bytes.fromhex(str(linked)))


def _entries(connection: sqlite3.Connection, table: str) -> Iterator[Entry]:
    query = f"SELECT number, kind, at, facts, digest FROM {table} ORDER BY number"  # noqa: S608 - own constant
    for number, kind, at, facts, linked in connection.execute(query):
        yield Entry(number=number, kind=kind, at=at, facts=facts, digest=linked)


def _checkpoints(connection: sqlite3.Connection) -> Iterable[Signed]:
    for (signed,) in connection.execute("SELECT signed FROM checkpoints ORDER BY size"):
        yield checks.parse(Signed, bytes(signed))


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _hex(signed: Signed) -> str:
    return signed.SerializeToString(deterministic=True).hex()


def _wrong(text: str) -> FarrError:
    return FarrError("wrong-file", text, remedy=_("export it again: farr node audit export FILE"))
