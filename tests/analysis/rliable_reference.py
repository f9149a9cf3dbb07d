"""What rliable makes of scores in the shapes of its own published data: `test_intervals` holds ours to these numbers.

    uv run --no-project --with rliable==1.2.0 --with "pandas<3" python tests/analysis/rliable_reference.py

writes tests/data/rliable.json. rliable is no dependency: it needs pandas below 3, arch, statsmodels and seaborn.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

SHAPES = {"atari_100k": (100, 26), "ale": (5, 55), "procgen": (10, 16), "dm_control": (10, 6), "one_task": (7, 1)}
SEED, REPS, THRESHOLDS = 20_211, 200, [0.0, 0.25, 0.5, 0.9, 1.0, 1.5]
PLACE = Path(__file__).parents[1] / "data" / "rliable.json"


def scores_of(name, number=0):
    """Two algorithms' scores: skewed, some tasks harder, some scores equal."""
    rng = np.random.default_rng([SEED, list(SHAPES).index(name), number])
    runs, tasks = SHAPES[name]
    scores = rng.gamma(2.0, 0.3, (runs + number, tasks)) + rng.uniform(-0.5, 0.8, tasks)
    return np.round(scores, 1)


def made():
    from rliable import library, metrics

    found = {}
    for name in SHAPES:
        mine, other = scores_of(name), scores_of(name, 1)
        np.random.seed(SEED)
        points, intervals = library.get_interval_estimates(
            {name: mine}, lambda x: np.array([metrics.aggregate_iqm(x), metrics.aggregate_optimality_gap(x)]), reps=REPS
        )
        np.random.seed(SEED)
        profiles, profile_intervals = library.create_performance_profile({name: mine}, THRESHOLDS, reps=REPS)
        np.random.seed(SEED)
        better, better_intervals = library.get_interval_estimates(
            {name: (mine, other)}, lambda x, y: np.array([metrics.probability_of_improvement(x, y)]), reps=REPS
        )
        found[name] = {
            "iqm": points[name][0],
            "optimality_gap": points[name][1],
            "mean": metrics.aggregate_mean(mine),
            "median": metrics.aggregate_median(mine),
            "intervals": intervals[name].tolist(),
            "profile": profiles[name].tolist(),
            "profile_intervals": profile_intervals[name].tolist(),
            "improvement": better[name].item(),
            "improvement_intervals": better_intervals[name].tolist(),
        }
    return {"rliable": version("rliable"), "numpy": version("numpy"), "seed": SEED, "reps": REPS, "found": found}


if __name__ == "__main__":
    PLACE.write_text(json.dumps(made(), indent=1, default=float) + "\n")
