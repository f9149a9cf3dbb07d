"""The last frames an agent saw, for vision to go on learning from."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from ewm_studio.errors import UserError
from ewm_studio.workspace.tree import load_tree, save_tree

SUFFIX = ".frames"


class RecentFrames:
    """A ring of the last `capacity` frames on the CPU; a new one takes the place of the oldest.

    A run's frames are too many to lie in every checkpoint, so `save` puts them into a file of their own, named by how
    many were ever added. A run that repeats itself writes the same file under the same name, so that a kill between
    this file and its checkpoint does no harm.

    Attributes:
        added: frames ever added.
    """

    def __init__(self, capacity: int, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        """Memory is taken up as frames of `shape` and `dtype` come in."""
        self.capacity = capacity
        self.added = 0
        self._frames = torch.empty(capacity, *shape, dtype=dtype)

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, frames: Tensor) -> None:
        """Take in frames (N, ...), oldest first."""
        self.added += len(frames)
        end = (self.added - 1) % self.capacity + 1
        kept = frames[-self.capacity :]
        # In slices: writing bytes to places by number takes ten times as long.
        tail = min(end, len(kept))
        self._frames[end - tail : end] = kept[len(kept) - tail :]
        self._frames[self.capacity - (len(kept) - tail) :] = kept[: len(kept) - tail]

    def sample(self, count: int) -> Tensor:
        """Frames (count, ...) drawn with PyTorch's generator; one may come twice."""
        return self._frames.index_select(0, torch.randint(len(self), (count,)))

    def newest(self, count: int) -> Tensor:
        """The last frames (at most count, ...), oldest first."""
        return self._frames[torch.arange(max(self.added - count, self.added - len(self)), self.added) % self.capacity]

    def save(self, folder: Path) -> None:
        """Write the frames into `folder`, unless they lie there.

        Raises:
            UserError or JobError: the file cannot be written.
        """
        folder.mkdir(exist_ok=True)
        if not self._path(folder).exists():
            save_tree(self._path(folder), self._frames[: len(self)])

    def prune(self, folder: Path) -> None:
        """Remove what earlier calls of `save` left in `folder`."""
        for path in folder.glob(f"*{SUFFIX}"):
            if path != self._path(folder):
                path.unlink(missing_ok=True)

    def load(self, folder: Path, added: int) -> None:
        """Take up the frames that were saved when `added` had been added.

        Raises:
            UserError: the file is missing, damaged, or of other frames.
        """
        self.added = added
        frames = cast("Tensor", load_tree(self._path(folder)))
        if frames.shape != self._frames[: len(self)].shape or frames.dtype != self._frames.dtype:
            raise UserError(
                f"{self._path(folder)}: expected frames {tuple(self._frames[: len(self)].shape)}, found "
                f"{tuple(frames.shape)}; resume with the run's own settings"
            )
        self._frames[: len(self)] = frames

    def _path(self, folder: Path) -> Path:
        return folder / f"{self.added}{SUFFIX}"
