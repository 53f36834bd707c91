"""Made-up answers for pictures and exports: hostile names included, none from a release."""

from __future__ import annotations

import math
from types import SimpleNamespace

from farr.figures.result import Result, Sites
from queries.answers.answer import Answer, AnswerColumn, AnswerRow
from queries.answers.figures import Estimate

SEX = {"F": "女", "M": "男"}
BANDS = {"0-39": "0-39", "40-79": "40-79", "80-120": "80-120"}
MONTHS = {f"2019-{month:02d}": f"2019-{month:02d}" for month in range(1, 13)}
WEEKS = {f"2019-W{week:02d}": f"2019-W{week:02d}" for week in range(1, 53)}
TERMS = {"sex=M": "sex: male", "age=40-79": "age: 40-79"}
CHAPTERS = {f"{number:02d}": f"chapter {number}" for number in range(1, 6)}

WEAK = ("unreliable",)


def figure(value, half, *, total=None, flags=()):
    """Return a figure with symmetric intervals."""
    ends = (None, None) if total is None else (value - total, value + total)
    return Estimate(
        value=value, low=value - half, high=value + half, flags=flags, total_low=ends[0], total_high=ends[1]
    )


def undefined():
    """Return a figure that has no value."""
    return Estimate(value=None, low=None, high=None, flags=WEAK)


def key(name, scale="code"):
    """Return a column of keys."""
    return AnswerColumn(name=name, kind="key", unit="", scale=scale)


def estimate(name, unit="rows", *, total=False, positive=True, bounds=(-math.inf, math.inf)):
    """Return a column of figures."""
    return AnswerColumn(name=name, kind="estimate", unit=unit, total=total, positive=positive, bounds=bounds)


def answer(columns, rows, labels=None, *, title=""):
    """Return a table."""
    flags = {flag for row in rows for cell in row if isinstance(cell, Estimate) for flag in cell.flags}
    return Answer(
        columns=tuple(columns),
        rows=tuple(AnswerRow(cells=tuple(row)) for row in rows),
        labels=labels or {},
        flags=tuple(sorted(flags)),
        hidden=0,
        title=title,
    )


def result(*answers, statement="SELECT COUNT(*) AS n FROM stay", noise_sd=None):
    """Return answered tables; what they cost is made up."""
    plain = {"epsilon": 0.5, "rho": 0.0066, "noise_sd": noise_sd or {}}
    privacy = SimpleNamespace(epsilon=0.5, noise_sd=noise_sd or {}, to_plain=lambda: plain)
    sites = Sites(
        asked=("aden", "brest", "cadiz"), answered=("aden", "brest"), helped=(), needed=2, withheld=(), by_policy=(),
        by_budget=(), without_table=(),
    )  # fmt: skip
    return Result(
        answers=answers, statement=statement, privacy=privacy, sites=sites, release="35482c65" * 4, digest="ab" * 32,
        released_at=1_800_000_000, seconds=0.1, reused=True, remaining_units={},
    )  # fmt: skip


def by_sex(*, statement="SELECT sex AS 性别, COUNT(*) AS 人数 FROM stay GROUP BY sex"):
    """Return counts and a rate by sex, the second rate unreliable."""
    columns = [key("性别"), estimate("人数"), estimate("rate", "%", total=True)]
    rows = [
        ("F", figure(120.0, 15.0), figure(17.5, 3.0, total=4.0)),
        ("M", figure(340.0, 15.0), figure(2.0, 3.5, total=4.5, flags=WEAK)),
    ]
    return result(answer(columns, rows, {"性别": SEX}), statement=statement)


def by_month(noise_sd=10.0, spike=5):
    """Return counts by month, one of them high."""
    rows = [
        (month, figure(100.0 + 3 * (place % 3) + (400.0 if place == spike + 6 else 0.0), 1.96 * noise_sd))
        for place, month in enumerate(MONTHS)
    ]
    return result(answer([key("month", "date"), estimate("n")], rows, {"month": MONTHS}), noise_sd={"n": noise_sd})


def by_week():
    """Return counts by week with two high ones, the last."""
    rows = [
        (week, figure(60.0 + 2 * (place % 5) + (300.0 if place > 49 else 0.0), 20.0))
        for place, week in enumerate(WEEKS)
    ]
    return result(answer([key("week", "date"), estimate("n")], rows, {"week": WEEKS}), noise_sd={"n": 10.2})
