"""Members, keys and messages for the tests of protocols: everything is derived from names, nothing is drawn."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from protocols import request as requests
from protocols.announcement import Announcement
from protocols.mandate import Mandate
from protocols.request import Request
from protocols.roster import Member, Roster
from protocols.signing import IdentityKey
from protocols.wire_pb2 import Role

FEDERATION = "harbour"
NOW = 1_800_000_000
"""The second at which the tests happen."""

HOSPITALS = ("aden", "brest", "cork", "dover", "elba")
"""Five: m is 4, c is 1, h is 3."""


def key_of(name):
    """Return a party's key."""
    return IdentityKey.from_seed(hashlib.sha256(name.encode()).digest())


REGISTRAR = key_of("registrar")

MANDATE = Mandate(authority="nation", purposes=("audit", "statistics"), expires_at=NOW + 500_000)
"""Of every analyst: everything, for one of two purposes."""


def member(name, role, **changes):
    """Return a member."""
    value = Member(
        id=name,
        role=role,
        identity_key=key_of(name).public,
        certificate_digest=hashlib.sha256(b"certificate of " + name.encode()).digest(),
        label_en=name.title(),
        label_zh="医院",
        attributes={"country": "UK"} if role == Role.ROLE_NODE else {},
        joined_at=NOW - 1000,
        expires_at=NOW + 1_000_000,
        mandate=MANDATE if role == Role.ROLE_ANALYST else None,
    )
    return replace(value, **changes)


MEMBERS = (
    member("ada", Role.ROLE_ANALYST),
    *(member(name, Role.ROLE_NODE) for name in HOSPITALS),
    member("convener", Role.ROLE_COORDINATOR),
)


def roster(**changes):
    """Return a roster."""
    value = Roster(
        federation=FEDERATION,
        version=3,
        issued_at=NOW - 500,
        catalogue_digest=bytes(range(32)),
        members=tuple(sorted(MEMBERS, key=lambda each: each.id)),
    )
    return replace(value, **changes)


def request(**changes):
    """Return a request, unsigned."""
    value = Request(
        federation=FEDERATION,
        id=bytes(range(16)),
        analyst="ada",
        plan=b"a plan",
        view=b"a view",
        rho_units=1 << 30,
        sites=HOSPITALS,
        minimum=2,
        purpose="audit",
        created_at=NOW,
        expires_at=NOW + 3600,
        statement="SELECT 1",
        fresh=False,
    )
    return replace(value, **changes)


def announcement(asked=None, **changes):
    """Return an announcement of a request, unsigned."""
    asked = asked or request()
    value = Announcement(
        request=asked,
        signed_request=requests.write(asked, key_of("ada")),
        roster=3,
        epoch=7,
        freeze=bytes(range(32)),
        slot=1,
        contributors=HOSPITALS,
        minimum=4,
        colluders=1,
        honest=3,
        deadline=NOW + 60,
    )
    return replace(value, **changes)


def vector(*values):
    """Return a vector of the ring."""
    return np.array(values, dtype=np.int64).view(np.uint64)
