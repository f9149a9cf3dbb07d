"""A policy whose hand is taken off the wheel now and then, so that a memory sees what actions do.

In the data of a good driver the road foretells the steering, and a memory that reads the road need never look at the
wheel. Bursts of one random action, held for a while, part the two. Of continuous actions only some axes are held, and
the policy goes on with the others: a car that is braked by every burst shows little of what steering does.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.acting.policy import Policy
from ewm_studio.settings import DataSettings

SHORTEST, LONGEST = 3, 12  # decisions of a burst
HOLD = (20, 60)  # decisions of a long one
LOW = (0.1, 0.3)  # shares of the range of an axis that goes one way, in a gentle burst
RATES = (0.0, 0.5, 1.0, 2.0)  # of the rate asked for; one is drawn for every episode, so that some are undisturbed


def disturbed(policy: Policy, space: gym.Space, rng: np.random.Generator, data: DataSettings) -> Policy:
    """`policy` with the bursts that `data` asks for; itself where it asks for none."""
    return DisturbedPolicy(policy, Bursts(space, rng, data.bursts, data.holds, data.gentle)) if data.bursts else policy


class DisturbedPolicy(Policy):
    """Another policy's actions, but for bursts of a random one."""

    def __init__(self, policy: Policy, bursts: Bursts) -> None:
        """Disturb `policy` by `bursts`."""
        self._policy, self.bursts = policy, bursts

    def begin(self, batch: int) -> None:
        """No burst is going on in any of B episodes."""
        self._policy.begin(batch)
        self.bursts.begin(batch)

    def restart(self, ended: np.ndarray) -> None:
        """The bursts of episodes (B,) that ended are over, and other rates hold in the next ones."""
        self._policy.restart(ended)
        self.bursts.restart(ended)

    def act(self, belief: Any, generator: Generator | None = None) -> np.ndarray:
        """The policy's actions (B, ...), or those of the bursts that are going on."""
        action = self._policy.act(belief, generator)
        return self.bursts.over(action.cpu().numpy() if isinstance(action, Tensor) else np.asarray(action))


