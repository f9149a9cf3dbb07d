"""The true environment, led frame by frame to where a dream begins, and on from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.envs.failures import environment_at_work
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.spaces import describe
from ewm_studio.errors import UserError
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import EnvSettings

USUAL_RATE = 30.0  # frames a second where an environment names none


class Dreamer(Protocol):
    """Whose dream it is: a world model, how observations are prepared for it, and the environment it was made for."""

    @property
    def model(self) -> WorldModel:
        """V and M, and C where it has one."""

    @property
    def preprocessor(self) -> Preprocessor:
        """Prepares raw observations for V."""

    @property
    def env(self) -> EnvSettings:
        """What it was made for."""


@dataclass(frozen=True, eq=False)
class Moment:
    """A moment of the true environment, as what leads there: an episode's seed and its actions so far.

    Attributes:
        env: the environment.
        seed: of the reset.
        actions: (F, ...), one for every frame.
    """

    env: EnvSettings
    seed: int
    actions: NDArray


class RealWorld:
    """One true environment, led frame by frame; what is not looked at is not drawn.

    Attributes:
        over: the episode has ended, and nothing happens any more.
        reward: of the last frame.
        fps: frames a second at which it is true to life.

    Raises:
        UserError: the environment cannot be made.
    """

    def __init__(self, settings: EnvSettings) -> None:
        self.settings = settings.model_copy(update={"action_repeat": 1, "render_mode": "rgb_array"})
        self.env = make_prepared_env(self.settings, window=False)
        self.fps = float(self.env.metadata.get("render_fps") or USUAL_RATE)
        self.over, self.reward = True, 0.0

    def check_fits(self, dreamer: Dreamer) -> None:
        """Make sure that a model sees and does what there is to see and to do here.

        Raises:
            UserError: it was made for something else.
        """
        model, prepared = dreamer.model, self.env.preprocessor
        for what, own, found in (
            ("sees", dreamer.preprocessor.raw_space, prepared.raw_space),
            ("acts by", model.action_space, self.env.action_space),
        ):
            if own != found:
                raise UserError(
                    f"the model {what} {describe(own)}, and {self.settings.id} as it was set has {describe(found)}; "
                    "choose a model that was trained on it"
                )

    def lead(self, seed: int, actions: NDArray) -> None:
        """Begin an episode and lead it through actions (F, ...), one a frame, without drawing.

        Raises:
            JobError: the environment failed.
        """
        with environment_at_work(self.settings.id):
            self.env.reset_blind(seed=seed)
            self.over, self.reward = False, 0.0
        for action in actions:
            self.frame(action)

    def frame(self, action: Any) -> None:
        """Let one frame pass under an action; after the episode's end nothing happens.

        Raises:
            JobError: the environment failed.
        """
        if self.over:
            self.reward = 0.0
            return
        with environment_at_work(self.settings.id):
            self.reward, terminated, truncated, _ = self.env.step_blind(_plain(action, self.env.action_space))
        self.over = terminated or truncated

    def raw(self) -> Any:
        """The present observation before it is prepared.

        Raises:
            JobError: the environment failed.
        """
        with environment_at_work(self.settings.id):
            return self.env.raw()

    def picture(self) -> np.ndarray | None:
        """The present picture, uint8 (H, W, 3), a copy; None where it draws none."""
        try:
            with environment_at_work(self.settings.id):
                return np.array(self.env.picture())
        except UserError:
            return None

    def close(self) -> None:
        """End the environment."""
        self.env.close()


def _plain(action: Any, space: gym.Space) -> Any:
    """An action as an environment takes it: a choice as a plain number."""
    return np.asarray(action).item() if isinstance(space, gym.spaces.Discrete) else np.asarray(action)
