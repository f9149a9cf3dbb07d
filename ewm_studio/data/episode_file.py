"""One finished episode in one HDF5 file.

    obs             (T + 1, ...) as the environment gives them; a group of datasets "0", "1", ... where an observation
                    is a dict or a tuple, whose make-up the attribute `layout` tells
    action          (T, ...)
    reward          (T,) float64
    terminated      (T,) bool
    truncated       (T,) bool
    manual          (T,) bool, the person drove

Attributes: `format`, `version`, `meta` (JSON: environment, spaces, source, ...), `layout` (JSON), `length`, `return`,
`manual_share`, `sealed`. Behind the content lies a seal, see `seal`; files of earlier versions have none.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ewm_studio.data.seal import is_sealed, sealed
from ewm_studio.data.vetting import vetting
from ewm_studio.errors import UserError

if TYPE_CHECKING:
    import h5py

FORMAT = "ewm-studio-episode"
VERSION = 1
PICTURE_BYTES = 4096  # an observation this large is a chunk of its own, so that any one of them is read quickly
CHUNK_BYTES = 2**16  # of smaller ones
PENDING_BYTES = 2**18  # observations are compressed whenever so much has come together: a millisecond's work at most
READ_BYTES = 8 * 2**20  # raw observations read at a time
READ_ROWS = 4096
MOST_COMPRESSED = 300  # times that compression can make anything smaller
NUMERIC = "biuf"  # dtype kinds


class EpisodeBuilder:
    """An episode while it is played: compressed in memory, so that long ones of pictures have room.

    Raises:
        UserError: observations are not numbers.
    """

    def __init__(self, obs: Any) -> None:
        import h5py

        # Nothing is written to a disk here: a file in memory only, whose bytes are saved when it is complete. HDF5
        # opens no name twice, and an episode may be cut while another is recorded: each has a name of its own.
        name = f"episode-{id(self)}.h5"
        self._file = h5py.File(name, "w", driver="core", backing_store=False, block_size=2**20)
        self._layout = _layout_of(obs)
        self._pending: list[list[NDArray]] = []
        self._pending_bytes = 0
        self._datasets: list[Any] = []
        self._steps: list[tuple[NDArray, float, bool]] = []
        try:
            for name, leaf in zip(_leaf_names(self._layout), leaves(obs), strict=True):
                self._datasets.append(_growing(self._file, name, leaf))
        except BaseException:
            self.close()
            raise
        self._put(obs)

    @property
    def length(self) -> int:
        """Steps so far."""
        return len(self._steps)

    def step(self, action: Any, reward: float, obs: Any, manual: bool) -> None:
        """One step: the action taken, what it earned and the observation it led to."""
        self._steps.append((np.array(action), float(reward), manual))
        self._put(obs)

    def _put(self, obs: Any) -> None:
        copies = [np.array(leaf) for leaf in leaves(obs)]  # environments reuse their arrays
        self._pending.append(copies)
        self._pending_bytes += sum(leaf.nbytes for leaf in copies)
        if self._pending_bytes >= PENDING_BYTES:
            self._flush()

    def _flush(self) -> None:
        for dataset, column in zip(self._datasets, zip(*self._pending, strict=True), strict=False):
            first = len(dataset)
            dataset.resize(first + len(column), axis=0)
            dataset[first:] = np.stack(column)
        self._pending, self._pending_bytes = [], 0

    def image(self, meta: dict[str, Any], terminated: bool, truncated: bool) -> bytes:
        """The bytes of the finished file; at least one step was taken."""
        self._flush()
        actions, rewards, manual = zip(*self._steps, strict=True)
        last = np.zeros(self.length, bool)
        last[-1] = True
        columns: dict[str, NDArray] = {
            "action": np.stack(actions),
            "reward": np.array(rewards, np.float64),
            "terminated": last & terminated,
            "truncated": last & truncated,
            "manual": np.array(manual, bool),
        }
        for name, column in columns.items():
            self._file.create_dataset(name, data=column)
        self._file.attrs.update(
            {
                "format": FORMAT,
                "version": VERSION,
                "meta": json.dumps(meta),
                "layout": json.dumps(self._layout),
                "length": self.length,
                "return": float(columns["reward"].sum()),
                "manual_share": float(columns["manual"].mean()),
                "sealed": True,
            }
        )
        self._file.flush()
        chunks: list[tuple[int, int]] = []
        for dataset in self._datasets:
            dataset.id.chunk_iter(lambda chunk: chunks.append((chunk.byte_offset, chunk.size)))
        return sealed(self._file.id.get_file_image(), chunks)

    def close(self) -> None:
        """Free the memory."""
        self._file.close()


class EpisodeFile:
    """A checked episode file, open for reading.

    Attributes:
        meta: environment, spaces, source and whatever else was given to the writer.
        length: T, steps.
        total_reward: their sum.
        manual_share: share of the steps that a person drove.
        recorded: when the file was written, in seconds since 1970.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self._file = path, file
        self.meta: dict[str, Any] = json.loads(file.attrs["meta"])
        self._layout = json.loads(file.attrs["layout"])
        columns = {name: _dataset(file, name) for name in ("action", "reward", "terminated", "truncated", "manual")}
        self._columns = columns
        self._obs = [_dataset(file, name) for name in _leaf_names(self._layout)]
        self.length = len(columns["reward"])
        lengths = {len(column) for column in columns.values()} | {len(leaf) - 1 for leaf in self._obs}
        if lengths != {self.length} or self.length < 1 or "env" not in self.meta:
            raise ValueError("its parts do not fit together")
        self.total_reward = float(file.attrs["return"])
        self.manual_share = float(file.attrs["manual_share"])
        self.recorded = path.stat().st_mtime

    @property
    def obs_bytes(self) -> int:
        """Bytes of one observation."""
        return sum(int(np.prod(leaf.shape[1:])) * leaf.dtype.itemsize for leaf in self._obs)

    def column(self, name: str) -> NDArray:
        """`action`, `reward`, `terminated`, `truncated` or `manual`, (T, ...)."""
        with _damage_of(self.path):
            return self._columns[name][:]

    def obs(self, rows: slice = slice(None)) -> Any:
        """Observations (N, ...) of those rows; of a dict or tuple space a dict or tuple of such arrays."""
        with _damage_of(self.path):
            return _rebuild(self._layout, iter([_rows(leaf, rows) for leaf in self._obs]))

    def batch_rows(self) -> int:
        """How many observations are read at a time where not all of them need be in memory."""
        return min(max(READ_BYTES // max(1, self.obs_bytes), 1), READ_ROWS)

    def cut(self, begin: int, end: int) -> bytes:
        """The bytes of a file that holds steps `begin` to `end` only.

        It ends as the episode did where `end` is the episode's last step, and is truncated elsewhere.

        Raises:
            UserError: there are no such steps, or the file is damaged.
        """
        if not 0 <= begin < end <= self.length:
            raise UserError(f"{self.path}: steps {begin} to {end} cannot be kept; it has {self.length}")
        action, reward, manual = (self.column(name)[begin:end] for name in ("action", "reward", "manual"))
        last = end == self.length
        terminated, truncated = bool(self.column("terminated")[-1]), bool(self.column("truncated")[-1])
        builder = EpisodeBuilder(one_of(self.obs(slice(begin, begin + 1)), 0))
        try:
            rows = self.batch_rows()
            for first in range(0, end - begin, rows):
                stop = min(first + rows, end - begin)
                following = self.obs(slice(begin + first + 1, begin + stop + 1))
                for row, t in enumerate(range(first, stop)):
                    builder.step(action[t], reward[t], one_of(following, row), bool(manual[t]))
            meta = self.meta | {"first_step": int(self.meta.get("first_step", 0)) + begin}  # since the reset
            return builder.image(meta, last and terminated, not last or truncated)
        finally:
            builder.close()


def one_of(obs: Any, row: int) -> Any:
    """One observation (...) of many (N, ...), as `EpisodeFile.obs` gives them."""
    if isinstance(obs, dict):
        return {key: one_of(part, row) for key, part in obs.items()}
    if isinstance(obs, tuple):
        return tuple(one_of(part, row) for part in obs)
    return obs[row]


@contextmanager
def open_episode(path: Path, whole: bool = True) -> Iterator[EpisodeFile]:
    """Open an episode file for reading.

    Args:
        path: the file.
        whole: its arrays are to be read, not only what a list shows of it.

    Raises:
        UserError: it is missing, damaged, of another kind or of another version; also when damage shows later.
    """
    _check_file(path)
    with _damage_of(path):
        proven = is_sealed(path)
        complaint = "" if proven else vetting(read_unsealed).complaint(path, whole)
    if complaint:
        raise UserError(f"{path}: {complaint}")
    with _opened(path, proven) as episode:
        yield episode


def read_unsealed(path: Path, whole: bool) -> None:
    """Read a file that nothing vouches for, with whatever that does to this process.

    Raises:
        UserError: as `open_episode`.
    """
    with _opened(path, proven=False) as episode:
        for name in ("action", "reward", "terminated", "truncated", "manual") if whole else ():
            episode.column(name)
        rows = episode.batch_rows()
        for first in range(0, episode.length + 1, rows) if whole else ():
            episode.obs(slice(first, first + rows))


@contextmanager
def _opened(path: Path, proven: bool) -> Iterator[EpisodeFile]:
    import h5py

    with _damage_of(path):
        file = h5py.File(path, "r", locking=False)  # finished files do not change, and locks fail on some disks
    with file:
        with _damage_of(path):
            _check_kind(path, file)
            if not proven and file.attrs.get("sealed"):
                raise ValueError("the seal behind its content is gone")
            episode = EpisodeFile(path, file)
        yield episode


def _check_file(path: Path) -> None:
    """Refuse what opening would wait for: a pipe, a device; and folders, by their right name."""
    with _damage_of(path):
        found = os.stat(path).st_mode
    if not stat.S_ISREG(found):
        what = "a folder" if stat.S_ISDIR(found) else "something that is no file"
        raise UserError(f"{path}: expected an episode's file, found {what}")


@contextmanager
def _damage_of(path: Path) -> Iterator[None]:
    """Turn what h5py raises on a damaged file into one line."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError) as error:
        raise UserError(f"{path}: damaged or no HDF5 file ({_one_line(error)}); delete it or restore it") from error


def _check_kind(path: Path, file: h5py.File) -> None:
    found = file.attrs.get("format")
    if found != FORMAT:
        raise UserError(f"{path}: expected an episode recorded by EWM Studio, found another HDF5 file")
    version = int(file.attrs["version"])
    if version != VERSION:
        raise UserError(
            f"{path}: expected format version {VERSION}, found {version}; use the EWM Studio that recorded it"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error.args[0] if error.args else error).split())[:120]


def _dataset(file: h5py.File, name: str) -> Any:
    """A dataset of numbers that lies in this very file, not behind a link to some other."""
    import h5py

    parent: Any = file
    for part in name.split("/"):
        if not isinstance(parent.get(part, getlink=True), h5py.HardLink):
            raise KeyError(f"'{name}' is missing")
        parent = parent[part]
    if not isinstance(parent, h5py.Dataset) or parent.is_virtual or parent.external or not parent.ndim:
        raise KeyError(f"'{name}' is no plain array")
    if parent.dtype.kind not in NUMERIC:
        raise TypeError(f"'{name}' holds {parent.dtype}, not numbers")
    _check_declared(name, parent)
    return parent


def _check_declared(name: str, dataset: Any) -> None:
    """Refuse an array that declares far more than is stored of it, before memory is taken for it."""
    stored = dataset.id.get_storage_size()
    row = math.prod(dataset.shape[1:]) * dataset.dtype.itemsize
    if dataset.chunks is None:
        sound = dataset.nbytes <= stored
    else:
        chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize
        sound = dataset.nbytes <= stored * MOST_COMPRESSED and chunk <= max(row, CHUNK_BYTES)
    if not sound:
        raise ValueError(f"'{name}' declares {dataset.nbytes:,} bytes, of which {stored:,} are stored")


def _rows(dataset: Any, rows: slice) -> NDArray:
    """Rows of a dataset. HDF5 is ten times slower at rows apart than at neighbours, so it is never asked for them."""
    begin, end, step = rows.indices(len(dataset))
    if step == 1 or not dataset.chunks or dataset.chunks[0] > 1:
        return dataset[begin:end][::step]
    out = np.empty((len(range(begin, end, step)), *dataset.shape[1:]), dataset.dtype)
    for place, row in enumerate(range(begin, end, step)):
        out[place] = dataset[row]
    return out


def _growing(file: h5py.File, name: str, leaf: NDArray) -> Any:
    """An empty dataset for rows like `leaf`; a checksum tells damage."""
    if leaf.dtype.kind not in NUMERIC:
        raise UserError(f"observations of type {leaf.dtype} cannot be recorded; only numbers can")
    rows = 1 if leaf.nbytes >= PICTURE_BYTES else max(1, CHUNK_BYTES // max(1, leaf.nbytes))
    return file.create_dataset(
        name,
        (0, *leaf.shape),
        leaf.dtype,
        maxshape=(None, *leaf.shape),
        chunks=(rows, *(max(1, n) for n in leaf.shape)),
        compression="lzf",
        fletcher32=True,
    )


# A layout is None for an array, ["dict", [[key, layout], ...]] or ["tuple", [layout, ...]].


def _layout_of(obs: Any) -> Any:
    if isinstance(obs, dict):
        return ["dict", [[str(key), _layout_of(part)] for key, part in obs.items()]]
    if isinstance(obs, tuple):
        return ["tuple", [_layout_of(part) for part in obs]]
    return None


def leaves(obs: Any) -> Iterator[NDArray]:
    """The arrays of an observation, in the layout's order."""
    if isinstance(obs, dict | tuple):
        for part in obs.values() if isinstance(obs, dict) else obs:
            yield from leaves(part)
    else:
        yield np.asarray(obs)


def _leaf_names(layout: Any) -> list[str]:
    """Names of the datasets."""
    return ["obs"] if layout is None else [f"obs/{i}" for i in range(_count(layout))]


def _count(layout: Any) -> int:
    if layout is None:
        return 1
    kind, parts = layout
    return sum(_count(part[1] if kind == "dict" else part) for part in parts)


def _rebuild(layout: Any, leaves: Iterator[NDArray]) -> Any:
    if layout is None:
        return next(leaves)
    kind, parts = layout
    if kind == "dict":
        return {key: _rebuild(part, leaves) for key, part in parts}
    return tuple(_rebuild(part, leaves) for part in parts)
