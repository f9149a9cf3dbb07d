"""Raw observations -> what vision sees: pictures (C, H, W) uint8, everything else one vector (D,) float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from PIL import Image

from ewm_studio.envs.spaces import describe, is_picture
from ewm_studio.errors import UserError
from ewm_studio.settings import EnvSettings


class Preprocessor:
    """Prepares raw observations of one space.

    A picture (uint8 (H, W, 3), (H, W, 1) or (H, W)) is cropped, turned gray if so set, and resized to
    `image_size` a side with antialiasing. Discrete becomes one-hot; a Box of any other kind is flattened;
    MultiDiscrete, MultiBinary, Dict and Tuple are flattened as Gymnasium does it.

    Attributes:
        raw_space: the space of the observations that go in.
        space: the space of those that come out, Box uint8 (C, H, W) or Box float32 (D,).
        prepare: what calling the preprocessor calls.

    Raises:
        UserError: the crop leaves nothing, or the space cannot be made a vector.
    """

    space: spaces.Box

    def __init__(self, raw_space: gym.Space, settings: EnvSettings) -> None:
        self.raw_space = raw_space
        self.prepare: Callable[[Any], np.ndarray]
        if is_picture(raw_space):
            picture = _Picture(raw_space.shape or (), settings)
            self.prepare, self.space = picture, picture.space
        else:
            self.prepare, self.space = _vector(raw_space)

    def __call__(self, raw_obs: Any) -> np.ndarray:
        """One observation, (C, H, W) or (D,). May share memory with `raw_obs`."""
        return self.prepare(raw_obs)

    def batch(self, raw_obs: Any) -> np.ndarray:
        """Observations with a leading batch axis -> (B, C, H, W) or (B, D), each row as `__call__` gives it.

        Of a Dict or Tuple space: a dict or tuple of such batches.
        """
        rows = [self.prepare(row) for row in _rows(self.raw_space, raw_obs)]
        return np.stack(rows) if rows else np.empty((0, *self.space.shape), self.space.dtype)


class _Picture:
    """Crop, gray and resize, by Pillow: the same bits everywhere."""

    def __init__(self, shape: tuple[int, ...], settings: EnvSettings) -> None:
        height, width = shape[:2]
        self.box = (
            settings.crop_left,
            settings.crop_top,
            width - settings.crop_right,
            height - settings.crop_bottom,
        )
        if self.box[0] >= self.box[2] or self.box[1] >= self.box[3]:
            raise UserError(
                f"env.crop_*: {settings.crop_left} + {settings.crop_right} columns and {settings.crop_top} + "
                f"{settings.crop_bottom} rows leave nothing of a picture of {width}x{height}; cut off less"
            )
        self.colors = len(shape) == 3 and shape[2] == 3
        self.to_gray = self.colors and settings.grayscale
        channels = 3 if self.colors and not self.to_gray else 1
        size = settings.image_size
        self.size = (size, size)
        self.keeps_size = (self.box[2] - self.box[0], self.box[3] - self.box[1]) == self.size
        self.space = spaces.Box(0, 255, (channels, size, size), np.uint8)

    def __call__(self, picture: Any) -> np.ndarray:
        """(H, W, 3), (H, W, 1) or (H, W) -> (C, S, S)."""
        picture = np.asarray(picture)
        if picture.ndim == 3 and not self.colors:
            picture = picture[:, :, 0]
        # Cut here and not by resize's own box, which lets the filter reach beyond it.
        left, top, right, bottom = self.box
        out = picture[top:bottom, left:right]
        if self.to_gray or not self.keeps_size:
            image = Image.fromarray(out)
            if self.to_gray:
                image = image.convert("L")
            # reducing_gap: in a picture many times too large, whole pixels are averaged first, 3 times as fast.
            out = np.asarray(image.resize(self.size, Image.Resampling.BILINEAR, reducing_gap=1.0))
        if out.ndim == 2:
            return np.ascontiguousarray(out)[None]
        return np.ascontiguousarray(out.transpose(2, 0, 1))


def _vector(space: gym.Space) -> tuple[Callable[[Any], np.ndarray], spaces.Box]:
    """How to make a vector of observations of `space`, and the vector's space.

    Raises:
        UserError: it cannot be made one.
    """
    if isinstance(space, spaces.Discrete):
        one_hot, start = np.eye(int(space.n), dtype=np.float32), int(space.start)
        return lambda raw: one_hot[int(raw) - start].copy(), spaces.Box(0, 1, (int(space.n),), np.float32)
    if isinstance(space, spaces.Box):
        if len(space.shape) == 1 and space.dtype == np.float32:
            return lambda raw: np.asarray(raw, np.float32), space
        return lambda raw: np.asarray(raw, np.float32).reshape(-1), _float_box(space)
    flat: gym.Space | None
    try:
        flat = spaces.flatten_space(space)
    except NotImplementedError:
        flat = None
    if not isinstance(flat, spaces.Box):
        raise UserError(f"observations of the space {describe(space)} cannot be made a vector")
    return lambda raw: np.asarray(spaces.flatten(space, raw), np.float32), _float_box(flat)


def _float_box(space: spaces.Box) -> spaces.Box:
    """The Box float32 (D,) that holds every flattened value of `space`."""
    with np.errstate(over="ignore"):  # bounds beyond float32 become infinite
        low, high = (bound.astype(np.float32).reshape(-1) for bound in (space.low, space.high))
    return spaces.Box(low, high, dtype=np.float32)


def _rows(space: gym.Space, batch: Any) -> Iterator[Any]:
    """The single observations of a batch."""
    if isinstance(space, spaces.Dict):
        parts = [_rows(part, batch[name]) for name, part in space.spaces.items()]
        return (dict(zip(space.spaces, values, strict=True)) for values in zip(*parts, strict=True))
    if isinstance(space, spaces.Tuple):
        return zip(*(_rows(part, value) for part, value in zip(space.spaces, batch, strict=True)), strict=True)
    return iter(batch)
