"""What became of a round that has no answer: whether it may have cost anything, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farr.errors import FarrError
from farr.problems import problem_of
from farr.questions.states import PASSING
from farr.texts import _
from queries.asked.network import network_of
from queries.asked.plan import AppStep, AttributeKey, SiteKey, Step

if TYPE_CHECKING:
    from farr.questions.states import RequestState


IN_DOUBT = frozenset({*PASSING, "clock-skew", "intercepted", "internal", "not-tls", "replayed", "timeout"})
"""Codes with which the way to the coordinator fails, or the coordinator itself: whether it has what was on its way,
nobody here knows. Where it was replayed, the coordinator has a request of that id already."""


def is_in_doubt(error: Exception) -> bool:
    """Tell whether a request that could not be handed in may have reached the coordinator all the same.

    Guarantee: such a request is handed in again under its own id, never asked anew, so it is charged for once. Tests:
    tests/farr/test_training_run.py::test_a_round_that_may_have_been_handed_in_is_never_asked_anew,
    tests/farr/test_training_run.py::test_every_failure_on_the_way_leaves_in_doubt_what_was_handed_in.
    """
    return isinstance(error, FarrError) and error.code in IN_DOUBT


def stated(error: Exception) -> FarrError:
    """Return an error that Farr expects, of whatever package, as one that a run can stop with."""
    if isinstance(error, FarrError):
        return error
    problem = problem_of(error)
    if problem is None:
        raise error
    return FarrError(problem.code, problem.message, remedy=problem.remedy, details=problem.details)


def explained(error: FarrError, step: Step | AppStep) -> FarrError:
    """Return a refusal with the remedy that fits a step; any other error as it is.

    Where hospitals refused for different reasons, too few were left: then what to do about each.
    """
    refusals = error.details.get("refusals")
    found = {error.code}
    if error.code == "too-few" and isinstance(refusals, dict):
        found = set(refusals)
    remedies = []
    if "cost-limit" in found:
        remedies.append(
            _(
                "train at a lower price (--epsilon), or have the hospitals' policies allow more: a run counts as one "
                "question (most_epsilon_per_question)"
            )
        )
    if "denied" in found:
        # Where a question waits for a person, what a policy withholds is denied without one: both look alike here.
        remedies.append(_("ask the hospitals' operators, who may have denied it"))
    if found & {"policy", "denied"}:
        remedies += _remedies(step)
    if not remedies:
        return error
    return FarrError(error.code, error.message, remedy=_("; ").join(remedies), details=error.details)


def _remedies(step: Step | AppStep) -> list[str]:
    found = []
    if isinstance(step, AppStep):
        found.append(
            _(
                "hospitals run the apps that they hold and that their policies name: send their operators the folder, "
                "for farr node apps allow, and this digest: {digest}"
            ).format(digest=step.app.hex())
        )
    else:
        found += _of_model(step)
    found.append(_("their operators see what stood against it with farr node policy explain"))
    return found


def _of_model(step: Step) -> list[str]:
    found = []
    if step.layers:
        found.append(
            _("hospitals train the networks that their policies name; send their operators this one: {digest}").format(
                digest=network_of(step.layers).hex()
            )
        )
    if any(isinstance(key, SiteKey) for key in step.strata):
        found.append(_("a baseline for each hospital needs own_row = true in its policy; else take strata away"))
    if facts := [f"site.{key.attribute}" for key in (*step.terms, *step.strata) if isinstance(key, AttributeKey)]:
        found.append(
            _(
                "{names} may tell a hospital apart where few are alike (site_group_minimum in its policy): take it away"
            ).format(names=", ".join(facts))
        )
    if not found:
        found.append(_("ask hospitals which models [training] in their policies names, and up to which price a run"))
    return found


def may_have_charged(state: RequestState) -> bool:
    """Tell whether a request that ended without an answer may have been charged for anywhere.

    Guarantee: True wherever a hospital was in the request's round and did not refuse; False where no round was opened.
    Test: tests/farr/test_training_run.py::test_a_failed_request_may_have_been_charged_for_once_its_round_was_open.
    """
    words = set(state.sites.values())
    if state.code != "interrupted" and words & {"connected", "held", "paused", "denied"}:
        # Said of hospitals only before a round is opened.
        return False
    return state.code == "interrupted" or bool(words & {"asked", "answered", "offline"})


def ended(state: RequestState) -> bool:
    """Tell whether a request has no answer and will not have one."""
    return state.state in ("failed", "cancelled", "expired")
