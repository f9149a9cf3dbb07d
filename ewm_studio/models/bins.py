"""Where the bins of continuous actions stand: as listed in a setting, or closer together around doing nothing."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from ewm_studio.envs.spaces import action_names
from ewm_studio.errors import UserError

CLOSER = 1.5  # the power by which bins draw together around the neutral one
_EDGE = 1e-3  # nearer to a bound than this share of the range, that bound is neutral
PEDALS = ("steer", "gas", "brake")
PEDALS_OPPOSED = (1, 2)
PEDAL_VALUES = [-0.5, 0.0, 0.4, 1.0]  # of gas and brake on one axis: a full brake only blocks the wheels


def opposed_pair(text: str) -> tuple[int, int] | None:
    """Two dimensions as in "1,2"; None where none are given."""
    first, _, second = text.partition(",")
    return (int(first), int(second)) if text else None


def listed_values(text: str, controller: str) -> list[list[float]] | None:
    """The values of each axis, as `controller` is told them; None where none are given.

    Raises:
        UserError: an axis has fewer than two different values, or one that is no number from -1 to 1.
    """
    if not text.strip():
        return None
    try:
        axes = [[float(value) for value in axis.split(",")] for axis in text.split(";")]
    except ValueError:
        axes = []
    if not axes or any(len(set(axis)) < max(len(axis), 2) or not all(-1 <= v <= 1 for v in axis) for axis in axes):
        raise UserError(
            f"controller {controller}: bin_values '{text}' should be two or more different numbers from "
            "-1 to 1 for every axis, axes parted by semicolons, such as '-1, 0, 1; -0.6, 0, 1'"
        )
    return axes


def is_pedals(space: gym.spaces.Box) -> bool:
    """Whether these actions are a car's steering, gas and brake."""
    return action_names(space) == PEDALS


def neutral_values(space: gym.spaces.Box, bins: int, opposed: tuple[int, int] | None) -> list[list[float]]:
    """Values from -1 (low bound) to 1 (high bound) for every axis of a bounded space: one is neutral, an action of 0.

    Half of the `bins` lie on either side of it, closer together near it; where 0 is a bound all lie on the one side,
    and where it is out of bounds the middle is neutral. An `opposed` pair shares the axis of its first dimension,
    neutral in the middle.
    """
    low, high = (bound.reshape(-1).astype(np.float64) for bound in (space.low, space.high))
    reach = high / 2 - low / 2
    neutral = np.where((low <= 0) & (high >= 0) & (reach > 0), -(low / 2 + high / 2) / np.where(reach > 0, reach, 1), 0)
    if opposed is not None:
        neutral[opposed[0]] = 0.0
        neutral = np.delete(neutral, opposed[1])
    return [_around(float(place), bins // 2) for place in neutral]


def _around(neutral: float, side: int) -> list[float]:
    """`side` values on either side of `neutral` as far as the bounds, and itself."""
    steps = (np.arange(1, side + 1) / side) ** CLOSER
    below = neutral - (neutral + 1) * steps[::-1] if neutral + 1 > _EDGE else np.empty(0)
    above = neutral + (1 - neutral) * steps if 1 - neutral > _EDGE else np.empty(0)
    return [float(value) for value in (*below, neutral, *above)]
