"""Where a car may begin besides the first tile, so that data show every part of a track, recoveries and the grass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from gymnasium.envs.box2d.car_racing import TRACK_WIDTH

REVERSED, GRASS = 0.1, 0.1  # shares of the random starts that face the wrong way, and that are beside the road
ASKEW = 0.3  # radians by which the others may be off the road's direction
BESIDE = (1.2, 2.5)  # half widths of the road from its middle


def random_pose(track: Sequence[tuple[float, float, float, float]], rng: np.random.Generator) -> tuple[float, ...]:
    """Angle, x and y of a car somewhere on a track of points (alpha, beta, x, y), as its points have them."""
    _, angle, x, y = track[int(rng.integers(len(track)))]
    aside = rng.uniform(-0.5, 0.5)
    if rng.random() < GRASS:
        aside = rng.choice([-1, 1]) * rng.uniform(*BESIDE)
    x, y = x + aside * TRACK_WIDTH * math.cos(angle), y + aside * TRACK_WIDTH * math.sin(angle)
    turned = math.pi if rng.random() < REVERSED else rng.uniform(-ASKEW, ASKEW)
    return float(angle + turned), float(x), float(y)
