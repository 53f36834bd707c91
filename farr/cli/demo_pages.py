"""What the demo shows, page by page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from farr.cli import output
from farr.cli.figures import figures, number
from farr.demo.compare import Comparison
from farr.demo.questions import EPSILON
from farr.demo.run import Course, Refusal, spent_units
from farr.demo.trained import TrainedModel
from farr.figures import tables
from farr.figures.units import in_words
from farr.texts import N_, _, language
from queries.cost.accounting import epsilon_of, rho_of_units

if TYPE_CHECKING:
    from rich.table import Table

    from queries.models.fitted import Figure


OPENING = N_(
    "3,298 patients of the International Stroke Trial (Sandercock et al. 2011, ODC-By), in twelve hospitals. Each "
    "hospital is a process of its own with its own records, keys, policy and budget; they and a coordinator speak over "
    "mutual TLS. No record leaves a hospital: each adds a share of noise to its part of an answer and hides it under "
    "masks that only cancel in the sum, so nobody sees more than the sum, the coordinator included. "
    "Beside it stands what the pooled records say exactly, which nobody could see in earnest."
)
TRAINING = N_(
    "A model, trained over the hospitals: {rounds} rounds, each a question. In each, every hospital adds up its "
    "patients' gradients, cuts what one patient adds, and adds its share of the noise; no gradient leaves a hospital."
)
BESIDE = N_(
    "exact: the same model fitted to the pooled records without noise. {covered} of {count} intervals (noise and "
    "sampling) hold it. Trained and verified in {seconds:.1f} s; epsilon {epsilon:.2f} for the whole run."
)
COST = N_(
    "Every hospital charged its patients epsilon {spent:.2f} for {count} questions at {each:g} each and the model at "
    "{model:.3g} (they compose better than they add up), of {lifetime:.1f} for life. The refusals and the repetition "
    "cost nothing."
)
MASKS = N_(
    "Masks: {masks}. Each sum is over at least m = {m} of {n} hospitals. Were c = {c} of them to pool what they know "
    "with the coordinator, h = {h} honest shares of noise would still hide every patient. So no hospital adds the "
    "whole noise: answers are {gain:.1f} times as accurate as with noise per hospital, and {factor:.2f} times as noisy "
    "as if one party that everybody trusts had drawn the noise."
)
EXAMPLE = 'farr query --home {home} "SELECT sex, COUNT(*) AS n FROM admission GROUP BY sex"'


class Pages:
    """Prints each step of the demo when it is there, once."""

    def __init__(self) -> None:
        """Start with nothing shown."""
        self._shown: set[str] = set()
        self._asked = 0

    def opening(self) -> None:
        """Say what is about to happen."""
        _title(_("Twelve real stroke hospitals, one question at a time"))
        output.paragraph(_(OPENING))

    def told(self, course: Course) -> None:
        """Show what is new in the course."""
        if self._new("hospitals", course.hospitals):
            self._hospitals(course)
        for comparison in course.comparisons[self._asked :]:
            self._asked += 1
            self._question(comparison)
        if course.model and self._new("model", course.model):
            self._model(course.model)
        if course.again and self._new("again", course.again):
            output.line()
            output.line(
                _("The first question once more: the released answer again in {seconds:.2f} s, at no cost.").format(
                    seconds=course.again.seconds
                )
            )
        if course.refused and self._new("refused", course.refused):
            _title(_("Refused at the analyst's machine: single records are not for asking"))
            _refusal(course.refused)
        if course.refused_by_hospitals and self._new("dear", course.refused_by_hospitals):
            _title(
                _(
                    "Refused by the hospitals: epsilon {epsilon:g} is more than their policy allows for one question"
                ).format(epsilon=course.refused_by_hospitals.epsilon)
            )
            _refusal(course.refused_by_hospitals)
        if course.seconds:
            self._summary(course)

    def kept(self, home: Path) -> None:
        """Say how to go on with a demo that was left running."""
        output.line()
        output.line(_("The hospitals go on running. Ask your own questions, then stop them:"))
        output.line(f"  farr catalogue show --home {home}")
        output.line("  " + EXAMPLE.format(home=home))
        output.line(f"  farr budget --home {home}")
        output.line(f"  farr lab down --home {home}")

    def _new(self, step: str, there: object) -> bool:
        if not there or step in self._shown:
            return False
        self._shown.add(step)
        return True

    def _hospitals(self, course: Course) -> None:
        output.line()
        output.paragraph(
            _("{count} hospitals connected after {seconds:.1f} s: {names}").format(
                count=len(course.hospitals),
                seconds=course.start_seconds,
                names=_(", ").join(each.label.in_language(language()) for each in course.hospitals),
            )
        )

    def _question(self, comparison: Comparison) -> None:
        _title(f"{self._asked}. {comparison.question.title.in_language(language())}")
        for line in comparison.result.statement.splitlines():
            output.line(f"  {line}")
        output.line()
        output.table(_table(comparison))
        output.line(
            _("{covered} of {figures} intervals hold the exact value. Asked and verified in {seconds:.2f} s; "
              "epsilon {epsilon:.2f}.").format(
                covered=comparison.covered, figures=len(comparison.pairs), seconds=comparison.seconds,
                epsilon=comparison.result.privacy.epsilon,
            )
        )  # fmt: skip
        if "selected" in comparison.result.answer.flags:
            output.line(_("The rows were chosen by their noisy values; intervals do not allow for that."))

    def _model(self, model: TrainedModel) -> None:
        from farr.cli.training_pages import HIDDEN, hidden, loss_line

        recipe, run = model.trained.prepared.recipe, model.trained.run
        rounds = 0 if run is None else len(run.answered)
        _title(f"{self._asked + 1}. " + _("Who is dead or dependent after six months?"))
        output.paragraph(_(TRAINING).format(rounds=rounds))
        output.line()
        output.line(f"  outcome = {json.dumps(recipe.outcome)}")
        output.line(f"  terms = {json.dumps(list(recipe.terms))}")
        output.line()
        output.table(_coefficients(model))
        if any(hidden(each.trained) for each in model.coefficients[1:]):
            output.line(_(HIDDEN))
        output.line()
        output.table(_areas(model))
        output.paragraph(
            _(BESIDE).format(
                covered=model.covered,
                count=len(model.coefficients),
                seconds=model.seconds,
                epsilon=_epsilon(model.units),
            )
        )
        if loss := loss_line(model.trained.fitted):
            output.line(loss)

    def _summary(self, course: Course) -> None:
        _title(_("What it cost"))
        spent = max(map(spent_units, course.hospitals))
        least = min(course.hospitals, key=lambda hospital: hospital.remaining_units or 0)
        output.paragraph(
            _(COST).format(
                spent=_epsilon(spent),
                count=len(course.comparisons),
                each=EPSILON,
                model=_epsilon(course.model.units) if course.model else 0.0,
                lifetime=_epsilon(least.lifetime_units or 0),
            )
        )
        output.line(
            _("{covered} of {figures} intervals hold the exact value; 95 % are meant to.").format(
                covered=course.covered, figures=course.figures
            )
        )
        output.line(
            _("Start {start:.1f} s, questions {questions}, training {training:.1f} s, in all {total:.1f} s.").format(
                start=course.start_seconds,
                training=course.model.seconds if course.model else 0.0,
                questions=_(", ").join(f"{each.seconds:.2f} s" for each in course.comparisons),
                total=course.seconds,
            )
        )
        output.line()
        privacy = course.comparisons[0].result.privacy
        output.paragraph(
            _(MASKS).format(
                masks=privacy.masks, m=privacy.minimum, n=privacy.contributors, c=privacy.colluders, h=privacy.honest,
                gain=privacy.honest**0.5, factor=privacy.over_central,
            )
        )  # fmt: skip


def _table(comparison: Comparison) -> Table:
    headers: list[str] = []
    columns: list[list[str]] = []
    numbers: list[int] = []
    for position, name in enumerate(comparison.names):
        codes = [row.groups[position] for row in comparison.rows]
        labels = [row.labels[position] for row in comparison.rows]
        headers.append(name)
        columns.append(
            [code if code == label else f"{code} {label}" for code, label in zip(codes, labels, strict=True)]
        )
    for position, name in enumerate(comparison.figures):
        pairs = [row.pairs[position] for row in comparison.rows]
        numbers += range(len(headers), len(headers) + 3)
        headers += [name, _("exact"), _("error")]
        halves = [
            (pair.released.high - pair.released.low) / 2
            if pair.released.high is not None and pair.released.low is not None
            else 1.0
            for pair in pairs
        ]
        columns.append(figures([pair.released for pair in pairs]))
        columns.append([number(pair.exact, half) for pair, half in zip(pairs, halves, strict=True)])
        columns.append(
            [
                ("?" if pair.error is None else f"{'' if pair.error < 0 else '+'}{number(pair.error, half)}")
                + ("" if pair.error is None else " ✓" if pair.covered else " ✗")
                for pair, half in zip(pairs, halves, strict=True)
            ]
        )
    return tables.table(headers, list(zip(*columns, strict=True)), numbers=numbers)


def _coefficients(model: TrainedModel) -> Table:
    from farr.cli.training_pages import margin, ratio_text, shown

    headers = (_("term"), _("per"), _("coefficient"), _("± noise"), _("± in all"), _("exact"), _("error"),
               _("odds ratio"), _("exact"))  # fmt: skip
    rows = []
    for place, beside in enumerate(model.coefficients):
        one, other = beside.trained, beside.exact
        error = one.value - other.value
        rows.append(
            (
                one.label,
                in_words(one.unit),
                shown(one),
                margin(one.noise_error),
                margin(one.error),
                number(other.value, one.error),
                f"{'' if error < 0 else '+'}{number(error, one.error)} {'✓' if beside.covered else '✗'}",
                *(("", "") if place == 0 else (ratio_text(each.ratio()[0]) for each in (one, other))),
            )
        )
    return tables.table(headers, rows, numbers=range(2, len(headers)))


def _areas(model: TrainedModel) -> Table:
    told = model.held_out
    rows = [
        (_("as the hospitals tell it, of patients held out"), "" if told is None else _interval(told)),
        (_("of the same model, over the pooled records"), f"{model.area:.3f}"),
        (_("of the exact model, over the pooled records"), f"{model.exact_area:.3f}"),
    ]
    return tables.table((_("area under the ROC curve"), ""), rows)


def _interval(figure: Figure) -> str:
    return _("{value} ({low} to {high})").format(
        value=f"{figure.value:.3f}", low=f"{figure.low:.3f}", high=f"{figure.high:.3f}"
    )


def _refusal(refusal: Refusal) -> None:
    for line in refusal.statement.splitlines():
        output.line(f"  {line}")
    output.line()
    output.line(refusal.problem.to_text())


def _title(text: str) -> None:
    output.line()
    output.line(text, style="bold")


def _epsilon(units: int) -> float:
    return epsilon_of(rho_of_units(units))
