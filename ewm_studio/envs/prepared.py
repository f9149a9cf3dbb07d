"""The environment as training sees it: actions repeated, observations prepared, nothing drawn that nobody sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np

from ewm_studio.envs import checks
from ewm_studio.envs.box2d import renew_world
from ewm_studio.envs.carracing.lap import Lap, has_laps
from ewm_studio.envs.failures import environment_closing
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.rendering import Window, as_rgb, picture_space, rendered
from ewm_studio.settings import EnvSettings


class PreparedEnv(gym.Wrapper):
    """Repeats each action, observes once at the end of the repeats, and prepares that observation.

    Rewards are summed over the repeats, which end early with the episode; `info["frames"]` is their number. With
    `settings.pixels` the observation is the rendered picture of `env`, shown on the screen with `window`. An
    environment that draws its own observation on request (the fast CarRacing: attribute `draw`, method `frame()`)
    draws only what is observed, and nothing twice. Box2D worlds are made anew for every episode.

    What the environment gives is looked at first: what is no number, no flag or not of its space is refused. Whether
    numbers are finite is looked at here too, except in the plain `step` of a cheap environment, whose caller looks at
    many at once.

    With `training`, episodes also end as `settings.idle_limit` and `settings.round_end` say, and rewards are less
    `settings.skip_penalty`.

    Attributes:
        has_rules: whether there is such a rule.
        shaping: what rules have added to the reward of the last step; below zero for a penalty.
        env_terminated: whether the environment itself ended the episode for good with the last step, before any rule.
        outcome: what `step_blind` last returned.
        history_free: whether the present episode depends on its seed and actions alone, as far as Box2D goes.
    """

    def __init__(self, env: gym.Env, settings: EnvSettings, window: bool = False, training: bool = False) -> None:
        super().__init__(env)
        self._id = settings.id
        # An environment that renders for its observer cannot open its own window as well.
        self._window = Window(env.metadata.get("render_fps") or 30) if window and settings.pixels else None
        self.repeat = settings.action_repeat
        self.idle_limit = settings.idle_limit if training else None
        self.idle_terminates = settings.idle_terminates
        self.round_end, self.skip_penalty = settings.round_end, settings.skip_penalty
        follows = training and (self.round_end != "played" or self.skip_penalty > 0) and has_laps(env)
        self._lap = Lap(env) if follows else None
        self._idle = 0  # frames since the last reward above zero
        self.has_rules = self.idle_limit is not None or self._lap is not None
        self.shaping, self.env_terminated = 0.0, False
        self.outcome: tuple[float, bool, bool, dict[str, Any]] = (0.0, False, False, {})
        self.pixels = settings.pixels
        self.history_free = True
        self._raw: Any = None
        self._undrawn = False  # whether `_raw` is still to be drawn, where it is drawn on request
        base: Any = env.unwrapped
        # Whoever draws on request is told not to draw of itself.
        self._draws = hasattr(base, "draw") and hasattr(base, "frame")
        if self._draws:
            base.draw = False
        if training and settings.random_start and hasattr(base, "random_start"):
            base.random_start = settings.random_start
        raw_space = picture_space(env) if self.pixels else env.observation_space
        self.preprocessor = Preprocessor(raw_space, settings)
        self.observation_space = self.preprocessor.space
        if not (self.pixels or self._draws or self.repeat > 1 or self.has_rules):
            self.step = self._plain_step()  # type: ignore[method-assign, assignment]

    def _plain_step(self) -> Callable[[Any], tuple[np.ndarray, float, bool, bool, dict[str, Any]]]:
        """`step` where it is only to prepare the observation, without calls that a cheap environment would feel."""
        step, prepare = self.env.step, self.preprocessor.prepare

        def plain(action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            result = step(action)
            if result.__class__ is tuple and len(result) == 5:
                self._raw, reward, terminated, truncated, info = result
                if (
                    reward.__class__ is float
                    and terminated.__class__ is bool
                    and truncated.__class__ is bool
                    and info.__class__ is dict
                ):
                    return prepare(self._raw), reward, terminated, truncated, info
            self._raw, reward, terminated, truncated, info = checks.step(result)
            return prepare(self._raw), reward, terminated, truncated, info

        return plain

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode: the prepared observation, (C, H, W) uint8 or (D,) float32."""
        info = self.reset_blind(seed=seed, options=options)
        return self.observe(), info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Apply an action `action_repeat` times."""
        reward, terminated, truncated, info = self.step_blind(action)
        return self.observe(), reward, terminated, truncated, info

    def reset_blind(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> dict[str, Any]:
        """`reset` without observing."""
        self.history_free = renew_world(self.env)
        self._idle, self.shaping, self.env_terminated = 0, 0.0, False
        self._raw, info = checks.reset(self.env.reset(seed=seed, options=options))
        self._undrawn = self.pixels or self._draws
        if self._lap is not None:
            self._lap.begin()
        return info

    def step_blind(self, action: Any) -> tuple[float, bool, bool, dict[str, Any]]:
        """`step` without observing."""
        for _ in self.frames(action):
            pass
        return self.outcome

    def frames(self, action: Any) -> Iterator[tuple[float, bool]]:
        """`step_blind` frame by frame: each one's reward, unshaped, and whether the episode is over with it.

        With the last comes `outcome`. Who asks between two frames finds the environment as the first of them left it.
        """
        total, frames, over = 0.0, 0, False
        while not over and frames < self.repeat:
            self._raw, gained, terminated, truncated, info = checks.step(self.env.step(action))
            self._undrawn = self.pixels or self._draws
            checks.learnable(gained)
            total, frames = total + gained if frames else gained, frames + 1
            over = terminated or truncated
            if over or frames == self.repeat:
                over = self._conclude(total, frames, terminated, truncated, info)
            yield gained, over

    def _conclude(self, total: float, frames: int, terminated: bool, truncated: bool, info: dict[str, Any]) -> bool:
        """Make the `outcome` of a decision from that of its frames, by the rules; whether the episode is over."""
        self.env_terminated = terminated
        if self.repeat > 1:
            info = {**info, "frames": frames}
        if self.idle_limit is not None:
            self._idle = 0 if total > 0 else self._idle + frames
            if self._idle >= self.idle_limit:
                terminated, truncated = terminated or self.idle_terminates, True
        if self._lap is not None:
            self.shaping = -self.skip_penalty * self._lap.skipped()
            total += self.shaping
            if self.round_end != "played" and (self._lap.round or info.get("lap_finished")):
                terminated, truncated = self.round_end == "final", self.round_end == "cut"
        self.outcome = total, bool(terminated), bool(truncated), info
        return self.outcome[1] or self.outcome[2]

    def close(self) -> None:
        """End the environment.

        Raises:
            ClosingFailed: it did not let itself be ended.
        """
        if self._window is not None:
            self._window.close()
        with environment_closing(self._id):
            super().close()

    def observe(self) -> np.ndarray:
        """The present prepared observation.

        Raises:
            WrongOutput: it is not of the environment's space, or not finite.
        """
        return checks.finite(self.preprocessor(self.raw()))

    def raw(self) -> Any:
        """The present observation before it is prepared; drawn now, and once, where it is drawn on request."""
        if self._undrawn:
            self._raw, self._undrawn = self._drawn(), False
        return self._raw

    def check(self) -> None:
        """Look at the present observation where it goes elsewhere unprepared.

        Raises:
            WrongOutput: as `observe`.
        """
        self.preprocessor.check(self.raw())

    def picture(self) -> np.ndarray:
        """The picture of the present moment, uint8 (H, W, 3): the raw observation if it is one, else what is rendered.

        Raises:
            UserError: the environment draws none.
        """
        layout = self.preprocessor.layout
        return rendered(self.env) if layout is None else as_rgb(self.raw(), self.env, layout)

    def _drawn(self) -> Any:
        if self.pixels:
            picture: Any = self.env.render()
            if self._window is not None:
                self._window.show(picture)
            return picture
        base: Any = self.env.unwrapped
        return base.frame()
