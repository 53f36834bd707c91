"""Readiness: which hospitals have not loaded their data up to the end of what is asked, by their operators' word."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from farr.errors import FarrError
from farr.federation import Hospital
from farr.questions.states import shortened
from farr.texts import _
from queries.agreed.catalogue import Catalogue, DateColumn
from queries.asked.plan import Plan, window


def ends(plan: Plan, catalogue: Catalogue) -> dict[str, date]:
    """Return by table the last day that a plan's rows can have, where its own conditions set one."""
    found: dict[str, date] = {}
    for part in plan.parts:
        table = catalogue.table(part.table)
        if table.dated_by is None or not isinstance(column := table.column(table.dated_by), DateColumn):
            continue
        last = window(table, part.where)[1]
        if last is not None and last < column.last:
            found[part.table] = max(found.get(part.table, last), last)
    return found


def late(plan: Plan, catalogue: Catalogue, hospitals: Sequence[Hospital]) -> dict[str, tuple[str, date]]:
    """Return the hospitals that are not ready: by id, a table and the day to which it is loaded.

    A hospital that has said nothing of a table counts as ready: there is nothing to hold against it.
    """
    wanted = ends(plan, catalogue)
    found: dict[str, tuple[str, date]] = {}
    for hospital in hospitals:
        for table, last in wanted.items():
            loaded = hospital.loaded.get(table)
            if loaded is not None and loaded < last:
                found.setdefault(hospital.id, (table, loaded))
    return found


def not_ready(found: dict[str, tuple[str, date]]) -> FarrError:
    """Return the error that names the hospitals."""
    named = [f"{site} ({table}: {loaded})" for site, (table, loaded) in sorted(found.items())]
    return FarrError(
        "not-ready",
        _("{count} hospitals have not loaded the whole period yet: {sites}").format(
            count=len(named), sites=shortened(named)
        ),
        remedy=_("ask later, ask the others with --late leave-out, or ask all of them with --late ask"),
    )
