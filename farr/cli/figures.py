"""An answer as people read it: value and half-width to the digits that the noise leaves, marks with a legend."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from farr.figures import tables
from farr.figures.result import MECHANISM, Result, flag_texts
from farr.figures.units import with_unit
from farr.questions.states import shortened
from farr.texts import N_, _
from protocols.farrsum.parameters import Trust
from queries.answers.answer import Answer, AnswerColumn
from queries.answers.figures import FREE, SUPPRESS, WITH_CAUTION, Estimate
from queries.cost.accounting import DELTA, epsilon_of, rho_of_units

if TYPE_CHECKING:
    from rich.table import Table

MARKS = {
    "unreliable": "!",
    "caution": "?",
    "negative": "<0",
    "small-cell": "<",
    "approximate": "~",
    "selected": "*",
    "adds-up": "+",
}
"""What stands behind a figure, by flag."""

USES = {FREE: N_("free"), WITH_CAUTION: N_("with caution"), SUPPRESS: N_("not to be shown")}
"""How a figure may be used, for people."""

FEARED = {
    Trust.NONE: N_("none"),
    Trust.FIFTH: N_("fewer than a fifth of all hospitals"),
    Trust.THIRD: N_("fewer than a third of all hospitals"),
}
"""Trust settings for people."""

SYMMETRIC = 0.02
"""Relative difference of an interval's arms up to which it is written as one half-width."""


def answer_table(answer: Answer, *, suppress: bool = False) -> Table:
    """Return the table of an answer: labels beside codes, figures with their 95 % half-width or interval.

    With ``suppress``, a dash stands for figures that are too noisy to be used.
    """
    headers, columns, numbers = [], [], []
    for position, column in enumerate(answer.columns):
        cells = [row.cells[position] for row in answer.rows]
        if column.kind == "key":
            labels = answer.labels.get(column.name, {})
            codes = [str(cell) for cell in cells]
            headers.append(column.name)
            columns.append(codes)
            if any(labels.get(code, code) != code for code in codes):
                headers.append("")
                columns.append([labels.get(code, "") for code in codes])
        else:
            numbers.append(len(headers))
            headers.append(_heading(column))
            found = [cell for cell in cells if isinstance(cell, Estimate)]
            texts = figures(found)
            columns.append(
                [
                    "—" if suppress and each.reliability == SUPPRESS else text
                    for each, text in zip(found, texts, strict=True)
                ]
            )
    return tables.table(headers, list(zip(*columns, strict=True)), numbers=numbers)


def figures(estimates: list[Estimate], *, marks: bool = True) -> list[str]:
    """Return a column of figures in one form: ``value ± half-width`` where that says it all, else with both ends."""
    even = all(_is_symmetric(each) for each in estimates if not each.below)
    return [
        f"<{each.below}"
        if each.below
        else _figure(each, even=even) + _total(each) + "".join(f" {MARKS[flag]}" for flag in each.flags if marks)
        for each in estimates
    ]


def number(value: float, step: float) -> str:
    """Return a number with the digits that an error of ``step`` leaves: two of the error's own."""
    decimals = 0 if step <= 0 or not math.isfinite(step) else max(0, 1 - math.floor(math.log10(step)))
    written = f"{value:,.{min(decimals, 9)}f}"
    return written.removeprefix("-") if float(written.replace(",", "")) == 0 else written


def footnotes(result: Result) -> list[str]:
    """Return the lines under an answer: marks, privacy, hospitals, release, budget."""
    lines = []
    for flag, text in flag_texts(result).items():
        lines.append(f"{MARKS[flag]}  {text}")
    if hidden := sum(answer.hidden for answer in result.answers):
        lines.append(_("{count:,} rows are not shown; they were answered and charged.").format(count=hidden))
    lines.append(_("± and intervals: 95 %, noise only."))
    if any(column.total for answer in result.answers for column in answer.columns):
        lines.append(_("In brackets: the interval (95 %) with the sampling error too, where the records are a sample."))
    lines.append(_privacy(result))
    lines.append(_sites(result))
    lines += _remarks(result)
    lines.append(_release(result))
    return lines


def _heading(column: AnswerColumn) -> str:
    return with_unit(column.name, column.unit)


def _figure(estimate: Estimate, *, even: bool) -> str:
    if estimate.value is None:
        return _("undefined")
    if estimate.low is None or estimate.high is None:
        written = number(estimate.value, _step(max(1e-9, abs(estimate.value) / 10), estimate.value))
        # The figures of a test have no interval, and so no flag for the want of one.
        return written if estimate.reliability == FREE else _("{value} (unbounded)").format(value=written)
    half = (estimate.high - estimate.low) / 2
    step = _step(half, estimate.value, estimate.low, estimate.high)
    if even:
        return f"{number(estimate.value, step)} ± {number(half, step)}" if half else number(estimate.value, 0)
    return _("{value} ({low} to {high})").format(
        value=number(estimate.value, step), low=number(estimate.low, step), high=number(estimate.high, step)
    )


