"""Environments stepped one after the other in this process."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ewm_studio.envs.simulator import Episode
from ewm_studio.envs.vector.base import VectorEnvs
from ewm_studio.envs.vector.group import EnvGroup
from ewm_studio.settings import EnvSettings


class LocalVectorEnvs(VectorEnvs):
    """All environments in this process; or `num_envs` of a run's, from the `first` on."""

    def __init__(self, settings: EnvSettings, seed: int, num_envs: int, first: int = 0) -> None:
        rows = range(first, first + num_envs)
        self._first, self._group = first, EnvGroup(settings, seed, rows, window=settings.render_mode == "human")
        super().__init__(num_envs, self._group.observation_space, self._group.action_space)
        self._group.write_to(self.obs, self.reward, self.terminated, self.truncated, self.shaping, self.env_terminated)

    def render(self, i: int = 0) -> np.ndarray:
        """The picture of environment `i` as it is now, uint8 (H, W, 3).

        Raises:
            UserError: it draws none.
            JobError: it failed.
        """
        return self._group.picture(i)

    def _reset(self, seed: int | None) -> None:
        self._group.reset(seed)

    def _step(self, actions: np.ndarray) -> tuple[dict[int, np.ndarray], list[Episode]]:
        finals, episodes = self._group.step(actions)
        if not self._first:
            return finals, episodes
        first = self._first  # the group numbers them as the run does, the simulator from 0
        ended = [replace(episode, env=episode.env - first) for episode in episodes]
        return {i - first: obs for i, obs in finals.items()}, ended

    def _restore(self, numbers: list[int], actions: list[np.ndarray], seed: int | None) -> None:
        self._group.restore(numbers, actions, seed)

    def close(self) -> None:
        """End the environments."""
        self._group.close()
