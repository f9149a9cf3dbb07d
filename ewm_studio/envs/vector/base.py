"""Many environments stepped together, the same whatever number of processes they are spread over.

Episode k of environment i is reset with a seed that follows from (run's seed, i, k) alone, so what an environment
does depends on nothing but the actions it gets, and its state is the number of its episode and the actions since.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from typing import Any

import gymnasium as gym
import numpy as np

from ewm_studio.envs.simulator import Episode, Simulator, Step
from ewm_studio.errors import JobError

_LOG_BLOCK = 1024  # steps between two tidyings of the action log


class VectorEnvs(Simulator):
    """B environments, reset in the same step in which an episode ends: no step is inserted.

    `reset`, `step` and `restore` return internal buffers that the next call overwrites.

    Attributes:
        num_envs: B.
        observation_space: of one prepared environment.
        action_space: of one environment.
    """

    def __init__(self, num_envs: int, observation_space: gym.spaces.Box, action_space: gym.Space) -> None:
        self.num_envs, self.observation_space, self.action_space = num_envs, observation_space, action_space
        self.obs = np.zeros((num_envs, *observation_space.shape), observation_space.dtype)
        self.reward: np.ndarray = np.zeros(num_envs, np.float32)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self.shaping: np.ndarray = np.zeros(num_envs, np.float32)
        self.env_terminated = np.zeros(num_envs, np.bool_)
        # Actions since the oldest running episode began: what `state` hands out. `_begun[i]` counts from the
        # first step of all, `_log_start` is the number of the step that the log begins with.
        self._log: list[np.ndarray] = []
        self._log_start = 0
        self._numbers = [0] * num_envs
        self._begun = [0] * num_envs
        self._seed: int | None = None  # given to `reset`; None: the one that they were made with

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Start the first episode of every environment, of this seed or the run's; observations (B, ...)."""
        self._forget()
        self._numbers, self._seed = [0] * self.num_envs, seed
        self._reset(seed)
        return self.obs

    def step(self, actions: np.ndarray) -> Step:
        """Apply actions (B, ...) as the environment takes them.

        Raises:
            JobError: an environment failed.
        """
        actions = np.array(actions, self.action_space.dtype)  # a copy: the log and the environments keep it
        final_obs, episodes = self._step(actions)
        log = self._log
        log.append(actions)
        for episode in episodes:
            self._follow(episode.env)
        if len(log) % _LOG_BLOCK == 0:
            oldest = min(self._begun)
            del log[: oldest - self._log_start]
            self._log_start = oldest
        return Step(
            self.obs,
            self.reward,
            self.terminated,
            self.truncated,
            self.shaping,
            self.env_terminated,
            final_obs,
            episodes,
        )

    def state(self) -> dict[str, Any]:
        """Where every environment stands: numbers, strings, lists, dictionaries and arrays only.

        Of each: the number of its episode, the actions (T, ...) since that began, and a hash of its observation; and
        the seed, where one was given to `reset`.
        """
        envs = []
        for i in range(self.num_envs):
            rows = [row[i] for row in self._log[self._begun[i] - self._log_start :]]
            shape = self.action_space.shape or ()
            actions = np.array(rows, self.action_space.dtype).reshape(len(rows), *shape)
            envs.append({"episode": self._numbers[i], "actions": actions, "obs": obs_hash(self.obs[i])})
        return {"envs": envs} if self._seed is None else {"envs": envs, "seed": self._seed}

    def restore(self, state: dict[str, Any]) -> np.ndarray:
        """Continue exactly where `state` was taken, by replaying each environment's episode; observations (B, ...).

        Raises:
            JobError: the state is of another number of environments, or a replay did not lead to the same
                observation, as in an environment whose randomness its seed does not fix.
        """
        envs = state["envs"]
        if len(envs) != self.num_envs:
            raise JobError(f"the saved state is of {len(envs)} environments, the run has {self.num_envs}")
        numbers = [int(env["episode"]) for env in envs]
        actions = [np.asarray(env["actions"], self.action_space.dtype) for env in envs]
        seed = None if state.get("seed") is None else int(state["seed"])
        self._restore(numbers, actions, seed)
        for i, env in enumerate(envs):
            if obs_hash(self.obs[i]) != env["obs"]:
                raise JobError(
                    f"environment {i} does not repeat itself: replaying its episode gave another observation, so the "
                    "run cannot be resumed exactly (its randomness does not follow from its seed, or its version "
                    "changed)"
                )
        self._forget()
        self._numbers, self._seed = numbers, seed
        longest = max((len(rows) for rows in actions), default=0)
        self._begun = [longest - len(rows) for rows in actions]
        for t in range(longest):
            # Rows from before an environment's episode are never read.
            self._log.append(
                np.array(
                    [
                        rows[max(t - begun, 0)] if len(rows) else np.zeros(rows.shape[1:], rows.dtype)
                        for rows, begun in zip(actions, self._begun, strict=True)
                    ]
                )
            )
        return self.obs

    def _forget(self) -> None:
        self._log, self._log_start, self._begun = [], 0, [0] * self.num_envs

    def _follow(self, i: int) -> None:
        """Note that the next episode of environment `i` has begun."""
        self._numbers[i] += 1
        self._begun[i] = self._log_start + len(self._log)

    @abstractmethod
    def _reset(self, seed: int | None) -> None:
        """Start everything, of this seed or of that which it was made with, filling `obs`."""

    @abstractmethod
    def _step(self, actions: np.ndarray) -> tuple[dict[int, np.ndarray], list[Episode]]:
        """Step everything, filling the buffers."""

    @abstractmethod
    def _restore(self, numbers: list[int], actions: list[np.ndarray], seed: int | None) -> None:
        """Replay everything, filling `obs`; the seed is as for `_reset`."""


def obs_hash(obs: np.ndarray) -> str:
    """A short hash of an observation's bytes."""
    return hashlib.blake2b(np.ascontiguousarray(obs).tobytes(), digest_size=16).hexdigest()
