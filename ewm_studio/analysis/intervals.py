"""What runs come to together, and how sure that is: after Agarwal et al. (2021), "Deep Reinforcement Learning at the
Edge of the Statistical Precipice".

Scores are (N, M): N runs, M tasks, each score put on one scale by whoever hands them in. Statistics take any number of
axes before these, so that all bootstrap samples (R, N, M) are computed at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
LEAST_RUNS = 5  # of fewer there is no interval worth the name: they are shown one by one
_MOST_AT_ONCE = 20_000_000  # scores of bootstrap samples that are computed at once


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; of too few runs there is none."""

    value: float
    low: float | None = None
    high: float | None = None


def iqm(scores: Array) -> Array:
    """The interquartile mean of scores (..., N, M): the mean of the middle half of all N * M."""
    every = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    cut = int(0.25 * every.shape[-1])
    return every[..., cut : every.shape[-1] - cut].mean(-1)


def mean(scores: Array) -> Array:
    """The mean of scores (..., N, M)."""
    return scores.mean((-2, -1))


def median(scores: Array) -> Array:
    """The median over tasks of the mean over runs, of scores (..., N, M)."""
    return np.median(scores.mean(-2), axis=-1)


def optimality_gap(scores: Array, target: float = 1.0) -> Array:
    """How far scores (..., N, M) fall short of a target on average; what goes beyond it makes up for nothing."""
    return target - np.minimum(scores, target).mean((-2, -1))


def profile(scores: Array, thresholds: Array) -> Array:
    """The share of scores (..., N, M) above each of the thresholds (K,): (..., K)."""
    every = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    flat = every.reshape(-1, every.shape[-1])
    above = np.stack([len(row) - np.searchsorted(row, thresholds, side="right") for row in flat])
    return above.reshape(*every.shape[:-1], len(thresholds)) / every.shape[-1]


def improvement(scores: Array, other: Array) -> Array:
    """The probability that a run is better than one of the other cell at the same task, of (..., N, M), (..., K, M).

    Equal scores count half: per task it is the Mann-Whitney statistic over N * K. Where tasks are the episodes that all
    have played, runs are compared episode by episode.
    """
    n, k = scores.shape[-2], other.shape[-2]
    below = np.zeros(scores.shape[:-2] + scores.shape[-1:])
    for run in range(n):
        mine = scores[..., run : run + 1, :]
        below += (mine > other).sum(-2) + 0.5 * (mine == other).sum(-2)
    return below.mean(-1) / (n * k)


def stratified(scores: Array, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Which run is drawn for each place of each bootstrap sample, task by task apart: (R, N, M)."""
    return rng.integers(scores.shape[-2], size=(resamples, *scores.shape[-2:]))


def whole_runs(scores: Array, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The same for tasks that one run has played all, which do not vary apart from each other: (R, N, 1)."""
    return rng.integers(scores.shape[-2], size=(resamples, scores.shape[-2], 1))


def resampled(scores: Array, drawn: NDArray[np.int64]) -> Array:
    """Bootstrap samples (R, N, M) of scores (N, M) by what `stratified` or `whole_runs` drew."""
    return scores[drawn, np.arange(scores.shape[-1])]


def percentiles(values: Array, level: float) -> tuple[Array, Array]:
    """The interval of the given level that bootstrap values (R, ...) lie in."""
    low, high = np.percentile(values, [50 * (1 - level), 50 * (1 + level)], axis=0)
    return low, high


def estimate(
    statistic: Statistic, scores: Array, rng: np.random.Generator, resamples: int = 2_000, level: float = 0.95
) -> Estimate:
    """A statistic of scores (N, M) with its stratified bootstrap interval; of fewer than five runs without."""
    value = float(statistic(scores))
    if len(scores) < LEAST_RUNS:
        return Estimate(value)
    low, high = percentiles(
        _in_parts(lambda n: statistic(resampled(scores, stratified(scores, n, rng))), resamples, scores), level
    )
    return Estimate(value, float(low), float(high))


def estimate_improvement(
    scores: Array, other: Array, rng: np.random.Generator, resamples: int = 2_000, level: float = 0.95
) -> Estimate:
    """The probability of improvement over another cell, paired by episode, of (N, E) and (K, E).

    Whole runs are drawn, each with all its episodes: these are not independent of each other. The interval is that of
    other runs on these same episodes.
    """
    value = float(improvement(scores, other))
    if min(len(scores), len(other)) < LEAST_RUNS:
        return Estimate(value)
    won = np.stack([[improvement(one[None], two[None]) for two in other] for one in scores])  # (N, K): of single runs

    def once(count: int) -> Array:
        mine = drawn_times(whole_runs(scores, count, rng), len(scores))
        theirs = drawn_times(whole_runs(other, count, rng), len(other))
        return ((mine @ won) * theirs).sum(-1) / won.size

    low, high = percentiles(_in_parts(once, resamples, np.concatenate([scores, other])), level)
    return Estimate(value, float(low), float(high))


def drawn_times(drawn: NDArray[np.int64], runs: int) -> Array:
    """How often each of so many runs is in each sample (R, N, 1): (R, runs)."""
    return (drawn == np.arange(runs)).sum(-2).astype(np.float64)


def band(
    values: Array, rng: np.random.Generator, resamples: int = 2_000, level: float = 0.95
) -> tuple[Array, Array | None, Array | None]:
    """The interquartile mean over runs at each of K points, of (N, K), and an interval at each, if runs are five."""
    middle = iqm(values.T[..., None])
    if len(values) < LEAST_RUNS:
        return middle, None, None

    def once(count: int) -> Array:
        drawn = rng.integers(len(values), size=(count, len(values)))
        return iqm(values[drawn].swapaxes(-1, -2)[..., None])

    low, high = percentiles(_in_parts(once, resamples, values), level)
    return middle, low, high


def profile_band(
    scores: Array, thresholds: Array, rng: np.random.Generator, resamples: int = 2_000, level: float = 0.95
) -> tuple[Array, Array | None, Array | None]:
    """The performance profile of episodes (N, E) and its pointwise interval, drawing whole runs."""
    middle = profile(scores, thresholds)
    if len(scores) < LEAST_RUNS:
        return middle, None, None
    each = np.stack([profile(run[None], thresholds) for run in scores])  # (N, K): a run's own
    values = _in_parts(lambda count: each[rng.integers(len(each), size=(count, len(each)))].mean(1), resamples, each)
    low, high = percentiles(values, level)
    return middle, low, high


def _in_parts(once: Callable[[int], Array], resamples: int, scores: Array) -> Array:
    """Bootstrap values (R, ...) from calls that make some of them each, so that memory holds."""
    at_once = max(1, _MOST_AT_ONCE // max(1, scores.size))
    counts = [min(at_once, resamples - begun) for begun in range(0, resamples, at_once)]
    return np.concatenate([once(count) for count in counts])
