"""The hospital's policy: one file, written by the hospital, that says what its node may answer. Without it, nothing.

What it comes to for one question is in ``judging.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from node.authority.policy_file import ALL, MOST_BYTES, NONE, PolicyError, Values, read_values
from node.authority.policy_text import DEFAULT
from node.authority.training import TABLE, Training, read_training
from protocols.farrsum.parameters import Trust
from protocols.mandate import AUDITOR, AUTHORITIES

__all__ = ["ALL", "DEFAULT", "FEAR", "FILE", "KEYS", "MOST_BYTES", "PERIODS", "Policy", "PolicyError", "load", "parse"]

FILE = "policy.toml"
"""Name of the file in the node's home."""

PERIODS = ("day", "week", "month", "quarter", "year")
"""Parts of the calendar, from fine to coarse."""

FEAR = (Trust.NONE, Trust.FIFTH, Trust.THIRD)
"""From the weakest to the strongest."""

MOST_PURPOSES = 64
"""Purposes of one policy."""

KEYS = (
    "authorities",
    "analysts",
    "tables",
    "columns",
    "own_row",
    "site_group_minimum",
    "minimum_hospitals",
    "least_honest",
    "trust_floor",
    "newcomer_days",
    "minimum_cell",
    "lifetime_epsilon",
    "most_epsilon_per_question",
    "period",
    "epsilon_per_period",
    "approval_purposes",
    "approval_above_epsilon",
    "purposes",
    "finest",
)
"""Every key, in the order of the default file, before [training]. Each is needed."""

OFFSET = "utc_offset"
"""Key of the time by which periods begin; without it they begin by UTC, as they did before there was such a key."""

_LONGEST = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}
"""Days of the longest period of each kind."""

_DAY = 24 * 3600

