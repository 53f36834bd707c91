"""What people see of training: the line while a run is under way, a model, and what a run would cost."""

from __future__ import annotations

import math
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from farr.cli import output
from farr.cli.figures import number
from farr.figures import tables
from farr.figures.units import in_words, with_unit
from farr.questions.states import PASSING, shortened
from farr.texts import N_, _, language, translate
from farr.training.card import FIGURES
from farr.training.coefficients import Coefficient, Z, first_groups
from queries.asked.network import network_of
from queries.asked.plan import ONE, NumberTerm
from queries.cost.accounting import epsilon_of, rho_of_units
from queries.models.columns import scaling

if TYPE_CHECKING:
    from farr.training.foreseen import Foreseen
    from farr.training.run import Progress
    from farr.training.runs import Run
    from farr.training.terms import Prepared
    from farr.training.trained import Trained
    from queries.models.fitted import Figure, Fitted

BARS = "▁▂▃▄▅▆▇█"

MOST_BARS = 24
"""Rounds that a curve shows, the last ones: more would break the line on a narrow terminal."""

MARGINS = N_(
    "±: 95 %, by the noise alone and with sampling. A coefficient is by one of the unit in brackets, or beside the "
    "first group."
)
HIDDEN = N_("?  The noise alone leaves open whether it is above or below 0.")

REHEARSED = N_(
    "With fewer patients they grow more than inversely (--patients). Real patients are less even than fake "
    "ones: where they differ little in a term, or few are in a group, it is several times as much."
)

RATIO_WORDS = {"logistic": N_("odds ratio"), "poisson": N_("rate ratio"), "cox": N_("hazard ratio")}


class Watched:
    """Tells how far a run is, on standard error."""

    def __init__(self, *, wanted: bool | None, as_json: bool, resumable: bool = True) -> None:
        """Show progress if ``wanted``; if that says nothing, on a terminal and not for scripts.

        ``resumable``: whether a run that is cut can be taken up, and is then told how.
        """
        self._resumable = resumable
        self._live = tables.Live.on_stderr(wanted=wanted, as_json=as_json)
        self._run = self._said = ""

    def told(self, progress: Progress) -> None:
        """Show how far a run is."""
        self._run = progress.run
        line = progress_line(progress)
        if line != self._said:
            self._said = line
            self._live.say(line)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)
        cut = kind is KeyboardInterrupt or getattr(error, "code", "") in (*PASSING, "timeout")
        if self._resumable and self._run and cut:
            text = _("the run is kept; take it up with: farr train --resume {id}")
            sys.stderr.write(text.format(id=self._run[:8]) + "\n")


def progress_line(progress: Progress) -> str:
    """Return how far a run is, in a line: the round, the loss so far with its noise, who has answered, what it cost."""
    parts = [_("round {number} of at most {rounds}").format(number=progress.number, rounds=progress.rounds)]
    if progress.fitted is not None and (loss := loss_line(progress.fitted, progress.prepared)):
        parts.append(loss)
    state = progress.state
    if progress.replayed:
        parts.append(_("answered before"))
    elif state is not None and state.held:
        parts.append(
            _("waits for approval at {count} of {asked} hospitals").format(count=state.held, asked=state.asked)
        )
    elif state is not None and state.state == "waiting":
        parts.append(
            _("{connected} of {asked} hospitals connected, {needed} needed").format(
                connected=state.connected, asked=state.asked, needed=state.needed
            )
        )
    elif state is not None:
        parts.append(_("{answered} of {asked} hospitals answered").format(answered=state.answered, asked=state.asked))
    parts.append(_("epsilon {epsilon:.2f} spent").format(epsilon=epsilon_of(rho_of_units(progress.spent_units))))
    return " · ".join(parts)


