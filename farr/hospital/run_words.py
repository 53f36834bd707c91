"""A run of training in words, for whoever approves it: what is trained, by what, for how long and at what price."""

from __future__ import annotations

from farr.texts import N_, _
from node.books.ledger import Trained
from protocols.request import Run
from queries.asked.conditions import in_words
from queries.asked.network import network_of
from queries.asked.plan import AppStep, FlagKey, Plan, Step
from queries.cost.accounting import epsilon_of, rho_of_units

MODELS = {
    "linear": N_("linear regression"),
    "logistic": N_("logistic regression"),
    "poisson": N_("Poisson regression"),
    "cox": N_("Cox regression"),
    "network": N_("neural network"),
}
"""Models, for people."""

SHOWN = 8
"""Digits of a digest that are shown where it only has to be told apart."""


def steps_of(plan: Plan) -> tuple[Step | AppStep, ...]:
    """Return what a plan trains; empty: nothing."""
    steps = (aggregate.step for part in plan.parts for aggregate in part.aggregates)
    return tuple(step for step in steps if step is not None)


def step_in_words(step: Step | AppStep, *, short: bool = False) -> str:
    """Return what is trained by what, as far as the plan says so: the question's own text is only its analyst's word.

    An app or a network is named by all digits of its digest, since that is what a policy allows; ``short``: by a few.
    """
    if isinstance(step, AppStep):
        return _("the Flower app {digest} on {count} columns").format(
            digest=_digits(step.app, short=short), count=len(step.columns)
        )
    text = _("{model} of {outcome} on {count} terms").format(
        model=_(MODELS[step.model]), outcome=outcome_in_words(step), count=len(step.terms)
    )
    if step.layers:
        text = _("{model}, layers {digest}").format(model=text, digest=_digits(network_of(step.layers), short=short))
    return text


def run_in_words(run: Run, plan: Plan) -> str:
    """Return what the run of a request is: the model, the most rounds and the most that they cost together."""
    steps = "; ".join(map(step_in_words, steps_of(plan)))
    return _("a run: {step}, up to {rounds} rounds, together at most epsilon {epsilon}, design {design}").format(
        step=steps,
        rounds=run.rounds,
        epsilon=f"{epsilon_of(rho_of_units(run.rho_units)):.3g}",
        design=f"{run.design.hex()[:SHOWN]}…",
    )


def run_in_short(run: Run, plan: Plan) -> str:
    """Return the same where there is little room: the model and the most rounds; the price stands beside it."""
    steps = "; ".join(step_in_words(step, short=True) for step in steps_of(plan))
    return _("a run: {step}, up to {rounds} rounds").format(step=steps, rounds=run.rounds)


def so_far(run: Run, trained: Trained) -> str:
    """Return which round of its run a request is, and what the run was charged at this hospital."""
    return _("this is round {round}; {answered} answered here, at epsilon {epsilon:.3g} together").format(
        round=run.round, answered=trained.rounds, epsilon=epsilon_of(rho_of_units(trained.units))
    )


def _digits(digest: bytes, *, short: bool) -> str:
    return f"{digest.hex()[:SHOWN]}…" if short else digest.hex()


def outcome_in_words(step: Step) -> str:
    """Return what a model foretells: a column, or the condition that is to hold."""
    return in_words(step.outcome.term) if isinstance(step.outcome, FlagKey) else step.outcome.column
