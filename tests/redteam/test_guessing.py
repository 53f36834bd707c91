"""Attacks by arithmetic: averaging and differencing released figures to learn whether one patient is in the records.

The attacker holds the coordinator and every other hospital, so he sees this hospital's noisy figures as they are, and
he knows every record but one patient's. By rho-zCDP the two worlds, with and without that patient, are at most rho
apart (Kullback-Leibler), so no test whatever tells them apart with an advantage (hits less false alarms) above
sqrt(rho / 2), by Pinsker's inequality; for the Gaussian noise that is added, above 2 Phi(sqrt(rho / 2)) - 1.
Each test has the node answer and charge until it refuses, simulates the attacker's best estimate of what was released
a hundred thousand times, and holds its advantage to the bound for the whole loss that was charged. That the advantage
comes near the bound shows that the attack is the best one, and that the test can fail.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from node.books.ledger import Ledger
from node.noise import noise_shares
from queries.asked.canonical import encode
from queries.asked.plan import Between, Every, Members, Not, SiteIs, SiteKey
from queries.cost.accounting import rho_of, rho_of_units, units
from queries.cost.measurement import calibrate
from queries.cost.sensitivity import of_tally
from queries.cost.tally import tally
from tests.node.rig import HOSPITALS, POLICY, Rig, announce, catalogue, plan, request

TRIALS = 100_000
SLACK = 0.02
"""Beyond what the largest difference of two empirical distributions of so many trials strays, but once in 10^9."""
COSTS = units(rho_of(2.0))
DEAD = Members(column="died", codes=("Y",))
OLDEST = Between(column="age", low=117, high=117)


@pytest.fixture
def rig(tmp_path):
    """A node whose patients may be charged an epsilon of 10 in all, and of 2 by one question."""
    made = Rig(tmp_path / "home")
    assert "lifetime_epsilon = 10\nmost_epsilon_per_question = 2.0" in POLICY
    yield made
    made.close()


def spent(rig):
    """Return the loss that was charged, as a rho."""
    return float(rho_of_units(Ledger(connection=rig.connection).spent()))


def ask(rig, number, asked=None, *, price=COSTS, **changes):
    """Have the node answer a question; return the noise that it was answered with, or None where it kept back."""
    reads = rig.records.reads
    asked = asked or plan()
    signed = announce(request(number, plan=encode(asked), rho_units=price, fresh=True, **changes), slot=number)
    rig.answer(signed)
    for message in rig.replier.deposits(again=False):
        assert message.deposits.deposits
    if rig.records.reads == reads:
        return None
    return measured(asked, price)


def measured(asked, price=COSTS, honest=1):
    """Return the noise of a plan at a price."""
    shape = tally(asked, catalogue)
    return calibrate(shape, of_tally(shape, catalogue.sites_per_patient), rho_of_units(price), honest)


def draws(measurement, seed):
    """Return the noise of one entry in so many trials, in units of the statistic."""
    (block,) = measurement.blocks
    chance = np.random.default_rng(seed)
    many = replace(measurement, blocks=(replace(block, entries=TRIALS),))
    return noise_shares(many, chance.bytes) / block.grid


def advantage(estimates, patient=1.0):
    """Return the greatest advantage of a threshold on an estimate, where the patient adds ``patient`` to it."""
    absent, present = np.sort(estimates), np.sort(estimates[::-1] + patient)
    at = np.concatenate([absent, present])
    below = [np.searchsorted(world, at, side="right") / len(world) for world in (absent, present)]
    return float(np.max(np.abs(below[0] - below[1])))


def gaussian(rho):
    """Return the advantage of the best test against Gaussian noise of this rho."""
    return math.erf(math.sqrt(rho) / 2)


def bounded(estimates, rho, *, at_least=0.0):
    """Hold an estimate's advantage to the loss charged, and see that it comes near it: a share of what is possible."""
    found = advantage(estimates)
    assert found <= gaussian(rho) + SLACK <= math.sqrt(rho / 2) + SLACK
    assert found >= at_least * gaussian(rho) > 4 * SLACK
    return found


def test_averaging_by_repetition(rig):
    """The same question asked afresh, and near-duplicates of it, as often as the hospital answers.

    Gained: noise that averages out. Each is charged, so the budget for life ends the averaging where it says.
    """
    answered = []
    for number in range(1, 40):
        near = plan(where=Between(column="age", low=number % 3, high=120)) if number % 2 else plan()
        if (noise := ask(rig, number, near)) is None:
            break
        answered.append(noise)
    assert 4 < len(answered) < 39
    # Fresh noise each time, so the means are real; two draws of two small numbers may well be alike.
    assert len({tuple(each) for each in rig.noisy}) > len(rig.noisy) / 2
    assert ask(rig, number + 1) is None
    estimates = np.mean([draws(noise, seed) for seed, noise in enumerate(answered)], axis=0)
    alone = advantage(draws(answered[0], 99))
    assert bounded(estimates, spent(rig), at_least=0.9) > 2 * alone