def loss_line(fitted: Fitted, prepared: Prepared | None = None) -> str:
    """Return the private loss by round as a curve of bars, and the last one with its interval; empty without any.

    Bars span no less than the noise does: where it hides how the loss moves, they are level. With ``prepared`` a model
    of a number shows its typical error in units of the outcome instead.
    """
    known = [each for each in fitted.history if each.loss is not None and math.isfinite(each.loss)]
    if not known:
        return ""
    values = [each.loss for each in known if each.loss is not None]
    low, high = min(values), max(values)
    last = known[-1]
    half = (last.high - last.low) / 2 if last.high is not None and last.low is not None else math.nan
    wide = max(high - low, 0.0 if math.isnan(half) else 2 * half) or 1.0
    bars = "".join(BARS[round((value - low) / wide * (len(BARS) - 1))] for value in values[-MOST_BARS:])
    if len(values) > MOST_BARS:
        bars = f"…{bars}"
    if prepared is not None and (typical := typical_error(last.loss, last.low, last.high, prepared)):
        return _("typical error {bars} {error}").format(bars=bars, error=typical)
    if last.high is not None and values[-1] <= 0:
        return _("loss {bars} {error}").format(bars=bars, error=_at_most(last.high, last.high))
    return _("loss {bars} {loss:.3f} ± {half:.3f}").format(bars=bars, loss=values[-1], half=half)


def typical_error(loss: float | None, low: float | None, high: float | None, prepared: Prepared) -> str:
    """Return the root of the mean square error, in units of the outcome; empty for a model of anything but a number.

    The loss of such a model is half the square error of an outcome scaled to [-1, 1]; noise may take it below 0.
    """
    outcome = prepared.step.outcome
    if not isinstance(outcome, NumberTerm) or prepared.step.model == "poisson" or high is None:
        return ""
    column = prepared.setting.number(outcome.column, "step")
    half = float(scaling(column).half)
    value, least, most = (half * math.sqrt(2 * max(0.0, each or 0.0)) for each in (loss, low, high))
    if value <= 0:
        return f"{_at_most(most, most)} {in_words(column.unit)}".rstrip()
    # Digits by the wider arm: the root's interval is not even.
    step = max(value - least, most - value)
    ends = f"{number(least, step)}, {number(most, step)}"
    return f"{number(value, step)} ({ends}) {in_words(column.unit)}".rstrip()


def _at_most(value: float, step: float) -> str:
    """Return what is left to say of something above 0 that the noise made less."""
    return _("at most {value}").format(value=number(value, step)) if value > 0 else _("hidden by the noise")


def model_page(trained: Trained) -> None:
    """Print a model: coefficients with their errors, evaluation, what to beware of, what it cost."""
    from farr.training.card import caveats

    recipe = trained.prepared.recipe
    title = f"{recipe.name}: {recipe.kind}, {recipe.outcome}"
    output.line(title)
    if coefficients := coefficient_table(trained):
        output.table(coefficients)
        output.line(_(MARGINS))
        if first := first_groups(trained.prepared, language()):
            output.line(_("First groups: {names}").format(names="; ".join(first)))
        if any(hidden(each) for each in trained.table().terms):
            output.line(_(HIDDEN))
    elif trained.fitted.coefficients.size:
        output.line(_("a network of {count:,} weights").format(count=trained.fitted.coefficients.size))
    output.line()
    if loss := loss_line(trained.fitted, trained.prepared):
        output.line(loss)
    if trained.fitted.evaluation is not None:
        output.line(_("On patients held out (intervals of 95 %, noise and sampling counted):"))
        rows = [_figure_row(each, trained.prepared) for each in trained.fitted.evaluation.figures]
        output.table(tables.table((_("figure"), _("value"), _("interval")), rows, numbers=(1,)))
        output.line()
    for line in _sources(trained):
        output.line(line)
    for each in caveats(trained):
        output.line(f"! {translate(each)}")


