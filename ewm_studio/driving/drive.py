"""One environment driven by a person, a model, or both in turns: the steps themselves, without clock or thread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import gymnasium as gym
import numpy as np

from ewm_studio.data.recordings import DREAMT
from ewm_studio.driving.controls import Controls, KeyMap, Scheme
from ewm_studio.driving.decisions import Decisions, OnDecision
from ewm_studio.driving.recorder import DriveRecorder
from ewm_studio.driving.schemes import scheme_of, speed_of, steps_per_second
from ewm_studio.driving.snapshot import Driver, EpisodeKept, EpisodeTakenBack
from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.envs.failures import environment_at_work
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.simulator import Step
from ewm_studio.envs.single import SingleEnv
from ewm_studio.envs.spaces import as_raw
from ewm_studio.errors import UserError
from ewm_studio.settings import Experiment

if TYPE_CHECKING:
    from ewm_studio.acting.copilot import Copilot


class Drivable(Protocol):
    """What can be driven in: a simulator of one episode, seen as it is before preparation."""

    observation_space: gym.spaces.Box

    def reset(self, seed: int | None = None) -> Any:
        """Begin the episode of this seed."""

    def step(self, action: Any) -> Step:
        """Apply an action (1, ...)."""

    def raw(self) -> Any:
        """The present observation before it is prepared."""

    def render(self, i: int = 0) -> np.ndarray:
        """The picture as it is now, uint8 (H, W, 3)."""


class Drive:
    """An environment at the wheel of which somebody sits.

    Attributes:
        usual: the moves, by the keys that are usual.
        controls: what is held.
        period: seconds of one step, before any slow motion.
        step_limit: steps after which an episode is cut; None where there is no limit.
        driver: whoever drives now.
        episode, steps, reward, over: the number of the episode, from 1; its steps and reward so far; whether it ended.
        action: the last action executed.
        recorder: where steps are recorded; None while they are not.
        kept: the episodes recorded so far, in order.

    Raises:
        UserError: the environment cannot be made, cannot be drawn, or cannot be driven by keys.
    """

    def __init__(
        self,
        experiment: Experiment,
        keys: KeyMap | None = None,
        dream: Drivable | None = None,
        by_keys: bool = True,
    ) -> None:
        """Sit down in the environment of an experiment, or in a dream of it.

        Args:
            experiment: the environment, the first seed and the seconds between two steps.
            keys: the person's own keys for some moves.
            dream: a simulator of one episode to drive in, a decision a step; the environment then only says what
                keys there are and how fast time goes.
            by_keys: refuse what cannot be driven by keys; else a model may still drive it.
        """
        settings = experiment.env
        self._settings, self._first_seed = settings, experiment.run.seed
        self._seed = self._first_seed - 1  # of the present episode
        self._frame_settings = settings.model_copy(update={"action_repeat": 1, "render_mode": "rgb_array"})
        self._env = make_prepared_env(self._frame_settings)
        try:
            self.usual = scheme_of(self._env)
        except UserError:
            if by_keys:
                self._env.close()
                raise
            self.usual = Scheme({})
        self.controls = Controls(self._env.action_space, self.usual.with_keys(keys or {}))
        self._dream = dream
        self._simulator: Drivable = dream or SingleEnv(self._env, self._frame_settings, episodes=1)
        self._frames = settings.action_repeat if dream is not None else 1  # of one step
        self._step_seconds = self._frames / steps_per_second(self._env)
        delay = experiment.data.manual_mode_delay
        self.period = self._step_seconds if delay is None else max(delay, 0.001)
        self.step_limit = settings.max_episode_steps or (self._env.spec.max_episode_steps if self._env.spec else None)
        self.recorder: DriveRecorder | None = None
        self.kept: list[EpisodeKept] = []
        self.copilot: Copilot | None = None
        self._for_listener: Decisions | None = None
        self._for_copilot: Decisions | None = None
        self.driver: Driver = "person"
        self.episode, self.steps, self.reward, self.over = 0, 0, 0.0, False
        self._terminated = False
        self.action: Any = None
        self._obs: Any = None

    # Who is on board

    def tell(self, on_decision: OnDecision | None) -> None:
        """Have somebody told of every decision, its observation prepared, once every `env.action_repeat` frames."""
        self._for_listener = None
        if on_decision is not None:
            tell, prepare = on_decision, Preprocessor(self._raw_space, self._settings)
            self._for_listener = Decisions(
                self._settings.action_repeat // self._frames,
                lambda decision: tell(replace(decision, obs=prepare(decision.obs))),
            )

    def take_along(self, copilot: Copilot | None) -> None:
        """Take a model along, or leave it behind.

        Raises:
            UserError: it was made for another environment.
        """
        if copilot is not None:
            copilot.check(self._raw_space, self._env.action_space)
            copilot.begin()
        self.take_over()
        self.copilot = copilot
        self._for_copilot = None
        if copilot is not None:
            self._for_copilot = Decisions(copilot.repeat, lambda decision: copilot.remember(decision.action))

    def take_over(self) -> None:
        """The person drives from the next step on."""
        self.driver = "person"

    def hand_over(self) -> None:
        """The model drives from its next decision on, where one is on board."""
        if self.copilot is not None:
            self.controls.clear()
            self.driver = "model"

    # Recording

    def record(self, folder: Path) -> None:
        """Record into a folder, from the present observation on.

        Raises:
            UserError: see `DriveRecorder`.
        """
        source = "manual" if self._dream is None else DREAMT
        spaces = self._raw_space, self._env.action_space
        self.recorder = DriveRecorder(folder, self._settings, spaces, source, self._frames)
        if self._obs is not None and not self.over:
            self.recorder.begin(self._obs, self._seed, self.steps)

    def keep(self) -> EpisodeKept | None:
        """Write what was recorded of the episode; None where that is nothing. See `DriveRecorder.keep`."""
        kept = self.recorder.keep(self.over and self._terminated) if self.recorder is not None else None
        self.kept += [kept] if kept is not None else []
        return kept

    def take_back(self, delete: bool = True) -> EpisodeTakenBack:
        """Count the episode kept last no more, and remove it from disk, or leave that to whoever is told."""
        episode = self.kept.pop()
        if delete:
            Path(episode.path).unlink(missing_ok=True)
        return EpisodeTakenBack(episode.recording, episode.path)

    @property
    def frames_recorded(self) -> int:
        """Frames recorded so far, those of the present episode included."""
        present = self.recorder.length if self.recorder is not None else 0
        return sum(episode.length for episode in self.kept) + present

    # Driving

    def begin(self, another: bool = True) -> None:
        """Begin an episode, on `another` seed or once more on the same; what was recorded of a present one is lost."""
        if another:
            earlier = self.recorder.earlier if self.recorder is not None else 0
            self._seed = max(self._seed + 1, self._first_seed + earlier)
        self._simulator.reset(self._seed)
        self._obs = self._simulator.raw()
        self.episode += int(another)
        self.steps, self.reward, self.over = 0, 0.0, False
        self.controls.center()
        if self.recorder is not None:
            self.recorder.begin(self._obs, self._seed, 0)
        if self.copilot is not None:
            self.copilot.begin()
        for group in self._decisions:
            group.begin()

    def step(self) -> bool:
        """Take one step; False, and nothing happens, where the environment waits for a key."""
        action = self._decide()
        if action is None:
            return False
        step = self._simulator.step(np.asarray(action)[None])
        obs, reward = self._simulator.raw(), float(step.reward[0])
        terminated, truncated = bool(step.terminated[0]), bool(step.truncated[0])
        self.over = terminated or truncated
        for group in self._decisions:
            group.frame(self._obs, action, reward, terminated, truncated)
        if self.recorder is not None:
            self.recorder.step(action, reward, obs, manual=self.driver == "person")
        self._obs, self.action = obs, action
        self.steps += 1
        self.reward += reward
        self._terminated = terminated
        return True

    def picture(self) -> np.ndarray:
        """What is to be seen now, uint8 (H, W, 3)."""
        if self._dream is not None:
            return self._dream.render()
        picture: Any = self._obs if self._settings.pixels else None
        if picture is None:
            with environment_at_work(self._settings.id):
                picture = self._env.render()
        if not (isinstance(picture, np.ndarray) and picture.ndim == 3):
            raise UserError(f"{self._settings.id} draws no pictures (rgb_array), so it cannot be driven in a window")
        return np.array(picture)  # a copy: some environments draw into one array again and again

    @property
    def speed(self) -> float | None:
        """In km/h, where something drives."""
        return speed_of(self._env) if self._dream is None else None

    @property
    def seconds(self) -> float:
        """Time in the world since the episode began."""
        return self.steps * self._step_seconds

    def close(self) -> None:
        """End the environment."""
        self._env.close()

    @property
    def _raw_space(self) -> gym.Space:
        """Of the observations as they are recorded."""
        if self._dream is None:
            return self._env.preprocessor.raw_space
        return as_raw(self._dream.observation_space)

    @property
    def _decisions(self) -> list[Decisions]:
        return [group for group in (self._for_listener, self._for_copilot) if group is not None]

    def _decide(self) -> Any:
        copilot = self.copilot
        if copilot is not None and self._for_copilot is not None and self._for_copilot.due:
            copilot.look(self._obs)
        if copilot is not None and self.driver == "model" and copilot.action is not None:
            return copilot.action
        return self.controls.action(self._step_seconds)
