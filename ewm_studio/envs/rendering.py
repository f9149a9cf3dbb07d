"""Pictures of environments: what they render, as an observation, in a window, or on request."""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import numpy as np

from ewm_studio.envs.failures import failure_of
from ewm_studio.envs.spaces import Layout
from ewm_studio.errors import UserError


class Window:
    """A window that shows the pictures an environment is observed by, at its own pace."""

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
    except BaseException as error:
        raise failure_of(name, error, "at the first picture") from error
    if not (isinstance(picture, np.ndarray) and picture.ndim == 3 and picture.shape[2] == 3):
        raise UserError(f"env.pixels: {name} renders no RGB picture, so it cannot be observed by its picture")
    return gym.spaces.Box(0, 255, picture.shape, np.uint8)


def rendered(env: gym.Env) -> np.ndarray:
    """What `env` renders of the present moment, uint8 (H, W, 3); made to draw nothing, it begins to draw when asked.

    Raises:
        UserError: it draws no pictures, or only into a window of its own.
    """
    if env.render_mode is None and "rgb_array" in (env.metadata.get("render_modes") or []):
        env.unwrapped.render_mode = "rgb_array"
    return as_rgb(env.render() if env.render_mode == "rgb_array" else None, env)


def as_rgb(picture: Any, env: gym.Env, layout: Layout = "HWC") -> np.ndarray:
    """A copy, uint8 (H, W, 3), of a picture that `env` gave: gray, RGB, or the first three of four channels.

    Raises:
        UserError: it is no picture.
    """
    found = picture if isinstance(picture, np.ndarray) else np.zeros(0)
    found = found[..., None] if found.ndim == 2 else found
    found = found.transpose(1, 2, 0) if layout == "CHW" and found.ndim == 3 else found
    if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] not in (1, 3, 4):
        raise UserError(f"{env.spec.id if env.spec else env} draws no pictures (rgb_array)")
    return np.repeat(found, 3, axis=2) if found.shape[2] == 1 else found[:, :, :3].copy()
