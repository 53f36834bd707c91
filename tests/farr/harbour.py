"""A federation in memory for the client's tests: real keys and signatures, a coordinator without a network."""

from __future__ import annotations

import hashlib
import itertools
import time
from dataclasses import replace

import numpy as np

from farr.client import Federation
from farr.federation import Known, read
from farr.membership import home as homes
from farr.membership.home import Home
from protocols import PROTOCOL_VERSION, ring
from protocols import announcement as announcements
from protocols import release as releases
from protocols import request as requests
from protocols import roster as rosters
from protocols.credentials import Credentials
from protocols.farrsum.parameters import honest, least_survivors, parameters
from protocols.mandate import Mandate
from protocols.rehearsal import Convened, Hospital, run_round
from protocols.roster import Member, Roster
from protocols.signing import IdentityKey
from protocols.wire_pb2 import (
    Description,
    NodeStatus,
    NodeView,
    RequestStatus,
    Role,
    SiteProgress,
    State,
)
from queries.agreed.catalogue_file import read_catalogue
from queries.asked.canonical import decode
from queries.asked.plan import Plan
from queries.cost.accounting import rho_of_units
from queries.cost.measurement import calibrate
from queries.cost.sensitivity import of_tally
from queries.cost.tally import tally

CATALOGUE = """
name = "harbour"
version = "1"
sites_per_patient = 1
rows_per_site = 1_000_000
[site.region]
codes = { N = { en = "north", zh = "北" }, S = { en = "south", zh = "南" } }
[codes.sex]
version = "1"
codes = { F = { en = "female", zh = "女" }, M = { en = "male", zh = "男" } }
[tables.stay]
patient = "patient_id"
rows_per_patient = 2
[tables.stay.columns.sex]
codes = "sex"
[tables.stay.columns.age]
label = { en = "Age", zh = "年龄" }
number = { low = 0, high = 120 }
unit = "years"
""".encode()

SITES = ("aden", "brest", "cadiz", "dakar", "elba")
LIFETIME = 1 << 44

MANDATE = Mandate(authority="nation", purposes=("audit", "statistics"), expires_at=1 << 40)
"""Of the analyst: everything, for one of two purposes."""


def key(name):
    """Return a member's signing key."""
    return IdentityKey.from_seed(hashlib.sha256(name.encode()).digest())


def member(name, role, **fields):
    """Return a member of the roster."""
    plain = {
        "identity_key": key(name).public,
        "certificate_digest": hashlib.sha256(b"certificate of " + name.encode()).digest(),
        "label_en": name.title(),
        "label_zh": "",
        "attributes": {"region": "N" if name < "cadiz" else "S"} if role == Role.ROLE_NODE else {},
        "joined_at": 0,
        "expires_at": 1 << 40,
        "mandate": MANDATE if role == Role.ROLE_ANALYST else None,
    }
    return Member(id=name, role=role, **(plain | fields))


def roster(version=3, sites=SITES):
    """Return the harbour's roster."""
    members = [member("analyst", Role.ROLE_ANALYST), member("coordinator", Role.ROLE_COORDINATOR)]
    members += [member(site, Role.ROLE_NODE) for site in sites]
    return Roster(
        federation="harbour",
        version=version,
        issued_at=0,
        catalogue_digest=hashlib.sha256(CATALOGUE).digest(),
        members=tuple(sorted(members, key=lambda each: each.id)),
    )


def home(folder, held=None):
    """Write the analyst's home; return it."""
    credentials = Credentials(
        federation="harbour",
        member="analyst",
        role=Role.ROLE_ANALYST,
        address="127.0.0.1:1",
        ca_certificate=b"-",
        certificate=b"-",
        tls_key=b"-",
        identity=key("analyst"),
        registrar_key=key("registrar").public,
    )
    signed = rosters.write(held or roster(), key("registrar"))
    kept = Home(credentials=credentials, roster=signed, catalogue=CATALOGUE)
    homes.write(folder, kept)
    return kept


def description(of=None, catalogue=CATALOGUE, signer="registrar", protocol=PROTOCOL_VERSION, spent=0):
    """Return what the coordinator says of the federation."""
    named = of or roster()
    status = NodeStatus(lifetime_units=LIFETIME, remaining_units=LIFETIME - spent, tables=["stay"])
    return Description(
        roster=rosters.write(named, key(signer)),
        catalogue=catalogue,
        nodes=[NodeView(site=site, connected=True, status=status, last_seen=1) for site in named.nodes],
        protocol=protocol,
    )


def known(of=None, held=None, folder=None):
    """Return the verified state of the harbour."""
    return read(description(of), held, folder)


def entropy_of(name):
    """Return a source of bytes that is the same at every run, for tests alone."""
    drawn = itertools.count()
    return lambda size: hashlib.shake_256(f"{name} {next(drawn)}".encode()).digest(size)


