"""Environments that do one thing that others do not, for tests of jobs in processes of their own."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np


class Short(gym.Env):
    """Every episode is one step long, and its reward the number of the episode."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 50}
    action_space = gym.spaces.Discrete(2)
    observation_space = gym.spaces.Box(0, 1, (2,), np.float32)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self._episodes = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return self.np_random.random(2, dtype=np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._episodes += 1
        return np.zeros(2, np.float32), float(self._episodes), True, False, {}

    def render(self) -> np.ndarray:
        return np.zeros((8, 8, 3), np.uint8)


class Broken(Short):
    """Raises in its third step."""

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._episodes += 1
        if self._episodes == 3:
            raise ValueError("the bolt is loose")
        return self.np_random.random(2, dtype=np.float32), 0.0, False, False, {}


class Hanging(Short):
    """Never returns from a later step."""

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._episodes += 1
        while self._episodes > 300:
            time.sleep(1)
        return self.np_random.random(2, dtype=np.float32), 1.0, self._episodes % 10 == 0, False, {}


for made in (Short, Broken, Hanging):
    if f"{made.__name__}-v0" not in gym.registry:
        gym.register(f"{made.__name__}-v0", entry_point=made)
