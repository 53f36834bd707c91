"""What must hold of a plan from a stranger before anything is computed from it.

A decoded plan is well typed and canonically spelt; whether it fits the catalogue is decided here, once, the same at the
client, the coordinator and every node. Nothing here reads a record, and nothing takes long, however odd the plan is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import NoReturn

from queries.agreed.catalogue import Catalogue, CodeColumn, CodeSet, Column, DateColumn, NumberColumn, Table
from queries.agreed.domains import PARTS
from queries.asked.canonical import encode
from queries.asked.check_step import check_alone, check_work
from queries.asked.plan import (
    Aggregate,
    AttributeKey,
    BandKey,
    Between,
    Bound,
    CodeKey,
    DateKey,
    During,
    Every,
    FlagKey,
    Key,
    Members,
    Not,
    Part,
    Plan,
    Predicate,
    SiteIs,
    SiteKey,
    Some,
    most_rows,
)
from queries.asked.step_reads import keys_of, step_columns, step_keys
from queries.cost.setting import Setting
from queries.cost.tally import tally
from queries.errors import PlanError
from queries.statistics import STATISTICS

MOST_DEPTH = 16
"""Deepest nesting of a condition."""

MOST_NODES = 4096
"""Most nodes of all conditions of a part together."""

MOST_NUMBER = 1 << 40
"""Greatest size of a number in a condition, in steps; bounds of columns lie well within."""

MOST_AGGREGATES = 64
"""Most statistics of a part."""

MOST_KEYS = 8
"""Most keys of a part, and most of an aggregate's own."""

MOST_PARTS = 256
"""Most parts of a plan: a pack of indicators has some forty."""

MOST_STARTS = 1 << 14
"""Most starts of bands of unequal widths in a plan: a hospital writes each out as a comparison of its own, which takes
it a millisecond. The most parts with 64 bands each come to this."""

MOST_WEIGHT = 1000
"""Greatest weight of a part."""

MOST_COLUMNS = 16
"""Most columns of an aggregate."""

TRAINING = ("step", "app")
"""The statistics that are rounds of training."""


def check(plan: Plan, catalogue: Catalogue) -> None:
    """Raise PlanError unless the plan fits the catalogue and is spelt in the one way that plans are.

    Guarantee: for a plan that passes, the layout, the sensitivity and the window of the rows are those that the
    catalogue's bounds and caps allow, and the vector has at most ``tally.MOST_ENTRIES`` entries.
    Test: tests/queries/test_check.py::test_each_way_of_not_fitting_is_refused.
    """
    if plan.catalogue != catalogue.digest:
        _refuse("made for another catalogue", "fetch the federation's present catalogue and ask again")
    if not 1 <= len(plan.parts) <= MOST_PARTS:
        _refuse(f"not 1 to {MOST_PARTS} parts", "ask for fewer at a time")
    for part in plan.parts:
        _check_part(part, catalogue)
    if sum(map(_unequal_starts, plan.parts)) > MOST_STARTS:
        _refuse(f"more than {MOST_STARTS:,} bands of unequal widths", "use fewer bands, or bands of one width")
    check_alone(plan)
    check_work(plan)
    _check_unlike(plan.parts, "parts")
    tally(plan, catalogue)


