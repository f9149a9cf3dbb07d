"""`metrics.bin`: what a run has logged, in its own folder, before the database is brought up from it.

It only ever grows: pieces of rows of one tag, each with its own checksum, and marks where a run went on from an earlier
step. A piece that was cut short or damaged costs itself; reading goes on at the next.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ewm_studio.workspace.database import ROW, Row
from ewm_studio.workspace.files import write_bytes, write_error

NAME = "metrics.bin"
EPISODES = ""  # stands for the episodes where tags stand
_MAGIC = b"EWMR"
_ROWS, _CUT = 0, 1  # kinds of pieces
_HEAD = struct.Struct("<4sBHII")  # the magic, the kind, bytes of the tag's name, rows, checksum


class Logbook:
    """The rows of one run's folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    @property
    def exists(self) -> bool:
        """Whether the run has one; those of version 0.1.0 have none."""
        return self.path.is_file()

    def append(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Add rows of several tags, all or none; it does not make the file.

        Raises:
            JobError: the disk is full. UserError: there is no such file, or it cannot be written.
        """
        self._add(b"".join(_piece(_ROWS, tag, np.array(new, ROW)) for tag, new in rows.items() if new))

    def cut(self, step: int) -> None:
        """Forget what was logged after a step, because the run goes on from there.

        Raises:
            JobError or UserError: as `append`.
        """
        self._add(_piece(_CUT, "", np.array([(step, 0, 0.0, 0.0)], ROW)))

    def write(self, rows: Mapping[str, np.ndarray]) -> None:
        """Begin it anew with `ROW` arrays by tag.

        Raises:
            JobError or UserError: it cannot be written; what was there stands.
        """
        data = b"".join(_piece(_ROWS, tag, array) for tag, array in rows.items() if len(array))
        write_bytes(self.path, data)

    def read(self) -> dict[str, np.ndarray]:
        """All sound rows as `ROW` arrays by tag, in the order they were logged; nothing where there is no file."""
        try:
            data = self.path.read_bytes() if self.exists else b""
        except OSError:
            return {}
        parts: dict[str, list[np.ndarray]] = {}
        at = 0
        while (at := data.find(_MAGIC, at)) >= 0:
            found = _read_piece(data, at)
            if found is None:
                at += len(_MAGIC)
                continue
            kind, tag, rows, at = found
            if kind == _CUT:
                step = int(rows["step"][0])
                parts = {tag: [_until(np.concatenate(pieces), step)] for tag, pieces in parts.items()}
            else:
                parts.setdefault(tag, []).append(rows)
        joined = {tag: np.concatenate(pieces) for tag, pieces in parts.items()}
        return {tag: rows for tag, rows in joined.items() if len(rows)}

    def _add(self, data: bytes) -> None:
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
            try:
                size = os.fstat(descriptor).st_size
                try:
                    _write_all(descriptor, data)
                except OSError:
                    with contextlib.suppress(OSError):  # a part is of no use to anybody
                        os.ftruncate(descriptor, size)
                    raise
            finally:
                os.close(descriptor)
        except OSError as error:
            raise write_error(self.path, error) from error


def row_count(rows: Mapping[str, np.ndarray]) -> int:
    """How many rows there are of all tags."""
    return sum(len(array) for array in rows.values())


def row_counts(rows: Mapping[str, np.ndarray]) -> dict[str, int]:
    """How many rows there are of each tag that has any."""
    return {tag: len(array) for tag, array in rows.items() if len(array)}


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _piece(kind: int, tag: str, rows: np.ndarray) -> bytes:
    name, body = tag.encode("utf-8"), rows.tobytes()
    head = _HEAD.pack(_MAGIC, kind, len(name), len(rows), 0)
    return _HEAD.pack(_MAGIC, kind, len(name), len(rows), zlib.crc32(head + name + body)) + name + body


def _read_piece(data: bytes, at: int) -> tuple[int, str, np.ndarray, int] | None:
    """Kind, tag, rows and the place behind of the piece that begins here; None where none that is sound does."""
    if len(data) - at < _HEAD.size:
        return None
    magic, kind, name_size, count, checksum = _HEAD.unpack_from(data, at)
    start = at + _HEAD.size
    middle, end = start + name_size, start + name_size + count * ROW.itemsize
    if end > len(data) or zlib.crc32(_HEAD.pack(magic, kind, name_size, count, 0) + data[start:end]) != checksum:
        return None
    name = data[start:middle].decode("utf-8", "replace")
    return kind, name, np.frombuffer(data, ROW, count, middle), end


def _until(rows: np.ndarray, step: int) -> np.ndarray:
    """The rows before the first that was logged after a step."""
    after = np.flatnonzero(rows["step"] > step)
    return rows[: after[0]] if len(after) else rows