def answer(signed, *, under=None, counts=None, vector=None, silent=(), now=None, notes=None):
    """Return the release of a signed request: ``counts`` in every entry, or the whole tally ``vector``, without noise.

    All hospitals take part, those that are not asked as well.
    """
    under = under or roster()
    now = now or int(time.time())
    asked = requests.read(signed, roster=under, now=now)
    catalogue = read_catalogue(CATALOGUE, "harbour.toml")
    layout = tally(decode(Plan, asked.plan), catalogue)
    count = len(under.nodes)
    least = least_survivors(parameters(roster_nodes=count, nodes=count), count)
    shared = honest(least, asked.trust, count)
    sensitivities = of_tally(layout, catalogue.sites_per_patient)
    measurement = calibrate(layout, sensitivities, rho_of_units(asked.rho_units), shared)
    exact = np.concatenate(
        [np.full(block.entries, (counts or 100) * block.grid, dtype=np.int64) for block in measurement.blocks]
    )
    if vector is not None:
        exact = vector * np.repeat([block.grid for block in measurement.blocks], layout.sizes)
    first = next(site for site in asked.sites if site not in silent)
    return run_round(
        signed,
        signed_roster=rosters.write(under, key("registrar")),
        registrar_key=key("registrar").public,
        federation="harbour",
        hospitals={
            site: Hospital(
                key=key(site),
                vector=ring.to_ring(exact if site == first else np.zeros(layout.entries, dtype=np.int64)),
                entropy=entropy_of(site),
                notes=tuple((notes or {}).get(site, ())),
            )
            for site in under.nodes
        },
        convened=Convened(key=key("coordinator"), epoch=7, slot=1, deadline=now + 60, now=now),
        silent=frozenset(silent),
    )


def announced_otherwise(release, **changes):
    """Return a release whose coordinator announced something else than hospitals answered."""
    under, coordinator = roster(), key("coordinator")
    announced = releases.announced(release, roster=under, now=release.released_at)
    signed = announcements.write(replace(announced, **changes), under, coordinator)
    return releases.write(replace(release, announcement=signed), under, coordinator)


def with_coordinator(of, identity_key):
    """Return a roster whose coordinator has another key."""
    members = (
        replace(each, identity_key=identity_key) if each.role == Role.ROLE_COORDINATOR else each for each in of.members
    )
    return replace(of, members=tuple(members))


class Quay:
    """What stands in for the line to a coordinator: answers at once, remembers what was asked."""

    def __init__(self, *, serve=answer, under=None):
        """Answer with ``serve``."""
        self.serve = serve
        self.under = under or roster()
        self.submitted = []
        self.released = {}
        self.earlier = {}
        self.statuses = {}
        self.closed = False

    def close(self):
        """Take note."""
        self.closed = True

    def describe(self):
        """Describe the harbour."""
        return description(self.under)

    def submit(self, signed):
        """Answer a request, from an earlier release where there is one for the same question."""
        asked = requests.read(signed, roster=self.under, now=int(time.time()))
        self.submitted.append(asked)
        earlier = next(
            (
                before
                for before in self.submitted[:-1]
                if (before.plan, before.rho_units, before.sites, before.trust)
                == (asked.plan, asked.rho_units, asked.sites, asked.trust)
            ),
            None,
        )
        release = asked.id
        if earlier is not None and not asked.fresh:
            release = earlier.id
        else:
            self.released[asked.id] = self.serve(signed)
        status = RequestStatus(
            id=asked.id,
            state=State.STATE_ANSWERED,
            statement=asked.statement,
            rho_units=asked.rho_units,
            created_at=asked.created_at,
            asked=len(asked.sites),
            answered=len(asked.sites),
            needed=asked.minimum,
            sites=[SiteProgress(site=site, state="answered") for site in asked.sites],
            release=release,
            reused=release != asked.id,
        )
        self.statuses[asked.id] = status
        running = RequestStatus()
        running.CopyFrom(status)
        running.state = State.STATE_RUNNING
        return running

    def watch(self, request, timeout):
        """Yield the end."""
        yield self.statuses[request]

    def requests(self, most, only, beginning):
        """Return those that are wanted, newest first."""
        found = [each for each in reversed(self.statuses.values()) if each.id.hex().startswith(beginning)]
        return [each for each in found if not only or each.state in only][: most or None]

    def cancel(self, request):
        """Cancel."""
        self.statuses[request].state = State.STATE_CANCELLED
        return self.statuses[request]

    def vector(self, _signed):
        """Fetch no sum: all are short, and inside their releases."""
        return b""

    def release(self, identifier):
        """Return a release."""
        return self.released[identifier]

    def roster(self, version):
        """Return an earlier roster."""
        return rosters.write(self.earlier[version], key("registrar"))

    def releases(self):
        """Return all, newest first."""
        return list(reversed(self.released.values()))


def federation(folder, quay=None):
    """Return the client over a quay."""
    home(folder)
    connected = Federation(folder)
    connected._line.close()
    connected._line = quay or Quay()
    return connected


def changed(message, **fields):
    """Return a signed object's frame with other fields."""
    other = type(message)()
    other.CopyFrom(message)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


__all__ = ["Known", "replace"]
