"""Rewards divided by how far returns deviate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor


class RewardScaler:
    """Divides rewards by the running deviation of the discounted return, so that values are of the order of 1.

    As VecNormalize does; rewards stay below 10 in size. Without it the value's gradient, clipped together with the
    policy's, drowns the policy wherever returns are large.
    """

    CLIP = 10.0

    def __init__(self, envs: int, gamma: float) -> None:
        self.gamma = gamma
        self.returns = np.zeros(envs)
        self.count, self.mean, self.m2 = 0.0, 0.0, 0.0

    def __call__(self, reward: Tensor, ended: Tensor) -> Tensor:
        """Take in rewards (T, B) and episode ends (T, B), and give the rewards scaled."""
        self.take_in(reward, ended)
        return self.scale(reward)

    @property
    def deviation(self) -> float:
        """Of the returns taken in so far."""
        return math.sqrt(self.m2 / self.count + 1e-8)

    def scale(self, reward: Tensor) -> Tensor:
        """Rewards (...) over that deviation."""
        return (reward / self.deviation).clamp(-self.CLIP, self.CLIP)

    def take_in(self, reward: Tensor, ended: Tensor) -> None:
        """See how far the returns of rewards (T, B) deviate, given where episodes end (T, B)."""
        seen = []
        for row, over in zip(reward.cpu().numpy(), ended.cpu().numpy(), strict=True):
            self.returns = self.returns * self.gamma + row
            seen.append(self.returns)
            self.returns = np.where(over, 0.0, self.returns)
        self._update(np.stack(seen))

    def _update(self, values: np.ndarray) -> None:
        """Chan's parallel update of mean and variance."""
        n, mean = values.size, float(values.mean())
        m2 = float(((values - mean) ** 2).sum())
        delta, whole = mean - self.mean, self.count + n
        self.m2 += m2 + delta * delta * self.count * n / whole
        self.mean += delta * n / whole
        self.count = whole

    def adopt(self, other: RewardScaler) -> None:
        """Take over the statistics of another one."""
        self.count, self.mean, self.m2 = other.count, other.mean, other.m2

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return {"returns": self.returns, "count": self.count, "mean": self.mean, "m2": self.m2}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        for name, value in state.items():
            setattr(self, name, value)
