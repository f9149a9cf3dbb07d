"""Environments that note when they are made and closed: for tests of how often that is."""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

COUNTED, SLOW = "tests.support.counted_envs:Counted-v0", "tests.support.counted_envs:CountedSlow-v0"
NOTED: list[str] = []  # "made" and "closed", of all in this process


class Counted(CartPoleEnv):
    """CartPole that takes notes.

    Args:
        pause: seconds that a step takes longer.
        render_mode: as CartPole has it.
    """

    def __init__(self, pause: float = 0.0, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        self._pause = pause
        NOTED.append("made")

    def step(self, action: Any) -> Any:
        if self._pause:
            time.sleep(self._pause)
        return super().step(action)

    def close(self) -> None:
        NOTED.append("closed")
        super().close()


if "Counted-v0" not in gym.registry:
    gym.register("Counted-v0", entry_point=Counted, max_episode_steps=50)
    gym.register("CountedSlow-v0", entry_point=Counted, max_episode_steps=50, kwargs={"pause": 2e-3})
