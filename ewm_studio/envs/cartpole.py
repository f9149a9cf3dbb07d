"""CartPole that shows positions only: the velocities have to be remembered."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

_SHOWN = [0, 2]  # cart position x (m), pole angle theta (rad)


class CartPoleNoVelocity(CartPoleEnv):
    """CartPole-v1 whose observation is [x, theta], float32 (2,).

    The task of a memory: the velocities follow from two observations in a row, not from one.
    """

    def __init__(self, sutton_barto_reward: bool = False, render_mode: str | None = None) -> None:
        super().__init__(sutton_barto_reward, render_mode)
        full = self.observation_space
        assert isinstance(full, gym.spaces.Box)
        self.observation_space = gym.spaces.Box(full.low[_SHOWN], full.high[_SHOWN], dtype=np.float32)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step of 0.02 s; see CartPole-v1."""
        obs, reward, terminated, truncated, info = super().step(action)
        return obs[_SHOWN], reward, terminated, truncated, info

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode; see CartPole-v1."""
        obs, info = super().reset(seed=seed, options=options)
        return obs[_SHOWN], info
