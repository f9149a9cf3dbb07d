"""One environment, played episode by episode: for evaluation, recordings, replays and driving."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import gymnasium as gym
import numpy as np

from ewm_studio.envs.carracing.lap import has_laps, lap_finished
from ewm_studio.envs.failures import environment_at_work
from ewm_studio.envs.prepared import PreparedEnv
from ewm_studio.envs.simulator import Episode, OnFrame
from ewm_studio.envs.vector.base import VectorEnvs
from ewm_studio.errors import JobError
from ewm_studio.settings import EnvSettings


class SingleEnv(VectorEnvs):
    """One prepared environment: B = 1, with seeds of one's choice, and an end.

    After the last episode nothing is begun: `step` gives its final observation, and another raises. `Step.reward` and
    `Step.shaping` are float64, since a replay keeps them and is checked by them.

    Args:
        env: the environment; closed with this.
        settings: what it was made of.
        seeds: of episodes 0, 1, ...: a number counts up, others are taken in turn, as many as there are; None is 0.
        episodes: how many are played; None for no end, or that of the seeds.
        on_frame: see below.

    Attributes:
        env: the environment.
        on_frame: told of every single frame inside a decision, which `raw` and `render` then show. What it raises
            goes on as it is and leaves the decision half done: `reset` or `restore` next.
        over: whether the last episode has ended, or none was begun yet.
    """

    def __init__(
        self,
        env: PreparedEnv,
        settings: EnvSettings,
        seeds: Iterable[int] | int | None = None,
        episodes: int | None = None,
        on_frame: OnFrame | None = None,
    ) -> None:
        super().__init__(1, env.preprocessor.space, env.action_space)
        self.reward, self.shaping = np.zeros(1), np.zeros(1)
        self.env, self.on_frame, self.over = env, on_frame, True
        self._id, self._episodes = settings.id, episodes
        self._laps = has_laps(env)
        self._discrete = isinstance(env.action_space, gym.spaces.Discrete)
        self._listed = tuple(islice(seeds, episodes)) if isinstance(seeds, Iterable) else ()
        self._first = None if isinstance(seeds, Iterable) else seeds or 0
        self._return, self._shaped, self._length, self._present_seed = 0.0, 0.0, 0, 0

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Begin the first episode; of `seed`, from which seeds then count up, or of the seeds it was made with."""
        return super().reset(self._first if seed is None else seed)

    @property
    def seed(self) -> int:
        """What the present episode was begun with."""
        return self._present_seed

    def raw(self) -> Any:
        """The present observation before it is prepared, as it is after the last frame.

        Raises:
            JobError: the environment failed, or gave one that is not of its space.
        """
        with environment_at_work(self._id, self._when):
            self.env.check()
            return self.env.raw()

    def render(self, i: int = 0) -> np.ndarray:
        """Its picture as it is now, uint8 (H, W, 3).

        Raises:
            UserError: it draws none.
            JobError: it failed.
        """
        with environment_at_work(self._id, self._when):
            return self.env.picture()

    def close(self) -> None:
        """End the environment.

        Raises:
            ClosingFailed: it did not let itself be ended.
        """
        self.env.close()

    def _reset(self, seed: int | None) -> None:
        self._begin(self._seed_of(seed, 0) if self._wants(0) else None)

    def _step(self, actions: np.ndarray) -> tuple[dict[int, np.ndarray], list[Episode]]:
        if self.over:
            raise JobError(f"no episode of {self._id} is going on")
        self._act(actions.tolist()[0] if self._discrete else actions[0])
        total, terminated, truncated, info = self.env.outcome
        self.reward[0], self.terminated[0], self.truncated[0] = total, terminated, truncated
        self.shaping[0], self.env_terminated[0] = self.env.shaping, self.env.env_terminated
        self._count(total, info)
        self._observe()
        return self._end(terminated, info) if terminated or truncated else ({}, [])

    def _end(self, terminated: bool, info: dict[str, Any]) -> tuple[dict[int, np.ndarray], list[Episode]]:
        """The last observation and the record of the present episode; begins the next, if there is one."""
        reward, seed = self._return - self._shaped, self._present_seed
        episode = Episode(0, reward, self._length, seed, terminated, lap_finished(info) if self._laps else None)
        final, number = self.obs[0].copy(), self._numbers[0] + 1
        self._begin(self._seed_of(self._seed, number) if self._wants(number) else None)
        return {0: final}, [episode]

    def _restore(self, numbers: list[int], actions: list[np.ndarray], seed: int | None) -> None:
        each: Any = actions[0].tolist() if self._discrete else actions[0]
        self._begin(self._seed_of(seed, numbers[0]), each)

    def _follow(self, i: int) -> None:
        if not self.over:
            super()._follow(i)

    def _seed_of(self, first: int | None, number: int) -> int | None:
        """The seed of an episode: counted from `first`, else of those listed; None where they are at their end."""
        if first is not None:
            return first + number
        return self._listed[number] if number < len(self._listed) else None

    def _wants(self, number: int) -> bool:
        return self._episodes is None or number < self._episodes

    def _begin(self, seed: int | None, actions: Any = ()) -> None:
        """Begin an episode and lead it through actions without drawing; of no seed nothing is begun."""
        self.over = seed is None
        if seed is None:
            return
        self._return, self._shaped, self._length, self._present_seed = 0.0, 0.0, 0, seed
        with environment_at_work(self._id, self._when):
            self.env.reset_blind(seed=seed)
            for action in actions:
                total, terminated, truncated, info = self.env.step_blind(action)
                self._count(total, info)
                self.over = terminated or truncated  # the last episode stays the present one after its end
        self._observe()

    def _act(self, action: Any) -> None:
        """Apply an action frame by frame; an error of the listener is not the environment's."""
        frames = self.env.frames(action)
        while (frame := self._next(frames)) is not None:
            if self.on_frame is not None:
                self.on_frame(action, *frame)

    def _next(self, frames: Any) -> tuple[float, bool] | None:
        with environment_at_work(self._id, lambda: self._when(1)):
            frame: tuple[float, bool] | None = next(frames, None)
            return frame

    def _count(self, total: float, info: dict[str, Any]) -> None:
        self._return += total
        self._shaped += self.env.shaping
        self._length += info["frames"] if self.env.repeat > 1 else 1

    def _when(self, ahead: int = 0) -> str:
        """The moment, where something fails: so many steps ahead of those that are counted."""
        step = self._length + ahead
        return f"{f'step {step}' if step else 'the reset'} of the episode of seed {self._present_seed}"

    def _observe(self) -> None:
        with environment_at_work(self._id, self._when):
            self.obs[0] = self.env.observe()
