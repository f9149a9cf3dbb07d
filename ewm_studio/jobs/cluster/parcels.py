"""Files that travel: what has changed in a folder since the last time, in pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PIECE_BYTES = 2**23
_STAYS = (".lock", ".behind")  # of the machine on which they were made


class Piece(NamedTuple):
    """A part of a file; the parts come in order."""

    path: str  # in the folder, with slashes
    begins: bool
    data: bytes


class Parcels:
    """A folder that is looked at again and again; each time what is new or other is sent, and what is gone is said."""

    def __init__(self, folder: Path, known: bool = False) -> None:
        """`known`: what lies there already was sent before."""
        self.folder = folder
        self._sent = _stamps(folder) if known else {}
        self._gone: list[str] = []

    def pieces(self) -> Iterator[Piece]:
        """All that changed since the last time."""
        now = _stamps(self.folder)
        for path, stamp in now.items():
            if self._sent.get(path) != stamp:
                yield from _read(self.folder / path, path)
        self._gone = sorted(self._sent.keys() - now.keys())
        self._sent = now

    def gone(self) -> list[str]:
        """The files that were there before the last look, and no more."""
        return self._gone


def travelling(folder: Path) -> list[str]:
    """The files of a folder that are worth sending, as paths in it."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            if name not in _STAYS and not name.endswith(".tmp"):
                found.append((Path(place) / name).relative_to(folder).as_posix())
    return sorted(found)


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    stamps = {}
    for path in travelling(folder):
        status = (folder / path).stat()
        stamps[path] = (status.st_mtime_ns, status.st_size)
    return stamps


def _read(file: Path, path: str) -> Iterator[Piece]:
    with open(file, "rb") as stream:
        yield Piece(path, True, stream.read(PIECE_BYTES))
        while data := stream.read(PIECE_BYTES):
            yield Piece(path, False, data)
