"""A federation in memory for tests of a node's service: members, questions, announcements, and a node to answer them.

The children of test_crash.py build the same one: every key follows from a fixed seed.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from node.answer import Answerer
from node.authority import policy
from node.books.state import open_state
from node.noise import noisy_vector
from node.refusal import Replier
from node.scan.compiled import Compiler
from node.seats import Seats
from protocols import announcement as announcements
from protocols import request as requests
from protocols import roster as rosters
from protocols.announcement import Announcement
from protocols.farrsum import epoch as epochs
from protocols.farrsum.epoch import ExchangeKey
from protocols.farrsum.parameters import honest, least_survivors
from protocols.mandate import Mandate
from protocols.request import Request
from protocols.roster import Member, Roster
from protocols.signing import IdentityKey, sign
from protocols.wire_pb2 import OpenEpoch, Role
from queries.agreed.catalogue_file import read_catalogue
from queries.asked.canonical import encode
from queries.asked.plan import EVERYTHING, Aggregate, Bound, CodeKey
from queries.cost.accounting import rho_of, units
from tests.queries.whole import altered, whole

NOW = 1_800_000_000
NAME = "harbour"
SITE = "brest"
HOSPITALS = ("aden", "brest", "cork", "dover")
COUNTRIES = {"aden": "YE", "brest": "FR", "cork": "UK", "dover": "UK"}

CATALOGUE = b"""
name = "harbour"
version = "1"
sites_per_patient = 1
rows_per_site = 1_000_000
[site.country]
codes = ["FR", "UK", "YE"]
[tables.stay]
patient = "patient_id"
rows_per_patient = 2
[tables.stay.columns.sex]
codes = ["F", "M"]
[tables.stay.columns.died]
codes = ["Y", "N", "U"]
[tables.stay.columns.age]
number = { low = 0, high = 120 }
[tables.visit]
patient = "patient_id"
rows_per_patient = 1
[tables.visit.columns.sex]
codes = ["F", "M"]
"""

POLICY = """
lifetime_epsilon = 10
most_epsilon_per_question = 2.0
tables = "all"
own_row = true
site_group_minimum = 2
minimum_hospitals = 3
least_honest = 2
trust_floor = "one-third"
authorities = "all"
analysts = "all"
columns = "all"
newcomer_days = 0
minimum_cell = 0
period = "year"
epsilon_per_period = 100
approval_purposes = "none"
approval_above_epsilon = 100
purposes.research = 100
purposes.statistics = 100
purposes.test = 100
finest.time = "day"
training.models = "all"
training.networks = "all"
training.apps = []
training.unsandboxed_apps = false
training.unsandboxed_reason = ""
training.most_app_minutes = 30
training.most_app_megabytes = 2048
"""

PRICE = units(rho_of(1.0))
"""What a question offers."""


MANDATE = Mandate(authority="nation", purposes=("research", "statistics", "test"), expires_at=NOW + 86400)
"""What the analyst may ask: everything, for each of three purposes."""


def key_of(name):
    """Return a member's signing key."""
    return IdentityKey.from_seed(hashlib.sha256(name.encode()).digest())


def member(id_, role):
    """Return a member as the roster lists it."""
    return Member(
        id=id_,
        role=role,
        identity_key=key_of(id_).public,
        certificate_digest=hashlib.sha256(b"certificate of " + id_.encode()).digest(),
        label_en=id_.title(),
        label_zh="",
        attributes={"country": COUNTRIES[id_]} if id_ in COUNTRIES else {},
        joined_at=NOW - 1000,
        expires_at=NOW + 86400,
        mandate=MANDATE if role == Role.ROLE_ANALYST else None,
    )


catalogue = read_catalogue(CATALOGUE, "catalogue.toml")

MEMBERS = tuple(
    sorted(
        [member("ada", Role.ROLE_ANALYST), member("convener", Role.ROLE_COORDINATOR)]
        + [member(site, Role.ROLE_NODE) for site in HOSPITALS],
        key=lambda each: each.id,
    )
)

roster = Roster(federation=NAME, version=3, issued_at=NOW - 500, catalogue_digest=catalogue.digest, members=MEMBERS)


def plan(**changes):
    """Return a count by sex: two entries. Changes are to the plan, or to its only part."""
    counted = whole(
        catalogue.digest,
        table="stay",
        where=EVERYTHING,
        keys=(CodeKey(column="sex"),),
        aggregates=(Aggregate(statistic="count"),),
        bound=Bound(rows=1, groups=1),
    )
    return altered(counted, **changes)


def request(number=1, **changes):
    """Return the analyst's request of this number, unsigned."""
    asked = Request(
        federation=NAME,
        id=number.to_bytes(16, "big"),
        analyst="ada",
        plan=encode(plan()),
        view=b"",
        rho_units=PRICE,
        sites=HOSPITALS,
        minimum=3,
        purpose="test",
        created_at=NOW - 10,
        expires_at=NOW + 3600,
        statement="SELECT sex, count(*) FROM stay GROUP BY sex",
        fresh=False,
    )
    return replace(asked, **changes)


def digest_of(held):
    """Return the digest of a roster as its registrar signs it."""
    return rosters.digest_of(rosters.write(held, key_of("registrar")))


