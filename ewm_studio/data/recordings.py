"""Recordings on disk: a folder with one file an episode, each complete or not there."""

from __future__ import annotations

import itertools
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ewm_studio.data.episode_file import EpisodeBuilder, EpisodeFile, open_episode
from ewm_studio.data.experience import Experience
from ewm_studio.data.frames import FrameStore
from ewm_studio.errors import UserError, nearest

SAME = ("env", "observation_space", "action_space")  # of all episodes of one recording
DREAMT = "dream"  # the source of what a model dreamt, and no environment made


class RecordingWriter:
    """Adds episodes to a recording, which is made if it is not there.

    An episode is written when it ends: first to a temporary file, which is forced to disk and renamed. Whatever
    kills the process costs the episode that was going on and nothing else.

    Args:
        folder: `<workspace>/recordings/<name>`.
        meta: JSON-able; `env` (the environment's id), `observation_space` and `action_space` (as `space_to_json`
            gives them), `source` (random, model or manual), `seed` and what else is worth knowing.

    Raises:
        UserError: the folder cannot be made, or holds episodes of another environment.
    """

    def __init__(self, folder: str | Path, meta: dict[str, Any]) -> None:
        from ewm_studio.workspace.files import clean_leftovers

        self.folder = Path(folder)
        self.meta: dict[str, Any] = json.loads(json.dumps(meta))  # as it will be read back
        self._builder: EpisodeBuilder | None = None
        self._make_folder()
        clean_leftovers(self.folder)
        self._check_existing()

    def _make_folder(self) -> None:
        from ewm_studio.workspace.files import write_error

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(self.folder, error) from error

    def _check_existing(self) -> None:
        for path in episode_paths(self.folder):
            try:
                with open_episode(path, whole=False) as episode:
                    found = episode.meta
            except UserError:
                continue  # damaged ones are the reader's to report
            for name in SAME:
                if found.get(name) != self.meta.get(name):
                    raise UserError(
                        f"{self.folder}: holds episodes of {differs(found, self.meta, name)}; give the new recording "
                        "another name"
                    )
            if (found.get("source") == DREAMT) != (self.meta.get("source") == DREAMT):
                held = "dreamt" if found.get("source") == DREAMT else "real"
                raise UserError(f"{self.folder}: holds {held} episodes, and dreams are kept apart: give another name")
            return

    @property
    def length(self) -> int:
        """Steps of the episode that is going on; 0 between episodes."""
        return self._builder.length if self._builder else 0

    def begin(self, obs: Any) -> None:
        """An episode begins with this raw observation; one that was going on is discarded."""
        self.discard()
        self._builder = EpisodeBuilder(obs)

    def step(self, action: Any, reward: float, obs: Any, manual: bool) -> None:
        """One step: the action that was applied, and the raw observation it led to."""
        if self._builder is None:
            raise RuntimeError("begin an episode first")
        self._builder.step(action, reward, obs, manual)

    def end(self, terminated: bool, truncated: bool) -> Path | None:
        """Write the episode; gives its file, or None if no step was taken.

        Raises:
            JobError: the disk is full. UserError: the folder cannot be written to.
        """
        try:
            if self._builder is None or self._builder.length == 0:
                return None
            image = self._builder.image(self.meta, terminated, truncated)
        finally:
            self.discard()
        self._make_folder()  # it may have been moved to the bin meanwhile
        return add_episode_file(self.folder, lambda temporary: _write_bytes(temporary, image))

    def discard(self) -> None:
        """Forget the episode that is going on."""
        if self._builder is not None:
            self._builder.close()
            self._builder = None

    def add_episode(
        self,
        obs: NDArray,
        action: NDArray,
        reward: NDArray,
        terminated: bool,
        truncated: bool,
        manual: NDArray | None = None,
    ) -> Path | None:
        """Write a whole episode of T steps.

        Args:
            obs: (T + 1, ...) raw observations.
            action: (T, ...).
            reward: (T,).
            terminated: whether it ended for good.
            truncated: whether it was cut.
            manual: (T,) bool, which steps a person drove; by default none.
        """
        if not len(obs) - 1 == len(action) == len(reward):
            raise ValueError(f"{len(obs)} observations, {len(action)} actions and {len(reward)} rewards")
        self.begin(obs[0])
        for t in range(len(reward)):
            self.step(action[t], reward[t], obs[t + 1], bool(manual[t]) if manual is not None else False)
        return self.end(terminated, truncated)


