"""Many environments stepped together, the same whatever number of processes they are spread over.

Episode k of environment i is reset with a seed that follows from (run's seed, i, k) alone, so what an environment
does depends on nothing but the actions it gets, and its state is the number of its episode and the actions since.
"""

from __future__ import annotations

import hashlib
import os
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.envs.vector.group import EnvGroup, Episode
from ewm_studio.errors import JobError
from ewm_studio.settings import EnvSettings

__all__ = ["Episode", "LocalVectorEnvs", "Step", "VectorEnvs", "choose_batch_size", "make_vector"]

PROCESS_COST = 0.3e-3  # seconds a step from which processes pay for their messages
MEASURE_SECONDS = 0.15
DECISION_COST = 1e-3  # seconds a decision takes besides the environments, roughly, whatever their number
BATCH_SIZES = (8, 16, 32)
_LOG_BLOCK = 1024  # steps between two tidyings of the action log


@dataclass(slots=True)
class Step:
    """What one step of B environments gave. Arrays may be overwritten by the next call.

    Attributes:
        obs: (B, ...) observations; where an episode ended, the first one of the next episode.
        reward: (B,) float32, summed over the repeats of the action.
        terminated: (B,) bool.
        truncated: (B,) bool.
        final_obs: the last observation of each episode that ended, by environment.
        episodes: the episodes that ended.
    """

    obs: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    final_obs: dict[int, np.ndarray] = field(default_factory=dict)
    episodes: list[Episode] = field(default_factory=list)


class VectorEnvs(ABC):
    """B environments, reset in the same step in which an episode ends: no step is inserted.

    `reset`, `step` and `restore` return internal buffers that the next call overwrites.

    Attributes:
        num_envs: B.
        observation_space: of one prepared environment.
        action_space: of one environment.
    """

    num_envs: int
    observation_space: gym.spaces.Box
    action_space: gym.Space

    def __init__(self, num_envs: int, observation_space: gym.spaces.Box, action_space: gym.Space) -> None:
        self.num_envs, self.observation_space, self.action_space = num_envs, observation_space, action_space
        self.obs = np.zeros((num_envs, *observation_space.shape), observation_space.dtype)
        self.reward = np.zeros(num_envs, np.float32)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        # Actions since the oldest running episode began: what `state` hands out. `_begun[i]` counts from the
        # first step of all, `_log_start` is the number of the step that the log begins with.
        self._log: list[np.ndarray] = []
        self._log_start = 0
        self._numbers = [0] * num_envs
        self._begun = [0] * num_envs

    def reset(self) -> np.ndarray:
        """Start the first episode of every environment; observations (B, ...)."""
        self._forget()
        self._numbers = [0] * self.num_envs
        self._reset()
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
        if episodes:
            now = self._log_start + len(log)
            for episode in episodes:
                self._numbers[episode.env] += 1
                self._begun[episode.env] = now
        if len(log) % _LOG_BLOCK == 0:
            oldest = min(self._begun)
            del log[: oldest - self._log_start]
            self._log_start = oldest
        return Step(self.obs, self.reward, self.terminated, self.truncated, final_obs, episodes)

    def state(self) -> dict[str, Any]:
        """Where every environment stands: numbers, strings, lists, dictionaries and arrays only.

        Of each: the number of its episode, the actions (T, ...) since that began, and a hash of its observation.
        """
        envs = []
        for i in range(self.num_envs):
            rows = [row[i] for row in self._log[self._begun[i] - self._log_start :]]
            shape = self.action_space.shape or ()
            actions = np.array(rows, self.action_space.dtype).reshape(len(rows), *shape)
            envs.append({"episode": self._numbers[i], "actions": actions, "obs": obs_hash(self.obs[i])})
        return {"envs": envs}

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
        self._restore(numbers, actions)
        for i, env in enumerate(envs):
            if obs_hash(self.obs[i]) != env["obs"]:
                raise JobError(
                    f"environment {i} does not repeat itself: replaying its episode gave another observation, so the "
                    "run cannot be resumed exactly (its randomness does not follow from its seed, or its version "
                    "changed)"
                )
        self._forget()
        self._numbers = numbers
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

    @abstractmethod
    def _reset(self) -> None:
        """Start everything, filling `obs`."""

    @abstractmethod
    def _step(self, actions: np.ndarray) -> tuple[dict[int, np.ndarray], list[Episode]]:
        """Step everything, filling the buffers."""

    @abstractmethod
    def _restore(self, numbers: list[int], actions: list[np.ndarray]) -> None:
        """Replay everything, filling `obs`."""

    @abstractmethod
    def close(self) -> None:
        """End the environments and what runs them; again is harmless."""


