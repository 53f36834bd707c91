"""Plans of one part, and the same with something changed."""

from __future__ import annotations

from dataclasses import replace

from queries.asked.plan import Part, Plan


def whole(catalogue: bytes, **part: object) -> Plan:
    """Return the plan of one part that is described so."""
    return Plan(catalogue=catalogue, parts=(Part(**part),))


def altered(plan: Plan, **changes: object) -> Plan:
    """Return the plan with changes to itself (``catalogue``, ``parts``) or else to its only part."""
    own = {name: changes.pop(name) for name in ("catalogue", "parts") if name in changes}
    if changes:
        (part,) = plan.parts
        own["parts"] = (replace(part, **changes),)
    return replace(plan, **own)