def _check_part(part: Part, catalogue: Catalogue) -> None:
    table = catalogue.table(part.table)
    if len(part.keys) > MOST_KEYS:
        _refuse(f"more than {MOST_KEYS} keys", "group by fewer columns")
    if not 1 <= len(part.aggregates) <= MOST_AGGREGATES:
        _refuse(f"not 1 to {MOST_AGGREGATES} statistics", "ask for fewer at a time")
    keys = [*part.keys, *keys_of(part.aggregates)]
    flags = [key.term for key in keys if isinstance(key, FlagKey)]
    _check_size([part.where, *(aggregate.where for aggregate in part.aggregates), *flags])
    _check_predicate(part.where, catalogue, table)
    for key in part.keys:
        _check_key(key, catalogue, table)
    _check_unlike(part.keys, "keys")
    setting = Setting(catalogue=catalogue, table=table, keys=part.keys)
    for aggregate in part.aggregates:
        _check_aggregate(aggregate, setting)
    _check_unlike(part.aggregates, "statistics")
    _check_bound(part.bound, most_rows(catalogue, part.table, part.where))
    _check_rising(part.beside, "tables")
    for name in part.beside:
        catalogue.table(name)
    if part.table in part.beside:
        _refuse("a table beside itself", "build the question with this version of Farr")
    if part.subtotals and (part.bound.groups != part.bound.rows or not part.keys):
        _refuse("subtotals need keys, and no bound on groups", "leave the bound on groups out")
    if not 1 <= part.weight <= MOST_WEIGHT:
        _refuse(f"a weight that is not 1 to {MOST_WEIGHT}", "give smaller weights")


def _refuse(message: str, remedy: str) -> NoReturn:
    raise PlanError(message, remedy=remedy)


def _check_unlike(nodes: Sequence[object], what: str) -> None:
    if len(nodes) > 1 and len({encode(node) for node in nodes}) != len(nodes):
        _refuse(f"two of the {what} are the same", "name each once")


def _check_rising(values: tuple[str, ...] | tuple[int, ...] | list[bytes], what: str) -> None:
    if any(not before < after for before, after in pairwise(values)):  # type: ignore[operator]
        _refuse(f"{what} are not sorted without repeats", "build the question with this version of Farr")


# --- conditions -------------------------------------------------------------------------------------------------


def _check_size(conditions: list[Predicate]) -> None:
    """Refuse conditions that are too deep or too many before any of them is looked at closely."""
    nodes = 0
    waiting = [(condition, 1) for condition in conditions]
    while waiting:
        term, depth = waiting.pop()
        nodes += 1
        if depth > MOST_DEPTH or nodes > MOST_NODES:
            _refuse("the conditions are too many or too deeply nested", "ask a simpler question")
        inside = (term.term,) if isinstance(term, Not) else term.terms if isinstance(term, (Every, Some)) else ()
        waiting += [(part, depth + 1) for part in inside]


def _check_predicate(term: Predicate, catalogue: Catalogue, table: Table) -> bytes:
    """Check a condition and return its canonical bytes, put together from its parts' so that each is spelt once."""
    if isinstance(term, Not):
        return b'{"is":"Not","term":%b}' % _check_predicate(term.term, catalogue, table)
    if isinstance(term, (Every, Some)):
        spelt = [_check_predicate(part, catalogue, table) for part in term.terms]
        _check_rising(spelt, "terms of a condition")
        return b'{"is":"%b","terms":[%b]}' % (type(term).__name__.encode(), b",".join(spelt))
    if isinstance(term, Members):
        _check_codes(term.codes, _names(_coded(table.column(term.column)), term.level))
    elif isinstance(term, Between):
        if not isinstance(table.column(term.column), NumberColumn):
            _refuse(f"{term.column} holds no numbers", "compare it with its codes or days")
        _check_numbers(term)
    elif isinstance(term, During):
        if not isinstance(table.column(term.column), DateColumn):
            _refuse(f"{term.column} holds no days", "compare it with its codes or numbers")
        if term.first is None and term.last is None:
            _refuse("a range without ends", "name one end, or ask whether the value is missing")
    elif isinstance(term, SiteIs):
        names = None if term.attribute is None else catalogue.site_attribute(term.attribute).codes.index
        _check_codes(term.codes, names)
    else:
        table.column(term.column)
    return encode(term)


def _check_numbers(term: Between) -> None:
    ends = [end for end in (term.low, term.high) if end is not None]
    if not ends:
        _refuse("a range without ends", "name one end, or ask whether the value is missing")
    if any(abs(end) > MOST_NUMBER for end in ends):
        _refuse(f"a number beyond {MOST_NUMBER:,} steps", "use a number within the column's bounds")


