"""What an analyst may ask by its mandate, told before anything is sent. Coordinator and hospitals judge it again."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from farr.errors import FarrError
from farr.federation import Known
from farr.texts import _
from protocols.mandate import Mandate
from queries.asked.authority import hospitals_in, permits
from queries.asked.question import Question

STATISTICS = "statistics"
"""The purpose that is taken where the mandate has it and nothing is said."""

PATIENCE = 24 * 3600
"""Seconds for which hospitals that hold a request for approval are waited for, unless said otherwise."""

MOST_PATIENCE = 30 * 24 * 3600
"""The longest patience, in seconds: a request lives for a day more."""

_SECONDS = {"m": 60, "h": 3600, "d": 24 * 3600}


def mandate_of(known: Known, analyst: str, now: int) -> Mandate:
    """Return an analyst's mandate; raise FarrError where there is none, or it is over, or lets nothing be asked."""
    member = known.roster.by_id.get(analyst)
    mandate = member.mandate if member else None
    if mandate is None or not mandate.purposes:
        raise FarrError(
            "no-mandate",
            _("{analyst} has no mandate to ask").format(analyst=analyst),
            remedy=_("the registrar gives one: farr registrar mandate {analyst} --purpose statistics").format(
                analyst=analyst
            ),
        )
    if mandate.expires_at < now:
        day = datetime.fromtimestamp(mandate.expires_at, UTC).date()
        raise FarrError(
            "expired-mandate",
            _("the mandate of {analyst} ended on {day}").format(analyst=analyst, day=day),
            remedy=_("the registrar extends it: farr registrar mandate {analyst} --until DATE").format(analyst=analyst),
        )
    return mandate


def purpose_of(written: str, mandate: Mandate) -> str:
    """Return the purpose to ask for: the one written, or what goes without saying; raise FarrError otherwise."""
    if written in mandate.purposes:
        return written
    names = ", ".join(mandate.purposes)
    if written:
        raise FarrError(
            "wrong-purpose",
            _("the mandate names no purpose {purpose}").format(purpose=written),
            remedy=_("name one of: {names}; what you want to tell hospitals goes into --reason").format(names=names),
        )
    if STATISTICS in mandate.purposes:
        return STATISTICS
    if len(mandate.purposes) == 1:
        return mandate.purposes[0]
    raise FarrError(
        "wrong-purpose",
        _("the mandate names several purposes: which is it?"),
        remedy=_("add --purpose with one of: {names}").format(names=names),
    )


def within(question: Question, mandate: Mandate, known: Known, *, by_residence: bool) -> Question:
    """Return a question within a mandate; raise AuthorityError for one that reaches beyond it.

    What is put to all hospitals is put to all that the mandate is over.
    """
    nodes, regions = known.roster.nodes, mandate.regions
    if regions and not by_residence and set(question.sites) == set(nodes):
        inside = hospitals_in(known.catalogue, regions, nodes)
        question = replace(question, sites=tuple(sorted(inside))) if inside else question
    permits(
        question.plan,
        known.catalogue,
        regions=regions,
        tables=mandate.tables,
        sites=nodes,
        asked=question.sites,
        by_residence=by_residence,
    )
    return question


def patience_of(written: str) -> int:
    """Return the seconds that 30m, 12h or 2d stand for; raise FarrError for anything else."""
    found = re.fullmatch(r"([0-9]{1,4})([mhd])", written.strip())
    seconds = int(found[1]) * _SECONDS[found[2]] if found else -1
    if not 0 <= seconds <= MOST_PATIENCE:
        raise FarrError(
            "terms",
            _("{patience} is no time to wait for approvals").format(patience=written),
            remedy=_("write minutes, hours or days, such as 30m, 12h or 2d, at most 30d"),
        )
    return seconds