_ASKING = tuple(authority for authority in AUTHORITIES if authority != AUDITOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a hospital allows. Of lists, None: all of the kind."""

    authorities: tuple[str, ...] | None
    """Authorities on whose behalf may be asked."""
    analysts: tuple[str, ...] | None
    """Analysts who may ask, by id."""
    tables: tuple[str, ...] | None
    """Tables that may be asked about, sorted."""
    columns: tuple[str, ...] | None
    """Columns that may be read, as ``table.column``, sorted."""
    own_row: bool
    """Whether an answer may tell this hospital apart from others."""
    site_group_minimum: int
    """k: a group of fewer hospitals counts as telling them apart."""
    minimum_hospitals: int
    """Fewest hospitals on the roster, among those asked, and behind the answer."""
    least_honest: int
    """Least m - c of a round: honest hospitals among which the own part is hidden."""
    trust_floor: Trust
    """The weakest trust setting of a request."""
    newcomer_days: int
    """Days for which a hospital that this node has not known before does not count."""
    minimum_cell: int
    """Smallest count that a page shows; 0: any."""
    lifetime_units: int
    """Ledger units that may ever be charged."""
    most_units_per_question: int
    """Ledger units that one question may cost."""
    period: str
    """One of PERIODS."""
    units_per_period: int
    """Ledger units that may be charged in one period of the calendar."""
    utc_offset: int
    """Seconds by which the hospital's clocks are ahead of UTC: periods begin at their midnight."""
    approval_purposes: tuple[str, ...] | None
    """Purposes whose questions a person has to approve; None: all, empty: none."""
    approval_above_units: int
    """A question that costs more ledger units than that has to be approved."""
    purposes: Mapping[str, int]
    """By purpose, the ledger units that may ever be charged for it; a purpose that is not here is not answered."""
    finest_time: str
    """Finest part of the calendar that may be told apart, one of PERIODS."""
    finest: Mapping[str, str]
    """By code set, the finest of its levels that may be told apart."""
    training: Training | None
    """What may be trained; None: the file has no such table, and nothing may."""
    digest: bytes = field(repr=False)
    """SHA-256 of the file: what an approval is bound to."""

    def offers(self, table: str) -> bool:
        """Return whether a table may be asked about."""
        return self.tables is None or table in self.tables

    def holds(self) -> bool:
        """Return whether some question would wait for a person."""
        return self.approval_purposes != () or self.approval_above_units < self.most_units_per_question

    def period_start(self, now: int) -> int:
        """Return when the running period began, in seconds since 1970, UTC."""
        return period_start(self.period, now, self.utc_offset)

    def period_end(self, now: int) -> int:
        """Return when the next period begins, likewise."""
        return self.period_start(self.period_start(now) + _LONGEST[self.period] * _DAY)

    def approves(self, purpose: str) -> bool:
        """Return whether every question of a purpose waits for a person."""
        return self.approval_purposes is None or purpose in self.approval_purposes


def load(path: Path) -> Policy:
    """Read the policy as it is now; raise PolicyError for anything but a complete and correct one.

    Guarantee: fail-closed. Nothing has a default: a missing file, a missing key, an unknown key or a value out of
    range means that no question is answered. Only [training] may be missing, nothing is trained then, and utc_offset.
    Tests: tests/node/test_policy.py::test_a_wrong_policy_answers_nothing,
    tests/node/test_policy.py::test_a_policy_from_before_training_trains_nothing.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        remedy = "write it; `farr node policy default` prints one to begin with"
        raise PolicyError("cannot be read", file=path.name, remedy=remedy) from error
    return parse(source, path.name)


@lru_cache(maxsize=4)
def parse(source: bytes, file: str) -> Policy:
    """Read a policy's text; raise PolicyError, naming the key and what to write, for anything wrong."""
    values = read_values(source, file)
    values.only(KEYS, also=(OFFSET, TABLE))
    finest_time, finest = _finest(values.table("finest"))
    return Policy(
        authorities=values.names("authorities", _ASKING),
        analysts=values.names("analysts"),
        tables=values.names("tables"),
        columns=_columns(values),
        own_row=values.truth("own_row"),
        site_group_minimum=values.whole("site_group_minimum", 1, 1_000_000, 3),
        minimum_hospitals=values.whole("minimum_hospitals", 1, 1_000_000, 3),
        least_honest=values.whole("least_honest", 1, 1_000_000, 2),
        trust_floor=Trust(values.one_of("trust_floor", [trust.value for trust in FEAR])),
        newcomer_days=values.whole("newcomer_days", 0, 3650, 7),
        minimum_cell=values.whole("minimum_cell", 0, 1_000_000, 10),
        lifetime_units=values.units("lifetime_epsilon"),
        most_units_per_question=values.units("most_epsilon_per_question"),
        period=values.one_of("period", PERIODS),
        units_per_period=values.units("epsilon_per_period"),
        utc_offset=values.offset(OFFSET),
        approval_purposes=_approvals(values),
        approval_above_units=values.units("approval_above_epsilon"),
        purposes=_purposes(values.table("purposes")),
        finest_time=finest_time,
        finest=finest,
        training=read_training(values.table(TABLE)) if TABLE in values.values else None,
        digest=hashlib.sha256(source).digest(),
    )


def period_start(period: str, now: int, offset: int = 0) -> int:
    """Return when the period of the calendar that ``now`` lies in began, both in seconds since 1970, UTC.

    ``offset``: seconds by which the clocks of that calendar are ahead of UTC.
    """
    day = datetime.fromtimestamp(now + offset, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "week":
        day -= timedelta(days=day.weekday())
    elif period == "month":
        day = day.replace(day=1)
    elif period == "quarter":
        day = day.replace(month=day.month - (day.month - 1) % 3, day=1)
    elif period == "year":
        day = day.replace(month=1, day=1)
    return int(day.timestamp()) - offset


def _columns(values: Values) -> tuple[str, ...] | None:
    names = values.names("columns")
    for name in names or ():
        table, dot, column = name.partition(".")
        if not (table and dot and column):
            values.refuse("columns", f"{name!r} is not a column", 'write each as "table.column"')
    return names


def _approvals(values: Values) -> tuple[str, ...] | None:
    return () if values.values["approval_purposes"] == NONE else values.names("approval_purposes")


def _purposes(given: Values) -> Mapping[str, int]:
    if len(given.values) > MOST_PURPOSES:
        raise PolicyError("are too many", file=given.file, key="purposes", remedy=f"use at most {MOST_PURPOSES}")
    return MappingProxyType({given.named(key): given.units(key) for key in sorted(given.values)})


def _finest(given: Values) -> tuple[str, Mapping[str, str]]:
    if "time" not in given.values:
        given.refuse("time", "is missing", 'write time = "day"')
    levels = {}
    for key, value in sorted(given.values.items()):
        if key == "time":
            continue
        if not isinstance(value, str) or not value:
            given.refuse(key, "is not the name of a level", f'write {key} = "..." with a level of that list of codes')
        levels[key] = value
    return given.one_of("time", PERIODS), MappingProxyType(levels)
