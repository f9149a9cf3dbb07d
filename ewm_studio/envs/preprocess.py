"""Raw observations -> what vision sees: pictures (C, H, W) uint8, everything else one vector (D,) float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from PIL import Image

from ewm_studio.envs.checks import finite
from ewm_studio.envs.spaces import Layout, describe, picture_layout
from ewm_studio.envs.vectors import vector_of, wrong
from ewm_studio.errors import UserError
from ewm_studio.settings import EnvSettings


class Preprocessor:
    """Prepares raw observations of one space, and refuses what is none of it.

    A picture (see `picture_layout`) is cropped, turned gray if so set, and resized to `image_size` a side with
    antialiasing. Everything else becomes a vector; see `vectors`.

    Attributes:
        raw_space: the space of the observations that go in.
        space: the space of those that come out, Box uint8 (C, H, W) or Box float32 (D,).
        prepare: what calling the preprocessor calls.
        layout: how pictures lie in a raw observation; None where they are none.
        taken_for: what observations are taken for, in words.

    Raises:
        UserError: the crop leaves nothing, or the space cannot be made a vector.
    """

    space: spaces.Box

    def __init__(self, raw_space: gym.Space, settings: EnvSettings) -> None:
        self.raw_space = raw_space
        earlier = settings.observe == "as_0.1.0"
        self.layout = None if settings.observe == "vector" else picture_layout(raw_space, earlier)
        self.prepare: Callable[[Any], np.ndarray]
        self._whole: Callable[[Any], np.ndarray]
        if self.layout is not None and isinstance(raw_space, spaces.Box):
            picture = _Picture(raw_space.shape, self.layout, settings)
            self.prepare, self.space = picture, picture.space
            self.taken_for = f"a picture, {describe(raw_space)}, seen as {describe(picture.space)}"
            self._whole = picture.whole
        else:
            vector = vector_of(raw_space, earlier)
            self.prepare, self.space, self.taken_for = vector.prepare, vector.space, vector.words
            self._whole = vector.prepare

    def __call__(self, raw_obs: Any) -> np.ndarray:
        """One observation, (C, H, W) or (D,). May share memory with `raw_obs`.

        Raises:
            WrongOutput: it is none of the space.
        """
        return self.prepare(raw_obs)

    def check(self, raw_obs: Any) -> None:
        """Look at an observation without preparing it, as far as that is quicker.

        Raises:
            WrongOutput: it is none of the space, or not finite.
        """
        finite(self._whole(raw_obs))

    def batch(self, raw_obs: Any) -> np.ndarray:
        """Observations with a leading batch axis -> (B, C, H, W) or (B, D), each row as `__call__` gives it.

        Of a Dict or Tuple space: a dict or tuple of such batches.
        """
        rows = [self.prepare(row) for row in _rows(self.raw_space, raw_obs)]
        return np.stack(rows) if rows else np.empty((0, *self.space.shape), self.space.dtype)


class _Picture:
    """Crop, gray and resize, by Pillow: the same bits everywhere."""

    def __init__(self, shape: tuple[int, ...], layout: Layout, settings: EnvSettings) -> None:
        self.shape, self.layout = shape, layout
        height, width = shape[1:] if layout == "CHW" else shape[:2]
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
        channels = 1 if layout == "HW" else shape[0] if layout == "CHW" else shape[2]
        self.channels = channels
        self.to_gray = channels == 3 and settings.grayscale
        size = settings.image_size
        self.size = (size, size)
        self.keeps_size = (self.box[2] - self.box[0], self.box[3] - self.box[1]) == self.size
        self.space = spaces.Box(0, 255, (1 if self.to_gray else channels, size, size), np.uint8)

    def whole(self, picture: Any) -> np.ndarray:
        """The picture as an array, once it is sure that it is one.

        Raises:
            WrongOutput: it is of another shape or dtype.
        """
        array = np.asarray(picture)
        if array.dtype != np.uint8 or array.shape != self.shape:
            raise wrong(picture, self.shape, "uint8")
        return array

    def __call__(self, picture: Any) -> np.ndarray:
        """(H, W, C), (C, H, W) or (H, W) -> (C, S, S)."""
        array = self.whole(picture)
        if self.layout == "CHW":
            array = array.transpose(1, 2, 0)
        if self.channels == 1 and array.ndim == 3:
            array = array[:, :, 0]
        # Cut here and not by resize's own box, which lets the filter reach beyond it.
        left, top, right, bottom = self.box
        out = array[top:bottom, left:right]
        if self.channels == 4 and not self.keeps_size:
            # Each by itself: Pillow takes the fourth for how opaque the others are.
            return np.stack([self._resized(out[:, :, channel]) for channel in range(4)])
        if self.to_gray or not self.keeps_size:
            out = self._resized(out)
        if out.ndim == 2:
            return np.ascontiguousarray(out)[None]
        return np.ascontiguousarray(out.transpose(2, 0, 1))

    def _resized(self, picture: np.ndarray) -> np.ndarray:
        image = Image.fromarray(np.ascontiguousarray(picture))
        if self.to_gray:
            image = image.convert("L")
        # reducing_gap: in a picture many times too large, whole pixels are averaged first, 3 times as fast.
        return np.asarray(image.resize(self.size, Image.Resampling.BILINEAR, reducing_gap=1.0))


def _rows(space: gym.Space, batch: Any) -> Iterator[Any]:
    """The single observations of a batch."""
    if isinstance(space, spaces.Dict):
        parts = [_rows(part, batch[name]) for name, part in space.spaces.items()]
        return (dict(zip(space.spaces, values, strict=True)) for values in zip(*parts, strict=True))
    if isinstance(space, spaces.Tuple):
        return zip(*(_rows(part, value) for part, value in zip(space.spaces, batch, strict=True)), strict=True)
    return iter(batch)
