"""How often an interval of a study holds the true value: by simulation, since no real study knows it.

    uv run python -m tests.benchmarks.coverage

Draws many studies of N runs from distributions whose interquartile mean, and whose probability of improvement, are
known to four digits, computes the intervals as a study does, and counts. Three shapes of a run's score: normal; skewed
(a long tail of bad runs); and two groups (one run in four fails). The probability of improvement is of runs of 20
episodes, of which the run's own skill is half of the variance.
"""

from __future__ import annotations

import argparse

import numpy as np

from ewm_studio.analysis.intervals import (
    estimate,
    estimate_improvement,
    improvement,
    iqm,
    percentiles,
    resampled,
    stratified,
)

RUNS = 5, 10, 20
TRUTH = 400_000  # draws behind the true values
EPISODES = 20


def normal(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Runs that differ a little."""
    return rng.normal(size=size)


def skewed(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Most runs are good, some are much worse."""
    return -rng.gamma(1.5, 1.0, size)


def two_groups(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """One run in four never learns."""
    return np.where(rng.random(size) < 0.25, -4.0, 0.0) + rng.normal(size=size)


SHAPES = {"normal": normal, "skewed": skewed, "one in four fails": two_groups}


def held_iqm(draw, runs: int, studies: int, resamples: int, rng: np.random.Generator) -> float:
    """Share of the intervals of the interquartile mean that hold the true one."""
    truth = float(iqm(draw(rng, (TRUTH, 1))))
    held = 0
    for _ in range(studies):
        found = estimate(iqm, draw(rng, (runs, 1)), rng, resamples)
        held += found.low <= truth <= found.high
    return held / studies


def episodes(draw, runs: int, shift: float, rng: np.random.Generator) -> np.ndarray:
    """(N, E) scores: the run's skill, and as much chance again in each episode."""
    skill = draw(rng, (runs, 1))
    return skill + shift + rng.normal(size=(runs, EPISODES)) * skill.std()


def held_improvement(draw, runs: int, studies: int, resamples: int, rng: np.random.Generator) -> tuple[float, float]:
    """Share of the intervals that hold the true probability: drawing whole runs, and drawing each episode apart."""
    truths = [float(improvement(episodes(draw, 200, 0.5, rng), episodes(draw, 200, 0.0, rng))) for _ in range(200)]
    truth, whole, apart = float(np.mean(truths)), 0, 0
    for _ in range(studies):
        mine, other = episodes(draw, runs, 0.5, rng), episodes(draw, runs, 0.0, rng)
        found = estimate_improvement(mine, other, rng, resamples)
        whole += found.low <= truth <= found.high
        drawn = [resampled(s, stratified(s, resamples, rng)) for s in (mine, other)]
        low, high = percentiles(improvement(*drawn), 0.95)
        apart += bool(low <= truth <= high)
    return whole / studies, apart / studies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1_000, help="simulated studies behind each figure")
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    print(f"nominal 95%; {args.studies} studies each, {args.resamples} bootstrap samples, seed {args.seed}")
    print("| scores of runs | seeds | IQM | improvement, whole runs | improvement, each episode apart |")
    print("| --- | --- | --- | --- | --- |")
    for name, draw in SHAPES.items():
        for runs in RUNS:
            middle = held_iqm(draw, runs, args.studies, args.resamples, rng)
            whole, apart = held_improvement(draw, runs, args.studies // 2, args.resamples, rng)
            print(f"| {name} | {runs} | {middle:.1%} | {whole:.1%} | {apart:.1%} |", flush=True)


if __name__ == "__main__":
    main()
