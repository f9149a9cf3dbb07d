"""The last frames an agent saw, for vision to go on learning from, and how fast the picture changed in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from ewm_studio.data.kept_ring import KeptRing
from ewm_studio.errors import UserError

EDGES = torch.tensor([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])  # grey levels of 0 to 255; each level is twice the last
STRIDE = 2  # every second pixel of every second row tells enough


class FrameBuffer(KeptRing):
    """A ring of the last `capacity` frames on the CPU."""

    SUFFIX = ".frames"

    def __init__(self, capacity: int, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        """Memory is taken up as frames of `shape` and `dtype` come in."""
        super().__init__(capacity)
        self._frames = torch.empty(capacity, *shape, dtype=dtype)
        self._levels = torch.zeros(capacity, dtype=torch.uint8)

    def add(self, frames: Tensor, levels: Tensor | None = None) -> None:
        """Take in frames (N, ...), oldest first, and the levels (N,) of their kind that a draw may be even over."""
        self.added += len(frames)
        end = (self.added - 1) % self.capacity + 1
        levels = torch.zeros(len(frames), dtype=torch.uint8) if levels is None else levels
        for ring, new in ((self._frames, frames), (self._levels, levels)):
            kept = new[-self.capacity :]
            # In slices: writing bytes to places by number takes ten times as long.
            tail = min(end, len(kept))
            ring[end - tail : end] = kept[len(kept) - tail :]
            ring[self.capacity - (len(kept) - tail) :] = kept[: len(kept) - tail]

    def sample(self, count: int, even: bool = False, generator: Generator | None = None) -> Tensor:
        """Frames (count, ...) drawn from `generator`; one may come twice.

        With `even`, every level that is there is as likely as any other, however many frames are of it.
        """
        place = generator.device if generator is not None else torch.device("cpu")
        if not even:
            drawn = torch.randint(len(self), (count,), generator=generator, device=place)
            return self._frames.index_select(0, drawn.cpu())
        levels = self._levels[: len(self)].long()
        weights = levels.bincount().reciprocal().index_select(0, levels)
        drawn = torch.multinomial(weights.to(place), count, replacement=True, generator=generator)
        return self._frames.index_select(0, drawn.cpu())

    def newest(self, count: int) -> Tensor:
        """The last frames (at most count, ...), oldest first."""
        return self._frames[torch.arange(max(self.added - count, self.added - len(self)), self.added) % self.capacity]

    def _content(self) -> list[Tensor]:
        return [self._frames[: len(self)], self._levels[: len(self)]]

    def _take_up(self, content: Any, path: Path) -> None:
        frames, levels = content
        if frames.shape != self._frames[: len(self)].shape or frames.dtype != self._frames.dtype:
            wanted = tuple(self._frames[: len(self)].shape)
            raise UserError(
                f"{path}: expected frames {wanted}, found {tuple(frames.shape)}; resume with the run's own settings"
            )
        self._frames[: len(self)], self._levels[: len(self)] = frames, levels


def motion_levels(frames: Tensor, is_first: Tensor) -> Tensor:
    """The level uint8 (T, B), 0 to as many as `EDGES`, of the mean change of each picture since the one before.

    An episode's first picture counts like its second; one that has neither before nor after counts as still.

    Args:
        frames: uint8 (T, B, C, H, W).
        is_first: (T, B) bool; this picture is the first of an episode.
    """
    seen = frames[..., ::STRIDE, ::STRIDE].to(torch.int16)
    change = (seen[1:] - seen[:-1]).abs().flatten(2).float().mean(2)  # (T - 1, B)
    still = change.new_zeros(1, frames.shape[1])
    before, after = torch.cat([still, change]), torch.cat([change, still])
    is_first = is_first.clone()
    is_first[0] = True  # what came before is not here
    follows = torch.cat([~is_first[1:], is_first.new_zeros(1, is_first.shape[1])])
    motion = torch.where(is_first, torch.where(follows, after, 0.0), before)
    return torch.bucketize(motion, EDGES).to(torch.uint8)
