"""A picture of a dot on a circle, which actions turn: small enough to learn vision and memory on within seconds."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

DOT = "tests.support.dot_env:Dot-v0"
SIDE, RADIUS, WIDTH, TURN = 16, 5.0, 1.5, 0.6  # pixels, and radians a step


class Dot(gym.Env):
    """The dot goes on by `TURN` where action 1 is taken, and back by it at 0."""

    observation_space = gym.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._angle = self.np_random.uniform(0, 2 * np.pi)
        return self._picture(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._angle += TURN if action else -TURN
        return self._picture(), float(np.cos(self._angle)), False, False, {}

    def _picture(self) -> np.ndarray:
        at = SIDE / 2 + RADIUS * np.array([np.cos(self._angle), np.sin(self._angle)])
        rows, columns = np.mgrid[:SIDE, :SIDE]
        light = np.exp(-((columns - at[0]) ** 2 + (rows - at[1]) ** 2) / (2 * WIDTH**2))
        return np.repeat((255 * light)[..., None], 3, axis=2).astype(np.uint8)


if "Dot-v0" not in gym.registry:
    gym.register("Dot-v0", entry_point=Dot, max_episode_steps=40)
