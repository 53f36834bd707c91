"""Whether an answer would tell this hospital apart from the others: by public facts of the plan and the roster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from node.authority.reads import keys, terms
from queries.asked.plan import AttributeKey, Plan, SiteIs, SiteKey


def alike(plan: Plan, site: str, described: Mapping[str, Mapping[str, str]]) -> int:
    """Return how many of the hospitals, ``site`` among them, the plan cannot tell apart from it.

    ``described``: the hospitals asked that count, with their public facts. Hospitals that the plan treats alike (the
    same cells, the same side of every condition on hospitals) form a group. A group of fewer than k tells its members
    apart. All of the answer is kept back then, since the difference between two of its parts would give the hospital's
    own part away.

    Hospitals are counted as asked: some of a group may drop out of the round, or keep their own records back, so a
    group of just k may rest on fewer. The noise is the same for all that.
    """
    told = [key for part in plan.parts for key in keys(part) if isinstance(key, (SiteKey, AttributeKey))]
    sided = [term for part in plan.parts for term in terms(part) if isinstance(term, SiteIs)]
    own = _side(told, sided, site, described[site])
    return sum(_side(told, sided, member, facts) == own for member, facts in described.items())


def _side(
    told: Sequence[SiteKey | AttributeKey], sided: Sequence[SiteIs], site: str, attributes: Mapping[str, str]
) -> tuple[str, ...]:
    """Return which cells and which sides of conditions a hospital is in: the plan cannot tell apart two that agree."""
    sides = []
    for key in told:
        if isinstance(key, SiteKey):
            sides.append(site if site in key.sites else "")
        else:
            sides.append(attributes.get(key.attribute, ""))
    for term in sided:
        value = site if term.attribute is None else attributes.get(term.attribute)
        sides.append("unknown" if value is None else "in" if value in term.codes else "out")
    return tuple(sides)