class LocalVectorEnvs(VectorEnvs):
    """All environments in this process."""

    def __init__(self, settings: EnvSettings, seed: int, num_envs: int) -> None:
        self._group = EnvGroup(settings, seed, range(num_envs), window=settings.render_mode == "human")
        super().__init__(num_envs, self._group.observation_space, self._group.action_space)
        self._group.write_to(self.obs, self.reward, self.terminated, self.truncated)

    def _reset(self) -> None:
        self._group.reset()

    def _step(self, actions: np.ndarray) -> tuple[dict[int, np.ndarray], list[Episode]]:
        return self._group.step(actions)

    def _restore(self, numbers: list[int], actions: list[np.ndarray]) -> None:
        self._group.restore(numbers, actions)

    def close(self) -> None:
        """End the environments."""
        self._group.close()


def obs_hash(obs: np.ndarray) -> str:
    """A short hash of an observation's bytes."""
    return hashlib.blake2b(np.ascontiguousarray(obs).tobytes(), digest_size=16).hexdigest()


def make_vector(settings: EnvSettings, seed: int) -> VectorEnvs:
    """The environments of a run.

    `settings.workers` decides where they run, never what they do: the trajectory is the same for any number.

    Raises:
        UserError: the environment cannot be used.
        JobError: a worker process did not start.
    """
    num_envs = settings.batch_size
    if num_envs == "auto":
        num_envs, _ = choose_batch_size(settings)
    workers = min(worker_count(settings, num_envs), num_envs)
    if workers == 0:
        return LocalVectorEnvs(settings, seed, num_envs)
    from ewm_studio.envs.vector.workers import WorkerVectorEnvs

    return WorkerVectorEnvs(settings, seed, num_envs, workers)


def choose_batch_size(settings: EnvSettings) -> tuple[int, str]:
    """The number of environments to run in parallel, from a short measurement, and the sentence that says why.

    Deciding costs about the same for one environment as for many, so the cheaper a step, the more environments
    are worth deciding for at once: the least number with which the environments take most of the time.

    Raises:
        UserError: the environment cannot be used.
    """
    cost = step_cost(settings)
    cores = _cores() if cost > PROCESS_COST else 1
    wanted = 4 * DECISION_COST * cores / cost
    count = next((size for size in BATCH_SIZES if size >= wanted), BATCH_SIZES[-1])
    return count, f"batch size {count}: a step of {settings.id} takes {cost * 1e3:.3g} ms on {cores} core(s)"


def step_cost(settings: EnvSettings) -> float:
    """Seconds that one step of one prepared environment takes, measured for a moment with random actions.

    Raises:
        UserError: the environment cannot be used.
        JobError: it failed.
    """
    env = make_prepared_env(settings, window=False)
    try:
        env.action_space.seed(0)
        env.reset(seed=0)
        env.step(env.action_space.sample())  # the first loads fonts and the like
        count, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < MEASURE_SECONDS:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            count += 1
            if terminated or truncated:
                env.reset()
        return spent / max(count, 1)
    except Exception as error:
        raise JobError(f"{settings.id} failed: {type(error).__name__}: {error}") from error
    finally:
        env.close()


def worker_count(settings: EnvSettings, num_envs: int) -> int:
    """How many processes so many environments, or episodes, are worth; 0 for none.

    Raises:
        UserError: the environment cannot be used.
    """
    if settings.render_mode == "human":  # a window belongs to this process
        return 0
    if settings.workers != "auto":
        return settings.workers
    if _cores() == 1 or num_envs == 1:
        return 0
    from ewm_studio.envs.vector.workers import portable_spec

    if portable_spec(settings.id) is None:
        return 0
    return _cores() if step_cost(settings) > PROCESS_COST else 0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
