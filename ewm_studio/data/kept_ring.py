"""Rings of what an agent saw, which have files of their own in a run: they are too large for every checkpoint.

The file is named by how much was ever added. A file of that name may be left from an attempt that was killed before its
checkpoint, and what took that attempt's place may have learned otherwise: it is written anew.
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
        self._lies: Path | None = None  # the file that holds what this ring held when it was written or read

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
        """Write all of it into `folder`, unless this very ring lies there.

        Raises:
            UserError or JobError: the file cannot be written.
        """
        folder.mkdir(exist_ok=True)
        path = self._path(folder)
        if path != self._lies or not path.exists():
            save_tree(path, self._content())
            self._lies = path

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
        path = self._path(folder)
        self._take_up(load_tree(path), path)
        self._lies = path

    def _path(self, folder: Path) -> Path:
        return folder / f"{self.added}{self.SUFFIX}"
