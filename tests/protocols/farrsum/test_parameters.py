"""The numbers of a secure sum: the tables of the specification, and the inequalities that the proof rests on."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest

from protocols.errors import Rejected
from protocols.farrsum import parameters as numbers
from protocols.farrsum.parameters import Parameters, Trust, honest, least_survivors, parameters


def tail(population, marked, sample, least):
    """Return the exact chance that a random sample holds at least ``least`` marked ones."""
    ways = sum(
        comb(marked, found) * comb(population - marked, sample - found)
        for found in range(least, min(marked, sample) + 1)
        if sample - found <= population - marked
    )
    return Fraction(ways, comb(population, sample))


@pytest.mark.parametrize(
    ("nodes", "c", "committee", "witnesses", "m"),
    [
        (5, 1, (5, 4), (5, 4), 4),
        (10, 3, (10, 7), (10, 7), 8),
        (50, 16, (50, 34), (50, 34), 40),
        (298, 99, (102, 62), (298, 199), 239),
        (1000, 333, (144, 87), (478, 345), 800),
        (2800, 933, (161, 97), (721, 520), 2240),
        (12_000, 3999, (168, 101), (910, 656), 9600),
    ],
)
def test_the_table_of_the_specification(nodes, c, committee, witnesses, m):
    """c, L and t, W and Q, m and h are those of the specification's table."""
    known = parameters(roster_nodes=nodes, nodes=nodes, beacon=True)
    assert known == Parameters(
        nodes=nodes, colluders=c, committee=committee[0], threshold=committee[1], witnesses=witnesses[0],
        quorum=witnesses[1],
    )  # fmt: skip
    assert least_survivors(known, nodes) == m
    assert honest(m, Trust.THIRD, nodes) == m - c
    assert known.everybody == (nodes <= 150)