def _check_codes(codes: tuple[str, ...], known: Collection[str] | None) -> None:
    """Refuse a list that is empty, not sorted, or names codes that are not known; None: any hospital may be meant."""
    if not codes:
        _refuse("a list without codes", "name at least one")
    _check_rising(codes, "codes")
    if known is not None:
        for code in codes:
            if code not in known:
                _refuse(f"there is no code {code[:80]!r}", "see `farr catalogue show`")


def _coded(column: Column) -> CodeSet:
    if not isinstance(column, CodeColumn):
        _refuse(f"{column.name} holds no codes", "compare it with numbers or days")
    return column.codes


def _names(codes: CodeSet, level: str | None) -> Collection[str]:
    return codes.index if level is None else codes.level(level).index


# --- cells, statistics, bound -----------------------------------------------------------------------------------


def _check_key(key: Key, catalogue: Catalogue, table: Table) -> None:
    if isinstance(key, SiteKey):
        _check_codes(key.sites, None)
    elif isinstance(key, AttributeKey):
        catalogue.site_attribute(key.attribute)
    elif isinstance(key, CodeKey):
        _names(_coded(table.column(key.column)), key.level)
    elif isinstance(key, BandKey):
        _check_bands(key, table.column(key.column))
    elif isinstance(key, FlagKey):
        _check_predicate(key.term, catalogue, table)
    else:
        _check_days(key, table.column(key.column))


def _check_bands(key: BandKey, column: Column) -> None:
    if not isinstance(column, NumberColumn):
        _refuse(f"{column.name} holds no numbers", "only numbers have bands")
    if not key.starts or key.starts[0] != column.low or key.starts[-1] > column.high:
        _refuse("bands must start at the column's lower bound and end by its upper bound", "see `farr catalogue show`")
    _check_rising(key.starts, "starts of bands")


def _unequal_starts(part: Part) -> int:
    bands = [key.starts for key in (*part.keys, *keys_of(part.aggregates)) if isinstance(key, BandKey)]
    return sum(len(each) for each in bands if len({after - start for start, after in pairwise(each)}) > 1)


def _check_days(key: DateKey, column: Column) -> None:
    if not isinstance(column, DateColumn):
        _refuse(f"{column.name} holds no days", "only days have years, months and weeks")
    if key.part not in PARTS:
        _refuse("a date has no such part", "use one of " + ", ".join(PARTS))
    if not column.first <= key.first <= key.last <= column.last:
        _refuse("the days of a key must lie within the column's bounds", f"use {column.first} to {column.last}")


def _check_aggregate(aggregate: Aggregate, setting: Setting) -> None:
    statistic = STATISTICS.get(aggregate.statistic)
    if statistic is None:
        _refuse("there is no such statistic", "use one of " + ", ".join(STATISTICS))
    if len(aggregate.by) > MOST_KEYS or len(aggregate.columns) > MOST_COLUMNS:
        _refuse("a statistic of too many columns", f"use at most {MOST_KEYS} groups and {MOST_COLUMNS} columns")
    if (aggregate.step is not None) != (aggregate.statistic in TRAINING):
        _refuse("a step of what is no training, or training without a step", "build it with this version of Farr")
    for key in (*aggregate.by, *step_keys(aggregate)):
        _check_key(key, setting.catalogue, setting.table)
    for name in (*aggregate.columns, *step_columns(aggregate)):
        setting.table.column(name)
    statistic.check(aggregate, setting)
    _check_predicate(aggregate.where, setting.catalogue, setting.table)


def _check_bound(bound: Bound, most: int) -> None:
    if not 1 <= bound.rows <= most:
        _refuse(f"a bound of {bound.rows} rows of one patient", f"use 1 to {most}, the catalogue's cap for these rows")
    if not 1 <= bound.groups <= bound.rows:
        _refuse(f"a bound of {bound.groups} cells of one patient", f"use 1 to {bound.rows}, the bound on rows")
