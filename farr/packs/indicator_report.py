"""Answered indicators: each figure with its unit and what its indicator's rule says of showing it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from farr.figures import exports
from farr.figures.result import Result, plain_units
from farr.packs.indicators import Round
from farr.questions.foreseeing import SUPPRESS, display_of
from farr.texts import language
from queries.agreed.pack import FIGURE, ROWS, Indicator
from queries.answers.answer import Answer
from queries.answers.figures import Estimate
from queries.answers.foresight import NORMAL_95


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of an indicator."""

    group: tuple[tuple[str, str], ...]
    """Name and code of each grouping, and of the point of a distribution."""
    labels: tuple[str, ...]
    """The same for people."""
    estimate: Estimate
    """The figure."""
    rows: float | None
    """The noised rows that it rests on; None where they are not known."""
    display: str
    """``show``, ``caution`` or ``suppress``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """One answered indicator."""

    indicator: Indicator
    """Which."""
    figures: tuple[Figure, ...]
    """In the order of the cells, without those that the indicator leaves out."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """An answered round."""

    asked: Round
    """What was asked."""
    signer: str
    """Who signed the pack; empty: nobody."""
    result: Result
    """The answer as it came."""
    reported: tuple[Reported, ...]
    """By indicator, in the pack's order."""

    def to_plain(self) -> dict[str, object]:
        """Return what ``--json`` prints; figures not to be shown are there too, with ``display`` saying so."""
        plain = self.result.to_plain()
        scope, period = self.asked.scope, self.asked.scope.period
        return {
            "pack": {
                "name": self.asked.pack.name,
                "version": self.asked.pack.version,
                "digest": self.asked.pack.digest.hex(),
                "signer": self.signer,
            },
            "period": {"written": period.written, "first": str(period.first), "last": str(period.last)},
            "region": list(scope.region),
            "residence": list(scope.residence),
            "by": list(scope.by),
            "indicators": [_plain(each) for each in self.reported],
            "left_out": [{"number": left.indicator.number, "name": left.indicator.name, "why": left.why}
                         for left in self.asked.left],
            **{key: plain[key] for key in ("privacy", "sites", "release", "remaining")},
            "cost": plain_units(self.result.cost_units),
        }  # fmt: skip

    def to_csv(self) -> bytes:
        """Return one line for each figure, with where it comes from, as ``farr.figures.exports.to_csv`` does.

        Figures not to be shown are left empty.

        Guarantee: no cell is taken for a formula, whatever a pack calls its indicators. Test:
        tests/farr/test_indicator_values.py::test_figures_are_shown_by_their_rule_and_kept_in_json.
        """
        names = (
            "number",
            "name",
            "label",
            "unit",
            "group",
            "value",
            "low",
            "high",
            "total_low",
            "total_high",
            "display",
        )
        source = {
            "farr_pack": self.asked.pack.title,
            "farr_scope": self.asked.scope.written,
            **exports.source_of(self.result),
        }
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow((*names, *source))
        for each in self.reported:
            indicator = each.indicator
            for figure in each.figures:
                found, group = figure.estimate, ";".join(f"{name}={code}" for name, code in figure.group)
                ends = (found.value, found.low, found.high, found.total_low, found.total_high)
                shown = (None,) * len(ends) if figure.display == SUPPRESS else ends
                label, unit = (text_of.in_language(language()) for text_of in (indicator.label, indicator.unit))
                line = (indicator.number, indicator.name, label, unit, group, *shown, figure.display, *source.values())
                writer.writerow([exports.guarded(cell) if isinstance(cell, str) else cell for cell in line])
        return exports.BYTE_ORDER_MARK + text.getvalue().encode()


def report_of(asked: Round, result: Result, signer: str) -> Report:
    """Return the answered indicators of a round."""
    by_title = {answer.title: answer for answer in result.answers}
    reported = tuple(
        Reported(indicator=each, figures=tuple(_figures(each, by_title[each.name]))) for each in asked.indicators
    )
    return Report(asked=asked, signer=signer, result=result, reported=reported)


def relative_of(estimate: Estimate) -> float | None:
    """Return the half-width of the noise over the figure; None where either is unknown.

    Not that of the interval, which may be cut: of a share that noise took far below zero hardly any of it is left.
    """
    if not estimate.value or estimate.deviation is None or estimate.low is None or estimate.high is None:
        return None
    return NORMAL_95 * estimate.deviation / abs(estimate.value)


def _figures(indicator: Indicator, answer: Answer) -> Iterator[Figure]:
    names = [column.name for column in answer.columns]
    at, base = names.index(FIGURE), names.index(ROWS) if ROWS in names else None
    for row in answer.rows:
        estimate = row.cells[at]
        if not isinstance(estimate, Estimate):
            continue
        codes = [(name, str(cell)) for name, cell in zip(names, row.cells, strict=True) if isinstance(cell, str)]
        if any(code in indicator.without for _name, code in codes):
            continue
        rows = row.cells[base] if base is not None else estimate if indicator.base == FIGURE else None
        counted = rows.value if isinstance(rows, Estimate) else None
        display = display_of(indicator, relative_of(estimate))
        if counted is not None and counted < indicator.reliability.least:
            display = SUPPRESS
        yield Figure(
            group=tuple(codes),
            labels=tuple(answer.labels.get(name, {}).get(code, code) for name, code in codes),
            estimate=estimate,
            rows=counted,
            display=display,
        )


def _plain(reported: Reported) -> dict[str, object]:
    indicator = reported.indicator
    return {
        "number": indicator.number,
        "name": indicator.name,
        "label": {"en": indicator.label.en, "zh": indicator.label.zh},
        "definition": {"en": indicator.definition.en, "zh": indicator.definition.zh},
        "unit": {"en": indicator.unit.en, "zh": indicator.unit.zh},
        "source": indicator.source,
        "note": indicator.note and {"en": indicator.note.en, "zh": indicator.note.zh},
        "reliability": {
            "least": indicator.reliability.least,
            "caution": float(indicator.reliability.caution),
            "suppress": float(indicator.reliability.suppress),
        },
        "figures": [
            {
                "group": dict(figure.group),
                "value": figure.estimate.value,
                "low": figure.estimate.low,
                "high": figure.estimate.high,
                "total_low": figure.estimate.total_low,
                "total_high": figure.estimate.total_high,
                "noise_percent": None if (relative := relative_of(figure.estimate)) is None
                else 100 * relative / NORMAL_95,
                "rows": figure.rows,
                "flags": list(figure.estimate.flags),
                "display": figure.display,
            }
            for figure in reported.figures
        ],
    }  # fmt: skip
