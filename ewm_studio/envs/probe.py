"""What an environment gives and takes, and what a step of it costs: found by making one, once a job."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from functools import cached_property

import gymnasium as gym

from ewm_studio.envs.factory import make_prepared_env, settling_frames
from ewm_studio.envs.failures import ClosingFailed, environment_at_work
from ewm_studio.envs.prepared import PreparedEnv
from ewm_studio.settings import EnvSettings

MEASURE_SECONDS = 0.15  # a measurement of what a step costs takes no longer than this,
MEASURE_STEPS = 2000  # and no more steps than these


@dataclass(frozen=True)
class Spaces:
    """What an environment gives before and after preparation, and what it takes."""

    raw_observation: gym.Space
    observation: gym.spaces.Box
    action: gym.Space
    settling_frames: int = 0  # at the start of an episode, no part of the task
    taken_for: str = ""  # what observations are taken for, in words


class EnvProbe:
    """One environment with these settings, made at the first question and kept for the next.

    Whoever makes environments calls `close` first: closing one may take away what the others draw with. What was found
    stays known; what was never asked takes another environment then.

    Attributes:
        settings: what is asked about.
    """

    def __init__(self, settings: EnvSettings) -> None:
        self.settings = settings
        self._env: PreparedEnv | None = None

    @cached_property
    def spaces(self) -> Spaces:
        """What it gives and takes.

        Raises:
            UserError: the environment is unknown or cannot be used.
        """
        env = self._made()
        seen = env.preprocessor
        return Spaces(seen.raw_space, seen.space, env.action_space, settling_frames(env), seen.taken_for)

    @cached_property
    def step_cost(self) -> float:
        """Seconds that one step takes, measured for a moment with random actions.

        Raises:
            UserError: the environment is unknown or cannot be used.
            JobError: it failed.
        """
        env = self._made()
        with environment_at_work(self.settings.id, lambda: "while it was measured"):
            return _seconds_a_step(env)

    def close(self) -> None:
        """End the environment; again is harmless, and so is one that fails at it: nothing was done in it."""
        env, self._env = self._env, None
        if env is not None:
            with contextlib.suppress(ClosingFailed):
                env.close()

    def _made(self) -> PreparedEnv:
        if self._env is None:
            self._env = make_prepared_env(self.settings, window=False)
        return self._env


def spaces_of(settings: EnvSettings) -> Spaces:
    """The spaces of an environment with these settings, where nothing else is asked of it.

    Raises:
        UserError: the environment is unknown or cannot be used.
    """
    with contextlib.closing(EnvProbe(settings)) as probe:
        return probe.spaces


def _seconds_a_step(env: PreparedEnv) -> float:
    env.action_space.seed(0)
    env.reset(seed=0)
    env.step(env.action_space.sample())  # the first loads fonts and the like
    count, spent, began = 0, 0.0, time.perf_counter()
    while count < MEASURE_STEPS and spent < MEASURE_SECONDS:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
        count, spent = count + 1, time.perf_counter() - began
    return spent / count
