"""The mandate: on whose authority an analyst asks, for which purposes, and how far that reaches.

The registrar writes it and signs it with the roster, so nobody else can widen one, and taking it back is the next
roster. What its regions come to (which hospitals, which homes of patients) is settled where the catalogue is known,
since the list of regions is part of that: ``queries/asked/authority.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocols import checks
from protocols.errors import Rejected
from protocols.wire_pb2 import Mandate as MandateMessage

AUTHORITIES = ("nation", "province", "prefecture", "county", "insurer", "researcher", "auditor")
"""Whose word an analyst acts on. An auditor reads evidence and asks nothing."""

AUDITOR = "auditor"

MOST_NAMES = 64
"""Most regions, purposes or tables of one mandate."""

MOST_PROJECT = 200
"""Most characters of a project or the number of a case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """What an analyst may ask."""

    authority: str
    """One of AUTHORITIES."""
    purposes: tuple[str, ...]
    """Names, sorted: a request is for one of them. Empty: nothing may be asked."""
    expires_at: int
    """Seconds since 1970, UTC: when the permit ends, at the latest with the certificate."""
    regions: tuple[str, ...] = ()
    """Codes of the catalogue's list of regions, sorted; empty: the whole federation."""
    tables: tuple[str, ...] = ()
    """Names of tables, sorted; empty: every table."""
    project: str = ""
    """A researcher's project, or the number of a case."""


def to_message(mandate: Mandate | None) -> MandateMessage | None:
    """Return a mandate as the roster carries it."""
    if mandate is None:
        return None
    return MandateMessage(
        authority=mandate.authority,
        regions=mandate.regions,
        purposes=mandate.purposes,
        tables=mandate.tables,
        project=mandate.project,
        expires_at=mandate.expires_at,
    )


def from_message(message: MandateMessage) -> Mandate:
    """Return a mandate from the roster; raise Rejected("malformed") for one that is out of form."""
    if message.authority not in AUTHORITIES:
        raise Rejected("malformed", "authority of a mandate")
    for names in (message.regions, message.purposes, message.tables):
        if len(names) > MOST_NAMES:
            raise Rejected("oversized", "mandate")
    checks.at_most(message.project, MOST_PROJECT, "project of a mandate")
    purposes = checks.rising(message.purposes, "purposes of a mandate")
    if purposes and message.authority == AUDITOR:
        raise Rejected("malformed", "an auditor asks nothing")
    return Mandate(
        authority=message.authority,
        regions=_sorted(message.regions, "regions of a mandate"),
        purposes=purposes,
        tables=_sorted(message.tables, "tables of a mandate"),
        project=message.project,
        expires_at=message.expires_at,
    )


def _sorted(names: Sequence[str], what: str) -> tuple[str, ...]:
    # Codes and tables are the catalogue's, so they are spelt as it spells them.
    if list(names) != sorted(set(names)) or not all(0 < len(name) <= MOST_PROJECT for name in names):
        raise Rejected("malformed", what)
    return tuple(names)
