"""Who decides: the controller, recorded actions, chance, a person, a planner, all behind one call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from torch import Generator, Tensor

from ewm_studio.models.base import Controller
from ewm_studio.models.belief import Belief


class Policy(ABC):
    """Decides in B episodes side by side."""

    def begin(self, batch: int) -> None:  # noqa: B027 - nothing to do is a good answer
        """The first episodes of B begin; by default there is nothing to forget."""

    def restart(self, ended: np.ndarray) -> None:  # noqa: B027
        """Told after every step which episodes (B,) bool ended with it; their next decision is the first of another."""

    @abstractmethod
    def act(self, belief: Any, generator: Generator | None = None) -> Any:
        """Actions (B, ...) as the environment takes them, a tensor or an array.

        Args:
            belief: a `Belief`, or the simulator's observations where no world model believes anything.
            generator: draws what the policy draws.
        """


class ControllerPolicy(Policy):
    """The controller decides: the likeliest action when greedy, else one draw."""

    def __init__(self, controller: Controller, greedy: bool = False) -> None:
        self.controller, self.greedy = controller, greedy

    def draw(self, belief: Belief, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Raw actions (B, R) as drawn, and the environment's (B, ...)."""
        policy = self.controller.distribution(belief.z, belief.h)
        raw = policy.mode() if self.greedy else policy.sample(generator)
        return raw, policy.to_env(raw)

    def act(self, belief: Belief, generator: Generator | None = None) -> Tensor:
        """The environment's actions (B, ...)."""
        return self.draw(belief, generator)[1]


class RecordedActions(Policy):
    """Does once more what was done, in one episode."""

    def __init__(self, actions: Iterable[Any]) -> None:
        self._actions = actions
        self._left: Iterator[Any] = iter(())

    def begin(self, batch: int) -> None:
        """From the first action on.

        Raises:
            ValueError: there are several episodes.
        """
        if batch != 1:
            raise ValueError(f"recorded actions are of one episode, not of {batch}")
        self._left = iter(self._actions)

    def act(self, belief: Any, generator: Generator | None = None) -> np.ndarray:
        """The next action (1, ...).

        Raises:
            StopIteration: there are no more.
        """
        return np.asarray(next(self._left))[None]
