"""The way out. Every message that leaves a node passes ``Gate.release``; what it does not know stays inside."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from node.authority import policy
from node.authority.decisions import Decisions
from node.books.audit import Audit
from node.books.evidence import receipt_of
from node.books.ledger import Ledger
from node.books.promises import Promises
from protocols import PROTOCOL_VERSION, blobs, checks
from protocols import checkpoint as checkpoints
from protocols.codes import ADVICE
from protocols.errors import ProtocolError, Rejected
from protocols.farrsum.confirming import KIND as CONFIRMATION
from protocols.farrsum.epoch import KIND as EPOCH_KEY
from protocols.farrsum.field import SECRET_BYTES
from protocols.upload import KIND as UPLOAD
from protocols.upload import blob_of
from protocols.wire_pb2 import (
    BlobOffer,
    BlobWanted,
    Confirmation,
    Deposit,
    Deposits,
    EpochKey,
    Hello,
    LoadedThrough,
    NodeMessage,
    NodeStatus,
    Receipt,
    Refusal,
    Shares,
    Signed,
    Stand,
    Upload,
    Verdict,
    Witness,
)

METADATA: Final[tuple[tuple[str, str], ...]] = ()
"""What the node adds to the frame of a call: nothing."""

TAU_BYTES = 32

_STANDS = (Stand.STAND_READY, Stand.STAND_HELD, Stand.STAND_DENIED)

_REFERENCE = re.compile(r"[0-9a-f]{32}")
_SOFTWARE = re.compile(r"farr/[0-9A-Za-z.+-]{1,32}")


class Withheld(ProtocolError):
    """A message was not let out. That is a defect of the node: no message that it means to send is refused here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Lets out what is on its list, rebuilt field by field, and nothing else."""

    member: str
    """Own member id."""
    ledger: Ledger
    """Over a connection of its own, so it sees only what was committed."""
    promises: Promises
    """Over the same connection."""
    policy_file: Path
    """The hospital's policy, whose budget a status names."""
    tables: tuple[str, ...]
    """The catalogue's tables that the hospital has: the only texts of the node's own that a status carries."""
    loaded: Mapping[str, date] = field(default_factory=dict)
    """The day to which a table is complete, on the operator's word, by table."""

    def release(self, message: NodeMessage) -> NodeMessage:
        """Return the message as it may leave; raise Withheld for any other.

        A status is handed in empty, alone or in a hello: the gate itself reads what it says.

        Guarantee: default-deny. What leaves is rebuilt from listed fields, and what was handed in must hold no more,
        unknown fields included; an upload leaves only if exactly its bytes were committed together with their charge,
        what belongs to an epoch or a slot only once the promise that it rests on is committed, and a status says what
        the policy, the ledger, the catalogue and the operator's mapping say. Tests:
        tests/node/test_gate.py::test_nothing_that_is_not_listed_leaves,
        tests/node/test_gate.py::test_nothing_leaves_before_its_promise_is_committed,
        tests/node/test_receipts.py::test_only_committed_evidence_leaves,
        tests/node/test_gate.py::test_only_the_link_speaks_and_only_through_the_gate.
        """
        kind = message.WhichOneof("kind")
        if kind is None or kind not in self._rebuilders:
            raise Withheld("a message of no known kind")
        listed = NodeMessage(**{kind: self._rebuilders[kind](getattr(message, kind))})
        if listed.SerializeToString(deterministic=True) != message.SerializeToString(deterministic=True):
            raise Withheld(f"a {kind} with more than it may carry")
        if kind == "hello":
            listed.hello.status.CopyFrom(self._status())
        elif kind == "status":
            listed.status.CopyFrom(self._status())
        return listed

    def offer(self, upload: Signed) -> BlobOffer:
        """Return the name under which an upload's long vector may leave; raise Withheld where it may not.

        Guarantee: only for an upload that was committed together with its charge, and only what that names. Test:
        tests/node/test_blobs.py::test_only_the_vector_of_a_charged_upload_leaves.
        """
        blob = blob_of(self._upload(upload))
        if blob is None:
            raise Withheld("a vector beside an upload that names none")
        announcement = checks.parse(Upload, upload.body).announcement
        return BlobOffer(blob=blobs.write(blob), announcement=announcement)

    @property
    def _rebuilders(self) -> Mapping[str, Callable[[Any], Any]]:
        """By kind of message, what rebuilds it from the fields that it may carry."""
        return {
            "hello": self._hello,
            "status": lambda _status: NodeStatus(),
            "refusal": _refusal,
            "upload": self._upload,
            "epoch_key": self._epoch_key,
            "deposits": self._deposits,
            "confirmation": self._confirmation,
            "shares": self._shares,
            "verdict": self._verdict,
            "checkpoint": self._checkpoint,
            "receipt": self._receipt,
            "witness": self._witness,
        }

    def _status(self) -> NodeStatus:
        connection = self.ledger.connection
        # One that was rolled back answers nothing either, until somebody looks after it.
        paused = Decisions(connection=connection).paused or Audit(connection=connection).halted
        try:
            allowed = policy.load(self.policy_file)
        except policy.PolicyError:
            return NodeStatus(paused=paused)
        left = max(0, allowed.lifetime_units - self.ledger.spent())
        offered = sorted(table for table in self.tables if allowed.offers(table))
        return NodeStatus(
            lifetime_units=allowed.lifetime_units,
            remaining_units=left,
            tables=offered,
            loaded=[
                LoadedThrough(table=table, day=self.loaded[table].isoformat())
                for table in offered
                if table in self.loaded
            ],
            holds=allowed.holds(),
            paused=paused,
        )

    def _verdict(self, verdict: Verdict) -> Verdict:
        asked = self.ledger.connection.execute("SELECT 1 FROM proposals WHERE request = ?", (verdict.request,))
        if asked.fetchone() is None or verdict.stand not in _STANDS or verdict.reference != verdict.request.hex():
            raise Withheld("a verdict on a request that nobody asked about, or with more than one of three words")
        return Verdict(request=verdict.request, stand=verdict.stand, reference=verdict.reference)

    def _upload(self, upload: Signed) -> Signed:
        if upload.kind != UPLOAD or not self.ledger.paid(upload.SerializeToString(deterministic=True)):
            raise Withheld("an upload that was not charged")
        return _rebuilt(upload)

    def _hello(self, hello: Hello) -> Hello:
        if hello.protocol != PROTOCOL_VERSION or not _SOFTWARE.fullmatch(hello.software):
            raise Withheld("a hello of another protocol or software")
        if hello.epoch and self.promises.frozen(hello.epoch) is None:
            raise Withheld("a hello with an epoch that has no freeze")
        return Hello(
            protocol=hello.protocol,
            software=hello.software,
            roster_version=hello.roster_version,
            epoch=hello.epoch,
        )

    def _epoch_key(self, signed: Signed) -> Signed:
        if signed.kind != EPOCH_KEY or signed.signer != self.member:
            raise Withheld("an epoch key of another kind or member")
        try:
            key = checks.parse(EpochKey, signed.body)
        except Rejected as rejected:
            raise Withheld("an epoch key that does not parse") from rejected
        listed = EpochKey(federation=key.federation, epoch=key.epoch, exchange_key=key.exchange_key, roster=key.roster)
        if listed.SerializeToString(deterministic=True) != signed.body or key.epoch != self.promises.epoch().number:
            raise Withheld("an epoch key with more than it may carry, or of no promised epoch")
        return _rebuilt(signed)

    def _deposits(self, deposits: Deposits) -> Deposits:
        freezes = {each.freeze for each in deposits.deposits}
        if not freezes or not all(self.promises.has_frozen(each) for each in freezes):
            raise Withheld("deposits under no accepted freeze")
        return Deposits(
            deposits=[
                Deposit(freeze=each.freeze, slot=each.slot, salt=each.salt, sealed=each.sealed, backups=each.backups)
                for each in deposits.deposits
            ]
        )

    def _confirmation(self, confirmation: Confirmation) -> Confirmation:
        signed = confirmation.signed
        bound = self.promises.bound(confirmation.announcement)
        if signed.kind != CONFIRMATION or signed.signer != self.member or bound is None or bound[1].confirmed is None:
            raise Withheld("a confirmation of no promised survivor set")
        if signed.body != (self.promises.frozen(bound[0]) or b"") + bound[1].confirmed:
            raise Withheld("a confirmation of another survivor set than the promised one")
        return Confirmation(announcement=confirmation.announcement, signed=_rebuilt(signed))

    def _checkpoint(self, signed: Signed) -> Signed:
        stored = self.ledger.connection.execute(
            "SELECT 1 FROM checkpoints WHERE signed = ?", (signed.SerializeToString(deterministic=True),)
        )
        if signed.kind != checkpoints.KIND or signed.signer != self.member or stored.fetchone() is None:
            raise Withheld("a checkpoint that was not committed")
        return _rebuilt(signed)

    def _receipt(self, receipt: Receipt) -> Receipt:
        signed = self._checkpoint(receipt.checkpoint)
        return receipt_of(Audit(connection=self.ledger.connection), receipt.announcement, signed)

    def _witness(self, signed: Signed) -> Signed:
        if signed.kind != checkpoints.WITNESS or signed.signer != self.member:
            raise Withheld("a witness of another kind or member")
        try:
            witness = checks.parse(Witness, signed.body)
        except Rejected as rejected:
            raise Withheld("a witness that does not parse") from rejected
        listed = Witness(checkpoint=witness.checkpoint, keeper=witness.keeper, at=witness.at)
        row = self.ledger.connection.execute("SELECT signed FROM heads WHERE member = ?", (witness.keeper,)).fetchone()
        held = b"" if row is None else checkpoints.digest_of(checks.parse(Signed, bytes(row[0])))
        if listed.SerializeToString(deterministic=True) != signed.body or witness.checkpoint != held:
            raise Withheld("a witness with more than it may carry, or of a checkpoint that is not held")
        return _rebuilt(signed)

    def _shares(self, shares: Shares) -> Shares:
        bound = self.promises.bound(shares.announcement)
        if bound is None or bound[1].released is None or not shares.shares or len(shares.shares) % SECRET_BYTES:
            raise Withheld("key shares for no promised survivor set")
        return Shares(announcement=shares.announcement, shares=shares.shares)


def wanted(digest: bytes, held: int) -> BlobWanted:
    """Return the question for a blob's bytes after the first ``held``; raise Withheld for what names no blob."""
    if len(digest) != blobs.DIGEST_BYTES or not 0 <= held <= blobs.MOST_BYTES:
        raise Withheld("a question for no blob")
    return BlobWanted(digest=digest, offset=held)


def _rebuilt(signed: Signed) -> Signed:
    return Signed(
        suite=signed.suite,
        kind=signed.kind,
        signer=signed.signer,
        body=signed.body,
        signature=signed.signature,
    )


def _refusal(refusal: Refusal) -> Refusal:
    if len(refusal.announcement) != TAU_BYTES or refusal.code not in ADVICE:
        raise Withheld("a refusal of nothing known")
    if not _REFERENCE.fullmatch(refusal.reference):
        raise Withheld("a refusal whose reference is not a random one")
    return Refusal(announcement=refusal.announcement, code=refusal.code, reference=refusal.reference)
