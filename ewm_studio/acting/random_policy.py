"""Random actions that explore: smooth in time where actions are continuous."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

CORRELATION = 0.9  # of two successive actions; a few tenths of a second in most environments
SPREAD = 0.4  # standard deviation of the walk, in halves of the action's range
HABIT = 0.6  # standard deviation of what the walk goes around, drawn anew for every episode


class RandomPolicy:
    """Draws actions (B, ...) for B environments.

    Continuous actions follow an autoregressive walk, clipped to the range; independent draws would only make a car
    tremble where it stands. Each episode's walk goes around a habit of its own, drawn around the neutral action (0
    where the range holds it, else its middle): a car that always brakes a little never gets anywhere, so some
    episodes must be without. All other actions are uniform.
    """

    def __init__(self, space: gym.Space, envs: int, rng: np.random.Generator) -> None:
        self.space, self.envs, self.rng = space, envs, rng
        if isinstance(space, gym.spaces.Box):
            finite = np.isfinite(space.low) & np.isfinite(space.high)
            self._low = np.where(finite, space.low, -1.0).astype(np.float64)
            self._high = np.where(finite, space.high, 1.0).astype(np.float64)
            middle = (self._low + self._high) / 2
            self._neutral = np.where((self._low <= 0) & (self._high >= 0), 0.0, middle)
            self._half = np.maximum(self._high - self._neutral, self._neutral - self._low)
            self._walk = rng.standard_normal((envs, *space.shape))
            self._habit = rng.standard_normal((envs, *space.shape))

    def act(self, ended: np.ndarray | None = None) -> np.ndarray:
        """The next actions (B, ...); environments whose episode ended (B,) start a new walk."""
        space, rng = self.space, self.rng
        if isinstance(space, gym.spaces.Box):
            noise = rng.standard_normal(self._walk.shape)
            self._walk = CORRELATION * self._walk + np.sqrt(1 - CORRELATION**2) * noise
            if ended is not None:
                self._walk[ended] = noise[ended]
                self._habit[ended] = rng.standard_normal(self._habit.shape)[ended]
            offset = self._half * (HABIT * self._habit + SPREAD * self._walk)
            actions = np.clip(self._neutral + offset, self._low, self._high)
            return actions.astype(space.dtype)
        if isinstance(space, gym.spaces.Discrete):
            return rng.integers(space.start, space.start + space.n, self.envs).astype(space.dtype)
        if isinstance(space, gym.spaces.MultiDiscrete):
            return rng.integers(space.start, space.start + space.nvec, (self.envs, *space.shape)).astype(space.dtype)
        if isinstance(space, gym.spaces.MultiBinary):
            return rng.integers(0, 2, (self.envs, *space.shape)).astype(space.dtype)
        raise TypeError(f"no random actions for {space}")
