"""What the codes of an answer's column are, so that who draws it need not guess: places on a calendar, bands, names."""

from __future__ import annotations

from queries.agreed.domains import RECURRING
from queries.answers.figures import Rows, terms_of
from queries.asked.plan import BandKey, DateKey
from queries.asked.view import AxisTerm, KeyTerm
from queries.statistics import STATISTICS

CODE = "code"
"""Names without an order: codes of a set, hospitals, facts about them, yes and no."""

BAND = "band"
"""Bands of a number, in order."""

DATE = "date"
"""Consecutive periods of a calendar."""

SEASON = "season"
"""Parts of the calendar that recur in every year, in order."""


def scale_of(rows: Rows, expression: KeyTerm | AxisTerm) -> str:
    """Return one of the words above, or for an axis what its statistic calls it, such as ``time`` or ``term``."""
    whole = rows.groupings[0]
    if isinstance(expression, KeyTerm):
        key = whole.setting(rows.view.part).keys[expression.key]
        if isinstance(key, DateKey):
            return SEASON if key.part in RECURRING else DATE
        return BAND if isinstance(key, BandKey) else CODE
    for term in terms_of(rows.view):
        aggregate = whole.tally.plan.parts[term.part].aggregates[term.aggregate]
        statistic = STATISTICS[aggregate.statistic]
        if statistic.axis(aggregate, whole.setting(term.part), term.reading):
            return statistic.axis_name
    return CODE