@pytest.mark.parametrize("beacon", [False, True])
def test_no_two_quorums_and_no_opening_without_the_honest(beacon):
    """For 3 to 600 hospitals: c is under a third, Q > (W + c) / 2, t > c_D, M holds D, and enough are left alive."""
    for nodes in range(3, 601):
        if nodes > 512 and not beacon:
            continue
        known = parameters(roster_nodes=nodes, nodes=nodes, beacon=beacon)
        c = known.colluders
        assert 3 * c < nodes <= 3 * (c + 1)
        assert known.threshold <= known.committee <= known.witnesses <= nodes
        assert known.quorum <= known.witnesses
        if known.witnesses == nodes:
            assert 2 * known.quorum > nodes + c
        else:
            # Even were every corrupt hospital beyond this number a witness too, the chance is at most 2^-40.
            feared = 2 * known.quorum - known.witnesses - 1
            assert tail(nodes, c, known.witnesses, feared + 1) <= Fraction(1, 1 << 40)
        if known.committee == nodes:
            assert known.threshold > c
        else:
            assert tail(nodes, c, known.committee, known.threshold) <= Fraction(1, 1 << 40)
            dead = known.committee - known.threshold + 1
            assert tail(nodes, nodes // 5, known.committee, dead) <= Fraction(1, 1 << 30)


@pytest.mark.parametrize("nodes", [151, 298, 513, 1000, 2800])
def test_the_draw_is_no_larger_than_it_must_be(nodes):
    """The threshold is the least safe one; one member fewer in the committee would be unsafe or not alive."""
    known = parameters(roster_nodes=nodes, nodes=nodes, beacon=True)
    c, size = known.colluders, known.committee
    assert tail(nodes, c, size, known.threshold - 1) > Fraction(1, 1 << 40)
    smaller = next(t for t in range(size) if tail(nodes, c, size - 1, t) <= Fraction(1, 1 << 40))
    assert tail(nodes, nodes // 5, size - 1, size - smaller) > Fraction(1, 1 << 30)


@pytest.mark.parametrize(
    ("roster_nodes", "nodes"), [(60, 30), (60, 20), (100, 34), (900, 400), (3000, 2500), (3000, 1001)]
)
def test_a_part_of_the_roster_must_withstand_all_colluders_of_the_whole(roster_nodes, nodes):
    """The c of the roster counts although fewer hold keys: quorum and threshold rise, down to all must confirm."""
    known = parameters(roster_nodes=roster_nodes, nodes=nodes, beacon=True)
    assert known.colluders == -(-roster_nodes // 3) - 1
    assert known.threshold <= known.committee <= known.witnesses
    if known.witnesses == nodes:
        assert 2 * known.quorum > nodes + known.colluders
    else:
        feared = 2 * known.quorum - known.witnesses
        assert tail(nodes, known.colluders, known.witnesses, feared) <= Fraction(1, 1 << 40)
    if known.committee == nodes:
        assert known.threshold > known.colluders
    else:
        assert tail(nodes, known.colluders, known.committee, known.threshold) <= Fraction(1, 1 << 40)


@pytest.mark.parametrize(
    ("roster_nodes", "nodes", "beacon"),
    [
        (2, 2, False),
        (5, 2, False),
        (60, 19, False),
        (600, 140, True),
        (3000, 400, True),
        (12_000, 600, True),
        (5, 6, False),
    ],
)
def test_too_few_hospitals_are_refused(roster_nodes, nodes, beacon):
    """Fewer than three, no more than could all be corrupt, or more than the roster has: there are no parameters."""
    with pytest.raises(Rejected, match="too-few-nodes"):
        parameters(roster_nodes=roster_nodes, nodes=nodes, beacon=beacon)


def test_without_a_beacon_everybody_serves_up_to_512():
    """Between 150 and 512 the committee is everybody unless a beacon draws one; beyond, the beacon is needed."""
    for nodes in (150, 151, 298, 512):
        known = parameters(roster_nodes=nodes, nodes=nodes)
        assert known.everybody
        assert known.threshold == known.quorum == (nodes + known.colluders) // 2 + 1
    assert parameters(roster_nodes=151, nodes=151, beacon=True).committee < 151
    assert parameters(roster_nodes=512, nodes=512, beacon=True).witnesses == 512
    assert parameters(roster_nodes=513, nodes=513, beacon=True).witnesses < 513
    with pytest.raises(Rejected, match="no-beacon"):
        parameters(roster_nodes=513, nodes=513)


def test_a_beacon_changes_nothing_up_to_150():
    """A small federation's committee is everybody, whatever the beacon says."""
    for nodes in range(3, 151):
        known = parameters(roster_nodes=nodes, nodes=nodes, beacon=True)
        assert known.everybody
        assert known == parameters(roster_nodes=nodes, nodes=nodes)


@pytest.mark.parametrize(("nodes", "m"), [(3, 3), (4, 3), (5, 4), (6, 5)])
def test_survivors_of_small_federations(nodes, m):
    """All of three, three of four, four of five: and the quorum in any case."""
    known = parameters(roster_nodes=nodes, nodes=nodes)
    assert least_survivors(known, nodes) == m
    assert known.quorum <= m


def test_the_fewest_survivors_never_fall_below_quorum_cohort_or_wish():
    """The minimum is at least Q, four fifths of the cohort, and what was asked, whatever the cohort."""
    for nodes in (3, 4, 5, 10, 50, 298):
        known = parameters(roster_nodes=nodes, nodes=nodes)
        for cohort in range(1, nodes + 1):
            for asked in (0, nodes // 2, nodes):
                m = least_survivors(known, cohort, asked)
                assert m >= max(known.quorum, asked, 3)
                assert 5 * m >= 4 * cohort or cohort <= 4


def test_noise_is_shared_only_where_three_honest_are_left():
    """Three or four hospitals, or a minimum close to c, add the whole noise each; trust changes nothing but c."""
    assert [honest(m, Trust.THIRD, nodes) for nodes, m in ((3, 3), (4, 3), (4, 4))] == [1, 1, 1]
    assert honest(4, Trust.NONE, 4) == 1
    assert [honest(4, trust, 5) for trust in Trust] == [4, 4, 3]
    assert [honest(40, trust, 50) for trust in Trust] == [40, 31, 24]
    assert honest(18, Trust.THIRD, 50) == 1
    assert honest(19, Trust.THIRD, 50) == 3


def test_colluders_are_strictly_under_the_feared_part():
    """One third means fewer than a third of the roster, one fifth fewer than a fifth, none means none."""
    for nodes in range(3, 300):
        assert Trust.NONE.colluders(nodes) == 0
        assert 5 * Trust.FIFTH.colluders(nodes) < nodes <= 5 * (Trust.FIFTH.colluders(nodes) + 1)
        assert 3 * Trust.THIRD.colluders(nodes) < nodes <= 3 * (Trust.THIRD.colluders(nodes) + 1)


@pytest.mark.parametrize(
    ("population", "marked", "sample"), [(20, 6, 7), (20, 19, 5), (30, 9, 29), (12, 0, 4), (9, 8, 8)]
)
@pytest.mark.parametrize("chance", [Fraction(1, 2), Fraction(1, 100), Fraction(1, 10**6), Fraction(0)])
def test_the_tail_is_exact(population, marked, sample, chance):
    """The number feared in a sample is the least one that is exceeded with at most the given chance."""
    found = numbers._most(population, marked, sample, chance)
    assert tail(population, marked, sample, found + 1) <= chance
    least = max(0, sample - (population - marked))
    assert found == least or tail(population, marked, sample, found) > chance
