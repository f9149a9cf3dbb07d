"""What can be acted in: environments, one or many, and whatever stands in for them, such as a model's dream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from ewm_studio.errors import UserError

OnFrame = Callable[[Any, float, bool], None]  # (action, its reward, whether the episode is over)


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode that ended.

    Attributes:
        env: the number of its environment in the simulator.
        reward: the sum of its rewards, without shaping.
        length: steps of the environment itself, each repeat of an action counted.
        seed: what it was begun with.
        terminated: it ended for good, not by a limit.
        lap_finished: of CarRacing, whether the lap counted as finished; None elsewhere.
    """

    env: int
    reward: float
    length: int
    seed: int
    terminated: bool = False
    lap_finished: bool | None = None


@dataclass(slots=True)
class Step:
    """What one step of B environments gave. Arrays may be overwritten by the next call.

    Attributes:
        obs: (B, ...) observations; where an episode ended, the first one of the next episode.
        reward: (B,) float32, what a learner is paid: the environment's reward summed over the repeats of the action,
            and `shaping`. Both are float64 of a `SingleEnv`.
        terminated: (B,) bool.
        truncated: (B,) bool.
        shaping: (B,) float32, what the rules of training added to `reward`; the environment itself gave the rest.
        env_terminated: (B,) bool, the environment itself ended the episode for good, whatever the rules of training
            made of it: what memory learns as an end.
        final_obs: the last observation of each episode that ended, by environment.
        episodes: the episodes that ended.
    """

    obs: Any
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    shaping: np.ndarray
    env_terminated: np.ndarray
    final_obs: dict[int, Any] = field(default_factory=dict)
    episodes: list[Episode] = field(default_factory=list)


class Watchable(Protocol):
    """What can be watched frame by frame besides: a simulator of one episode.

    Attributes:
        on_frame: told of every frame inside a decision.
    """

    on_frame: OnFrame | None

    @property
    def seed(self) -> int:
        """What the present episode was begun with."""

    def raw(self) -> Any:
        """The present observation before it is prepared, as it is after the last frame."""

    def render(self, i: int = 0) -> np.ndarray:
        """The picture as it is now, uint8 (H, W, 3)."""


class Simulator(ABC):
    """B episodes going on side by side; one that ends is followed by the next in the same step, none is inserted.

    The same seed and the same actions give the same episodes. A fork is a second simulator restored from a `state`.

    Attributes:
        num_envs: B.
        observation_space: of one of them.
        action_space: of one of them.
        on_device: observations are beliefs and actions tensors, kept on the model's device, as in a dream; elsewhere
            both are NumPy arrays.
    """

    num_envs: int
    observation_space: gym.spaces.Box
    action_space: gym.Space
    on_device: bool = False

    @abstractmethod
    def reset(self, seed: int | None = None) -> Any:
        """Start the first episodes, of this seed or of the one it was made with; observations (B, ...)."""

    @abstractmethod
    def step(self, action: Any) -> Step:
        """Apply actions (B, ...) as `action_space` takes them.

        Raises:
            JobError: an environment failed.
        """

    def render(self, i: int = 0) -> np.ndarray:
        """The picture of number `i` as it is now, uint8 (H, W, 3).

        Raises:
            UserError: it draws none.
        """
        raise UserError("this simulator draws no pictures")

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Where every episode stands: numbers, strings, lists, dictionaries, arrays and tensors only."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> Any:
        """Continue exactly where `state` was taken; observations (B, ...).

        Raises:
            JobError: the state is of another number of environments, or one does not repeat itself.
        """

    @abstractmethod
    def close(self) -> None:
        """End it and what runs it; again is harmless."""