def coefficient_table(trained: Trained) -> Any:
    """Return the coefficients as a table, with half-widths of 95 % and marks of what the noise hides; None of none."""
    table = trained.table()
    if not table.coefficients:
        return None
    ratio = RATIO_WORDS.get(trained.kind)
    headers = [_("term"), _("coefficient"), _("± noise"), _("± in all"), *([_(ratio)] if ratio else ())]
    rows = []
    for place, each in enumerate(table.coefficients[table.baselines :]):
        row = [_with_unit(each), shown(each), margin(each.noise_error), margin(each.error)]
        if not ratio:
            row.append(f"{_number(each.low)}, {_number(each.high)}")
        elif place == 0 and not table.baselines:
            row += ["", ""]
        else:
            value, low, high = map(ratio_text, each.ratio())
            row += [value, f"{low}, {high}"]
        rows.append(tuple(row))
    numbers = (1, 2, 3, *((4,) if ratio else ()))
    return tables.table((*headers, _("95 %")), rows, numbers=numbers, tight=True)


def _with_unit(each: Coefficient) -> str:
    return with_unit(each.label, each.unit)


def shown(each: Coefficient) -> str:
    """Return a coefficient to the digits that its error leaves, marked where the noise alone may have made its sign."""
    text = number(each.value, each.error) if math.isfinite(each.error) and each.error else _number(each.value)
    return f"{text} ?" if hidden(each) else text


def margin(error: float) -> str:
    """Return the half-width of an interval of 95 % to two digits."""
    return number(Z * error, Z * error) if math.isfinite(error) and error else _number(error)


def ratio_text(value: float) -> str:
    """Return a ratio to three digits."""
    return f"{value:#.3g}".rstrip(".") if 1e-3 < value < 1e3 else _number(value)  # noqa: PLR2004  without an exponent


def hidden(each: Coefficient) -> bool:
    """Tell whether the noise alone leaves open on which side of 0 a coefficient is."""
    return math.isfinite(each.noise_error) and abs(each.value) <= Z * each.noise_error


def foreseen_page(found: Foreseen) -> None:
    """Print what a run would cost, and the noise to expect."""
    recipe, step = found.prepared.recipe, found.prepared.step
    output.line(f"{recipe.name}: {recipe.kind}, {recipe.outcome}")
    lines = [
        _("cost: epsilon {epsilon:.3g} in all, at a delta of one in a million").format(epsilon=found.epsilon),
        _("rounds: {rounds}, each a question to {sites} hospitals, of which {minimum} must answer").format(
            rounds=found.rounds, sites=len(found.sites), minimum=found.minimum
        ),
        _("coefficients: {count:,}; of a patient count at most {rows} of the rows and a gradient of {clip:.3g}").format(
            count=found.prepared.shape.width, clip=step.clip / ONE, rows=found.prepared.part.bound.rows
        ),
        _("bytes: each hospital is sent {down} and sends {up}, over all rounds").format(
            down=_bytes(found.down_bytes), up=_bytes(found.up_bytes)
        ),
    ]
    if found.short:
        lines.append(
            _("! less left than that at {count} of them, and {minimum} must answer: {sites}").format(
                count=len(found.short), minimum=found.minimum, sites=shortened(list(found.short))
            )
        )
    if step.layers:
        lines.append(
            _("network: {digest}; only hospitals whose policies name it train it").format(
                digest=network_of(step.layers).hex()
            )
        )
    for line in lines:
        output.line(line)
    output.line()
    if found.table.coefficients:
        output.line(
            _("Noise to expect, from a rehearsal on {count:,} fake patients: their coefficients mean nothing.").format(
                count=found.patients
            )
        )
        rows = [
            (_with_unit(each), margin(each.noise_error)) for each in found.table.coefficients[found.table.baselines :]
        ]
        output.table(tables.table((_("term"), _("± noise")), rows, numbers=(1,)))
        output.paragraph(_(REHEARSED))
    output.line(_("Nothing was asked, and no record was read."))


