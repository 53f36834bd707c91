"""Alarms on an answer: its column by week or month as a series, judged by EARS, CUSUM or Farrington's method.

Nothing is asked: the methods work on the released figures, and the noise is in every threshold.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from farr.errors import FarrError
from farr.figures.methods import Method
from farr.texts import _, translate
from queries.agreed.domains import RECURRING, domain
from queries.agreed.scales import DATE
from queries.answers.answer import Answer
from queries.answers.figures import ALL, Estimate
from queries.asked.plan import DateKey
from queries.series import Alarms, Series, cusum, ears, farrington

if TYPE_CHECKING:
    from farr.figures.result import Result
    from farr.questions.asking import Asking
    from queries.agreed.catalogue import Catalogue


def series_of(result: Result, column: str | None = None) -> Series:
    """Return a column of counts or sums by time as a series; ``column`` is the first figure where it is not named.

    Periods that the answer does not show are periods without a release, and the row of a total is no period. Raises
    FarrError for an answer with other keys than one date, and for figures whose noise is not the same everywhere, such
    as means.
    """
    answer = result.answer
    keys = [place for place, each in enumerate(answer.columns) if each.kind == "key"]
    if len(keys) != 1 or answer.columns[keys[0]].scale != DATE:
        raise _no_time()
    name = column or next((each.name for each in answer.columns if each.kind == "estimate"), "")
    place = next((at for at, each in enumerate(answer.columns) if each.kind == "estimate" and each.name == name), None)
    if place is None:
        raise FarrError("no-series", _("the answer has no figure called {name}").format(name=repr(name)))
    sd = result.privacy.noise_sd.get(f"{answer.title}: {name}" if answer.title else name)
    if sd is None:
        raise _uneven(name)
    found = {str(row.cells[keys[0]]): row.cells[place] for row in answer.rows}
    found.pop(ALL.code, None)
    labels = _span(answer, keys[0], list(found))
    return Series.of(labels, [_value(found.get(label)) for label in labels], sd**2)


def alarms_of(result: Result, method: Method | str, column: str | None = None) -> Alarms:
    """Return what a method says of every period; raise FarrError or PlanError for what it cannot judge."""
    return _judged(series_of(result, column), Method(method))


def rehearse(asking: Asking, catalogue: Catalogue, method: Method) -> None:
    """Raise what ``alarms_of`` would raise for every answer to a question, so that nothing is paid before it is known.

    What only an answer can tell is left to the answer.
    """
    from farr.questions.asking import half_widths

    part = max(asking.question.plan.parts, key=lambda each: len(each.keys))
    key = part.keys[0] if len(part.keys) == 1 else None
    if not isinstance(key, DateKey) or key.part in RECURRING:
        raise _no_time()
    # What is expected of rows, or was released of them, foresees the noise of figures in which it differs, too.
    blind = replace(asking, terms=replace(asking.terms, expect=None), earlier=None)
    name, half = next(iter(half_widths(blind, catalogue).items()), ("", 0.0))
    if half is None:
        raise _uneven(name)
    labels = [code.code for code in domain(key, catalogue, catalogue.table(part.table)).codes]
    _judged(Series.of(labels, [0.0] * len(labels), 1.0), method)


def _judged(series: Series, chosen: Method) -> Alarms:
    if chosen is Method.CUSUM:
        return cusum(series)
    if chosen is Method.FARRINGTON:
        return farrington(series)
    return ears(series, "C1" if chosen is Method.C1 else "C3" if chosen is Method.C3 else "C2")


def _no_time() -> FarrError:
    return FarrError(
        "no-series", _("alarms are on an answer by time alone"), remedy=_("group by WEEK or MONTH of a date")
    )


def _uneven(name: str) -> FarrError:
    return FarrError(
        "no-series",
        _("alarms are on counts and sums: the noise of {name} differs from figure to figure").format(name=name),
        remedy=_("ask for a COUNT"),
    )


def to_plain(alarms: Alarms) -> dict[str, object]:
    """Return alarms as JSON can hold them: a number that is infinite or unknown is null."""
    return {
        "method": alarms.method,
        "raised": list(alarms.raised),
        "warning": None if alarms.warning is None else translate(alarms.warning),
        "periods": [
            {
                "period": each.label,
                "value": _finite(each.value),
                "expected": _finite(each.expected),
                "threshold": _finite(each.threshold),
                "score": _finite(each.score),
                "alarm": each.alarm,
                "weak": each.weak,
            }
            for each in alarms.periods
        ],
    }


def _span(answer: Answer, key: int, shown: list[str]) -> list[str]:
    """Return the periods from the first shown to the last, those that the answer leaves out as well."""
    order = list(answer.labels.get(answer.columns[key].name, {}))
    places = [order.index(label) for label in shown]
    return order[min(places) : max(places) + 1] if places else []


def _value(cell: object) -> float:
    return cell.value if isinstance(cell, Estimate) and cell.value is not None else math.nan


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
