"""Environments that each do one wrong thing, at one place: for the fault suite and the tests of what is said of them.

`env_id(fault, place)` is the id of one, in a form that the command line takes: the fault is done in the constructor,
or in the reset, step, render or close of an episode that has gone on for a while.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

AT = 5  # the step, counted over all episodes, at which a fault of a step is done
LONG = 12  # steps of an episode


class Strange(BaseException):
    """Not an Exception."""


def _raise(error: BaseException) -> None:
    raise error


# What ends more than a step: none of it may end the studio, or pass for an end that somebody asked for.
ENDS: dict[str, Callable[[], Any]] = {
    "error": lambda: _raise(ValueError("the bolt is loose")),
    "exit": lambda: sys.exit("enough"),
    "exit0": lambda: sys.exit(0),
    "strange": lambda: _raise(Strange("odd")),
    "interrupt": lambda: _raise(KeyboardInterrupt()),
    "generator": lambda: _raise(GeneratorExit()),
}
DIES = "dies"  # os._exit, which nothing can catch
PLACES = ("init", "reset", "step", "render", "close")

GOOD = np.zeros(4, np.float32)


def _with(value: float) -> np.ndarray:
    return np.array([0, value, 0, 0], np.float32)


# What a step gives in place of the good (observation, reward, terminated, truncated, info), and a word of the line.
STEPS: dict[str, tuple[Any, str]] = {
    "nan_obs": ((_with(np.nan), 0.0, False, False, {}), "nan"),
    "inf_obs": ((_with(np.inf), 0.0, False, False, {}), "inf"),
    "none_obs": ((None, 0.0, False, False, {}), "None"),
    "short_obs": ((GOOD[:1], 0.0, False, False, {}), "shape"),
    "scalar_obs": ((np.float32(1), 0.0, False, False, {}), "shape"),
    "row_obs": ((GOOD[None], 0.0, False, False, {}), "shape"),
    "text_obs": ((np.array(["a"] * 4), 0.0, False, False, {}), "dtype"),
    "ragged_obs": (([0, [1, 2], 0, 0], 0.0, False, False, {}), "observation"),
    "nan_reward": ((GOOD, float("nan"), False, False, {}), "nan"),
    "inf_reward": ((GOOD, -np.inf, False, False, {}), "inf"),
    "none_reward": ((GOOD, None, False, False, {}), "None"),
    "text_reward": ((GOOD, "1.0", False, False, {}), "1.0"),
    "list_reward": ((GOOD, [1.0, 2.0], False, False, {}), "reward"),
    "array_reward": ((GOOD, np.ones(3), False, False, {}), "reward"),
    "complex_reward": ((GOOD, 1j, False, False, {}), "reward"),
    "none_flag": ((GOOD, 0.0, None, False, {}), "terminated"),
    "text_flag": ((GOOD, 0.0, "no", False, {}), "terminated"),
    "nan_flag": ((GOOD, 0.0, False, float("nan"), {}), "truncated"),
    "array_flag": ((GOOD, 0.0, False, np.zeros(2, bool), {}), "truncated"),
    "none_info": ((GOOD, 0.0, False, False, None), "info"),
    "old_gym": ((GOOD, 0.0, False, {}), "old Gym"),
    "three": ((GOOD, 0.0, False), "3"),
    "nothing": (None, "None"),
}
# What a reset gives in place of the good (observation, info).
RESETS: dict[str, tuple[Any, str]] = {
    "nan_first": ((_with(np.nan), {}), "nan"),
    "short_first": ((GOOD[:1], {}), "shape"),
    "old_gym_reset": (GOOD, "old Gym"),
    "pair_of_numbers": (GOOD[:2], "old Gym"),
    "none_first": (None, "None"),
}


class Misbehaving(gym.Env):
    """Four zeros and two choices, until it does its one wrong thing.

    Args:
        fault: of `ENDS`, `STEPS`, `RESETS`, or `DIES`; none for an environment that does nothing wrong.
        place: where an end of `ENDS` happens.
        render_mode: as Gymnasium has it.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 30}
    observation_space = gym.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, fault: str = "", place: str = "step", render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self._fault, self._place, self._steps = fault, place, 0
        self._end("init")

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._left = LONG
        if self._steps >= AT:
            self._end("reset")
        return RESETS[self._fault][0] if self._fault in RESETS else (GOOD.copy(), {})

    def step(self, action: int) -> Any:
        self._steps, self._left = self._steps + 1, self._left - 1
        if self._steps >= AT:
            self._end("step")
        if self._steps == AT and self._fault in STEPS:
            return STEPS[self._fault][0]
        return GOOD.copy(), 1.0, self._left == 0, False, {}

    def render(self) -> np.ndarray:
        if self._steps >= AT:
            self._end("render")
        return np.zeros((16, 16, 3), np.uint8)

    def close(self) -> None:
        self._end("close")

    def _end(self, place: str) -> None:
        if place != self._place:
            return
        if self._fault == DIES:
            os._exit(7)
        if self._fault in ENDS:
            ENDS[self._fault]()


class NoSeed(Misbehaving):
    """Its reset is of the old Gym: it takes no seed."""

    def reset(self) -> Any:
        self._left = LONG
        return GOOD.copy()


def env_id(fault: str, place: str = "step") -> str:
    """The id of the environment with this fault."""
    return f"tests.support.misbehaving_envs:{fault}.{place}-v0"


for _fault in ("", "well", *ENDS, DIES, *STEPS, *RESETS):
    for _place in PLACES:
        if _fault and f"{_fault}.{_place}-v0" not in gym.registry:
            gym.register(f"{_fault}.{_place}-v0", entry_point=Misbehaving, kwargs={"fault": _fault, "place": _place})
if "no_seed.step-v0" not in gym.registry:
    gym.register("no_seed.step-v0", entry_point=NoSeed)
