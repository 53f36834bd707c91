"""A run of training in words, for whoever approves it: what is trained, by what, for how long and at what price."""

from __future__ import annotations

from farr.texts import N_, _
from node.books.ledger import Trained
from protocols.request import Run
from queries.agreed.catalogue import Catalogue, Table
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


def table_of(name: str, plan: Plan, catalogue: Catalogue | None) -> Table | None:
    """Return a table that a plan is about; None where ``catalogue`` is not the one that the plan was made for.

    Another catalogue's table may have the column in other steps: its units would be wrong ones. A plan that nobody has
    judged yet may name a table that there is not.
    """
    if catalogue is None or catalogue.digest != plan.catalogue:
        return None
    return next((table for table in catalogue.tables if table.name == name), None)


def step_in_words(step: Step | AppStep, table: Table | None, *, short: bool = False) -> str:
    """Return what is trained by what, as far as the plan says so: the question's own text is only its analyst's word.

    ``table``: whose units numbers are told in; None: in steps. An app or a network is named by all digits of its
    digest, since that is what a policy allows; ``short``: by a few.
    """
    if isinstance(step, AppStep):
        return _("the Flower app {digest} on {count} columns").format(
            digest=_digits(step.app, short=short), count=len(step.columns)
        )
    text = _("{model} of {outcome} on {count} terms").format(
        model=_(MODELS[step.model]), outcome=outcome_in_words(step, table), count=len(step.terms)
    )
    if step.layers:
        text = _("{model}, layers {digest}").format(model=text, digest=_digits(network_of(step.layers), short=short))
    return text


def run_in_words(run: Run, plan: Plan, catalogue: Catalogue | None) -> str:
    """Return what the run of a request is: the model, the most rounds and the most that they cost together."""
    return _("a run: {step}, up to {rounds} rounds, together at most epsilon {epsilon}, design {design}").format(
        step=_steps_in_words(plan, catalogue, short=False),
        rounds=run.rounds,
        epsilon=f"{epsilon_of(rho_of_units(run.rho_units)):.3g}",
        design=f"{run.design.hex()[:SHOWN]}…",
    )


def run_in_short(run: Run, plan: Plan, catalogue: Catalogue | None) -> str:
    """Return the same where there is little room: the model and the most rounds; the price stands beside it."""
    steps = _steps_in_words(plan, catalogue, short=True)
    return _("a run: {step}, up to {rounds} rounds").format(step=steps, rounds=run.rounds)


def so_far(run: Run, trained: Trained) -> str:
    """Return which round of its run a request is, and what the run was charged at this hospital."""
    return _("this is round {round}; {answered} answered here, at epsilon {epsilon:.3g} together").format(
        round=run.round, answered=trained.rounds, epsilon=epsilon_of(rho_of_units(trained.units))
    )


def _steps_in_words(plan: Plan, catalogue: Catalogue | None, *, short: bool) -> str:
    return "; ".join(
        step_in_words(aggregate.step, table_of(part.table, plan, catalogue), short=short)
        for part in plan.parts
        for aggregate in part.aggregates
        if aggregate.step is not None
    )


def _digits(digest: bytes, *, short: bool) -> str:
    return f"{digest.hex()[:SHOWN]}…" if short else digest.hex()


def outcome_in_words(step: Step, table: Table | None) -> str:
    """Return what a model foretells: a column, or the condition that is to hold."""
    return in_words(step.outcome.term, table) if isinstance(step.outcome, FlagKey) else step.outcome.column
