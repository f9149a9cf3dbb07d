"""Recording what is driven: on and off at any time, each episode safe on disk as soon as it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym

from ewm_studio.data.recordings import RecordingWriter, episode_paths
from ewm_studio.driving.snapshot import EpisodeKept
from ewm_studio.envs.spaces import space_to_json
from ewm_studio.settings import EnvSettings


class DriveRecorder:
    """Writes the episodes of one recording while they are driven.

    Attributes:
        earlier: episodes that were there when it was opened.
    """

    def __init__(
        self, folder: Path, env: EnvSettings, spaces: tuple[gym.Space, gym.Space], source: str, frames: int
    ) -> None:
        """Open a recording; nothing is written before the first episode ends.

        Args:
            folder: where it goes.
            env: the environment.
            spaces: of raw observations and of actions.
            source: manual, or dream.
            frames: of one step.

        Raises:
            UserError: the folder holds episodes of another environment, or cannot be made.
        """
        meta = {
            "env": env.id,
            "env_kwargs": env.kwargs,
            "pixels": env.pixels,
            "source": source,
            "action_repeat": frames,
            "observation_space": space_to_json(spaces[0]),
            "action_space": space_to_json(spaces[1]),
        }
        self._writer = RecordingWriter(folder, meta)
        self.earlier = len(episode_paths(folder))
        self._reward = 0.0

    @property
    def name(self) -> str:
        """The recording's name."""
        return self._writer.folder.name

    @property
    def length(self) -> int:
        """Steps recorded of the episode that is going on."""
        return self._writer.length

    def begin(self, obs: Any, seed: int, step: int) -> None:
        """Record from this observation on, which came `step` steps after the reset with `seed`."""
        self._writer.meta.update(seed=seed, first_step=step)
        self._writer.begin(obs)
        self._reward = 0.0

    def step(self, action: Any, reward: float, obs: Any, manual: bool) -> None:
        """One step that was taken, and whether the person drove."""
        self._writer.step(action, reward, obs, manual)
        self._reward += reward

    def keep(self, terminated: bool = False) -> EpisodeKept | None:
        """Write the episode that is going on; None where no step of it was recorded.

        Raises:
            JobError: the disk is full. UserError: the folder cannot be written to.
        """
        length, reward = self.length, self._reward
        path = self._writer.end(terminated, not terminated)
        if path is None:
            return None
        return EpisodeKept(self.name, str(path), reward, length, path.stat().st_size)

    def discard(self) -> None:
        """Forget the episode that is going on."""
        self._writer.discard()