@dataclass(frozen=True)
class EpisodeInfo:
    """What a list of episodes shows of one."""

    path: Path
    length: int  # steps
    total_reward: float
    manual_share: float  # 0 to 1
    source: str  # who drove where no person did: random, model, ...
    recorded: float  # when, in seconds since 1970


@dataclass(frozen=True)
class EpisodeData:
    """One episode of T steps as it was recorded."""

    obs: Any  # (T + 1, ...); of a dict or tuple space a dict or tuple of such arrays
    action: NDArray  # (T, ...)
    reward: NDArray  # (T,) float64
    terminated: NDArray  # (T,) bool
    truncated: NDArray  # (T,) bool
    manual: NDArray  # (T,) bool


class Recording:
    """The episodes of a recording.

    Attributes:
        folder: where they are.
        episodes: those that can be read, by file name.
        damaged: those that cannot, and why, in one line.
        meta: of the first episode.

    Raises:
        UserError: there is no such folder, or no episode in it that can be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.episodes: list[EpisodeInfo] = []
        self.damaged: list[tuple[Path, str]] = []
        self.meta: dict[str, Any] = {}
        paths = self._paths()
        for path in paths:
            try:
                self._note(path)
            except UserError as error:
                self.damaged.append((path, str(error)))
        if not self.episodes:
            raise UserError(self.damaged[0][1] if paths else f"{self.folder}: no episode was recorded here")

    def _paths(self) -> list[Path]:
        if not self.folder.is_dir():
            if self.folder.exists():
                raise UserError(f"{self.folder}: expected a recording's folder, found a file")
            known = [p.name for p in sorted(self.folder.parent.glob("*")) if p.is_dir()]
            raise UserError(f"{self.folder}: no such recording; {nearest(self.folder.name, known)}")
        return episode_paths(self.folder)

    def _note(self, path: Path) -> None:
        with open_episode(path, whole=False) as episode:
            meta = episode.meta
            info = EpisodeInfo(
                path,
                episode.length,
                episode.total_reward,
                episode.manual_share,
                str(meta.get("source", "")),
                episode.recorded,
            )
        for name in SAME if self.episodes else ():
            if meta.get(name) != self.meta.get(name):
                raise UserError(f"{path}: an episode of {differs(meta, self.meta, name)}")
        self.meta = self.meta or meta
        self.episodes.append(info)

    def __len__(self) -> int:
        return len(self.episodes)

    @property
    def env_id(self) -> str:
        """Id of the environment it was recorded in."""
        return str(self.meta["env"])

    @property
    def dreamt(self) -> bool:
        """Whether any episode of it is a model's dream."""
        return any(info.source == DREAMT for info in self.episodes)

    @property
    def step_count(self) -> int:
        """Steps of all episodes."""
        return sum(info.length for info in self.episodes)

    def episode(self, number: int) -> EpisodeData:
        """All of one episode, by its place in `episodes`.

        Raises:
            UserError: its file is damaged.
        """
        with open_episode(self.episodes[number].path) as file:
            names = ("action", "reward", "terminated", "truncated", "manual")
            return EpisodeData(file.obs(), *(file.column(name) for name in names))