def seed_of(site, number):
    """Return the seed of a hospital's exchange key for an epoch."""
    return hashlib.sha256(f"{site} in epoch {number}".encode()).digest()


def exchange_of(site, number):
    """Return a hospital's exchange key for an epoch."""
    return ExchangeKey.from_seed(seed_of(site, number))


def open_epoch(number=1, held=roster):
    """Return the coordinator's call for keys."""
    return OpenEpoch(epoch=number, roster=held.version)


def freeze_of(number=1, held=roster, *, sites=None):
    """Return the freeze of an epoch with the keys of all hospitals of a roster, or of some."""
    keys = [
        epochs.write_key(
            number, held, digest_of(held), member=site, key=key_of(site), exchange=exchange_of(site, number)
        )
        for site in sites or held.nodes
    ]
    return epochs.freeze(number, keys)


def announce(
    asked=None, *, slot=1, held=roster, analyst_key=None, coordinator_key=None, number=1, sites=None, **changes
):
    """Return the coordinator's signed announcement of a request, in an epoch of all hospitals or of some."""
    asked = asked or request()
    frozen = freeze_of(number, held, sites=sites)
    epoch = epochs.read_freeze(frozen, number=number, roster=held, roster_digest=digest_of(held))
    minimum = least_survivors(epoch.parameters, len(epoch.members))
    announced = Announcement(
        request=asked,
        signed_request=requests.write(asked, analyst_key or key_of(asked.analyst)),
        roster=held.version,
        epoch=number,
        freeze=epoch.digest,
        slot=slot,
        contributors=epoch.members,
        minimum=minimum,
        colluders=asked.trust.colluders(len(held.nodes)),
        honest=honest(minimum, asked.trust, len(held.nodes)),
        deadline=NOW + 60,
    )
    signing_key = coordinator_key or key_of("convener")
    return announcements.write(replace(announced, **changes), held, signing_key)


def resign(signed, **changes):
    """Return an announcement whose body was changed field by field and signed by the coordinator again."""
    from protocols.wire_pb2 import Announcement as Message

    message = Message.FromString(signed.body)
    for name, value in changes.items():
        if isinstance(value, (list, tuple)):
            message.ClearField(name)
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    body = message.SerializeToString(deterministic=True)
    return sign(key_of("convener"), kind=announcements.KIND, signer="convener", federation=NAME, body=body)


@dataclass
class Records:
    """Stands for the records: counts how often it was read, and which tables last."""

    reads: int = 0
    tables: frozenset[str] = frozenset()
    entry: int = 100
    fault: Exception | None = None
    shape: int | None = None

    def scan(self, tally, attributes, tables):
        """Return the same number in every cell."""
        self.reads += 1
        self.tables = tables
        if self.fault:
            raise self.fault
        return np.full(self.shape or tally.entries, self.entry, dtype=np.int64)


class Rig:
    """One hospital's node, without its data and its link."""

    def __init__(self, home: Path, *, site=SITE, number=1, held=roster, sites=None, step=None, **changes):
        """Open the state in ``home`` and take a seat in an epoch (0: in none); ``changes`` replace parts."""
        self.home = home
        self.site = site
        self.seed = None
        self.noisy = []
        home.mkdir(exist_ok=True)
        if not (home / policy.FILE).exists():
            (home / policy.FILE).write_text(POLICY)
        self.records = Records()
        self.now = float(NOW)
        self.connection = open_state(home)
        steps = {} if step is None else {"step": step}
        self.seats = Seats(
            member=site, identity=key_of(site), connection=self.connection, entropy=self.entropy, **steps
        )
        parts = {
            "member": site,
            "identity": key_of(site),
            "seats": self.seats,
            "compiler": Compiler(catalogue=catalogue),
            "connection": self.connection,
            "policy": lambda: policy.load(home / policy.FILE),
            "tables": frozenset({"stay"}),
            "scan": self.records.scan,
            "noise": self.noise,
            "clock": lambda: self.now,
        }
        self.answerer = Answerer(**{**parts, **steps, **changes})
        self.replier = Replier(answerer=self.answerer, home=home, clock=lambda: self.now)
        self.deposits = []
        if number:
            self.sit(number, held, sites=sites)

    def entropy(self, count):
        """Return fresh bytes, but for an exchange key that the test knows beforehand."""
        seed, self.seed = self.seed, None
        return seed if seed is not None and count == len(seed) else os.urandom(count)

    def noise(self, exact, measurement):
        """Draw noise, and remember the vector before it is hidden."""
        self.noisy.append(noisy_vector(exact, measurement))
        return self.noisy[-1]

    def offer(self, number, held=roster):
        """Sign the key of an epoch."""
        self.seed = seed_of(self.site, number)
        return self.seats.offer(open_epoch(number, held), held, digest_of(held))

    def sit(self, number, held=roster, *, sites=None):
        """Take a seat in an epoch."""
        self.offer(number, held)
        for message in self.seats.accept(freeze_of(number, held, sites=sites)):
            self.deposits += message.deposits

    def answer(self, signed, held=roster, waited=0.0):
        """Answer one announcement."""
        return self.answerer.answer(signed, held, waited)

    def reply(self, signed, held=roster, waited=0.0):
        """Reply to one announcement, whatever it is."""
        return self.replier.reply(signed, held, waited)

    def close(self):
        """Close the state."""
        self.connection.close()
