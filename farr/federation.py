"""What an analyst knows of a federation: members and catalogue on the registrar's word, the rest as last heard."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path

from farr.errors import FarrError
from farr.membership import home as homes
from farr.membership.home import Home
from farr.texts import _
from protocols import PROTOCOL_VERSION, checks
from protocols import roster as rosters
from protocols.errors import Rejected
from protocols.roster import Roster
from protocols.wire_pb2 import Description, NodeStatus, Signed
from queries.agreed.catalogue import Catalogue, Label
from queries.agreed.catalogue_file import read_catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Hospital:
    """One hospital, as the roster names it and as the coordinator last heard of it."""

    id: str
    """Member id, as questions name it."""
    label: Label
    """For people."""
    attributes: dict[str, str]
    """Public facts, from the roster."""
    connected: bool
    """Whether it could answer now."""
    lifetime_units: int | None
    """Its budget for life in ledger units, as it stated; None where it has not been heard."""
    remaining_units: int | None
    """What is left of it; None where it has not been heard."""
    tables: tuple[str, ...]
    """What it offers."""
    loaded: Mapping[str, date] = field(default_factory=dict)
    """The day to which a table is complete, on the word of its operator, by table; others' is not known."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """The verified state of a federation."""

    roster: Roster
    """The newest one that the registrar signed and this member has seen."""
    catalogue: Catalogue
    """The one that the roster pins."""
    hospitals: tuple[Hospital, ...]
    """By id."""


def read(description: Description, held: Home, folder: Path) -> Known:
    """Verify what the coordinator says of the federation and keep a newer roster in the home.

    Guarantee: members, their keys and the catalogue are the registrar's, whose key came with the join token, and never
    older than those held; the coordinator can only withhold. Test:
    tests/farr/test_client.py::test_a_roster_that_the_registrar_did_not_sign_is_refused.
    """
    credentials = held.credentials
    if description.protocol != PROTOCOL_VERSION:
        raise Rejected("protocol-version", f"{description.protocol}")
    before, roster = (
        _roster(signed.SerializeToString(deterministic=True), credentials.federation, credentials.registrar_key)
        for signed in (held.roster, description.roster)
    )
    if roster.version < before.version:
        raise Rejected("stale-roster", f"version {roster.version}, held {before.version}")
    if hashlib.sha256(description.catalogue).digest() != roster.catalogue_digest:
        raise Rejected("wrong-catalogue", "the coordinator's catalogue is not the one that the roster pins")
    if roster.version > before.version:
        homes.write_roster(folder, description.roster, description.catalogue)
    return Known(
        roster=roster,
        catalogue=_catalogue(description.catalogue),
        hospitals=_hospitals(roster, description),
    )


def read_earlier(signed: Signed, version: int, known: Known, held: Home) -> Roster:
    """Return an earlier roster, by which a release of its time is verified.

    Guarantee: it is the registrar's, and it names the coordinator of today with the key of today, so a key that was
    taken from a coordinator opens no release any more. Test:
    tests/farr/test_client.py::test_a_release_of_an_earlier_roster_is_verified_by_that_roster.
    """
    credentials = held.credentials
    roster = rosters.read(signed, federation=credentials.federation, registrar_key=credentials.registrar_key)
    if roster.version != version or version > known.roster.version:
        raise Rejected("stale-roster", f"{roster.version}, not {version}")
    now = known.roster.coordinator
    if (roster.coordinator.id, roster.coordinator.identity_key) != (now.id, now.identity_key):
        raise Rejected("wrong-federation", "another coordinator")
    return roster


@lru_cache(maxsize=8)
def _roster(signed: bytes, federation: str, registrar_key: bytes) -> Roster:
    """Read a roster once: it is told anew with every question and every round."""
    return rosters.read(Signed.FromString(signed), federation=federation, registrar_key=registrar_key)


@lru_cache(maxsize=2)
def _catalogue(source: bytes) -> Catalogue:
    """Read a catalogue once: every question asks for it twice, and the common model takes long to read."""
    return read_catalogue(source, homes.CATALOGUE)


def _hospitals(roster: Roster, description: Description) -> tuple[Hospital, ...]:
    heard = {view.site: view for view in description.nodes}
    hospitals = []
    for site, attributes in roster.nodes.items():
        member, view = roster.by_id[site], heard.get(site)
        status = view.status if view is not None and view.HasField("status") else None
        hospitals.append(
            Hospital(
                id=site,
                label=Label(en=member.label_en or site, zh=member.label_zh or member.label_en or site),
                attributes=dict(attributes),
                connected=view is not None and view.connected,
                lifetime_units=status.lifetime_units if status else None,
                remaining_units=status.remaining_units if status else None,
                tables=tuple(status.tables) if status else (),
                loaded=_loaded(status) if status else {},
            )
        )
    return tuple(hospitals)


def _loaded(status: NodeStatus) -> dict[str, date]:
    return {each.table: checks.day(each.day, "loaded through") for each in status.loaded}


def no_hospitals() -> FarrError:
    """Return the error of a federation that has no hospital yet."""
    return FarrError(
        "no-hospitals",
        _("no hospital has joined yet"),
        remedy=_("the registrar admits them: farr registrar token --node ID, farr registrar admit"),
    )
