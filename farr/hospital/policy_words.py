"""A hospital's policy in words, for whoever signs it off: what it allows, and what follows from its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta, timezone

from farr.hospital import run_words
from farr.texts import _
from node.authority.policy import Policy
from node.authority.training import MODELS, Training
from queries.cost.accounting import epsilon_of, rho_of_units

MOST_DIGITS = 12
"""Digits at which two epsilons that are told apart by none are taken for equal."""


def in_words(policy: Policy) -> Iterator[str]:
    """Yield what the policy allows, a sentence or two for each matter, in the language in use."""
    yield from _who(policy)
    yield from _what(policy)
    yield from _among_whom(policy)
    yield from _how_much(policy)
    yield from _periods(policy)
    yield from _approvals(policy)
    yield from _training(policy.training)


def remarks(policy: Policy) -> Iterator[str]:
    """Yield what is allowed by the form of the file but may not be meant."""
    if not policy.purposes:
        yield _("No purpose is listed under [purposes], so no question is answered.")
    for purpose, units in policy.purposes.items():
        if units > policy.lifetime_units:
            yield _("purposes.{purpose} is more than lifetime_epsilon, which comes first.").format(purpose=purpose)
    for purpose in policy.approval_purposes or ():
        if purpose not in policy.purposes:
            text = _("approval_purposes names {purpose}, which is not under [purposes] and so is not answered at all.")
            yield text.format(purpose=purpose)
    if policy.most_units_per_question > policy.units_per_period:
        yield _("most_epsilon_per_question is more than epsilon_per_period, which comes first.")
    if policy.tables == ():
        yield _("tables is an empty list, so no question is answered.")
    if policy.own_row:
        yield _("own_row = true: figures of this hospital alone may be released, with noise.")
    if policy.training is None:
        yield _(
            "There is no [training] table, so nothing is trained. To allow it, copy that table from "
            "`farr node policy default`; as it stands there, it allows regressions and neither networks nor apps."
        )
    elif policy.training.unsandboxed_apps:
        yield _("unsandboxed_apps = true: where this machine can make no sandbox, an app can read what the node can.")


def epsilon(units: int) -> str:
    """Return ledger units as people write an epsilon."""
    return f"{epsilon_of(rho_of_units(units)):.3g}"


def apart(one: float, other: float) -> tuple[str, str]:
    """Return two epsilons with as many digits, at least 3, as it takes to tell them apart."""
    digits = next((count for count in range(3, MOST_DIGITS) if f"{one:.{count}g}" != f"{other:.{count}g}"), 3)
    return f"{one:.{digits}g}", f"{other:.{digits}g}"


def _who(policy: Policy) -> Iterator[str]:
    authorities = _("any authority") if policy.authorities is None else _listed(policy.authorities, _("no authority"))
    analysts = _("any analyst") if policy.analysts is None else _listed(policy.analysts, _("no analyst"))
    yield _("Asked by {analysts}, on behalf of {authorities}, as the registrar certified them.").format(
        analysts=analysts, authorities=authorities
    )
    purposes = [
        _("{purpose} (at most epsilon {epsilon} ever)").format(purpose=name, epsilon=epsilon(units))
        for name, units in policy.purposes.items()
    ]
    yield _("For these purposes and no other: {purposes}.").format(purposes=_listed(purposes, _("none")))


def _what(policy: Policy) -> Iterator[str]:
    tables = _("every table") if policy.tables is None else _listed(policy.tables, _("no table"))
    columns = _("all of their columns") if policy.columns is None else _listed(policy.columns, _("no column"))
    yield _("About {tables}; reading {columns}.").format(tables=tables, columns=columns)
    fine = [_("time by the {unit}").format(unit=_(policy.finest_time))]
    fine += [_("{name} by {level}").format(name=name, level=level) for name, level in policy.finest.items()]
    yield _("Told apart no finer than: {fine}.").format(fine=", ".join(fine))


def _among_whom(policy: Policy) -> Iterator[str]:
    yield _(
        "Only with at least {hospitals} hospitals behind an answer, {honest} honest ones in its sum, and where the "
        "question fears colluders among the hospitals at least as much as: {trust}."
    ).format(hospitals=policy.minimum_hospitals, honest=policy.least_honest, trust=_(policy.trust_floor.value))
    if policy.own_row:
        yield _("This hospital may be told apart from the others.")
    else:
        yield _("This hospital always shares its cells with at least {count} others.").format(
            count=policy.site_group_minimum - 1
        )
    if policy.newcomer_days:
        yield _("A new hospital counts after {days} days, or once you accept it.").format(days=policy.newcomer_days)
    else:
        yield _("A new hospital counts at once.")
    if policy.minimum_cell:
        yield _("Counts below {count} are not shown on pages.").format(count=policy.minimum_cell)


def _how_much(policy: Policy) -> Iterator[str]:
    yield _("Costing a patient at most epsilon {question} a question, {period} in one {unit}, {lifetime} ever.").format(
        question=epsilon(policy.most_units_per_question),
        period=epsilon(policy.units_per_period),
        unit=_(policy.period),
        lifetime=epsilon(policy.lifetime_units),
    )


def _periods(policy: Policy) -> Iterator[str]:
    zone = timezone(timedelta(seconds=policy.utc_offset)).tzname(None)
    yield _("Each {unit} begins at midnight by {clocks}.").format(unit=_(policy.period), clocks=zone)


def _approvals(policy: Policy) -> Iterator[str]:
    if not policy.holds():
        yield _("No question waits for a person's approval.")
        return
    if policy.approval_purposes is None:
        yield _("Every question waits for a person's approval.")
    elif policy.approval_purposes:
        yield _("Every question for these purposes waits for a person's approval: {purposes}.").format(
            purposes=", ".join(policy.approval_purposes)
        )
    if policy.approval_above_units < policy.most_units_per_question:
        yield _("A question dearer than epsilon {epsilon} waits for a person's approval.").format(
            epsilon=epsilon(policy.approval_above_units)
        )


def _training(training: Training | None) -> Iterator[str]:
    if training is None or (training.models, training.networks, training.apps) == ((), (), ()):
        yield _("Nothing is trained.")
        return
    models = [model for model in MODELS if training.models is None or model in training.models]
    yield _("Models that may be trained: {models}; a whole run counts as one question and is approved once.").format(
        models=_listed([_(run_words.MODELS[model]) for model in models], _("none"))
    )
    if training.networks is None:
        yield _("Any neural network may be trained.")
    elif training.networks:
        yield _("Neural networks that may be trained: {digests}.").format(digests=_digests(training.networks))
    if training.apps:
        yield _(
            "Flower apps of researchers that may run: {digests}; at most {minutes} minutes a round and {size} MB of "
            "memory."
        ).format(digests=_digests(training.apps), minutes=training.most_app_minutes, size=training.most_app_megabytes)
        if training.unsandboxed_apps:
            yield _("They may run without a sandbox where this machine can make none, because: {reason}").format(
                reason=training.unsandboxed_reason
            )


def _digests(digests: tuple[bytes, ...]) -> str:
    return ", ".join(f"{digest.hex()[: run_words.SHOWN]}…" for digest in digests)


def _listed(names: tuple[str, ...] | list[str], nothing: str) -> str:
    return ", ".join(names) or nothing
