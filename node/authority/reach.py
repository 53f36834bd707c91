"""Whether a request lies within its analyst's mandate, decided at the hospital from roster and catalogue alone."""

from __future__ import annotations

from protocols.errors import Rejected
from protocols.request import Request, mandate_of
from protocols.roster import Roster
from queries.agreed.catalogue import Catalogue
from queries.asked.authority import permits
from queries.asked.plan import Plan
from queries.errors import AuthorityError


def check_reach(asked: Request, plan: Plan, *, roster: Roster, catalogue: Catalogue) -> None:
    """Raise Rejected where a request reaches beyond the regions or tables of its analyst's mandate.

    Purpose and end of the mandate were checked when the request was read.

    Guarantee: the coordinator can widen no mandate: what it lets through, every hospital refuses for itself, without
    noise, charge or a look at a record. Test: tests/node/test_reach.py.
    """
    mandate = mandate_of(asked, roster)
    try:
        permits(
            plan,
            catalogue,
            regions=mandate.regions,
            tables=mandate.tables,
            sites=roster.nodes,
            asked=asked.sites,
            by_residence=asked.by_residence,
        )
    except AuthorityError as error:
        raise Rejected(error.code, error.message) from error
