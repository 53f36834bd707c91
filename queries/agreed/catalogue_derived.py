"""The derived columns of a catalogue file, read as strictly as all the rest of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from queries.agreed.catalogue import Code, CodeColumn, CodeSet, Column, DateColumn, Label, NumberColumn
from queries.agreed.derived import NO, PERIODS, YES, Among, AnyOf, Derived, Elapsed, First, Near, Repeat, Rule
from queries.agreed.names import offer
from queries.agreed.section import Section

MOST_DAYS = 36_525
"""Longest distance in days: a century."""

MOST_NAMED = 12
"""Most columns that one derived column reads by ``same``, ``where`` or ``of``."""

MOST_BOUND = 1 << 30
"""Greatest bound of a time: minutes of two thousand years."""

YES_NO = CodeSet(
    name="yes_no",
    version="1",
    codes=(
        Code(code=YES, label=Label(en="yes", zh="是")),
        Code(code=NO, label=Label(en="no", zh="否")),
    ),
)
"""What a derived column answers that is no number."""

_KINDS = "give one of next_within, previous_within, first, repeat, any, minutes, days"
_BOUND = "give the bounds that the members agreed on: a missing bound would mean no noise"
_SAME = 'name the columns in which the rows are equal, such as same = ["item", "svc_dt"]'
_DAYS = "give a number of days, such as days = 31"
_WHERE = 'write where = { adm_route = ["1", "2"] }: a condition on the other row'
_DATE = "name a date column of the table"
_OF = 'name columns or lists of one code set, such as of = ["dx_main", "dx_other"]'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """The recorded columns of the table, which are all that a derived column may read."""

    columns: Mapping[str, Column]
    """By name, without the lists."""
    lists: Mapping[str, CodeColumn]
    """By name."""


def read_derived(
    section: Section, columns: Iterable[Column], lists: Iterable[CodeColumn]
) -> tuple[tuple[Column, Derived], ...]:
    """Read ``[tables.<table>.derived]``: each column as questions see it, with its rule; raise CatalogueError.

    Guarantee: a derived column reads recorded columns of its own table only, and its kind, codes and bounds are in the
    file. Test: tests/queries/test_catalogue_derived.py::test_each_fault_of_a_derived_column_names_its_key_and_a_remedy.
    """
    recorded = _Recorded(
        columns={column.name: column for column in columns}, lists={column.name: column for column in lists}
    )
    remedy = f"write [{section.key('readmitted')}] with label and one kind: {_KINDS}"
    return tuple(_derived(section.section(name, remedy), name, recorded) for name in section.names())


def _derived(section: Section, name: str, recorded: _Recorded) -> tuple[Column, Derived]:
    kinds: Mapping[str, Callable[[Section, _Recorded], Rule]] = {
        "next_within": lambda described, known: _near(described, known, after=True),
        "previous_within": lambda described, known: _near(described, known, after=False),
        "first": _first,
        "repeat": _repeat,
        "any": _any,
        "minutes": lambda described, known: _elapsed(described, known, "minutes"),
        "days": lambda described, known: _elapsed(described, known, "days"),
    }
    section.only(("label", *kinds))
    given = [kind for kind in kinds if section.has(kind)]
    if len(given) != 1:
        section.refuse("", f"{len(given)} kinds of derived column at once" if given else "no kind", _KINDS)
    described = section.section(given[0], f"write {given[0]} = {{ ... }}")
    rule = kinds[given[0]](described, recorded)
    label = section.label("label", name)
    if not isinstance(rule, Elapsed):
        return CodeColumn(name=name, label=label, codes=YES_NO), Derived(name=name, rule=rule)
    low = described.whole("low", -MOST_BOUND, MOST_BOUND, _BOUND)
    high = described.whole("high", -MOST_BOUND, MOST_BOUND, _BOUND)
    if low >= high:
        described.refuse("high", "not above low", _BOUND)
    unit = {"minutes": "min", "days": "d"}[rule.unit]
    column = NumberColumn(name=name, label=label, low=low, high=high, step=Fraction(1), unit=unit)
    return column, Derived(name=name, rule=rule)


def _near(described: Section, recorded: _Recorded, *, after: bool) -> Near:
    described.only(("days", "from", "to", "same", "where"))
    return Near(
        after=after,
        days=described.whole("days", 0, MOST_DAYS, _DAYS),
        since=_date(described, "from", recorded),
        until=_date(described, "to", recorded),
        same=_same(described, recorded) if described.has("same") else (),
        where=_where(described.section("where", _WHERE), recorded) if described.has("where") else (),
    )


def _first(described: Section, recorded: _Recorded) -> First:
    described.only(("by", "same", "per"))
    per = described.text("per", "write per = " + " or ".join(PERIODS)) if described.has("per") else "ever"
    if per not in PERIODS:
        described.refuse("per", f"there is no period {per!r}", "use one of " + ", ".join(PERIODS))
    same = _same(described, recorded) if described.has("same") else ()
    return First(by=_date(described, "by", recorded), same=same, per=per)


def _repeat(described: Section, recorded: _Recorded) -> Repeat:
    described.only(("same",))
    return Repeat(same=_same(described, recorded))


def _any(described: Section, recorded: _Recorded) -> AnyOf:
    described.only(("of", "codes", "level"))
    held: dict[str, CodeColumn] = {}
    for place, name in _named(described, "of", _OF):
        column = recorded.lists.get(name) or _known(
            described, place, name, (*recorded.columns, *recorded.lists), recorded
        )
        if not isinstance(column, CodeColumn):
            described.refuse(place, f"{name} holds no codes", _OF)
        held[name] = column
    codes = next(iter(held.values())).codes
    for position, name in enumerate(held):
        if held[name].codes != codes:
            described.refuse(f"of[{position}]", f"{name} has another code set than {next(iter(held))}", _OF)
    level = described.name("level", "name a level of the code set") if described.has("level") else None
    if level is not None and level not in (each.name for each in codes.levels):
        known = ", ".join(each.name for each in codes.levels) or "none"
        described.refuse("level", f"code set {codes.name} has no level {level!r}", f"its levels: {known}")
    listed = _codes(described, "codes", codes.index if level is None else codes.level(level).index)
    return AnyOf(of=tuple(held), codes=listed, level=level)


def _elapsed(described: Section, recorded: _Recorded, unit: str) -> Elapsed:
    described.only(("from", "to", "low", "high"))
    rule = Elapsed(unit=unit, since=_date(described, "from", recorded), until=_date(described, "to", recorded))
    for key, name in (("from", rule.since), ("to", rule.until)):
        column = recorded.columns[name]
        if unit == "minutes" and isinstance(column, DateColumn) and not column.time:
            described.refuse(key, f"{name} has no time of day", "write time = true in its date, or count days")
    return rule


# --- what rules name --------------------------------------------------------------------------------------------


def _named(described: Section, key: str, remedy: str) -> Iterable[tuple[str, str]]:
    """Yield the names of a list of columns, each with its place, none twice."""
    names = described.items(key, remedy)
    if len(names) > MOST_NAMED:
        described.refuse(key, f"more than {MOST_NAMED} columns", "name fewer")
    for position, name in enumerate(names):
        place = f"{key}[{position}]"
        if not isinstance(name, str):
            described.refuse(place, "not the name of a column", remedy)
        if name in names[:position]:
            described.refuse(place, f"{name} is there twice", "name each column once")
        yield place, name


def _known(described: Section, place: str, name: str, offered: Iterable[str], recorded: _Recorded) -> Column:
    if name in recorded.lists:
        described.refuse(place, f"{name} is a list", "name a column that holds one value in a row")
    if name not in recorded.columns:
        described.refuse(place, f"the table records no column {name!r}", offer(name, offered))
    return recorded.columns[name]


def _date(described: Section, key: str, recorded: _Recorded) -> str:
    name = described.text(key, _DATE)
    if not isinstance(_known(described, key, name, recorded.columns, recorded), DateColumn):
        described.refuse(key, f"{name} is not a date column", _DATE)
    return name


def _same(described: Section, recorded: _Recorded) -> tuple[str, ...]:
    names = []
    for place, name in _named(described, "same", _SAME):
        _known(described, place, name, recorded.columns, recorded)
        names.append(name)
    return tuple(names)


def _where(described: Section, recorded: _Recorded) -> tuple[Among, ...]:
    if len(described.values) > MOST_NAMED:
        described.refuse("", f"more than {MOST_NAMED} columns", "name fewer")
    found = []
    for name in described.values:
        column = _known(described, name, name, recorded.columns, recorded)
        if not isinstance(column, CodeColumn):
            described.refuse(name, f"{name} holds no codes", _WHERE)
        found.append(Among(column=name, codes=_codes(described, name, column.codes.index)))
    return tuple(found)


def _codes(described: Section, key: str, known: Mapping[str, int]) -> tuple[str, ...]:
    listed = []
    for position, code in enumerate(described.items(key, 'list codes, such as ["I21", "I22"]')):
        if not isinstance(code, str) or code not in known:
            remedy = offer(code, known) if isinstance(code, str) else 'write codes as text, such as "1"'
            described.refuse(f"{key}[{position}]", f"there is no code {code!r}", remedy)
        listed.append(code)
    return tuple(dict.fromkeys(listed))
