"""The operator's word after a rollback: how much of the budget counts as spent, and that the node may go on.

A state that was put back to an older copy has forgotten charges. They cannot be had back, so what they may have come
to is charged now, once, on the operator's word; nothing of the budget comes back that way.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from dataclasses import dataclass

from node.books.audit import RECOVERED, ROLLED_BACK, Audit
from node.books.ledger import Caps, Charge, Ledger
from node.books.state import StateError, transaction
from protocols.log import Fact

RECOVERY = "recovery"
"""Name of the purpose of such a charge; nobody can ask for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a rolled-back node knows of what it has forgotten."""

    signed_size: int
    """Entries that its log had when it last signed it."""
    size: int
    """Entries that it found itself with."""
    signed_charges: int
    """Rows that its ledger had then."""
    charges: int
    """Rows that it found itself with."""

    @property
    def forgotten(self) -> int:
        """Return how many charges are missing at least; a log that forked may have lost others too."""
        return max(0, self.signed_charges - self.charges)


def loss_of(connection: sqlite3.Connection) -> Loss | None:
    """Return what a node that was rolled back has forgotten; None where it was not, or is settled already."""
    audit = Audit(connection=connection)
    if not audit.halted:
        return None
    facts = json.loads(next(audit.log.entries(audit.last(ROLLED_BACK) - 1)).facts)
    return Loss(
        signed_size=int(facts["signed_size"]),
        size=int(facts["size"]),
        signed_charges=int(facts["signed_charges"]),
        charges=int(facts["charges"]),
    )


def recover(connection: sqlite3.Connection, *, units: int | None, lifetime: int, by: str, at: int) -> int:
    """Charge ``units`` (None: all that is left of ``lifetime``) for what was forgotten; return what was charged.

    Guarantee: the node answers again only after a charge that the ledger keeps for ever; the charge and the word are
    one step. Test: tests/node/test_heads.py::test_a_node_goes_on_after_its_operators_word.
    """
    loss = loss_of(connection)
    if loss is None:
        raise StateError("the node was not rolled back: there is nothing to recover from")
    with transaction(connection):
        ledger = Ledger(connection=connection)
        left = max(0, lifetime - ledger.spent())
        charged = left if units is None else min(units, left)
        ledger.charge(
            Charge(
                request=secrets.token_bytes(16),
                epoch=0,
                slot=ledger.head()[0] + 1,
                tau=secrets.token_bytes(32),
                units=charged,
                table="",
                analyst="",
                purpose=RECOVERY,
                at=at,
                evidence="{}",
                reason=by,
            ),
            Caps(lifetime=lifetime, purpose=charged + ledger.spent(), period=charged + ledger.spent(), since=at),
        )
        facts: dict[str, Fact] = {
            "signed_size": loss.signed_size,
            "units": charged,
            "spent": ledger.spent(),
            "by": by,
        }
        Audit(connection=connection).append(RECOVERED, at, facts)
    return charged
