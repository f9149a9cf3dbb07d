"""Episodes to look at: a small picture of one, and its frames for a player."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ewm_studio.data.episode_file import EpisodeFile, leaves, open_episode

MOST_BYTES = 256 * 2**20  # of a player's frames; of longer episodes only every second, third, ... is shown
MAP_COLUMNS = 240  # of the map of an episode that has no pictures


@dataclass(frozen=True)
class EpisodeFrames:
    """The frames of an episode of T steps.

    Attributes:
        frames: uint8 (N, H, W, 3): every `every`-th observation from the first on. Of an episode without pictures
            N is 1: a map of its numbers, time from left to right.
        every: observations from one frame to the next.
        reward: float64 (T,).
        action: (T, ...).
        manual: bool (T,), the person drove.
    """

    frames: NDArray
    every: int
    reward: NDArray
    action: NDArray
    manual: NDArray

    @property
    def moving(self) -> bool:
        """Whether the frames are pictures in time."""
        return len(self.frames) > 1


def thumbnail(path: Path, side: int) -> NDArray:
    """A small picture of an episode, uint8 (side, side, 3): its middle, or a map of its numbers.

    Raises:
        UserError: the file is damaged.
    """
    with open_episode(path) as episode:
        picture = _middle(episode)
        if picture is None:
            picture = _map_of(episode, side)
    height, width = picture.shape[:2]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    from PIL import Image  # only here: the window starts without it

    image = Image.fromarray(picture[top : top + least, left : left + least])
    return np.asarray(image.resize((side, side), Image.Resampling.BOX if least >= side else Image.Resampling.NEAREST))


def episode_frames(path: Path, most_bytes: int = MOST_BYTES) -> EpisodeFrames:
    """An episode's frames, as many as fit into `most_bytes`.

    Raises:
        UserError: the file is damaged.
    """
    with open_episode(path) as episode:
        columns = [episode.column(name) for name in ("reward", "action", "manual")]
        if not _has_pictures(episode):
            return EpisodeFrames(_map_of(episode, MAP_COLUMNS)[None], 1, *columns)
        every = max(1, -(-(episode.length + 1) * episode.obs_bytes // most_bytes))
        return EpisodeFrames(_as_rgb(episode.obs(slice(None, None, every))), every, *columns)


def _has_pictures(episode: EpisodeFile) -> bool:
    first = episode.obs(slice(0, 1))
    if not isinstance(first, np.ndarray) or first.dtype != np.uint8:
        return False
    return first.ndim == 3 or (first.ndim == 4 and first.shape[-1] in (1, 3))


def _middle(episode: EpisodeFile) -> NDArray | None:
    """The picture in the middle of an episode, uint8 (H, W, 3); None where observations are no pictures."""
    if not _has_pictures(episode):
        return None
    middle = episode.length // 2
    return _as_rgb(episode.obs(slice(middle, middle + 1)))[0]


def _as_rgb(pictures: NDArray) -> NDArray:
    """Pictures (N, H, W), (N, H, W, 1) or (N, H, W, 3) as (N, H, W, 3)."""
    if pictures.ndim == 3:
        pictures = pictures[..., None]
    return np.repeat(pictures, 3, axis=-1) if pictures.shape[-1] == 1 else pictures


def _map_of(episode: EpisodeFile, columns: int) -> NDArray:
    """An episode's numbers over time, a band for each (as many as there is room for): uint8 (columns, columns, 3)."""
    every = max(1, (episode.length + 1) // columns)
    numbers = np.concatenate([_flat(leaf) for leaf in leaves(episode.obs(slice(None, None, every)))], axis=1)
    numbers = numbers[:, :columns].T  # (D, N)
    low, high = numbers.min(1, keepdims=True), numbers.max(1, keepdims=True)
    shade = (np.clip((numbers - low) / np.where(high > low, high - low, 1), 0, 1) * 200 + 40).astype(np.uint8)
    at = np.linspace(0, shade.shape[1] - 1, columns).round().astype(int)
    bands = np.linspace(0, shade.shape[0], columns, endpoint=False).astype(int)
    return np.repeat(shade[bands][:, at, None], 3, axis=2)


def _flat(leaf: NDArray) -> NDArray:
    return np.nan_to_num(leaf.reshape(len(leaf), -1).astype(np.float32), posinf=0.0, neginf=0.0)
