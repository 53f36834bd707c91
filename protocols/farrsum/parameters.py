"""The numbers of a federation's secure sum, computed by every hospital for itself from the roster and the freeze.

    c   colluders that the protocol withstands: just under a third of the roster
    D   committee: keeps key shares; L members, t of them open a secret
    M   witnesses: confirm a survivor set; W members, Q of them suffice
    m   fewest survivors of a round
    h   honest survivors' noise that the price relies on

Up to 150 hospitals everybody is in D and M and nothing is left to chance. Above that both are drawn from a verified
public beacon such that the chance of a bad draw is at most 2^-40 (exact hypergeometric tails).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from math import comb

from protocols.errors import Rejected

EVERYBODY = 150
"""Up to here the committee is everybody, whatever the beacon."""
WITHOUT_BEACON = 512
"""Up to here the committee may be everybody when there is no beacon; beyond, the federation needs one."""
LEAST_NODES = 3
SMALL = 4
"""Up to here every hospital adds the whole noise, and three survivors are enough."""
LEAST_DISTRIBUTED = 3
"""Least h for which the noise is shared; below, every hospital adds the whole noise."""

BAD_DRAW = Fraction(1, 1 << 40)
TOO_FEW_ALIVE = Fraction(1, 1 << 30)
ABSENT = Fraction(1, 5)
"""Share of hospitals that may be absent at random for the sizes of D and M."""


class Trust(Enum):
    """How many of all hospitals are feared to pool what they know with the coordinator. Changes only the noise."""

    NONE = "none"
    FIFTH = "one-fifth"
    THIRD = "one-third"

    def colluders(self, nodes: int) -> int:
        """Return the c in h = m - c."""
        if self is Trust.NONE:
            return 0
        return -(-nodes // (5 if self is Trust.FIFTH else 3)) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Of one epoch."""

    nodes: int
    """Hospitals whose keys are in the freeze."""
    colluders: int
    """c: of the whole roster, never of a hand-picked part of it."""
    committee: int
    """L."""
    threshold: int
    """t."""
    witnesses: int
    """W."""
    quorum: int
    """Q."""

    @property
    def everybody(self) -> bool:
        """Whether committee and witnesses are all hospitals, so that no beacon is needed."""
        return self.committee == self.witnesses == self.nodes


def parameters(*, roster_nodes: int, nodes: int, beacon: bool = False) -> Parameters:
    """Return the parameters for a freeze of ``nodes`` out of ``roster_nodes``; raise Rejected where none are safe.

    Guarantee: Q > (W + c_W) / 2, so that two survivor sets of one slot cannot both be confirmed; t > c_D, so that
    nothing opens without an honest hospital. Test: tests/protocols/farrsum/test_parameters.py.
    """
    if nodes < LEAST_NODES or nodes > roster_nodes:
        raise Rejected("too-few-nodes", f"{nodes} of {roster_nodes}")
    colluders = Trust.THIRD.colluders(roster_nodes)
    most = (nodes + colluders) // 2 + 1
    if most > nodes:
        raise Rejected("too-few-nodes", f"{nodes} hold keys, {most} must confirm")
    if nodes <= EVERYBODY or (not beacon and nodes <= WITHOUT_BEACON):
        return Parameters(
            nodes=nodes, colluders=colluders, committee=nodes, threshold=most, witnesses=nodes, quorum=most
        )
    if not beacon:
        raise Rejected("no-beacon", f"{nodes} hospitals need a public beacon")
    committee, threshold = _draw(nodes, colluders, majority=False)
    witnesses, quorum = (nodes, most) if nodes <= WITHOUT_BEACON else _draw(nodes, colluders, majority=True)
    return Parameters(
        nodes=nodes,
        colluders=colluders,
        committee=committee,
        threshold=threshold,
        witnesses=witnesses,
        quorum=quorum,
    )


def least_survivors(known: Parameters, cohort: int, asked: int = 0) -> int:
    """Return m: at least Q, four fifths of the cohort, and what the request asks; three of four, all of three."""
    # Four fifths of four would be all four, so one absence would stop the smallest federations.
    fifths = -(-cohort * 4 // 5) if cohort > SMALL else LEAST_NODES
    return max(known.quorum, fifths, asked)


def honest(minimum: int, trust: Trust, roster_nodes: int) -> int:
    """Return h = m - c under a trust setting; 1, each hospital the whole noise, where fewer than three are left.

    With three or four hospitals two colluders always isolate the third, so masks are a second line there and the noise
    does not rely on them.
    """
    shared = minimum - trust.colluders(roster_nodes)
    return shared if roster_nodes > SMALL and shared >= LEAST_DISTRIBUTED else 1


@lru_cache(maxsize=64)
def _draw(population: int, marked: int, *, majority: bool) -> tuple[int, int]:
    """Return the least sample size, and its threshold, that is safe and alive; the whole population if none is."""
    absent = int(population * ABSENT)
    for sample in range(4, population):
        bad = _most(population, marked, sample, BAD_DRAW)
        threshold = (sample + bad) // 2 + 1 if majority else bad + 1
        if sample - _most(population, absent, sample, TOO_FEW_ALIVE) >= threshold:
            return sample, threshold
    threshold = (population + marked) // 2 + 1 if majority else marked + 1
    return population, threshold


def _most(population: int, marked: int, sample: int, chance: Fraction) -> int:
    """Return the least x such that more than x marked in a random sample has at most this chance."""
    least, most = max(0, sample - (population - marked)), min(marked, sample)
    allowed = comb(population, sample) * chance.numerator // chance.denominator
    # Each term follows from the one above it: from C(K, x) C(N - K, L - x) by the factor
    # x (N - K - L + x) / ((K - x + 1) (L - x + 1)), which leaves no remainder.
    term = comb(population - marked, sample - most) * comb(marked, most)
    tail = term
    while most > least and tail <= allowed:
        term = term * most * (population - marked - sample + most)
        term //= (marked - most + 1) * (sample - most + 1)
        most -= 1
        tail += term
    return most
