"""Periods as commissions write them: a year, a quarter, a month, an ISO week, a day, or from one to another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from farr.errors import FarrError
from farr.texts import _

_WRITTEN = re.compile(r"(\d{4})(?:-(?:Q([1-4])|W(\d{2})|(\d{2})(?:-(\d{2}))?))?")
_BETWEEN = ".."
_LAST_MONTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Whole days, from the first to the last."""

    written: str
    """As it was written."""
    first: date
    """First day."""
    last: date
    """Last day."""

    @property
    def days(self) -> int:
        """Return how many days it has."""
        return (self.last - self.first).days + 1

    @property
    def months(self) -> int:
        """Return how many calendar months it touches."""
        return (self.last.year - self.first.year) * _LAST_MONTH + self.last.month - self.first.month + 1


def period_of(written: str) -> Period:
    """Read ``2026``, ``2026-Q3``, ``2026-10``, ``2026-W41``, ``2026-10-05``, or two of them as ``2026-09..2026-10``.

    Raises FarrError for anything else, and for a period that ends before it begins.
    """
    text = written.strip()
    begin, between, end = text.partition(_BETWEEN)
    first = _one(begin, written)
    last = _one(end, written) if between else first
    if last[1] < first[0]:
        raise _wrong(written)
    return Period(written=text, first=first[0], last=last[1])


def _one(text: str, written: str) -> tuple[date, date]:
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise _wrong(written)
    year, quarter, week, month, day = (None if part is None else int(part) for part in match.groups())
    try:
        if year is None:
            raise _wrong(written)
        if week is not None:
            monday = date.fromisocalendar(year, week, 1)
            return monday, monday + timedelta(days=6)
        if month is not None and day is not None:
            return date(year, month, day), date(year, month, day)
        if month is not None:
            return date(year, month, 1), _end(year, month)
        if quarter is not None:
            return date(year, 3 * quarter - 2, 1), _end(year, 3 * quarter)
        return date(year, 1, 1), date(year, _LAST_MONTH, 31)
    except (OverflowError, ValueError) as error:
        raise _wrong(written) from error


def _end(year: int, month: int) -> date:
    after = date(year + month // _LAST_MONTH, month % _LAST_MONTH + 1, 1)
    return after - timedelta(days=1)


def _wrong(written: str) -> FarrError:
    return FarrError(
        "period",
        _("{period} is not a period").format(period=written),
        remedy=_("write 2026, 2026-Q3, 2026-10, 2026-W41, 2026-10-05, or from one to another: 2026-09..2026-10"),
    )