def _total(estimate: Estimate) -> str:
    """Return the interval that allows for sampling too, in brackets; empty where there is none."""
    if estimate.total_low is None or estimate.total_high is None:
        return ""
    step = _step((estimate.total_high - estimate.total_low) / 2, estimate.total_low, estimate.total_high)
    return f" [{number(estimate.total_low, step)}, {number(estimate.total_high, step)}]"


def _step(error: float, *values: float) -> float:
    """Return the error for ``number``; 0 where all values are whole, as ranks and quantiles of whole numbers are."""
    return 0.0 if all(value.is_integer() for value in values) else error


def _is_symmetric(estimate: Estimate) -> bool:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate.value is None
    width = estimate.high - estimate.low
    return abs((estimate.high - estimate.value) - (estimate.value - estimate.low)) <= SYMMETRIC * width


def _privacy(result: Result) -> str:
    privacy = result.privacy
    text = _("Privacy: epsilon {epsilon:.3g} at delta {delta:g} (rho {rho:.3g}); rows of one patient: at most {rows}.")
    text = text.format(epsilon=privacy.epsilon, delta=float(DELTA), rho=privacy.rho, rows=privacy.rows)
    if privacy.sites_per_patient > 1:
        text += " " + _("A patient may have been at {count} hospitals.").format(count=privacy.sites_per_patient)
    noise = _(
        "Noise: {mechanism} of {count} hospitals, {factor:.2f} times one central draw (m = {m}, c = {c}, h = {h})."
    )
    noise = noise.format(
        mechanism=_(MECHANISM), count=privacy.contributors, factor=privacy.over_central, m=privacy.minimum,
        c=privacy.colluders, h=privacy.honest,
    )  # fmt: skip
    masks = _("Masks: {masks}; colluders feared: {trust}.").format(masks=privacy.masks, trust=_(FEARED[privacy.trust]))
    return f"{text}\n{noise} {masks}"


def _sites(result: Result) -> str:
    sites = result.sites
    text = _("Hospitals: {answered} of {asked} answered.").format(answered=len(sites.answered), asked=len(sites.asked))
    return text + (" " + _("Missing: {sites}.").format(sites=shortened(sites.silent)) if sites.silent else "")


def _remarks(result: Result) -> list[str]:
    remarks = []
    if not result.sites.charged:
        remarks.append(_("No hospital's records are in these figures: they are noise around zero, and cost nothing."))
    if result.sites.withheld:
        remarks.append(
            _(
                "{sites}: their policy keeps their own part back where it would stand out; zeros with noise instead."
            ).format(sites=shortened(result.sites.withheld))
        )
    if result.sites.by_policy:
        remarks.append(
            _("{sites}: their policy does not allow the question; zeros with noise instead.").format(
                sites=shortened(result.sites.by_policy)
            )
        )
    if result.sites.by_budget:
        remarks.append(
            _("{sites}: their budget does not cover the question; zeros with noise instead.").format(
                sites=shortened(result.sites.by_budget)
            )
        )
    if result.sites.unapproved:
        remarks.append(
            _("{sites}: nobody there approved the question; zeros with noise instead.").format(
                sites=shortened(result.sites.unapproved)
            )
        )
    if result.sites.paused:
        remarks.append(
            _("{sites}: paused by their operators; zeros with noise instead.").format(
                sites=shortened(result.sites.paused)
            )
        )
    if result.sites.without_table:
        remarks.append(_("{sites}: no such table there.").format(sites=shortened(result.sites.without_table)))
    if result.sites.without_some:
        remarks.append(
            _("{sites}: some of the tables are not there; zeros with noise in those figures.").format(
                sites=shortened(result.sites.without_some)
            )
        )
    return remarks


def _release(result: Result) -> str:
    if result.reused:
        text = _("Release {id}: this question was answered before; no cost.").format(id=result.release[:8])
    else:
        text = _("Release {id}, {seconds:.2f} s.").format(id=result.release[:8], seconds=result.seconds)
    if result.remaining_units:
        least = min(result.remaining_units, key=lambda site: result.remaining_units[site])
        epsilon = epsilon_of(rho_of_units(result.remaining_units[least]))
        text += " " + _("Least budget left: epsilon {epsilon:.3g} ({site}).").format(epsilon=epsilon, site=least)
    return text
