"""The hospital's policy: one file, written by the hospital, that says what its node may answer. Without it, nothing.

Judged on public facts only: the plan, the price, the roster and the announcement. No rule here looks at a record.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from protocols.announcement import Announcement
from protocols.errors import ProtocolError, Rejected
from protocols.farrsum.parameters import Trust
from protocols.roster import Roster
from queries.accounting import rho_of, units
from queries.errors import PrivacyError
from queries.plan import AttributeKey, Every, FlagKey, Key, Not, Plan, Predicate, SiteIs, SiteKey, Some
from queries.plan import Part as PlanPart

FILE = "policy.toml"
"""Name of the file in the node's home."""

MOST_BYTES = 1 << 16
"""Longest accepted file."""

ALL = "all"
"""In place of a list of tables: every table of the catalogue."""

DEFAULT = """\
# What this hospital's node may answer. Every line is needed; while one is missing or misspelt, nothing is answered:
# the node adds noise to the others' answers, and no record is read.
# Changes hold from the next question on.

# Privacy loss that this hospital's patients may ever be charged, as an epsilon at a delta of one in a million. It is
# the total over all questions for the life of this node, and never starts again.
lifetime_epsilon = 10.0

# The most that one question may cost, likewise.
most_epsilon_per_question = 1.0

# Tables that may be asked about: "all", or a list such as ["admission", "visit"].
tables = "all"

# Whether an answer may show this hospital's own row, that is, tell it apart from the others (GROUP BY site). If not,
# it puts zeros there, and the result says so. Noise is added either way.
own_row = false

# A group of hospitals (one country, one level) smaller than this counts as telling this hospital apart.
site_group_minimum = 3

# The fewest hospitals on the roster, among those that are asked, and behind the answer.
minimum_hospitals = 3

# The fewest hospitals in a sum that neither pool what they know with the coordinator nor with others. This hospital's
# part is hidden among theirs. It is the round's smallest number of hospitals less the colluders that are feared.
least_honest = 2

# The weakest fear of colluding hospitals under which a question is answered: "none", "one-fifth" or "one-third" of all
# hospitals. A weaker fear means less noise from each hospital, since more of it is counted upon.
trust_floor = "one-third"
"""
"""What joining writes; the hospital edits it."""


_FEAR = (Trust.NONE, Trust.FIFTH, Trust.THIRD)
"""From the weakest to the strongest."""


class PolicyError(ProtocolError):
    """The policy file is missing or says something that it must not say. Nothing is answered until it is corrected."""

    def __init__(self, message: str, *, file: str, key: str = "", remedy: str) -> None:
        """Name the file, the key, what is wrong and what to write instead."""
        super().__init__(f"{file}: {key}: {message}" if key else f"{file}: {message}")
        self.message = message
        self.file = file
        self.key = key
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a hospital allows."""

    lifetime_units: int
    """Ledger units that may ever be charged."""
    most_units_per_question: int
    """Ledger units that one question may cost."""
    tables: tuple[str, ...] | None
    """Tables that may be asked about, sorted; None: all."""
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

    def offers(self, table: str) -> bool:
        """Return whether a table may be asked about."""
        return self.tables is None or table in self.tables


def load(path: Path) -> Policy:
    """Read the policy as it is now; raise PolicyError for anything but a complete and correct one.

    Guarantee: fail-closed. Nothing has a default: a missing file, a missing key, an unknown key or a value out of
    range means that no question is answered. Test: tests/node/test_policy.py::test_a_wrong_policy_answers_nothing.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        remedy = "write it, or copy the default that `farr node join` writes"
        raise PolicyError("cannot be read", file=path.name, remedy=remedy) from error
    return parse(source, path.name)


