"""SQL of the derived columns: each from the rows of one patient at this hospital.

What a derived column means is said in ``queries.agreed.derived``; here is how the engine computes it.
"""

# Statements are put together from quoted catalogue names and public constants.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterable, Sequence

import duckdb

from node.records.conversion import MINUTE
from node.records.files import identifier
from queries.agreed.catalogue import CodeColumn, CodeSet, Column, DateColumn, NumberColumn, Table
from queries.agreed.derived import NO, YES, Among, AnyOf, Elapsed, First, Near, Repeat, Rule
from queries.errors import CatalogueError

OWNER = "_patient"
"""Whose rows a window sees: every window below is split by it first.

Guarantee: a derived value depends on rows of its own patient only. Tests:
tests/node/test_derivation.py::test_removing_another_patient_changes_no_derived_value, and the one after it there, which
takes this split away and sees the first fail."""

RANKED, DERIVED = "_ranked", "_derived"
"""Temporary tables: the rows, each in its own place in the keyed order; and the same with the derived columns."""


def derive(connection: duckdb.DuckDBPyConnection, table: Table, rows: str) -> None:
    """Create the temporary table ``DERIVED`` from the query ``rows`` of the staged rows that have a patient.

    Rows that are equal in all that is recorded are told apart first, so that which of them is the first is settled once
    for all columns and for the cap, and what is kept does not depend on how the engine went through them.
    """
    forget(connection)
    tie = f"row_number() OVER (PARTITION BY {OWNER}, _order) - 1"
    connection.execute(
        f"CREATE TEMP TABLE {RANKED} AS SELECT * EXCLUDE (_tie) REPLACE (xor(_order, CAST(_tie AS UBIGINT)) AS _order) "
        f"FROM (SELECT *, {tie} AS _tie FROM ({rows}))"
    )
    fields, joins = [f"{RANKED}.*"], []
    for number, derived in enumerate(table.derived):
        rule, column = derived.rule, table.column(derived.name)
        if isinstance(rule, Near):
            connection.execute(f"CREATE OR REPLACE TEMP TABLE _near_{number} AS {_near(rule, table)}")
            joins.append(f"LEFT JOIN _near_{number} ON _near_{number}._row = {RANKED}.rowid")
            value = _answer(column, f"_near_{number}._others > 0")
        else:
            value = _value(rule, table, column)
        fields.append(f"{value} AS {identifier(derived.name)}")
    connection.execute(f"CREATE TEMP TABLE {DERIVED} AS SELECT {', '.join(fields)} FROM {RANKED} {' '.join(joins)}")
    for number in range(len(table.derived)):
        connection.execute(f"DROP TABLE IF EXISTS _near_{number}")


