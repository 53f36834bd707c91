"""What a run costs at most, and whether its price and what enough hospitals have left cover another round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from farr.errors import FarrError
from farr.questions import states
from farr.texts import _
from farr.training.recipe import Recipe
from queries.cost.accounting import epsilon_of, rho_of, rho_of_units, units

if TYPE_CHECKING:
    from farr.client import Federation


def price_of(recipe: Recipe) -> int:
    """Return the most that a run costs, in ledger units."""
    return units(rho_of(recipe.epsilon))


def check_price(committed_units: int, price: int, rho_units: int) -> None:
    """Raise FarrError("run-over") before a round that the price of its run does not cover any more.

    ``committed_units``: what the rounds before it cost at most. Guarantee: no round is asked whose price and theirs,
    those charged in vain among them, exceed the run's. Tests:
    tests/farr/test_training_run.py::test_a_run_never_costs_more_than_was_agreed,
    tests/farr/test_flower_grid.py::test_failed_rounds_count_before_another_is_asked.
    """
    if committed_units + price > rho_units:
        raise FarrError(
            "run-over",
            _("rounds without an answer may have been charged for, and too little of the run's price is left"),
            remedy=_("begin another run for the rest"),
        )


def check_budget(federation: Federation, sites: Sequence[str], minimum: int, rho_units: int) -> None:
    """Raise FarrError("budget") where too few of the hospitals have so much left, as far as is known of them.

    Guarantee: where it is known that a round cannot be paid for, nothing of it leaves. Tests:
    tests/farr/test_training_run.py::test_a_run_stops_before_the_round_that_exceeds_the_budget,
    tests/farr/test_flower_federated.py::test_a_round_that_hospitals_cannot_pay_for_is_not_sent.
    """
    short = short_of(federation, sites, rho_units)
    if len(sites) - len(short) >= minimum:
        return
    raise FarrError(
        "budget",
        _("{count} of {asked} hospitals have less left than epsilon {epsilon:.3g}: {sites}").format(
            count=len(short),
            asked=len(sites),
            epsilon=epsilon_of(rho_of_units(rho_units)),
            sites=states.shortened(short),
        ),
        remedy=_("see `farr budget`; train at a lower price (--epsilon)"),
    )


def short_of(federation: Federation, sites: Sequence[str], rho_units: int) -> list[str]:
    """Return the hospitals of these that are known to have less left than a price."""
    return [
        hospital.id
        for hospital in federation.known.hospitals
        if hospital.id in sites and hospital.remaining_units is not None and hospital.remaining_units < rho_units
    ]
