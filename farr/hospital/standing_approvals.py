"""Standing approvals of signed packs: what a pack asks, within which limits, in whose name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path

from farr.errors import FarrError
from farr.hospital.office import Office
from farr.packs import signed_packs
from farr.packs.indicators import Run, Scope
from farr.questions.periods import Period
from farr.texts import N_, _
from node.authority import standing
from node.authority.decisions import STANDING, UNBOUND, WITHDRAW
from node.authority.standing import Limits, Standing
from queries.agreed.catalogue import Catalogue, DateColumn
from queries.agreed.pack import Indicator, Pack
from queries.agreed.pack_items import items_of
from queries.agreed.places import residence_of
from queries.asked.predicates import Sites
from queries.cost.accounting import epsilon_of, rho_of, rho_of_units, units

LIMITS = {
    standing.VOID: N_("void: its limits are not those that the log has"),
    "withdrawn": N_("was withdrawn"),
    "until": N_("has ended"),
    "purpose": N_("is for another purpose"),
    "analyst": N_("is for another analyst"),
    "units": N_("allows less for one run than this costs"),
    "total": N_("has too little left of its total"),
    "runs": N_("has no run left in this part of the calendar"),
    "hospitals": N_("asks for more hospitals that count behind a run"),
    "items": N_("is of a pack that does not ask all of this"),
    "groupings": N_("does not cross so many groupings"),
    "time": N_("does not tell days apart so finely"),
    "place": N_("does not tell patients' homes apart so finely"),
}
"""What stands against a run, in words that follow the approval's name."""

_A_FEW = timedelta(days=27)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the operator allows the runs of a pack."""

    purpose: str
    """The purpose of every run."""
    every: str
    """Part of the calendar in which so many runs are answered."""
    runs: int
    """How many."""
    epsilon: float
    """Of one run, at most."""
    total: float
    """Epsilon of all of them together."""
    hospitals: int
    """Fewest hospitals behind a run."""
    time: str
    """Finest part of the calendar."""
    place: str
    """Finest level of patients' homes; empty: not at all."""
    until: date
    """The last day on which one is answered, UTC."""
    analyst: str
    """Who may run it; empty: whoever may ask."""


def add(office: Office, file: Path, terms: Terms, by: str) -> int:
    """Approve the runs of a pack that the registrar signed; return the approval's number.

    Raises FarrError where the signature does not hold, the pack is about another catalogue, or a term makes no sense.
    """
    pack = signed_packs.trusted(signed_packs.find(file, office.home), unsigned=False)
    limits = _limits(office, pack, terms)
    return office.decide(
        STANDING,
        by=by,
        subject=pack.digest,
        binding=standing.binding_of(pack.digest, limits),
        facts=standing.facts_of(limits),
    )


def listed(office: Office) -> tuple[Standing, ...]:
    """Return the standing approvals, oldest first."""
    return tuple(standing.each(office.bench.connection))


def withdraw(office: Office, number: int, by: str) -> int:
    """Take a standing approval back: its next run is held; return the number of the decision."""
    found = [each for each in listed(office) if each.number == number]
    if not found or found[0].withdrawn is not None:
        raise FarrError(
            "unknown-approval",
            _("there is no standing approval {number} that holds").format(number=number),
            remedy=_("see them all: farr node approvals standing list"),
        )
    return office.decide(WITHDRAW, by=by, subject=standing.subject_of(number), binding=UNBOUND)


def to_plain(each: Standing, now: int) -> dict[str, object]:
    """Return a standing approval as JSON can hold it."""
    limits = each.limits
    return {
        "number": each.number,
        "pack": limits.title,
        "digest": each.decision.subject.hex(),
        "by": each.decision.by,
        "at": each.decision.at,
        "purpose": limits.purpose,
        "analyst": limits.analyst,
        "every": limits.every,
        "runs": limits.runs,
        "epsilon": epsilon_of(rho_of_units(limits.units)),
        "total_units": limits.total,
        "spent_units": each.spent,
        "remaining_epsilon": epsilon_of(rho_of_units(max(0, limits.total - each.spent))),
        "spent_runs": each.runs,
        "minimum_hospitals": limits.hospitals,
        "finest_time": limits.time,
        "finest_place": limits.place,
        "until": limits.until,
        "state": state_of(each, now),
    }


def state_of(each: Standing, now: int) -> str:
    """Return ``holds``, ``withdrawn``, ``ended``, or ``void`` for one whose limits are not those that the log has."""
    if not each.intact:
        return standing.VOID
    if each.withdrawn is not None:
        return "withdrawn"
    return "ended" if now >= each.limits.until else "holds"


def items_of_pack(pack: Pack, catalogue: Catalogue, sites: Sites) -> frozenset[bytes]:
    """Return what a pack asks: every indicator, alone and in each grouping that it may have.

    Raises FarrError or QueryError for a pack that the catalogue has no answer to.
    """
    found: set[bytes] = set()
    for indicator in pack.indicators:
        scope = Scope(period=_some_period(indicator, catalogue), public=dict.fromkeys(pack.public, Fraction(1)))
        for by in ((), *((name,) for name in indicator.groupings)):
            run = Run(pack=pack, scope=replace(scope, by=by), catalogue=catalogue, sites=sites)
            found |= items_of(run.question(indicator).plan, catalogue)
    return frozenset(found)


def _limits(office: Office, pack: Pack, terms: Terms) -> Limits:
    catalogue = office.catalogue
    levels = _levels(catalogue)
    if terms.place and terms.place not in levels:
        raise _wrong("--finest-place", terms.place, levels)
    policy = office.policy()
    if terms.purpose not in policy.purposes:
        raise _wrong("--purpose", terms.purpose, sorted(policy.purposes))
    ends = datetime.combine(terms.until + timedelta(days=1), datetime.min.time(), UTC)
    if ends.timestamp() <= office.now:
        raise FarrError("ended", _("{day} is over").format(day=terms.until), remedy=_("name a later --until"))
    return Limits(
        title=pack.title,
        items=tuple(sorted(item.hex() for item in items_of_pack(pack, catalogue, office.roster.nodes))),
        purpose=terms.purpose,
        every=terms.every,
        runs=terms.runs,
        units=units(rho_of(terms.epsilon)),
        total=units(rho_of(terms.total)),
        hospitals=terms.hospitals,
        time=terms.time,
        place=terms.place,
        until=int(ends.timestamp()),
        analyst=terms.analyst,
    )


def _some_period(indicator: Indicator, catalogue: Catalogue) -> Period:
    """Return a few of the days that the indicator's tables may have; which ones makes no difference to its items."""
    bounds = []
    for side in indicator.sides:
        column = catalogue.table(side.table).column(side.dated_by)
        if isinstance(column, DateColumn):
            bounds.append((column.first, column.last))
    first, last = max(first for first, _last in bounds), min(last for _first, last in bounds)
    return Period(written="", first=max(first, last - _A_FEW), last=last)


def _levels(catalogue: Catalogue) -> list[str]:
    homes = [home for table in catalogue.tables if (home := residence_of(table)) is not None]
    return list(dict.fromkeys(level.name for home in homes for level in home.codes.levels))


def _wrong(option: str, value: str, known: Sequence[str]) -> FarrError:
    return FarrError(
        "unknown-name",
        _("{option}: {value} is not known here").format(option=option, value=value),
        remedy=_("use one of: {names}").format(names=", ".join(known) or _("none")),
    )
