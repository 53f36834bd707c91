"""The public cells of a key: how many there are, what they are called, in which order.

Every cell of the domain is answered, empty or not, so which groups exist says nothing about any patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from queries.agreed.catalogue import Catalogue, Code, CodeColumn, Label, NumberColumn, Table
from queries.asked.plan import AttributeKey, BandKey, CodeKey, DateKey, FlagKey, Key, SiteKey
from queries.errors import PlanError

PARTS = ("year", "quarter", "month", "week", "day", "month_of_year", "weekday")
"""The parts of a date that a key can name; the last two recur in every year."""

RECURRING = ("month_of_year", "weekday")
"""The parts whose cells recur in every year."""

_WEEKDAYS = (
    Code(code="1", label=Label(en="Monday", zh="星期一")),
    Code(code="2", label=Label(en="Tuesday", zh="星期二")),
    Code(code="3", label=Label(en="Wednesday", zh="星期三")),
    Code(code="4", label=Label(en="Thursday", zh="星期四")),
    Code(code="5", label=Label(en="Friday", zh="星期五")),
    Code(code="6", label=Label(en="Saturday", zh="星期六")),
    Code(code="7", label=Label(en="Sunday", zh="星期日")),
)

FLAGS = (Code(code="N", label=Label(en="no", zh="否")), Code(code="Y", label=Label(en="yes", zh="是")))
"""The cells of a condition."""

_MONTHS = tuple(
    Code(code=f"{month:02d}", label=Label(en=english, zh=f"{month}月"))
    for month, english in enumerate(
        (
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ),
        start=1,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The cells of one key, in order."""

    codes: tuple[Code, ...]
    """Each cell's code and label."""


def size(key: Key, catalogue: Catalogue, table: Table) -> int:
    """Return the number of cells of a key without naming them, in a time that does not grow with the number."""
    if isinstance(key, SiteKey):
        return len(key.sites)
    if isinstance(key, BandKey):
        return len(key.starts)
    if isinstance(key, DateKey):
        return _periods(key)
    if isinstance(key, FlagKey):
        return len(FLAGS)
    return len(domain(key, catalogue, table).codes)


def domain(key: Key, catalogue: Catalogue, table: Table) -> Domain:
    """Return the cells of a key; raise PlanError when it does not fit the catalogue."""
    if isinstance(key, SiteKey):
        return Domain(codes=tuple(_named(site) for site in key.sites))
    if isinstance(key, AttributeKey):
        return Domain(codes=catalogue.site_attribute(key.attribute).codes.codes)
    if isinstance(key, DateKey):
        return Domain(codes=_dates(key))
    if isinstance(key, FlagKey):
        return Domain(codes=FLAGS)
    column = table.column(key.column)
    if isinstance(key, CodeKey) and isinstance(column, CodeColumn):
        return Domain(codes=column.codes.codes if key.level is None else column.codes.level(key.level).groups)
    if isinstance(key, BandKey) and isinstance(column, NumberColumn):
        return Domain(codes=tuple(_bands(key, column)))
    raise PlanError(f"column {key.column!r} cannot be grouped that way", remedy="see `farr catalogue show`")


def period_starts(key: DateKey) -> tuple[date, ...]:
    """Return the first covered day of each cell of a date key whose cells do not recur, in time order."""
    starts: dict[str, date] = {}
    for offset in range((key.last - key.first).days + 1):
        day = key.first + timedelta(days=offset)
        starts.setdefault(_period(day, key.part), day)
    return tuple(starts.values())


def _dates(key: DateKey) -> tuple[Code, ...]:
    if key.part == "month_of_year":
        return _MONTHS
    if key.part == "weekday":
        return _WEEKDAYS
    return tuple(_named(_period(start, key.part)) for start in period_starts(key))


def _periods(key: DateKey) -> int:
    """Count the cells of a date key by arithmetic."""
    first, last = key.first, key.last
    if key.part in RECURRING:
        return len(_dates(key))
    if key.part == "year":
        return last.year - first.year + 1
    if key.part == "quarter":
        return (last.year - first.year) * 4 + (last.month + 2) // 3 - (first.month + 2) // 3 + 1
    if key.part == "month":
        return (last.year - first.year) * 12 + last.month - first.month + 1
    if key.part == "week":
        # Day 1 of the calendar was a Monday.
        return (last.toordinal() - 1) // 7 - (first.toordinal() - 1) // 7 + 1
    if key.part == "day":
        return (last - first).days + 1
    raise PlanError(f"a date has no part {key.part!r}", remedy="use one of " + ", ".join(PARTS))


def _named(name: str) -> Code:
    return Code(code=name, label=Label(en=name, zh=name))


def _decimal(value: Fraction) -> str:
    """Write a multiple of a decimal step in full, without an exponent and without trailing zeros."""
    digits = f"{Decimal(value.numerator) / Decimal(value.denominator):f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _bands(key: BandKey, column: NumberColumn) -> Iterator[Code]:
    """Name bands by their first and last values; below zero with a word, so that no two signs meet."""
    for start, after in zip(key.starts, (*key.starts[1:], column.high + 1), strict=True):
        low, last = _decimal(column.in_units(start)), _decimal(column.in_units(after - 1))
        between, chinese = ("-", "-") if start >= 0 else (" to ", "至")
        name = low if low == last else f"{low}{between}{last}"
        yield Code(code=name, label=Label(en=name, zh=name.replace(between, chinese)))


def _period(day: date, part: str) -> str:
    if part == "year":
        return f"{day.year:04d}"
    if part == "quarter":
        return f"{day.year:04d}-Q{(day.month + 2) // 3}"
    if part == "month":
        return f"{day.year:04d}-{day.month:02d}"
    if part == "week":
        year, week, _ = day.isocalendar()
        return f"{year:04d}-W{week:02d}"
    if part == "day":
        return day.isoformat()
    raise PlanError(f"a date has no part {part!r}", remedy="use one of " + ", ".join(PARTS))