def foreseen_plain(found: Foreseen) -> dict[str, Any]:
    """Return it as JSON can hold it."""
    from farr.figures.result import plain_units

    return {
        "model": found.prepared.recipe.to_plain(),
        "cost": plain_units(found.rho_units),
        "rounds": found.rounds,
        "hospitals": list(found.sites),
        "minimum": found.minimum,
        "short": list(found.short),
        "coefficients": found.prepared.shape.width,
        "network": network_of(found.prepared.step.layers).hex() if found.prepared.step.layers else None,
        "bytes": {"down": found.down_bytes, "up": found.up_bytes},
        "rehearsal": {
            "fake": True,
            "patients": found.patients,
            "noise_errors": {
                each.name: each.noise_error if math.isfinite(each.noise_error) else None
                for each in found.table.coefficients
            },
        },
    }


def plain(trained: Trained) -> dict[str, Any]:
    """Return a model as JSON can hold it: its card, and its coefficients."""
    from farr.training.card import card_of, coefficient_of

    table = [coefficient_of(each, trained.kind) for each in trained.table().coefficients]
    return card_of(trained) | {"coefficients": table}


def _sources(trained: Trained) -> list[str]:
    from farr.training.card import hospitals_of, privacy_of

    if trained.run is None:
        return []
    hospitals, privacy = hospitals_of(trained.run), privacy_of(trained)
    lines = [
        _("privacy of a patient: epsilon {epsilon:.3g} of {agreed:.3g} spent, delta {delta:g}").format(
            epsilon=privacy["epsilon"], agreed=privacy["agreed_epsilon"], delta=privacy["delta"]
        ),
        _("run {id}: {rounds} rounds, {always} of {asked} hospitals in every one").format(
            id=trained.run.id[:8],
            rounds=len(trained.run.answered),
            always=len(hospitals["in_every_round"]),
            asked=len(hospitals["asked"]),
        ),
    ]
    if hospitals["in_some_rounds"]:
        lines.append(_("in some rounds only: {sites}").format(sites=shortened(hospitals["in_some_rounds"])))
    if hospitals["in_none"]:
        lines.append(_("in no round: {sites}").format(sites=shortened(hospitals["in_none"])))
    if trained.run.lost_units:
        lines.append(lost_line(trained.run))
    return lines


def lost_line(run: Run) -> str:
    """Return what rounds that ended without an answer may have cost: asked again, they were paid for again."""
    return _(
        "{count} rounds ended without an answer: hospitals that had answered were charged, up to epsilon {epsilon:.3g}"
    ).format(
        count=sum(bool(each.failed and each.rho_units) for each in run.rounds),
        epsilon=epsilon_of(rho_of_units(run.lost_units)),
    )


def _figure_row(each: Figure, prepared: Prepared) -> tuple[str, str, str]:
    if each.name == "loss" and (typical := typical_error(each.value, each.low, each.high, prepared)):
        return _("typical error"), *_parted(typical)
    return _(FIGURES.get(each.name, each.name)), *_figure(each)


def _parted(typical: str) -> tuple[str, str]:
    """Return a typical error without its interval, and that."""
    value, _open, rest = typical.partition(" (")
    ends, _close, unit = rest.partition(")")
    return f"{value}{unit}", ends


def _figure(each: Figure) -> tuple[str, str]:
    if math.isnan(each.value):
        return "?", _("the noise hides it")
    if each.name == "loss" and each.value <= 0 < each.high:
        # No loss is below 0: the noise made it so, and only the upper end says anything.
        return "?", _("at most {value}").format(value=ratio_text(each.high))
    return ratio_text(each.value), f"{ratio_text(each.low)}, {ratio_text(each.high)}"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "?" if math.isnan(value) else "∞"
    return f"{value:.3g}" if abs(value) < 1e3 else f"{value:,.0f}"  # noqa: PLR2004  beyond it, all digits


def _bytes(count: int) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004  three digits
            return f"{count:.3g} {unit}"
        count = count / 1000  # type: ignore[assignment]
    return f"{count:.3g} GB"
