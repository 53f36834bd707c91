"""Survival statistics over thousands of releases: real trials against their exact answers, simulated populations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from queries.sql import read
from queries.statistics import STATISTICS
from tests.distributions import shared, trials
from tests.distributions.drawn import Codes, Drawn, Figures, Ints
from tests.distributions.pooled import SITE, records_of

RELEASES = 5_000
NULLS = 8_000
HOSPITALS = 298

needs_data = pytest.mark.skipif(not shared.SHARED.is_dir(), reason="no real data here")

SMALL = "BAND(followed, 91, 181, 271)"
STROKE = "BAND(followed, 8, 15, 31, 91, 181)"


def drawn(catalogue, expression):
    """A question for one column."""
    return Drawn(catalogue, read(f"SELECT {expression} AS x FROM trial", catalogue, {SITE: {}}))


def codes_of(catalogue, frame) -> Codes:
    """Patients as ``Drawn`` takes them."""
    table = catalogue.table("trial")
    found = {"followed": frame.followed.to_numpy()}
    for column in frame.columns.drop(["patient_id", "followed"]):
        names = [code.code for code in table.column(column).codes.codes]
        found[column] = frame[column].map({name: place for place, name in enumerate(names)}).to_numpy()
    return found


def released(ask, exact, count, epsilon, seed, *, times=1, believed=True) -> Figures:
    """So many releases of one exact tally, or of one tally each; the reading is that of the question."""
    rng = np.random.default_rng(seed)
    vectors = ask.released(np.broadcast_to(exact, (count, exact.shape[-1])), epsilon, rng, times=times)
    reading = ask.question.view.columns[-1].expression.reading
    return ask.read(vectors, epsilon if believed else None, reading, times=times)


def exactly(ask, exact):
    """The figures without noise."""
    return ask.read(exact[None].astype(float), None, ask.question.view.columns[-1].expression.reading).value[0]


def check(found, truth, *, shown=0.99):
    """Unbiased within simulation error, and covered between 93 and 97 %."""
    assert np.isfinite(found.value).mean(axis=0).min() > shown
    assert np.abs(found.bias(truth)).max() < 4
    covered = found.covered(truth)
    assert ((covered > 0.93) & (covered < 0.97)).all(), covered


REAL = {
    "stroke": (trials.stroke, f"SURVIVAL({STROKE}, event = 'Y', 7, 14, 30, 90)", (0.3, 1.0)),
    "infections": (trials.infections, f"SURVIVAL({SMALL}, event = 'Y', 90, 180)", (1.0, 3.0)),
    "lung": (trials.lung, f"SURVIVAL({SMALL}, event = 'Y', 90, 180)", (1.0, 3.0)),
    "transplants": (trials.transplants, "SURVIVAL(BAND(followed, 101, 366), event = 'Y', 100, 365)", (1.0, 3.0)),
}

EXACT = {
    "stroke": lambda answers: answers["km"]["all"]["S"],
    "infections": lambda answers: answers["cgd_first_infection"]["km"]["all"]["S"],
    "lung": lambda answers: answers["lung_ncctg"]["km"]["all"]["S"],
    "transplants": lambda answers: answers["bmt"]["km_dfs"]["all"]["S"],
}


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_survival_of_real_trials_is_unbiased_and_covered(name, tmp_path):
    """At two budgets, 5,000 releases each; the bands themselves move the exact curve by less than 0.001."""
    made, expression, budgets = REAL[name]
    catalogue, frame = made()
    ask = drawn(catalogue, expression)
    records = records_of(tmp_path, catalogue, {"trial": frame})
    exact = records.exact(ask.question)
    records.scanner.close()
    assert (exact == ask.tallied(codes_of(catalogue, frame))).all()
    truth = exactly(ask, exact)
    answers = EXACT[name](shared.answers_of(shared.STROKE if name == "stroke" else shared.TRIALS))
    times = ask.question.view.columns[-1].expression.reading.numbers
    assert truth == pytest.approx([answers[time] for time in times], abs=0.001)
    for epsilon in budgets:
        check(released(ask, exact, RELEASES, epsilon, 1), truth, shown=0.95)


@needs_data
@pytest.mark.slow
def test_hazard_ratios_of_the_stroke_trial_are_unbiased_and_covered():
    """Of aspirin and of the drowsy, at two budgets; the bands move a log ratio by less than 0.02."""
    catalogue, frame = trials.stroke()
    frame = frame[frame.consciousness != "U"]
    ask = drawn(catalogue, f"HAZARD_RATIO({STROKE}, event = 'Y', aspirin, consciousness = 'D')")
    exact = ask.tallied(codes_of(catalogue, frame))
    truth = exactly(ask, exact)
    from statsmodels.duration.hazard_regression import PHReg

    covariates = np.column_stack([frame.aspirin == "Y", frame.consciousness == "D"]).astype(float)
    cox = PHReg(frame.followed.to_numpy(), covariates, status=(frame.event == "Y").to_numpy(int), ties="breslow").fit()
    assert np.log(truth) == pytest.approx(cox.params, abs=0.02)
    for epsilon in (0.3, 1.0):
        found = released(ask, exact, RELEASES, epsilon, 2)
        logs = Figures(*(np.log(each) for each in (found.value, found.low, found.high)), None, None)
        check(logs, np.log(truth))


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "group", "bands", "budgets"),
    [(trials.stroke, "aspirin", STROKE, (0.3, 1.0)), (trials.stroke, "consciousness", STROKE, (0.3, 1.0)),
     (trials.lung, "female", "followed", (3.0,)), (trials.lung, "female", SMALL, (1.0,)),
     (trials.transplants, "disease", "BAND(followed, 101, 366)", (1.0, 3.0))],
)  # fmt: skip
def test_the_log_rank_test_rejects_five_percent_of_what_is_null(made, group, bands, budgets):
    """Real patients whose groups are dealt anew 8,000 times: 4 to 6 % are called different, with the noise in them."""
    catalogue, frame = made()
    ask = drawn(catalogue, f"LOGRANK({bands}, event = 'Y', {group})")
    codes = codes_of(catalogue, frame)
    rng = np.random.default_rng(3)
    exact = np.array([ask.tallied(codes | {group: rng.permutation(codes[group])}) for _ in range(NULLS)])
    for epsilon in budgets:
        p = released(ask, exact, NULLS, epsilon, 4).value[:, 2]
        assert np.isfinite(p).mean() > 0.95
        assert 0.04 < (p < 0.05).mean() < 0.06


@dataclass(frozen=True)
class Population:
    """Exponential lives in two arms, some lost on the way: 0.003 die a day, 0.6 times that in the second arm."""

    size: int

    @property
    def catalogue(self):
        """Up to 600 days."""
        return trials.catalogue_of(600, {"arm": ("A", "B")})

    def sample(self, rng, ratio=0.6) -> Codes:
        """One population, with so low a hazard that whole days lose nothing."""
        arm = rng.integers(0, 2, self.size)
        until = rng.exponential(1 / 0.003 / np.where(arm == 1, ratio, 1.0))
        left = np.minimum(rng.exponential(800, self.size), 600)
        days = np.minimum(until, left).astype(int)
        return {"followed": days, "event": ((until <= left) & (until < 600)).astype(int), "arm": arm}

    def tallies(self, ask, count, seed, ratio=0.6) -> Ints:
        """Exact tallies of so many populations."""
        rng = np.random.default_rng(seed)
        return np.array([ask.tallied(self.sample(rng, ratio)) for _ in range(count)])


def whole(size, epsilon, expression, truth, seed, count=RELEASES):
    """Releases of populations, and how often the total interval holds the truth."""
    people = Population(size)
    ask = drawn(people.catalogue, expression)
    found = released(ask, people.tallies(ask, count, seed), count, epsilon, seed + 1)
    return found, found.covered(truth, total=True)


ENDS = ", ".join(str(start) for start in range(51, 600, 50))
CURVE = f"SURVIVAL(BAND(followed, {ENDS}), event = 'Y', 100, 300, 500)"
DAYS = np.array([101, 301, 501])
"""Survival over the whole of day 100 is survival until day 101 begins."""
CURVE_TRUTH = (np.exp(-0.003 * DAYS) + np.exp(-0.0018 * DAYS)) / 2


RATIO = "HAZARD_RATIO(BAND(followed, 101, 201, 301, 401, 501, 600), event = 'Y', arm)"


@pytest.mark.slow
@pytest.mark.parametrize(("size", "epsilon"), [(1_000, 1.0), (1_000, 3.0), (10_000, 0.3), (10_000, 1.0)])
def test_total_intervals_cover_the_truth_of_simulated_populations(size, epsilon):
    """Survival at three times, the median and the hazard ratio, 5,000 populations each."""
    _, covered = whole(size, epsilon, CURVE, CURVE_TRUTH, 5)
    assert ((covered > 0.93) & (covered < 0.97)).all(), covered
    _, covered = whole(size, epsilon, RATIO, [0.6], 7)
    assert 0.93 < covered[0] < 0.97
    _, covered = whole(size, epsilon, MEDIAN, [MEDIAN_TRUTH], 9)
    assert 0.93 < covered[0] < 0.97


@pytest.mark.slow
@pytest.mark.parametrize(("size", "epsilon"), [(1_000, 1.0), (10_000, 1.0), (100_000, 1.0)])
def test_default_bands_are_fine_enough_for_total_intervals(size, epsilon):
    """2,000 populations, bands of 50 days: beside the sampling error of 100,000 patients their error is still small."""
    expression = "SURVIVAL(followed, event = 'Y', 100, 300, 500)"
    _, covered = whole(size, epsilon, expression, CURVE_TRUTH, 19, count=2_000)
    assert ((covered > 0.93) & (covered < 0.97)).all(), covered


MEDIAN = "MEDIAN_SURVIVAL(BAND(followed, 30), event = 'Y')"
MEDIAN_TRUTH = 294.8
"""Where exp(-0.003 t) + exp(-0.0018 t) = 1, less half a day for whole days."""


@pytest.mark.slow
def test_medians_are_near_unbiased_and_covered():
    """A thousand patients at two budgets: noise-only coverage, and a mean error far below the spread."""
    people = Population(1_000)
    ask = drawn(people.catalogue, MEDIAN)
    exact = people.tallies(ask, 1, 11)[0]
    truth = exactly(ask, exact)
    assert truth == pytest.approx([MEDIAN_TRUTH], abs=40)
    for epsilon in (1.0, 3.0):
        found = released(ask, exact, RELEASES, epsilon, 12)
        errors = found.value - truth
        assert abs(np.nanmean(errors)) < 0.2 * np.nanstd(errors)
        assert 0.93 < found.covered(truth)[0] < 0.98


@needs_data
@pytest.mark.slow
def test_the_naive_ways_are_worse():
    """Noise of 298 hospitals summed is 17 times ours; an interval without the noise covers far less than 95 %."""
    catalogue, frame = trials.stroke()
    ask = drawn(catalogue, f"SURVIVAL({STROKE}, event = 'Y', 14, 90)")
    exact = ask.tallied(codes_of(catalogue, frame))
    truth = exactly(ask, exact)
    ours = released(ask, exact, RELEASES, 1.0, 13).error(truth)
    summed = released(ask, exact, RELEASES, 1.0, 14, times=HOSPITALS).error(truth)
    assert (summed > 15 * ours).all()
    people = Population(1_000)
    ask = drawn(people.catalogue, CURVE)
    tallies = people.tallies(ask, RELEASES, 15)
    ignoring = released(ask, tallies, RELEASES, 0.3, 16, believed=False).covered(CURVE_TRUTH, total=True)
    assert ignoring[1:].max() < 0.8
    test = drawn(people.catalogue, "LOGRANK(followed, event = 'Y', arm)")
    nulls = people.tallies(test, 2_000, 17, ratio=1.0)
    assert (released(test, nulls, 2_000, 1.0, 18, believed=False).value[:, 2] < 0.05).mean() > 0.1


def test_every_survival_statistic_is_in_this_suite():
    """The names that plans use, so that a new one is not forgotten here."""
    from_exits = {name for name, each in STATISTICS.items() if type(each).__mro__[1].__name__ == "FromExits"}
    assert from_exits == {"survival", "logrank", "hazard_ratio"}
