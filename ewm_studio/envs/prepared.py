"""The environment as training sees it: actions repeated, observations prepared, nothing drawn that nobody sees."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from ewm_studio.envs.box2d import renew_world
from ewm_studio.envs.carracing.lap import Lap, has_laps
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.errors import UserError
from ewm_studio.settings import EnvSettings


class PreparedEnv(gym.Wrapper):
    """Repeats each action, observes once at the end of the repeats, and prepares that observation.

    Rewards are summed over the repeats, which end early with the episode; `info["frames"]` is their number. With
    `settings.pixels` the observation is the rendered picture of `env`, shown on the screen with `window`. An
    environment that draws its own observation on request (the fast CarRacing: attribute `draw`, method `frame()`)
    draws only what is observed. Box2D worlds are made anew for every episode.

    With `training`, episodes also end as `settings.idle_limit` and `settings.round_end` say, and rewards are less
    `settings.skip_penalty`.

    Attributes:
        shaping: what training has added to the present episode's rewards.
        history_free: whether the present episode depends on its seed and actions alone, as far as Box2D goes.
    """

    def __init__(self, env: gym.Env, settings: EnvSettings, window: bool = False, training: bool = False) -> None:
        super().__init__(env)
        # An environment that renders for its observer cannot open its own window as well.
        self._window = _Window(env.metadata.get("render_fps") or 30) if window and settings.pixels else None
        self.repeat = settings.action_repeat
        self.idle_limit = settings.idle_limit if training else None
        self.idle_terminates = settings.idle_terminates
        self.round_end, self.skip_penalty = settings.round_end, settings.skip_penalty
        self.shaping = 0.0
        follows = training and (self.round_end != "played" or self.skip_penalty > 0) and has_laps(env)
        self._lap = Lap(env) if follows else None
        self._idle = 0  # frames since the last reward above zero
        self.pixels = settings.pixels
        self.history_free = True
        self._raw: Any = None
        base: Any = env.unwrapped
        # Whoever draws on request is told not to draw of itself.
        self._draws = hasattr(base, "draw") and hasattr(base, "frame")
        if self._draws:
            base.draw = False
        raw_space = picture_space(env) if self.pixels else env.observation_space
        self.preprocessor = Preprocessor(raw_space, settings)
        self.observation_space = self.preprocessor.space
        if not (self.pixels or self._draws or self.repeat > 1 or self.idle_limit or self._lap):
            self.step = self._plain_step()  # type: ignore[method-assign, assignment]

    def _plain_step(self) -> Callable[[Any], tuple[np.ndarray, float, bool, bool, dict[str, Any]]]:
        """`step` where it is only to prepare the observation, without calls that a cheap environment would feel."""
        step, prepare = self.env.step, self.preprocessor.prepare

        def plain(action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            obs, reward, terminated, truncated, info = step(action)
            return prepare(obs), float(reward), terminated, truncated, info

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
        self._idle, self.shaping = 0, 0.0
        self._raw, info = self.env.reset(seed=seed, options=options)
        if self._lap is not None:
            self._lap.begin()
        return info

    def step_blind(self, action: Any) -> tuple[float, bool, bool, dict[str, Any]]:
        """`step` without observing."""
        step = self.env.step
        self._raw, reward, terminated, truncated, info = step(action)
        total, frames = float(reward), 1
        while frames < self.repeat and not (terminated or truncated):
            self._raw, reward, terminated, truncated, info = step(action)
            total += float(reward)
            frames += 1
        if self.repeat > 1:
            info = {**info, "frames": frames}
        if self.idle_limit is not None:
            self._idle = 0 if total > 0 else self._idle + frames
            if self._idle >= self.idle_limit:
                terminated, truncated = terminated or self.idle_terminates, True
        if self._lap is not None:
            penalty = self.skip_penalty * self._lap.skipped()
            total -= penalty
            self.shaping -= penalty
            if self.round_end != "played" and (self._lap.round or info.get("lap_finished")):
                terminated, truncated = self.round_end == "final", self.round_end == "cut"
        return total, bool(terminated), bool(truncated), info

    def close(self) -> None:
        """End the environment."""
        if self._window is not None:
            self._window.close()
        super().close()

    def observe(self) -> np.ndarray:
        """The present prepared observation."""
        return self.preprocessor(self.raw())

    def raw(self) -> Any:
        """The present observation before it is prepared; drawn now where it is a picture drawn on request."""
        if self.pixels:
            picture: Any = self.env.render()
            if self._window is not None:
                self._window.show(picture)
            return picture
        if self._draws:
            base: Any = self.env.unwrapped
            return base.frame()
        return self._raw


class _Window:
    """Shows the pictures that an environment is observed by, at its own pace."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._shown = 0.0

    def show(self, picture: np.ndarray) -> None:
        """Show one picture (H, W, 3), after waiting for its time."""
        import pygame

        pygame.display.init()
        size = (picture.shape[1], picture.shape[0])
        screen = pygame.display.get_surface()
        if screen is None or screen.get_size() != size:
            screen = pygame.display.set_mode(size)
        pygame.event.pump()
        pygame.surfarray.blit_array(screen, picture.transpose(1, 0, 2))
        time.sleep(max(self._shown + 1 / self._fps - time.monotonic(), 0.0))
        self._shown = time.monotonic()
        pygame.display.flip()

    def close(self) -> None:
        """Take the window away."""
        import pygame

        pygame.display.quit()


class RenderedObservation(gym.ObservationWrapper):
    """The observation is the rendered picture, uint8 (H, W, 3)."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.observation_space = picture_space(env)

    def observation(self, observation: Any) -> np.ndarray:
        """The present picture; the environment's own observation is dropped."""
        return np.asarray(self.env.render())


def picture_space(env: gym.Env) -> gym.spaces.Box:
    """The space of `env`'s rendered pictures, found by drawing one.

    Raises:
        UserError: what it renders is no RGB picture.
    """
    name = env.spec.id if env.spec else str(env)
    try:
        env.reset(seed=0)  # seeded, since what a reset leaves behind must not be random
        picture: Any = env.render()
    except Exception as error:
        raise UserError(f"env.pixels: {name} cannot be rendered: {type(error).__name__}: {error}") from error
    if not (isinstance(picture, np.ndarray) and picture.ndim == 3 and picture.shape[2] == 3):
        raise UserError(f"env.pixels: {name} renders no RGB picture, so it cannot be observed by its picture")
    return gym.spaces.Box(0, 255, picture.shape, np.uint8)
