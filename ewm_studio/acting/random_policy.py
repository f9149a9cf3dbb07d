"""Random actions that explore: smooth in time where actions are continuous."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from torch import Generator

from ewm_studio.acting.policy import Policy

CORRELATION = 0.9  # of two successive actions; a few tenths of a second in most environments
SPREAD = 0.4  # standard deviation of the walk, in halves of the action's range
HABIT = 0.6  # standard deviation of what the walk goes around, drawn anew for every episode


class RandomPolicy(Policy):
    """Draws actions (B, ...) for B episodes from a NumPy generator of its own.

    Continuous actions follow an autoregressive walk, clipped to the range; independent draws would only make a car
    tremble where it stands. Each episode's walk goes around a habit of its own, drawn around the neutral action (0
    where the range holds it, else its middle): a car that always brakes a little never gets anywhere, so some
    episodes must be without. All other actions are uniform.
    """

    def __init__(self, space: gym.Space, rng: np.random.Generator) -> None:
        self.space, self.rng = space, rng
        if isinstance(space, gym.spaces.Box):
            finite = np.isfinite(space.low) & np.isfinite(space.high)
            self._low = np.where(finite, space.low, -1.0).astype(np.float64)
            self._high = np.where(finite, space.high, 1.0).astype(np.float64)
            middle = (self._low + self._high) / 2
            self._neutral = np.where((self._low <= 0) & (self._high >= 0), 0.0, middle)
            self._half = np.maximum(self._high - self._neutral, self._neutral - self._low)

    def begin(self, batch: int) -> None:
        """New walks."""
        self._batch = batch
        self._ended: np.ndarray | None = None
        if isinstance(self.space, gym.spaces.Box):
            self._walk = self.rng.standard_normal((batch, *self.space.shape))
            self._habit = self.rng.standard_normal((batch, *self.space.shape))

    def restart(self, ended: np.ndarray) -> None:
        """A new walk where an episode ended (B,)."""
        self._ended = ended

    def act(self, belief: Any = None, generator: Generator | None = None) -> np.ndarray:
        """The next actions (B, ...), whatever is believed."""
        space, rng, ended = self.space, self.rng, self._ended
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
            return rng.integers(space.start, space.start + space.n, self._batch).astype(space.dtype)
        if isinstance(space, gym.spaces.MultiDiscrete):
            return rng.integers(space.start, space.start + space.nvec, (self._batch, *space.shape)).astype(space.dtype)
        if isinstance(space, gym.spaces.MultiBinary):
            return rng.integers(0, 2, (self._batch, *space.shape)).astype(space.dtype)
        raise TypeError(f"no random actions for {space}")