def test_a_free_repeat_brings_nothing(rig):
    """The same announcement again, for nothing.

    Gained, were its noise fresh: the average. It is the same bytes, so the estimate stays what it was.
    """
    noise = ask(rig, 1)
    drawn = len(rig.noisy)
    signed = announce(request(1, rho_units=COSTS, fresh=True), slot=1)
    for _ in range(10):
        rig.answer(signed)
    assert len(rig.noisy) == drawn
    bounded(draws(noise, 1), spent(rig), at_least=0.9)


def test_a_dear_question_after_many_cheap_ones(rig):
    """Many questions that cost next to nothing, then one that takes the rest, combined with the best weights.

    Gained, were small charges rounded down: all of them for nothing. Losses add up in whole units, rounded up.
    """
    prices = [units(rho_of(0.2))] * 9 + [units(rho_of(2.0))]
    noises = [ask(rig, number, price=price) for number, price in enumerate(prices, start=1)]
    assert None not in noises
    weights = np.array([1 / float(each.blocks[0].variance(1)) for each in noises])
    estimates = np.average([draws(each, seed) for seed, each in enumerate(noises)], axis=0, weights=weights)
    bounded(estimates, spent(rig), at_least=0.9)


def test_differencing_by_predicate(rig):
    """All who died, then all who died but the one of a rare age: the difference is one patient.

    Gained: what is known of him. The difference has the noise of both, and both were charged.
    """
    rest = plan(where=Every(terms=(DEAD, Not(term=OLDEST))))
    noises = [ask(rig, 1, plan(where=DEAD)), ask(rig, 2, rest)]
    assert None not in noises
    estimates = draws(noises[0], 1) - draws(noises[1], 2)
    bounded(estimates, spent(rig), at_least=0.45)


def test_a_rare_value_asked_for_alone(rig):
    """The rows of one patient are asked for directly, by a value that he alone has.

    Gained: the most that any predicate can; a count of one with noise, at the price that was charged.
    """
    noise = ask(rig, 1, plan(where=OLDEST))
    bounded(draws(noise, 1), spent(rig), at_least=0.9)


def test_differencing_by_cohort(rig):
    """All hospitals are asked, then all but this one: the difference of the sums is this hospital.

    Gained: its own figures. In the second round it adds zeros and noise at no charge, so that the difference holds
    both noises, and no more than the first one was charged for.
    """
    first = ask(rig, 1)
    before = spent(rig)
    others = tuple(site for site in HOSPITALS if site != rig.site)
    assert ask(rig, 2, sites=others) is None
    assert spent(rig) == before
    assert len(rig.noisy) == 2
    bounded(draws(first, 1) - draws(measured(plan()), 2), before, at_least=0.6)
    # He who holds the other hospitals knows the second sum without asking: this is the most that he can do.
    bounded(draws(first, 1), before, at_least=0.9)


def test_a_group_that_matches_one_hospital(rig):
    """Where a policy shows its own row: the hospital's cell of a grouping by hospital, and beside it the total.

    Gained: two looks at one hospital's patients. Both parts of the plan are paid for out of the one price.
    """
    own = plan(keys=(SiteKey(sites=HOSPITALS),))
    total = plan(where=SiteIs(attribute=None, codes=("brest",)), keys=())
    noises = [ask(rig, 1, own), ask(rig, 2, total)]
    assert None not in noises
    weights = np.array([1 / float(each.blocks[0].variance(1)) for each in noises])
    estimates = np.average([draws(each, seed) for seed, each in enumerate(noises)], axis=0, weights=weights)
    bounded(estimates, spent(rig), at_least=0.9)


@pytest.mark.parametrize("honest", [2, 3, 7])
def test_shares_of_colluders_are_taken_off(honest):
    """Where hospitals share the noise, the coordinator and c hospitals take their own shares off the sum.

    Gained: figures with less noise than the price. The price counts on m - c shares only; on one less, as the last
    line shows, the advantage would be beyond the bound.
    """
    shared = measured(plan(), honest=honest)
    rho = float(shared.rho)
    shares = [draws(shared, seed) for seed in range(honest)]
    bounded(np.sum(shares, axis=0), rho, at_least=0.9)
    assert advantage(shares[0] if honest == 2 else np.sum(shares[: honest // 2], axis=0)) > gaussian(rho) + SLACK
