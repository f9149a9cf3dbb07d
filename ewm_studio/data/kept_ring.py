"""Rings of what an agent saw, which have files of their own in a run: they are too large for every checkpoint.

The file is named by how much was ever added. A run that repeats itself writes the same file under the same name, so
that a kill between this file and its checkpoint does no harm.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from ewm_studio.workspace.tree import load_tree, save_tree


class KeptRing(ABC):
    """A ring of the last `capacity` rows; a new one takes the place of the oldest.

    Attributes:
        added: rows ever added.
    """

    SUFFIX: ClassVar[str]  # of its file

    def __init__(self, capacity: int) -> None:
        self.capacity, self.added = capacity, 0

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    @abstractmethod
    def _content(self) -> Any:
        """What is to be written, for `save_tree`."""

    @abstractmethod
    def _take_up(self, content: Any, path: Path) -> None:
        """Undo `_content`, as it was read from `path`, with `added` what it was.

        Raises:
            UserError: it is of something else.
        """

    def save(self, folder: Path) -> None:
        """Write all of it into `folder`, unless it lies there.

        Raises:
            UserError or JobError: the file cannot be written.
        """
        folder.mkdir(exist_ok=True)
        if not self._path(folder).exists():
            save_tree(self._path(folder), self._content())

    def prune(self, folder: Path) -> None:
        """Remove what earlier calls of `save` left in `folder`."""
        for path in folder.glob(f"*{self.SUFFIX}"):
            if path != self._path(folder):
                path.unlink(missing_ok=True)

    def load(self, folder: Path, added: int) -> None:
        """Take up what was saved when `added` had been added.

        Raises:
            UserError: the file is missing, damaged, or of something else.
        """
        self.added = added
        self._take_up(load_tree(self._path(folder)), self._path(folder))

    def _path(self, folder: Path) -> Path:
        return folder / f"{self.added}{self.SUFFIX}"
