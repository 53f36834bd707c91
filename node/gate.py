"""The way out. Every message that leaves a node passes ``Gate.release``; what it does not know stays inside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node import policy
from node.ledger import Ledger
from protocols import PROTOCOL_VERSION
from protocols.codes import ADVICE
from protocols.errors import ProtocolError
from protocols.upload import KIND as UPLOAD
from protocols.wire_pb2 import Hello, NodeMessage, NodeStatus, Refusal, Signed

METADATA: Final[tuple[tuple[str, str], ...]] = ()
"""What the node adds to the frame of a call: nothing."""

TAU_BYTES = 32

_REFERENCE = re.compile(r"[0-9a-f]{32}")
_SOFTWARE = re.compile(r"farr/[0-9A-Za-z.+-]{1,32}")


class Withheld(ProtocolError):
    """A message was not let out. That is a defect of the node: no message that it means to send is refused here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Lets out what is on its list, rebuilt field by field, and nothing else."""

    ledger: Ledger
    """Over a connection of its own, so it sees only what was committed."""
    policy_file: Path
    """The hospital's policy, whose budget a status names."""
    tables: tuple[str, ...]
    """The catalogue's tables that the hospital has: the only texts of the node's own that a status carries."""

    def release(self, message: NodeMessage) -> NodeMessage:
        """Return the message as it may leave; raise Withheld for any other.

        A status is handed in empty, alone or in a hello: the gate itself reads what it says.

        Guarantee: default-deny. What leaves is rebuilt from listed fields, and what was handed in must hold no more,
        unknown fields included; an upload leaves only if exactly its bytes were committed together with their charge,
        and a status says what the policy, the ledger and the catalogue say. Tests:
        tests/node/test_gate.py::test_nothing_that_is_not_listed_leaves,
        tests/node/test_gate.py::test_only_the_link_speaks_and_only_through_the_gate.
        """
        kind = message.WhichOneof("kind")
        if kind == "hello":
            listed = NodeMessage(hello=_hello(message.hello))
        elif kind == "status":
            listed = NodeMessage(status=NodeStatus())
        elif kind == "refusal":
            listed = NodeMessage(refusal=_refusal(message.refusal))
        elif kind == "upload":
            listed = NodeMessage(upload=self._upload(message.upload))
        else:
            raise Withheld("a message of no known kind")
        if listed.SerializeToString(deterministic=True) != message.SerializeToString(deterministic=True):
            raise Withheld(f"a {kind} with more than it may carry")
        if kind == "hello":
            listed.hello.status.CopyFrom(self._status())
        elif kind == "status":
            listed.status.CopyFrom(self._status())
        return listed

    def _status(self) -> NodeStatus:
        try:
            allowed = policy.load(self.policy_file)
        except policy.PolicyError:
            return NodeStatus()
        left = max(0, allowed.lifetime_units - self.ledger.spent())
        offered = sorted(table for table in self.tables if allowed.offers(table))
        return NodeStatus(lifetime_units=allowed.lifetime_units, remaining_units=left, tables=offered)

    def _upload(self, upload: Signed) -> Signed:
        if upload.kind != UPLOAD or not self.ledger.paid(upload.SerializeToString(deterministic=True)):
            raise Withheld("an upload that was not charged")
        return Signed(
            suite=upload.suite,
            kind=upload.kind,
            signer=upload.signer,
            body=upload.body,
            signature=upload.signature,
        )


def _hello(hello: Hello) -> Hello:
    if hello.protocol != PROTOCOL_VERSION or not _SOFTWARE.fullmatch(hello.software):
        raise Withheld("a hello of another protocol or software")
    return Hello(protocol=hello.protocol, software=hello.software, roster_version=hello.roster_version)


def _refusal(refusal: Refusal) -> Refusal:
    if len(refusal.announcement) != TAU_BYTES or refusal.code not in ADVICE:
        raise Withheld("a refusal of nothing known")
    if not _REFERENCE.fullmatch(refusal.reference):
        raise Withheld("a refusal whose reference is not a random one")
    return Refusal(announcement=refusal.announcement, code=refusal.code, reference=refusal.reference)
