"""Everything that some environments went through, as long streams: what a memory learns from, and dreams begin at.

The observations lie in a `FrameStore`, so that vision can go on learning on all of them; the latents are made anew
whenever it has. A run's experience is too much to lie in every checkpoint: `save` writes what has come since the last
time into a file of its own, and a checkpoint only counts the rows.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ewm_studio.data.frames import FrameStore
from ewm_studio.errors import UserError
from ewm_studio.workspace.tree import load_tree, save_tree

SUFFIX = ".replay"
ENCODE_BATCH = 512  # frames encoded at once
COLUMNS = ("action", "reward", "shaping", "terminated", "ruled", "ended", "is_first")


@dataclass(frozen=True)
class Rows:
    """T steps of B environments.

    Attributes:
        obs: (T, B, ...) prepared observations that were acted on.
        action: (T, B, ...) as the environment took them.
        reward: (T, B) float32, the environment's own.
        shaping: (T, B) float32, what the rules of training add to it.
        terminated: (T, B) bool, the environment ended the episode for good with this step.
        ruled: (T, B) bool, the rules of training did (`env.idle_terminates`): for the controller nothing follows.
        ended: (T, B) bool, it ended, for good or not: the next row is of another one.
        is_first: (T, B) bool, this step is the first of an episode.
    """

    obs: NDArray
    action: NDArray
    reward: NDArray
    shaping: NDArray
    terminated: NDArray
    ruled: NDArray
    ended: NDArray
    is_first: NDArray


@dataclass(frozen=True)
class Stretches:
    """B sequences of T steps, each from a place of its own; tensors.

    Attributes:
        z: latents (T + 1, B, Z); where an episode ended, the first of the next one follows.
        action: (T, B, ...) as the environment took them.
        reward, shaping, terminated, ruled, ended, is_first: (T, B), as of `Rows`.
        age: (T, B) steps since the episode began.
    """

    z: Tensor
    action: Tensor
    reward: Tensor
    shaping: Tensor
    terminated: Tensor
    ruled: Tensor
    ended: Tensor
    is_first: Tensor
    age: Tensor


def rows_of(steps: list[Rows]) -> Rows:
    """Steps one by one, each (B, ...), as rows (T, B, ...)."""
    return Rows(*(np.stack([getattr(step, field.name) for step in steps]) for field in fields(Rows)))


class SequenceReplay:
    """Streams of B environments, T steps long by now.

    Attributes:
        store: the observations, row by row.
        z: latents (T, B, Z) of the observations that were encoded.
    """

    def __init__(self, store: FrameStore, num_envs: int) -> None:
        self.store, self.num_envs = store, num_envs
        self.z = torch.empty(0)
        self._columns: dict[str, list[NDArray]] = {name: [] for name in COLUMNS}
        self._joined: dict[str, Tensor] = {}
        self._age = torch.empty(0)
        self._ends: list[int] = []  # rows after each call of `add`: what is encoded together, now and later
        self._encoded = 0  # of these calls
        self._saved: list[int] = []  # rows at the end of each file

    def __len__(self) -> int:
        """T."""
        return self._ends[-1] if self._ends else 0

    def add(self, rows: Rows) -> None:
        """Take in what followed; where it begins with an episode's first step, whatever came before is over."""
        self.store.append(rows.obs.reshape(-1, *rows.obs.shape[2:]))
        if len(self):
            self._columns["ended"][-1][-1] |= rows.is_first[0]
        for name, column in self._columns.items():
            column.append(np.array(getattr(rows, name)))
        self._ends.append(len(self) + len(rows.reward))
        self._joined = {}

    def column(self, name: str) -> Tensor:
        """One of `COLUMNS`, (T, B, ...)."""
        if not self._joined:
            self._joined = {n: torch.from_numpy(np.concatenate(parts)) for n, parts in self._columns.items()}
            self._age = _ages(self._joined["is_first"])
        return self._joined[name]

    @property
    def age(self) -> Tensor:
        """(T, B) steps since the episode began; from a stream's start where it began before."""
        self.column("is_first")
        return self._age

    # Latents

    @torch.inference_mode()
    def encode(self, encode: Callable[[Tensor], Tensor], again: bool, device: torch.device | str = "cpu") -> None:
        """Make the latents of what is new, or of all once more; always in the same batches, so always the same bits."""
        first = 0 if again else self._encoded
        made = [] if again or not first else [self.z]
        for begin, end in zip([0, *self._ends][first:], self._ends[first:], strict=False):
            numbers = np.arange(begin * self.num_envs, end * self.num_envs)
            parts = [numbers[i : i + ENCODE_BATCH] for i in range(0, len(numbers), ENCODE_BATCH)]
            z = torch.cat([encode(torch.from_numpy(self.store.read(part)).to(device)) for part in parts])
            made.append(z.view(end - begin, self.num_envs, -1))
        if made:
            with torch.inference_mode(False):
                self.z = torch.cat([part.clone() for part in made])
        self._encoded = len(self._ends)

    # Draws

    def frames(self, count: int, generator: Generator | None) -> Tensor:
        """Observations (count, ...) drawn from all."""
        return torch.from_numpy(self.store.read(_draw(len(self.store), count, generator).numpy()))

    def newest(self, count: int) -> Tensor:
        """The last observations (at most count, ...), oldest first."""
        total = len(self.store)
        return torch.from_numpy(self.store.read(np.arange(max(0, total - count), total)))

    def places(self, count: int, length: int, recent: int, share: float, generator: Generator | None) -> Tensor:
        """Where `count` sequences of `length` steps begin: rows and environments (2, count).

        Args:
            count: of them.
            length: every one has so many steps and a row after them.
            recent: a share is drawn from the newest so many steps of all environments together.
            share: how much that is.
            generator: draws them.

        Raises:
            ValueError: there are too few rows.
        """
        most = len(self) - length
        if most < 1:
            raise ValueError(f"{len(self)} rows hold no sequence of {length} steps")
        new = round(share * count)
        newest = min(max(-(-recent // self.num_envs) - length, 1), most)
        begin = torch.cat([_draw(most, count - new, generator), most - 1 - _draw(newest, new, generator)])
        return torch.stack([begin, _draw(self.num_envs, count, generator)])

    def at(self, places: Tensor, length: int) -> Stretches:
        """The sequences of `length` steps from `places` (2, B) on."""
        rows, envs = places[0] + torch.arange(length + 1)[:, None], places[1].expand(length + 1, -1)
        step = rows[:-1], envs[:-1]
        taken = {name: self.column(name)[step].to(self.z.device) for name in COLUMNS}
        return Stretches(z=self.z[rows, envs], age=self.age[step].to(self.z.device), **taken)

    # Files

    def save(self, folder: Path) -> None:
        """Write what came since the last time into `folder`.

        Raises:
            UserError or JobError: the file cannot be written.
        """
        begin = self._saved[-1] if self._saved else 0
        if begin == len(self):
            return
        folder.mkdir(exist_ok=True)
        frames = self.store.read(np.arange(begin * self.num_envs, len(self) * self.num_envs))
        packed = np.frombuffer(zlib.compress(frames.tobytes(), 1), np.uint8)
        ends = [end for end in self._ends if end > begin]
        columns = {name: self.column(name)[begin:].numpy() for name in COLUMNS}
        save_tree(_path(folder, begin, len(self)), {"frames": packed, "ends": ends, "columns": columns})
        self._saved.append(len(self))

    def prune(self, folder: Path) -> None:
        """Remove files of rows that are no part of this."""
        kept = {_path(folder, begin, end) for begin, end in zip([0, *self._saved], self._saved, strict=False)}
        for path in folder.glob(f"*{SUFFIX}"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def state(self) -> list[int]:
        """What `load` needs to know of the files."""
        return list(self._saved)

    def load(self, folder: Path, saved: list[int]) -> None:
        """Take up what was saved.

        Raises:
            UserError: a file is missing, damaged, or of other environments.
        """
        for begin, end in zip([0, *saved], saved, strict=False):
            path = _path(folder, begin, end)
            held = load_tree(path)
            try:
                self._take_in(begin, end, held)
            except (KeyError, TypeError, ValueError, zlib.error) as error:
                raise UserError(
                    f"{path}: not experience of this run ({error}); resume with the run's own settings"
                ) from None
        self._saved = list(saved)

    def _take_in(self, begin: int, end: int, held: dict[str, Any]) -> None:
        shape = (end - begin, self.num_envs, *self.store.shape)
        frames = np.frombuffer(zlib.decompress(held["frames"].tobytes()), self.store.dtype).reshape(shape)
        edges, columns = [begin, *held["ends"]], held["columns"]
        columns.setdefault("ruled", np.zeros_like(columns["ended"]))  # of runs that were begun before there was any
        for first, last in itertools.pairwise(edges):
            part = slice(first - begin, last - begin)
            self.add(Rows(frames[part], **{name: columns[name][part] for name in COLUMNS}))


def _ages(is_first: Tensor) -> Tensor:
    """(T, B) steps since the last row that `is_first`, or since row 0."""
    rows = torch.arange(len(is_first))[:, None].expand_as(is_first)
    return rows - torch.where(is_first, rows, 0).cummax(0).values


def _draw(most: int, count: int, generator: Generator | None) -> Tensor:
    """`count` numbers from 0 to `most` - 1, on the CPU."""
    place = generator.device if generator is not None else torch.device("cpu")
    return torch.randint(most, (count,), generator=generator, device=place).cpu()


def _path(folder: Path, begin: int, end: int) -> Path:
    return folder / f"{begin:09d}-{end:09d}{SUFFIX}"
