"""What an adversary can work out: exact linear algebra over the masks that hide honest hospitals' vectors.

A hidden vector of hospital u in round tau is

    x(u) + self(u, tau) + sum over partners j in the cohort of +/- pair(u, j, tau)

with every mask an independent unknown, except those that the adversary can open: masks shared with a corrupt hospital,
self-masks of which t key shares are known, and pairwise masks of a hospital of whose slot secret t shares are known. A
combination of hidden vectors in which no unknown mask is left gives the same combination of the x away. The space of
these combinations is computed modulo a prime; a coefficient is one of a few small integers, so nothing vanishes by
accident.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

PRIME = (1 << 61) - 1

Symbol = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """One vector that an honest hospital sent."""

    hospital: int
    """Its index."""
    tau: object
    """The round that it was masked for."""
    cohort: frozenset[int]
    """The hospitals of that round."""


def determined(
    hidden: Sequence[Hidden],
    *,
    honest: Collection[int],
    committee: Collection[int],
    self_masks: Collection[tuple[int, object]],
    slot_secrets: Collection[int],
) -> list[dict[int, int]]:
    """Return a basis of what one slot's messages give away: each vector maps a place in ``hidden`` to a coefficient.

    ``self_masks`` and ``slot_secrets`` name whose secrets the adversary holds, among the honest.
    """
    rows = [_masks(each, honest=honest, committee=committee) for each in hidden]
    for row in rows:
        for symbol in list(row):
            opened = symbol[0] == "self" and (symbol[1], symbol[2]) in self_masks
            opened |= symbol[0] == "pair" and bool({symbol[1], symbol[2]} & set(slot_secrets))
            if opened:
                del row[symbol]
    return _left_kernel(rows)


def _masks(each: Hidden, *, honest: Collection[int], committee: Collection[int]) -> dict[Symbol, int]:
    own = each.hospital
    row: dict[Symbol, int] = {("self", own, each.tau): 1}
    for partner in each.cohort & set(honest) - {own}:
        if own in committee or partner in committee:
            low, high = sorted((own, partner))
            row["pair", low, high, each.tau] = 1 if own == low else -1
    return row


def _left_kernel(rows: Sequence[Mapping[Symbol, int]]) -> list[dict[int, int]]:
    """Return a basis of the combinations of rows that vanish, modulo the prime (Gauss, one row at a time)."""
    pivots: dict[Symbol, tuple[dict[Symbol, int], dict[int, int]]] = {}
    kernel = []
    for place, start in enumerate(rows):
        row, made = dict(start), {place: 1}
        while row:
            symbol = min(row, key=repr)
            if symbol not in pivots:
                scale = pow(row[symbol], -1, PRIME)
                pivots[symbol] = (
                    {key: value * scale % PRIME for key, value in row.items()},
                    {key: value * scale % PRIME for key, value in made.items()},
                )
                break
            factor = row[symbol]
            _subtract(row, pivots[symbol][0], factor)
            _subtract(made, pivots[symbol][1], factor)
        else:
            kernel.append(made)
    return kernel


def _subtract(target: dict, other: Mapping, factor: int) -> None:
    for key, value in other.items():
        left = (target.get(key, 0) - factor * value) % PRIME
        if left:
            target[key] = left
        else:
            target.pop(key, None)


def holders(known: Mapping[object, Collection[int]], threshold: int, corrupt: Collection[int]) -> set[object]:
    """Return the secrets of which the honest keepers in ``known`` and all corrupt ones make up the threshold."""
    return {secret for secret, keepers in known.items() if len(set(keepers) | set(corrupt)) >= threshold}


def is_one_sum(found: Sequence[Mapping[int, int]], least: int) -> bool:
    """Whether at most one combination is known, and that one is a plain sum over at least ``least`` vectors."""
    if not found:
        return True
    if len(found) > 1:
        return False
    return len(set(found[0].values())) == 1 and len(found[0]) >= least


def from_hospitals(coordinator, slot: int, corrupt: Collection[int] = ()) -> list[dict[int, int]]:
    """Return what the messages that left the honest hospitals in one slot give away."""
    epoch = coordinator.epoch
    honest = [index for index in range(len(epoch.members)) if index not in set(corrupt)]
    hidden: list[Hidden] = []
    self_shares: dict[object, set[int]] = {}
    slot_shares: dict[object, set[int]] = {index: set() for index in honest}
    for index in honest:
        hospital = coordinator.at(index)
        for left in hospital.left:
            if (left.epoch, left.slot) != (epoch.digest, slot):
                continue
            if left.what == "upload":
                hidden.append(Hidden(hospital=index, tau=left.tau, cohort=frozenset(left.cohort)))
                self_shares.setdefault((index, left.tau), set())
            elif left.what == "self-share":
                self_shares.setdefault((epoch.index[left.about], left.tau), set()).add(index)
            elif left.what == "slot-share":
                slot_shares.setdefault(epoch.index[left.about], set()).add(index)
    threshold = epoch.parameters.threshold
    keepers = set(corrupt) & epoch.point.keys()
    return determined(
        hidden, honest=honest, committee=epoch.committee,
        self_masks=holders(self_shares, threshold, keepers), slot_secrets=holders(slot_shares, threshold, keepers),
    )  # fmt: skip