def forget(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop what ``derive`` created."""
    for name in (RANKED, DERIVED):
        connection.execute(f"DROP TABLE IF EXISTS {name}")


def _value(rule: Rule, table: Table, column: Column) -> str:
    if isinstance(rule, First):
        return _first(rule, table, column)
    if isinstance(rule, Repeat):
        place = f"row_number() OVER (PARTITION BY {_split(rule.same)} ORDER BY _order)"
        return _where_known(rule.same, _answer(column, f"{place} > 1"))
    if isinstance(rule, AnyOf):
        return _any(rule, table, column)
    if isinstance(rule, Elapsed) and isinstance(column, NumberColumn):
        behind = MINUTE if rule.unit == "minutes" else ""
        since, until = identifier(rule.since + behind), identifier(rule.until + behind)
        # Least and greatest skip NULL: without the CASE a missing time would become a bound.
        clipped = f"least(greatest(CAST({until} - {since} AS BIGINT), {column.low}), {column.high})"
        return f"CASE WHEN {since} IS NOT NULL AND {until} IS NOT NULL THEN {clipped} END"
    raise CatalogueError("cannot be computed", file="catalogue", key=column.name, remedy="report this as a defect")


def _first(rule: First, table: Table, column: Column) -> str:
    day = identifier(rule.by)
    spans = [] if rule.per == "ever" else [f"date_trunc('{rule.per}', {day})"]
    dated = table.column(rule.by)
    clock = [f"{identifier(rule.by + MINUTE)} NULLS LAST"] if isinstance(dated, DateColumn) and dated.time else []
    order = ", ".join([f"{day} NULLS LAST", *clock, "_order"])
    place = f"row_number() OVER (PARTITION BY {_split(rule.same, spans)} ORDER BY {order})"
    return _where_known((rule.by, *rule.same), _answer(column, f"{place} = 1"))


def _any(rule: AnyOf, table: Table, column: Column) -> str:
    recorded = {each.name: each for each in table.recorded}
    found, known = [], []
    for name in rule.of:
        held = recorded[name]
        if isinstance(held, CodeColumn):
            runs = _runs(_indices(rule, held.codes))
            within = _within("part" if held.most > 1 else identifier(name), runs)
            listed = f"len(list_filter({identifier(name)}, lambda part: {within})) > 0"
            found.append(f"coalesce({listed if held.most > 1 else within}, false)")
            known.append(f"{identifier(name)} IS NOT NULL")
    return f"CASE WHEN {' OR '.join(known)} THEN {_answer(column, ' OR '.join(found))} END"


def _indices(rule: AnyOf, codes: CodeSet) -> list[int]:
    """Return the indices of the codes, or of all codes of the groups, in order."""
    if rule.level is None:
        return sorted(codes.index[code] for code in rule.codes)
    level = codes.level(rule.level)
    groups = {level.index[code] for code in rule.codes}
    return [place for place, group in enumerate(level.group_of) if group in groups]


def _runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Return runs of neighbouring indices: the groups of a level are few runs, and a run is compared at its ends."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and runs[-1][1] == index - 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return runs


def _within(value: str, runs: Iterable[tuple[int, int]]) -> str:
    return f"({' OR '.join(f'{value} BETWEEN {low} AND {high}' for low, high in runs)})"


def _near(rule: Near, table: Table) -> str:
    """Return the SQL of how many other rows are near: ``_others`` by ``_row``; no line for a row without an answer.

    Every row asks at one of its dates, and offers itself at the other where the condition holds. A window over both, in
    the order of the days, counts the offers near each question. The row's own offer is taken off again, and of rows
    that begin and end on one day those that stand on the other side of it in the keyed order.
    """
    since, until = identifier(rule.since), identifier(rule.until)
    asked, offered = (since, until) if rule.after else (until, since)
    offers = _condition(rule.where, table)
    same = [f"{name} IS NOT NULL" for name in map(identifier, rule.same)]
    split = [OWNER, *map(identifier, rule.same)]
    frame = f"CURRENT ROW AND {rule.days} FOLLOWING" if rule.after else f"{rule.days} PRECEDING AND CURRENT ROW"
    side = "UNBOUNDED PRECEDING AND 1 PRECEDING" if rule.after else "1 FOLLOWING AND UNBOUNDED FOLLOWING"

    def events(day: str, *, asks: bool) -> str:
        known = " AND ".join([f"{day} IS NOT NULL", *same, *([] if asks else [offers])])
        keys = ", ".join(f"{name} AS _s{number}" for number, name in enumerate(split))
        fields = f"rowid AS _row, {keys}, {day} - DATE '1970-01-01' AS _day, {asks} AS _asks"
        return f"SELECT {fields} FROM {RANKED} WHERE {known}"

    keys = ", ".join(f"_s{number}" for number in range(len(split)))
    own = f"coalesce({offers} AND {until} - {since} BETWEEN 0 AND {rule.days}, false)"
    return (
        f"WITH events AS ({events(asked, asks=True)} UNION ALL {events(offered, asks=False)}), "
        f"counted AS (SELECT _row, _asks, count(*) FILTER (NOT _asks) OVER "
        f"(PARTITION BY {keys} ORDER BY _day RANGE BETWEEN {frame}) AS _near FROM events), "
        f"tied AS (SELECT rowid AS _row, count(*) FILTER ({offers}) OVER "
        f"(PARTITION BY {', '.join(split)}, {since} ORDER BY _order ROWS BETWEEN {side}) AS _ties "
        f"FROM {RANKED} WHERE {since} = {until}) "
        f"SELECT counted._row, _near - CAST({own} AS BIGINT) - coalesce(_ties, 0) AS _others FROM counted "
        f"JOIN {RANKED} ON {RANKED}.rowid = counted._row LEFT JOIN tied ON tied._row = counted._row WHERE _asks"
    )


def _condition(where: tuple[Among, ...], table: Table) -> str:
    terms = []
    for among in where:
        column = table.column(among.column)
        if isinstance(column, CodeColumn):
            runs = _runs(sorted(column.codes.index[code] for code in among.codes))
            terms.append(_within(identifier(among.column), runs))
    return f"coalesce({' AND '.join(terms) or 'true'}, false)"


def _split(same: Iterable[str], more: Iterable[str] = ()) -> str:
    """Return what a window is split by: the patient before all else."""
    return ", ".join([OWNER, *map(identifier, same), *more])


def _where_known(columns: Iterable[str], value: str) -> str:
    return f"CASE WHEN {' AND '.join(f'{name} IS NOT NULL' for name in map(identifier, columns))} THEN {value} END"


def _answer(column: Column, condition: str) -> str:
    """Return the SQL of yes or no; NULL where the condition is neither."""
    codes = column.codes.index if isinstance(column, CodeColumn) else {YES: 0, NO: 1}
    return f"CAST(CASE {condition} WHEN true THEN {codes[YES]} WHEN false THEN {codes[NO]} END AS INTEGER)"