@lru_cache(maxsize=4)
def parse(source: bytes, file: str) -> Policy:
    """Read a policy's text; raise PolicyError, naming the key and what to write, for anything wrong."""
    if len(source) > MOST_BYTES:
        raise PolicyError("is too long", file=file, remedy=f"use at most {MOST_BYTES} bytes")
    try:
        values = tomllib.loads(source.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyError("is not TOML in UTF-8", file=file, remedy="correct the text") from error
    keys = ("lifetime_epsilon", "most_epsilon_per_question", "tables", "own_row", "site_group_minimum")
    known = (*keys, "minimum_hospitals", "least_honest", "trust_floor")
    for key in sorted(values.keys() - set(known)):
        _refuse(file, key, "is not a known key", "use " + ", ".join(known))
    for key in known:
        if key not in values:
            _refuse(file, key, "is missing", "add it: nothing has a default")
    return Policy(
        lifetime_units=_units(file, "lifetime_epsilon", values),
        most_units_per_question=_units(file, "most_epsilon_per_question", values),
        tables=_tables(file, values["tables"]),
        own_row=_truth(file, "own_row", values["own_row"]),
        site_group_minimum=_whole(file, "site_group_minimum", values["site_group_minimum"]),
        minimum_hospitals=_whole(file, "minimum_hospitals", values["minimum_hospitals"]),
        least_honest=_whole(file, "least_honest", values["least_honest"]),
        trust_floor=_trust(file, "trust_floor", values["trust_floor"]),
    )


def judge(
    policy: Policy, *, plan: Plan, offered: frozenset[str], announcement: Announcement, roster: Roster, cost: int
) -> None:
    """Raise Rejected unless the policy allows this question, at this cost, in this round.

    ``offered``: tables that the hospital has and may be asked about.

    Guarantee: the verdict follows from its arguments, which are all public; the ledger's own limit is checked where
    the charge is written. Test: tests/node/test_policy.py::test_each_rule_refuses_with_its_own_code.
    """
    if not plan.answerable(offered):
        raise Rejected("unknown-table", ", ".join(plan.tables))
    if cost > policy.most_units_per_question:
        raise Rejected("cost-limit", f"{cost} of {policy.most_units_per_question} units")
    # The request's minimum counts as well: a release may rest on no more hospitals than that.
    fewest = min(len(roster.nodes), len(announcement.asked), announcement.request.minimum)
    if fewest < policy.minimum_hospitals:
        raise Rejected("cohort-too-small", f"{fewest} of {policy.minimum_hospitals}")
    hidden_among = announcement.minimum - announcement.colluders
    if hidden_among < policy.least_honest:
        raise Rejected("policy", f"{hidden_among} honest hospitals of {policy.least_honest}")
    if _FEAR.index(announcement.request.trust) < _FEAR.index(policy.trust_floor):
        raise Rejected("policy", f"trust {announcement.request.trust.value}, least {policy.trust_floor.value}")


def keeps_row_back(policy: Policy, *, plan: Plan, announcement: Announcement, roster: Roster, site: str) -> bool:
    """Return whether the hospital puts zeros everywhere because the answer would tell it apart from the others.

    Hospitals that the plan treats alike (the same cells, the same side of every condition on hospitals) form a group.
    A group of fewer than k of the hospitals asked tells its members apart. All of the answer is kept back then, since
    the difference between two of its parts would give the hospital's own part away.

    Hospitals are counted as asked: some of a group may drop out of the round, or keep their own records back, so a
    group of just k may rest on fewer. The noise is the same for all that.

    Guarantee: with ``own_row = false`` no released number, and no difference of numbers in one release, is about fewer
    than k of the hospitals asked, of which this is one. Test:
    tests/node/test_policy.py::test_a_group_smaller_than_k_is_kept_back.
    """
    if policy.own_row:
        return False
    described = {member: roster.nodes[member] for member in announcement.asked}
    own = _side(plan, site, described[site])
    alike = sum(_side(plan, member, facts) == own for member, facts in described.items())
    return alike < policy.site_group_minimum


def _side(plan: Plan, site: str, attributes: Mapping[str, str]) -> tuple[str, ...]:
    """Return which cells and which sides of conditions a hospital is in: the plan cannot tell apart two that agree."""
    sides = []
    for key in (key for part in plan.parts for key in _keys(part)):
        if isinstance(key, SiteKey):
            sides.append(site if site in key.sites else "")
        elif isinstance(key, AttributeKey):
            sides.append(attributes.get(key.attribute, ""))
    for predicate in (predicate for part in plan.parts for predicate in _conditions(part)):
        for term in _about_sites(predicate):
            value = site if term.attribute is None else attributes.get(term.attribute)
            sides.append("unknown" if value is None else "in" if value in term.codes else "out")
    return tuple(sides)


def _keys(part: PlanPart) -> tuple[Key, ...]:
    return (*part.keys, *(key for aggregate in part.aggregates for key in aggregate.by))


def _conditions(part: PlanPart) -> tuple[Predicate, ...]:
    flags = (key.term for key in _keys(part) if isinstance(key, FlagKey))
    return (part.where, *(aggregate.where for aggregate in part.aggregates), *flags)


def _about_sites(predicate: Predicate) -> tuple[SiteIs, ...]:
    if isinstance(predicate, SiteIs):
        return (predicate,)
    if isinstance(predicate, Not):
        return _about_sites(predicate.term)
    if isinstance(predicate, (Every, Some)):
        return tuple(found for term in predicate.terms for found in _about_sites(term))
    return ()


def _units(file: str, key: str, values: Mapping[str, object]) -> int:
    value = values[key]
    remedy = "write an epsilon above 0 and at most 100, such as 1.0"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        _refuse(file, key, "is not a number", remedy)
    try:
        return units(rho_of(float(value)))
    except PrivacyError:
        _refuse(file, key, "is out of range", remedy)


def _tables(file: str, value: object) -> tuple[str, ...] | None:
    if value == ALL:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        _refuse(file, "tables", "is neither a list of names nor all", 'write tables = "all" or a list')
    return tuple(sorted(set(value)))


def _truth(file: str, key: str, value: object) -> bool:
    if not isinstance(value, bool):
        _refuse(file, key, "is neither true nor false", f"write {key} = false")
    return value


def _whole(file: str, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000:  # noqa: PLR2004
        _refuse(file, key, "is not a whole number of at least 1", f"write {key} = 3")
    return value


def _trust(file: str, key: str, value: object) -> Trust:
    known = {trust.value: trust for trust in _FEAR}
    if not isinstance(value, str) or value not in known:
        _refuse(file, key, "is not a known setting", "write " + ", ".join(f'"{name}"' for name in known))
    return known[value]


def _refuse(file: str, key: str, message: str, remedy: str) -> NoReturn:
    raise PolicyError(message, file=file, key=key, remedy=remedy)