class Bursts:
    """When bursts begin in B episodes, how long each lasts, and what is held in it."""

    def __init__(
        self, space: gym.Space, rng: np.random.Generator, rate: float, holds: float = 0.0, gentle: float = 0.0
    ) -> None:
        """Bursts of actions of `space`.

        Args:
            space: of the actions.
            rng: draws when bursts begin, how long they last, and their actions.
            rate: chance that a decision begins a burst, in the mean over episodes.
            holds: share of the bursts that are long: nothing, or the opposite of what the policy was doing.
            gentle: share of the bursts in which an axis is held while a car would roll along.
        """
        self._space, self._rng, self._holds, self._gentle = space, rng, holds, gentle
        self._rate = rate / float(np.mean(RATES))
        self.begin(0)

    def begin(self, batch: int) -> None:
        """No burst is going on in any of B episodes."""
        shape = (batch, *(self._space.shape or ()))
        self._left = np.zeros(batch, np.int64)
        self._value, self._held = np.zeros(shape, self._space.dtype), np.zeros(shape, np.bool_)
        self._rates = self._rng.choice(RATES, batch)

    def restart(self, ended: np.ndarray) -> None:
        """The bursts of episodes (B,) that ended are over, and other rates hold in the next ones."""
        self._left[ended] = 0
        self._rates[ended] = self._rng.choice(RATES, int(ended.sum()))

    def over(self, action: np.ndarray) -> np.ndarray:
        """Those actions (B, ...), but for what the bursts that are going on hold; a decision goes by."""
        action = action.copy()
        begins = (self._left == 0) & (self._rng.random(len(action)) < self._rate * self._rates)
        for i in np.flatnonzero(begins):
            self._left[i], (self._value[i], self._held[i]) = self._begun(action[i])
        for i in np.flatnonzero(self._left > 0):
            action[i] = np.where(self._held[i], self._value[i], action[i])
        self._left = np.maximum(self._left - 1, 0)
        return action

    def state(self) -> dict[str, Tensor]:
        """For an exact resume, beside that of the generator."""
        parts = {"left": self._left, "rates": self._rates, "value": self._value, "held": self._held}
        return {name: torch.from_numpy(part.copy()) for name, part in parts.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Undo `state`."""
        parts = (state[name].numpy().copy() for name in ("left", "rates", "value", "held"))
        self._left, self._rates, self._value, self._held = parts

    def _begun(self, action: np.ndarray) -> tuple[int, tuple[Any, Any]]:
        """How long a burst lasts, and what is held in it, where the policy would do `action`."""
        kind = self._rng.random() if self._holds or self._gentle else 1.0
        box = isinstance(self._space, gym.spaces.Box)
        if kind < self._holds:
            length = int(self._rng.integers(HOLD[0], HOLD[1] + 1))
            return length, (self._opposite(action) if self._rng.random() < 0.5 else self._nothing(), True)
        length = int(self._rng.integers(SHORTEST, LONGEST + 1))
        if box and kind < self._holds + self._gentle:
            return length, self._rolling()
        return length, self._drawn()

    def _bounds(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Low, neutral and high of every axis of a continuous action."""
        assert isinstance(self._space, gym.spaces.Box)
        low, high = (np.clip(bound, -1e3, 1e3).astype(np.float64) for bound in (self._space.low, self._space.high))
        return low, np.clip(0.0, low, high), high

    def _nothing(self) -> Any:
        """The neutral action; of choices, the first."""
        if isinstance(self._space, gym.spaces.Box):
            return self._bounds()[1].astype(self._space.dtype)
        return getattr(self._space, "start", np.zeros(self._space.shape or (), np.int64))

    def _opposite(self, action: np.ndarray) -> Any:
        """The action on the other side of the neutral one; of choices, the last less this."""
        space = self._space
        if isinstance(space, gym.spaces.Box):
            low, _, high = self._bounds()
            mirrored = np.where(low < 0, -action, low + high - action)
            return np.clip(mirrored, low, high).astype(space.dtype)
        if isinstance(space, gym.spaces.Discrete):
            return 2 * space.start + space.n - 1 - action
        if isinstance(space, gym.spaces.MultiDiscrete):
            return 2 * space.start + space.nvec - 1 - action
        return 1 - action

    def _rolling(self) -> tuple[Any, Any]:
        """One axis that goes both ways anywhere, one that goes one way low, all others neutral."""
        low, neutral, high = self._bounds()
        both, rng = np.flatnonzero((low < 0) & (high > 0)), self._rng
        one = np.flatnonzero((low >= 0) & (high > low))
        value = neutral.copy()
        if len(both):
            axis = rng.choice(both)
            value.flat[axis] = rng.uniform(low.flat[axis], high.flat[axis])
        if len(one):
            axis = one[0]  # the first is what drives on: of a car, the gas
            value.flat[axis] = low.flat[axis] + rng.uniform(*LOW) * (high.flat[axis] - low.flat[axis])
        return value.astype(self._space.dtype), True

    def _drawn(self) -> tuple[Any, Any]:
        """A random action, continuous ones at a bound, in the middle or anywhere; and which of its axes are held."""
        space, rng = self._space, self._rng
        if not isinstance(space, gym.spaces.Box):
            space.seed(int(rng.integers(2**31)))
            return space.sample(), True
        low, neutral, high = self._bounds()
        kind = rng.integers(4, size=space.shape)
        anywhere = rng.uniform(low, high)
        held = np.array(rng.random(space.shape) < 0.5 / max(space.shape[-1:] or (1,)))
        held.flat[rng.integers(held.size)] = True
        return np.choose(kind, [low, high, neutral, anywhere]).astype(space.dtype), held
