"""The receipt: entries of a party's log for one round, each with the proof that a signed checkpoint holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from protocols import checkpoint as checkpoints
from protocols import checks, merkle
from protocols.checkpoint import Checkpoint
from protocols.errors import Rejected
from protocols.log import MOST_BYTES as MOST_FACTS
from protocols.log import Fact, link
from protocols.wire_pb2 import Logged
from protocols.wire_pb2 import Receipt as ReceiptMessage

MOST_BYTES = 1 << 16
"""Longest receipt."""

MOST_ENTRIES = 16
"""Most entries of a receipt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An entry that a log was proved to hold."""

    number: int
    """1, 2, 3 ..."""
    kind: str
    """What happened."""
    at: int
    """Seconds since 1970, UTC."""
    facts: Mapping[str, Fact]
    """What the entry says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a keeper shows of its log."""

    checkpoint: Checkpoint
    """What it signed."""
    entries: tuple[Shown, ...]
    """Proved to be in the log of that checkpoint."""

    def of(self, kind: str) -> tuple[Shown, ...]:
        """Return the entries of a kind."""
        return tuple(entry for entry in self.entries if entry.kind == kind)


def read(message: ReceiptMessage, *, member: str, federation: str, public_key: bytes) -> Receipt:
    """Return what a receipt shows; raise Rejected where a signature or a proof does not hold.

    Guarantee: every entry is one that this member's log held, as it was written, when the member signed the
    checkpoint. Test: tests/farr/test_evidence.py::test_a_receipt_shows_what_the_log_holds_and_nothing_else.
    """
    if message.ByteSize() > MOST_BYTES or len(message.entries) > MOST_ENTRIES:
        raise Rejected("oversized", "receipt")
    if message.checkpoint.signer != member:
        raise Rejected("bad-signature", "a receipt of another's log")
    checkpoint = checkpoints.read_with(message.checkpoint, federation=federation, public_key=public_key)
    return Receipt(checkpoint=checkpoint, entries=tuple(_shown(each, checkpoint) for each in message.entries))


def _shown(entry: Logged, checkpoint: Checkpoint) -> Shown:
    checks.at_most(entry.facts, MOST_FACTS, "facts")
    if not 0 < entry.number <= checkpoint.size:
        raise Rejected("bad-proof", "an entry beyond the checkpoint")
    previous = checks.exact_bytes(entry.previous, merkle.HASH_BYTES, "previous")
    linked = link(previous, entry.number, entry.kind, entry.at, entry.facts)
    merkle.verify_inclusion(merkle.leaf(linked), entry.number - 1, checkpoint.size, entry.inclusion, checkpoint.root)
    return Shown(number=entry.number, kind=entry.kind, at=entry.at, facts=facts_of(entry.facts))


def facts_of(text: str) -> Mapping[str, Fact]:
    """Return an entry's facts; raise Rejected where they are not an object of texts and whole numbers."""
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Rejected("malformed", "facts") from error
    if not isinstance(facts, dict) or not all(
        isinstance(value, (str, int)) and not isinstance(value, bool) for value in facts.values()
    ):
        raise Rejected("malformed", "facts")
    return facts
