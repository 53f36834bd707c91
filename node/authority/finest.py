"""How fine a plan tells days and codes apart, against the finest that the hospital's policy allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from node.authority.policy import FILE, PERIODS, Policy, PolicyError
from node.authority.reads import handed, keys, terms
from queries.agreed.catalogue import Catalogue, CodeColumn, CodeSet, DateColumn, Table
from queries.asked.plan import CodeKey, DateKey, During, Members, Part

_RECURRING: Mapping[str, str] = {"month_of_year": "month", "weekday": "day"}
"""Parts that recur in every year, with what they tell apart within one."""


def check_names(policy: Policy, catalogue: Catalogue) -> None:
    """Raise PolicyError where [finest] names a list of codes or a level that the catalogue does not have.

    Guarantee: a misspelt name does not leave the codes of a list open. Test:
    tests/node/test_judging.py::test_a_level_that_the_catalogue_does_not_have_answers_nothing.
    """
    known = _code_sets(catalogue)
    for name, level in policy.finest.items():
        key = f"finest.{name}"
        if name not in known:
            remedy = "use one of " + (", ".join(sorted(known)) or "none: the catalogue has no list with levels")
            raise PolicyError("is no list of codes with levels", file=FILE, key=key, remedy=remedy)
        levels = [each.name for each in known[name].levels]
        if level not in levels:
            remedy = "use one of " + ", ".join(levels)
            raise PolicyError(f"the list has no level {level!r}", file=FILE, key=key, remedy=remedy)


def too_fine_days(part: Part, unit: str, catalogue: Catalogue) -> Iterator[str]:
    """Yield what of a part tells days apart more finely than by ``unit``, in words.

    A key must not be finer than the unit. A window or a condition on days must begin where a unit begins and end where
    one ends (or at the bounds of the column), so that no combination of them singles out part of a unit. An app that is
    handed a column of days tells each day apart.

    Guarantee: no days are told apart by handing them to an app. Test:
    tests/node/test_judging.py::test_an_app_tells_apart_all_that_it_is_handed.
    """
    table = catalogue.table(part.table)
    for key in keys(part):
        if isinstance(key, DateKey):
            if PERIODS.index(_RECURRING.get(key.part, key.part)) < PERIODS.index(unit):
                yield f"{key.part} of {part.table}.{key.column}"
            elif not _whole(table, key.column, key.first, key.last, unit):
                yield f"{part.table}.{key.column} from {key.first} to {key.last}"
    for name in handed(part):
        if isinstance(table.column(name), DateColumn) and PERIODS.index("day") < PERIODS.index(unit):
            yield f"day of {part.table}.{name}"
    for term in terms(part):
        if isinstance(term, During) and not _whole(table, term.column, term.first, term.last, unit):
            yield f"{part.table}.{term.column} from {term.first or 'the first day'} to {term.last or 'the last day'}"


def too_fine_codes(part: Part, name: str, level: str, catalogue: Catalogue) -> Iterator[str]:
    """Yield what of a part tells codes of a list apart more finely than one of its levels, in words.

    Guarantee: no codes are told apart by handing them to an app. Test:
    tests/node/test_judging.py::test_an_app_tells_apart_all_that_it_is_handed.
    """
    table = catalogue.table(part.table)
    asked = [(key.column, key.level) for key in keys(part) if isinstance(key, CodeKey)]
    asked += [(term.column, term.level) for term in terms(part) if isinstance(term, Members)]
    asked += [(column, None) for column in handed(part)]
    for column_name, asked_level in dict.fromkeys(asked):
        column = table.column(column_name)
        if isinstance(column, CodeColumn) and column.codes.name == name:
            levels = [None, *(each.name for each in column.codes.levels)]
            if levels.index(asked_level) < levels.index(level):
                yield f"{part.table}.{column_name} by {asked_level or 'code'}"


def _code_sets(catalogue: Catalogue) -> dict[str, CodeSet]:
    """Return the lists of codes with levels that columns use, by the catalogue's name of them."""
    return {
        column.codes.name: column.codes
        for table in catalogue.tables
        for column in table.columns
        if isinstance(column, CodeColumn) and column.codes.levels
    }


def _whole(table: Table, column: str, first: date | None, last: date | None, unit: str) -> bool:
    bounds = table.column(column)
    if not isinstance(bounds, DateColumn):
        return False
    begins = first is None or first <= bounds.first or _begins(first, unit)
    return begins and (last is None or last >= bounds.last or _begins(last + timedelta(days=1), unit))


def _begins(day: date, unit: str) -> bool:
    """Return whether a unit of the calendar begins on this day."""
    if unit == "week":
        return day.isoweekday() == 1
    if unit == "month":
        return day.day == 1
    if unit == "quarter":
        return day.day == 1 and day.month % 3 == 1
    return unit == "day" or (day.day == 1 and day.month == 1)
