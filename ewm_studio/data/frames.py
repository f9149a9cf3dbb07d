"""Observations by number: in memory while they are few, the rest in one flat file on disk."""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ewm_studio.errors import JobError

CHUNK_BYTES = 4 * 2**20  # allocated, and written to disk, at a time
MOST_AT_ONCE = 2**30  # bytes asked of one read; Linux gives at most 2 GiB


class FrameStore:
    """Append-only store of frames of one shape and type.

    The first `memory_limit_bytes` stay in memory, whatever comes after goes to a nameless file in `folder`, which
    the system removes however the process ends. It is read by position and not mapped, since mapped pages count as
    the process's memory.

    Args:
        shape: of one frame.
        dtype: of one frame.
        memory_limit_bytes: at most so much is kept in memory, and one chunk beside it.
        folder: where the file goes; the system's temporary folder by default.

    Raises:
        JobError: from any method, when the disk is full or fails.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: DTypeLike, memory_limit_bytes: int, folder: str | Path | None = None
    ) -> None:
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.folder = Path(folder) if folder is not None else Path(tempfile.gettempdir())
        self.frame_bytes = max(1, int(np.prod(self.shape)) * self.dtype.itemsize)
        self.chunk = max(1, min(CHUNK_BYTES, memory_limit_bytes) // self.frame_bytes)  # frames a chunk
        self._most_chunks = memory_limit_bytes // (self.chunk * self.frame_bytes)
        self._chunks: list[NDArray] = []  # full ones, in memory
        self._tail = self._empty(0)  # the chunk that is being filled; allocated with the first frame
        self._in_tail = 0
        self._on_disk = 0  # frames in the file
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        self._closed = False

    def _empty(self, count: int) -> NDArray:
        return np.empty((count, *self.shape), self.dtype)

    def __len__(self) -> int:
        return len(self._chunks) * self.chunk + self._on_disk + self._in_tail

    @property
    def disk_bytes(self) -> int:
        """Bytes of frames on disk."""
        return self._on_disk * self.frame_bytes

    def append(self, batch: NDArray) -> NDArray:
        """Take in frames (N, ...); gives their numbers (N,)."""
        self._check_open()
        batch = np.asarray(batch)
        if batch.shape[1:] != self.shape or batch.dtype != self.dtype:
            raise ValueError(f"expected frames {self.shape} {self.dtype}, found {batch.shape[1:]} {batch.dtype}")
        first, done = len(self), 0
        while done < len(batch):
            if len(self._tail) == 0:
                self._tail = self._empty(self.chunk)
            taken = min(self.chunk - self._in_tail, len(batch) - done)
            self._tail[self._in_tail : self._in_tail + taken] = batch[done : done + taken]
            self._in_tail, done = self._in_tail + taken, done + taken
            if self._in_tail == self.chunk:
                self._put_away()
        return np.arange(first, first + len(batch))

    def _put_away(self) -> None:
        """The full tail joins the chunks in memory, or goes to disk and is used again."""
        if len(self._chunks) < self._most_chunks:
            self._chunks.append(self._tail)
            self._tail = self._empty(0)
        else:
            self._write(self._tail)
            self._on_disk += self.chunk
        self._in_tail = 0

    def _write(self, frames: NDArray) -> None:
        view = _bytes(frames)
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="frames-", dir=self.folder, buffering=0)  # noqa: SIM115
            with self._lock:
                self._file.seek(self.disk_bytes)
                while view:
                    view = view[self._file.write(view) :]
        except OSError as error:
            raise JobError(
                f"{self.folder}: observations cannot be written ({error.strerror}); free some space, collect fewer "
                "frames (data.frames) or keep more in memory (data.memory_limit)"
            ) from error

    def read(self, indices: Any) -> NDArray:
        """Frames (N, ...) by number (N,), in the order asked for; a number may come twice."""
        self._check_open()
        indices = np.asarray(indices, dtype=np.int64)
        if indices.size == 0:
            return self._empty(0)
        if (indices[1:] > indices[:-1]).all():
            return self._read_ascending(indices)
        unique, inverse = np.unique(indices, return_inverse=True)
        return self._read_ascending(unique)[inverse]

    def _read_ascending(self, indices: NDArray) -> NDArray:
        if indices[0] < 0 or indices[-1] >= len(self):
            raise IndexError(f"frames 0 to {len(self) - 1} exist, asked for {indices[0]} to {indices[-1]}")
        out = self._empty(len(indices))
        in_chunks = len(self._chunks) * self.chunk
        on_disk, in_tail = np.searchsorted(indices, [in_chunks, in_chunks + self._on_disk]).tolist()
        self._gather(indices[:on_disk], out[:on_disk])
        self._read_disk(indices[on_disk:in_tail] - in_chunks, out[on_disk:in_tail])
        if in_tail < len(indices):
            out[in_tail:] = self._tail[indices[in_tail:] - in_chunks - self._on_disk]
        return out

    def _gather(self, indices: NDArray, out: NDArray) -> None:
        """Frames of the full chunks in memory."""
        if len(indices) == 0:
            return
        numbers, within = np.divmod(indices, self.chunk)
        bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(indices)]
        for begin, end in itertools.pairwise(bounds):
            np.take(self._chunks[int(numbers[begin])], within[begin:end], axis=0, out=out[begin:end], mode="clip")

    def _read_disk(self, indices: NDArray, out: NDArray) -> None:
        """Frames of the file; neighbours by one read."""
        if len(indices) == 0:
            return
        view = _bytes(out)
        bounds = [0, *(np.flatnonzero(np.diff(indices) != 1) + 1).tolist(), len(indices)]
        offsets = (indices * self.frame_bytes).tolist()
        for begin, end in itertools.pairwise(bounds):
            self._read_into(view[begin * self.frame_bytes : end * self.frame_bytes], offsets[begin])

    def _read_into(self, view: memoryview, offset: int) -> None:
        """Fill `view` from the file's bytes at `offset`."""
        try:
            while view:
                count = self._read_some(view[:MOST_AT_ONCE], offset)
                if count == 0:
                    raise JobError(f"{self.folder}: the file of observations was cut short while in use")
                view, offset = view[count:], offset + count
        except OSError as error:
            raise JobError(f"{self.folder}: observations cannot be read back ({error.strerror})") from error

    def _read_some(self, view: memoryview, offset: int) -> int:
        assert self._file is not None
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [view], offset)
        with self._lock:  # Windows has no read by position
            self._file.seek(offset)
            return self._file.readinto(view)  # type: ignore[attr-defined]

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("this store of frames is closed")

    def close(self) -> None:
        """Free the memory and remove the file."""
        self._closed = True
        self._chunks.clear()
        self._tail, self._in_tail, self._on_disk = self._empty(0), 0, 0
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> FrameStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bytes(frames: NDArray) -> memoryview:
    """The bytes of a contiguous array, without a copy."""
    flat: Any = frames.reshape(-1).view(np.uint8)
    return memoryview(flat)
