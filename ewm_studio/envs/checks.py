"""What an environment gives, looked at before anybody uses it: what is no number is not learned from.

The good case costs a comparison or two; what differs from it is looked into, and refused by name.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ewm_studio.envs.failures import WrongOutput

MOST_REWARD = 1e18  # beyond it squares of rewards leave the range of 32-bit numbers
_STEP = "Gymnasium's gives five: observation, reward, terminated, truncated, info"
_OLD_RESET = "as the old Gym had it; Gymnasium's gives two: observation, info"


def step(result: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
    """What a step gave: observation, reward, terminated, truncated, info, each of its type.

    Raises:
        WrongOutput: it gave something else.
    """
    if result.__class__ is not tuple or len(result) != 5:
        result = _five(result)
    obs, reward, terminated, truncated, info = result
    if reward.__class__ is not float:
        reward = number(reward)
    if terminated.__class__ is not bool:
        terminated = flag(terminated, "terminated")
    if truncated.__class__ is not bool:
        truncated = flag(truncated, "truncated")
    if info.__class__ is not dict and not isinstance(info, dict):
        raise WrongOutput(f"an info that is no dictionary: {shown(info)}")
    return obs, reward, terminated, truncated, info


def reset(result: Any) -> tuple[Any, dict[str, Any]]:
    """What a reset gave: an observation and a dictionary.

    Raises:
        WrongOutput: it gave something else.
    """
    if isinstance(result, tuple | list) and len(result) == 2 and isinstance(result[1], dict):
        return result[0], result[1]
    if result is None:
        raise WrongOutput("None from its reset, which should give two: observation, info")
    raise WrongOutput(f"{shown(result)} from its reset, {_OLD_RESET}")


def _five(result: Any) -> Any:
    """What a step gave, where that is no tuple of five."""
    count = len(result) if isinstance(result, tuple | list) else 0
    if count == 5:
        return result
    if count == 4:
        raise WrongOutput(f"four values from its step, as the old Gym had it; {_STEP}")
    raise WrongOutput(f"{f'{count} values' if count else shown(result)} from its step; {_STEP}")


def number(reward: Any) -> float:
    """A reward as a float, which may be no finite one.

    Raises:
        WrongOutput: it is no number.
    """
    if isinstance(reward, float | int | np.floating | np.integer | np.bool_):
        return float(reward)
    if isinstance(reward, np.ndarray) and reward.size == 1 and reward.dtype.kind in "fiub":
        return float(reward.reshape(-1)[0])
    raise WrongOutput(f"a reward that is no number: {shown(reward)}")


def learnable(reward: float) -> float:
    """A reward that can be learned from.

    Raises:
        WrongOutput: it is not finite, or beyond all measure.
    """
    if -MOST_REWARD < reward < MOST_REWARD:
        return reward
    if math.isfinite(reward):
        raise WrongOutput(f"a reward of {reward:g}, where rewards beyond {MOST_REWARD:g} cannot be learned from")
    raise WrongOutput(f"a reward of {reward}")


def flag(value: Any, name: str) -> bool:
    """A flag of a step as a bool.

    Raises:
        WrongOutput: it is neither true nor false.
    """
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bool | np.bool_) or (isinstance(value, int | float | np.number) and value in (0, 1)):
        return bool(value)
    raise WrongOutput(f"a flag '{name}' that is neither true nor false: {shown(value)}")


def finite(obs: np.ndarray) -> np.ndarray:
    """A prepared observation (...) without NaN and infinity.

    Raises:
        WrongOutput: it has one; names the first and where it stands.
    """
    if obs.dtype != np.float32 or np.isfinite(obs).all():
        return obs
    place = int(np.flatnonzero(~np.isfinite(obs.reshape(-1)))[0])
    raise WrongOutput(f"an observation with {obs.reshape(-1)[place]} at place {place} of {obs.size}")


def shown(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    return " ".join(repr(value).split())[:80]
