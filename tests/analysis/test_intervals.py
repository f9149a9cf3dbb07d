"""Aggregates and intervals: equal to rliable's, where the method is the same; honest where there is little to go by."""

import json
import re

import numpy as np
import pytest

from ewm_studio.analysis import intervals
from ewm_studio.jobs.studies.report import HELD
from tests.analysis.rliable_reference import PLACE, REPS, SEED, SHAPES, THRESHOLDS, scores_of
from tests.benchmarks import coverage
from tests.benchmarks.coverage import SHAPES as SHAPES_OF_RUNS

REFERENCE = json.loads(PLACE.read_text())
CLOSE = {"rel": 0, "abs": 1e-9}
named = pytest.mark.parametrize("name", SHAPES)


def drawn(random, scores):
    """What rliable draws for one sample after the other."""
    return random.choice(len(scores), scores.shape, replace=True)


@named
def test_aggregates_equal_rliables(name):
    scores, found = scores_of(name), REFERENCE["found"][name]
    for statistic in (intervals.iqm, intervals.optimality_gap, intervals.mean, intervals.median):
        assert float(statistic(scores)) == pytest.approx(found[statistic.__name__], **CLOSE)


@named
def test_intervals_equal_rliables_on_the_same_draws(name):
    scores, random = scores_of(name), np.random.RandomState(SEED)
    samples = intervals.resampled(scores, np.stack([drawn(random, scores) for _ in range(REPS)]))
    values = np.stack([intervals.iqm(samples), intervals.optimality_gap(samples)], axis=-1)
    ours = np.stack(intervals.percentiles(values, 0.95))
    np.testing.assert_allclose(ours, REFERENCE["found"][name]["intervals"], rtol=0, atol=1e-9)


@named
def test_profiles_equal_rliables(name):
    scores, thresholds, found = scores_of(name), np.array(THRESHOLDS), REFERENCE["found"][name]
    np.testing.assert_allclose(intervals.profile(scores, thresholds), found["profile"], rtol=0, atol=1e-9)
    random = np.random.RandomState(SEED)
    samples = intervals.resampled(scores, np.stack([drawn(random, scores) for _ in range(REPS)]))
    ours = np.stack(intervals.percentiles(intervals.profile(samples, thresholds), 0.95))
    np.testing.assert_allclose(ours, found["profile_intervals"], rtol=0, atol=1e-9)


@named
def test_the_probability_of_improvement_equals_rliables(name):
    mine, other, found = scores_of(name), scores_of(name, 1), REFERENCE["found"][name]
    assert float(intervals.improvement(mine, other)) == pytest.approx(found["improvement"], **CLOSE)
    random, pairs = np.random.RandomState(SEED), []
    for _ in range(REPS):
        pairs.append((drawn(random, mine), drawn(random, other)))
    one, two = (
        intervals.resampled(s, np.stack(d)) for s, d in zip((mine, other), zip(*pairs, strict=True), strict=True)
    )
    low, high = intervals.percentiles(intervals.improvement(one, two), 0.95)
    np.testing.assert_allclose([low, high], np.ravel(found["improvement_intervals"]), rtol=0, atol=1e-9)


def test_fewer_than_five_runs_have_no_interval():
    rng, few = np.random.default_rng(0), np.arange(4.0)[:, None]
    assert intervals.estimate(intervals.iqm, few, rng) == intervals.Estimate(1.5)
    assert intervals.estimate_improvement(few, few + 1, rng).low is None
    assert intervals.band(few.repeat(3, 1), rng)[1:] == (None, None)
    assert intervals.estimate(intervals.iqm, np.arange(5.0)[:, None], rng).low is not None


def test_one_that_always_wins_is_surely_better_and_equals_are_even():
    rng, scores = np.random.default_rng(0), np.random.default_rng(1).normal(size=(6, 20))
    assert intervals.estimate_improvement(scores + 100, scores, rng) == intervals.Estimate(1.0, 1.0, 1.0)
    same = intervals.estimate_improvement(np.ones((6, 20)), np.ones((7, 20)), rng)
    assert same == intervals.Estimate(0.5, 0.5, 0.5)


def test_runs_and_not_their_episodes_are_what_varies():
    """A run that is good is good in all its episodes: twenty of them are not twenty witnesses."""
    rng = np.random.default_rng(3)
    skill = rng.normal(size=(6, 1))
    mine, other = np.repeat(skill, 50, 1), np.repeat(rng.normal(size=(6, 1)), 50, 1)
    paired = intervals.estimate_improvement(mine, other, np.random.default_rng(0))
    one = intervals.estimate_improvement(mine[:, :1], other[:, :1], np.random.default_rng(0))
    assert (paired.low, paired.high) == pytest.approx((one.low, one.high))


def test_bands_hold_the_middle_and_grow_with_the_level():
    rng, values = np.random.default_rng(0), np.random.default_rng(1).normal(size=(8, 5)).cumsum(1)
    middle, low, high = intervals.band(values, rng, level=0.95)
    assert (low <= middle).all()
    assert (middle <= high).all()
    _, narrow_low, narrow_high = intervals.band(values, rng, level=0.5)
    assert (high - low > narrow_high - narrow_low).all()
    above, low, high = intervals.profile_band(values, np.array([-1.0, 0.0, 1.0]), rng)
    assert above.tolist() == sorted(above, reverse=True)
    assert (low <= above).all()
    assert (above <= high).all()


def test_samples_are_made_in_parts_where_memory_would_not_hold(monkeypatch):
    scores = np.random.default_rng(1).normal(size=(5, 3))
    monkeypatch.setattr(intervals, "_MOST_AT_ONCE", 100)
    found = intervals.estimate(intervals.iqm, scores, np.random.default_rng(0), resamples=250)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("shape", SHAPES_OF_RUNS)
def test_as_many_intervals_hold_the_truth_as_the_report_says(shape):
    """By simulation: somewhat fewer than the nominal 95%, and the report names how many."""
    rng = np.random.default_rng(0)
    for runs, said in HELD.items():
        low, high = (int(word) / 100 for word in re.findall(r"\d+", said))
        held = coverage.held_iqm(SHAPES_OF_RUNS[shape], runs, studies=1_000, resamples=300, rng=rng)
        assert low - 0.025 < held < high + 0.025  # two and a half deviations of a share of 1,000


def test_whole_runs_are_drawn_because_episodes_apart_would_hold_the_truth_half_as_often():
    whole, apart = coverage.held_improvement(coverage.normal, 10, 100, 200, np.random.default_rng(0))
    assert whole > 0.82
    assert apart < 0.65
