"""What to do about a round of training that hospitals' policies do not allow: refusals name no rule, the step tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farr.errors import FarrError
from farr.texts import _
from queries.asked.network import network_of
from queries.asked.plan import SiteKey, Step

if TYPE_CHECKING:
    from farr.questions.states import RequestState


def explained(error: FarrError, step: Step) -> FarrError:
    """Return a refusal with the remedy that fits a step; any other error as it is."""
    if error.code == "cost-limit":
        remedy = _(
            "train at a lower price (--epsilon), or have the hospitals' policies allow more: a run counts as one "
            "question (most_epsilon_per_question)"
        )
        return FarrError(error.code, error.message, remedy=remedy, details=error.details)
    if error.code != "policy":
        return error
    return FarrError(error.code, error.message, remedy=_("; ").join(_remedies(step)), details=error.details)


def _remedies(step: Step) -> list[str]:
    found = []
    if step.layers:
        found.append(
            _("hospitals train the networks that their policies name; send their operators this one: {digest}").format(
                digest=network_of(step.layers).hex()
            )
        )
    if any(isinstance(key, SiteKey) for key in step.strata):
        found.append(_("a baseline for each hospital needs own_row = true in its policy; else take strata away"))
    if not found:
        found.append(_("ask hospitals which models [training] in their policies names, and up to which price a run"))
    found.append(_("their operators see what stood against it with farr node policy explain"))
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