def load_experience(
    recording: Recording, preprocess: Callable[[Any], NDArray], action_repeat: int, store: FrameStore
) -> Experience:
    """The recording as an agent that decides every `action_repeat` frames would have lived it.

    Every `action_repeat`-th observation is kept, and the last; rewards between are summed; of the actions between,
    continuous ones are averaged and of others the last is taken. One stretch of raw observations is in memory at a
    time. Episodes that turn out to be damaged are left out and noted in `recording.damaged`.

    Args:
        recording: what to read.
        preprocess: raw observations (N, ...) -> prepared ones (N, ...).
        action_repeat: frames a decision, k.
        store: takes the prepared observations.

    Raises:
        UserError: no episode could be read. JobError: the disk is full.
    """
    experience = Experience(store)
    for info in list(recording.episodes):
        try:
            with open_episode(info.path) as file:
                _load_episode(experience, file, preprocess, action_repeat)
        except UserError as error:
            recording.damaged.append((info.path, str(error)))
            recording.episodes.remove(info)
    if not experience.episodes:
        raise UserError(recording.damaged[-1][1] if recording.damaged else f"{recording.folder}: no episode is left")
    return experience


def _load_episode(
    experience: Experience, file: EpisodeFile, preprocess: Callable[[Any], NDArray], action_repeat: int
) -> None:
    first = np.arange(0, file.length, action_repeat)  # of each decision's steps
    action, reward = file.column("action"), file.column("reward")
    experience.add_episode(
        (preprocess(raw) for raw in _raw_batches(file, action_repeat)),
        _merge(action, first),
        np.add.reduceat(reward, first),
        bool(file.column("terminated")[-1]),
    )


def _raw_batches(file: EpisodeFile, action_repeat: int) -> Iterator[Any]:
    """Every k-th raw observation and the last, in batches (N, ...) of bounded size."""
    rows = file.batch_rows() * action_repeat
    for begin in range(0, file.length, rows):
        yield file.obs(slice(begin, min(begin + rows, file.length), action_repeat))
    yield file.obs(slice(file.length, file.length + 1))


def _merge(action: NDArray, first: NDArray) -> NDArray:
    """One action (D, ...) for each run of actions (T, ...) that begins at `first` (D,)."""
    ends = np.append(first[1:], len(action))
    if action.dtype.kind != "f":
        return action[ends - 1]
    count = (ends - first).reshape(-1, *[1] * (action.ndim - 1))
    return (np.add.reduceat(action, first, axis=0) / count).astype(action.dtype)


def episode_paths(folder: Path) -> list[Path]:
    """The episode files of a recording, in order. Links are not followed, and what is no file is never opened."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    paths = [folder / name for name in names if name.endswith(".h5")]
    return sorted(path for path in paths if path.stem.isdecimal() and path.stem.isascii() and is_episode(path))


def is_episode(path: Path) -> bool:
    """Whether there is a file of its own, not a link, a folder, a pipe or a device."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def episode_names(folder: Path) -> Iterator[Path]:
    """Where the next episode of a recording goes, and where where somebody else's is there by then."""
    stems = [path.stem for path in folder.glob("*.h5")]  # also of what is no episode
    numbers = [int(stem) for stem in stems if stem.isdecimal() and stem.isascii() and len(stem) < 19]
    return (folder / f"{number:06d}.h5" for number in itertools.count(max(numbers, default=0) + 1))


def add_episode_file(folder: Path, write: Callable[[Path], None]) -> Path:
    """Add an episode to a recording, whole or not at all; gives its file. Several may add to one recording at once.

    Args:
        folder: the recording's.
        write: fills the file that it is given.

    Raises:
        JobError: the disk is full. UserError: the folder cannot be written to.
    """
    from ewm_studio.workspace.files import write_new

    return write_new(episode_names(folder), write)


def differs(found: dict[str, Any], expected: dict[str, Any], name: str) -> str:
    """What is different, in words."""
    if name == "env":
        return f"{found.get(name)}, not of {expected.get(name)}"
    return f"{found.get('env')} with another {name.replace('_', ' ')}"


def replace_episode(path: Path, image: bytes) -> None:
    """Put what was kept of an episode in its place, whole or not at all.

    Raises:
        JobError: the disk is full. UserError: the folder cannot be written to.
    """
    from ewm_studio.workspace.files import write_aside

    write_aside(path, lambda temporary: _write_bytes(temporary, image))


def _write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)
