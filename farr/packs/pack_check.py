"""Whether a pack can be asked over a catalogue: every indicator, with every grouping that it may have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from farr.errors import FarrError
from farr.packs.indicators import Run, Scope, round_of
from farr.questions.periods import period_of
from queries.agreed.catalogue import Catalogue, DateColumn
from queries.agreed.pack import Indicator, Pack
from queries.errors import QueryError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way in which an indicator cannot be asked."""

    indicator: Indicator
    """Which."""
    by: str
    """With which grouping; empty: without any."""
    error: Exception
    """What is wrong."""


def faults_of(pack: Pack, catalogue: Catalogue) -> tuple[Fault, ...]:
    """Return what cannot be asked; raise FarrError for a pack of another catalogue, or one too large for a round."""
    found = tuple(_faults(pack, catalogue))
    if not found:
        round_of(_run(pack, catalogue), pack.indicators, skip=False)
    return found


def _faults(pack: Pack, catalogue: Catalogue) -> Iterator[Fault]:
    for indicator in pack.indicators:
        for by in ("", *indicator.groupings):
            run = _run(pack, catalogue, by)
            try:
                run.question(indicator)
            except (QueryError, FarrError) as error:
                yield Fault(indicator=indicator, by=by, error=error)


def _run(pack: Pack, catalogue: Catalogue, by: str = "") -> Run:
    days = [column.last for table in catalogue.tables for column in table.columns if isinstance(column, DateColumn)]
    last = min(days, default=date(2026, 1, 1))
    scope = Scope(
        period=period_of(f"{last.year}-{last.month:02d}"),
        by=(by,) if by else (),
        public=dict.fromkeys(pack.public, Fraction(1000)),
    )
    return Run(pack=pack, scope=scope, catalogue=catalogue, sites=_made_up(catalogue))


def _made_up(catalogue: Catalogue) -> dict[str, dict[str, str]]:
    """Return hospitals with the first value of every fact, since any will do."""
    facts = {fact.name: fact.codes.codes[0].code for fact in catalogue.site_attributes}
    return {f"h{number}": facts for number in range(4)}
