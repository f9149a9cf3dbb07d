"""The recordings of a workspace as a whole: listed, found, cut, merged, renamed, and moved to the bin and back."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ewm_studio.data.episode_file import open_episode
from ewm_studio.data.recordings import (
    SAME,
    EpisodeInfo,
    Recording,
    add_episode_file,
    differs,
    episode_names,
    episode_paths,
    is_episode,
    replace_episode,
)
from ewm_studio.errors import UserError, nearest
from ewm_studio.processes.living import owner
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.files import move_new, write_error, write_new
from ewm_studio.workspace.workspace import safe_name

_ASIDE = ".aside-"  # a recording that is being put together; never listed


@dataclass(frozen=True)
class RecordingInfo:
    """What a list of recordings shows of one."""

    name: str
    folder: Path
    env: str
    episodes: int
    frames: int
    mean_reward: float
    manual_share: float  # of all frames, 0 to 1
    sources: tuple[str, ...]  # random, model, manual, minari, ...
    bytes: int
    recorded: float  # the last episode, in seconds since 1970
    damaged: int  # episodes that cannot be read


@dataclass(frozen=True)
class Binned:
    """Something in the bin, and where it came from."""

    place: Path
    origin: Path


class Library:
    """The recordings of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.folder = workspace.recordings_folder
        self.bin_folder = workspace.bin_folder / "recordings"

    def names(self) -> list[str]:
        """Every recording's name, in order."""
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            return sorted(e.name for e in entries if _is_folder(e) and is_plain(e.name))
        return []

    def recordings(self) -> list[RecordingInfo]:
        """All that can be read, the one last recorded to first."""
        found = []
        for name in self.names():
            with contextlib.suppress(UserError, OSError):  # no episode in it yet, or none that can be read
                found.append(summary(Recording(self.folder / name)))
        return sorted(found, key=lambda info: -info.recorded)

    def find(self, name: str) -> Recording:
        """A recording to read, by its name or by its folder, anywhere when that is given in full.

        Raises:
            UserError: there is none, with the nearest; or nothing in it can be read.
        """
        return Recording(self._place_to_read(name))

    def find_all(self, names: str) -> list[Recording]:
        """Recordings by their names, set apart by commas.

        Raises:
            UserError: as `find`; or none is named.
        """
        with contextlib.suppress(UserError):  # a folder whose name has a comma
            return [Recording(self._place_to_read(names))]
        wanted = list(dict.fromkeys(part.strip() for part in names.split(",") if part.strip()))
        if not wanted:
            raise UserError(f"{names!r} names no recording; {nearest(names, self.names())}")
        return [self.find(name) for name in wanted]

    def cut(self, path: Path, begin: int, end: int) -> Binned:
        """Keep steps `begin` to `end` of an episode; the whole of it goes to the bin.

        Raises:
            UserError: there are no such steps, or the file is damaged. JobError: the disk is full.
        """
        self._check_own_episode(path)
        with open_episode(path) as episode:
            image = episode.cut(begin, end)
            recorded = episode.recorded
        place = write_new(self._room(path), lambda temporary: _copy(path, temporary))  # at no instant is it missing
        replace_episode(path, image)
        os.utime(path, (recorded, recorded))
        return Binned(place, path)

    def delete_episode(self, path: Path) -> Binned:
        """Move an episode to the bin.

        Raises:
            UserError: it is not there, or cannot be moved.
        """
        self._check_own_episode(path)
        with _writing(path):
            place = move_new(path, self._room(path))
        return Binned(place, path)

    def delete(self, name: str) -> Binned:
        """Move a whole recording to the bin.

        Raises:
            UserError: there is none of this name, or it cannot be moved.
        """
        folder = self._own(name)
        with _writing(folder):
            self.bin_folder.mkdir(parents=True, exist_ok=True)
            place = move_new(folder, _names(self.bin_folder / name))
        return Binned(place, folder)

    def restore(self, binned: Binned) -> Path:
        """Take something out of the bin; gives where it is now: another number or name where its own is taken.

        The part that was kept of an episode that was cut gives way to the whole.

        Raises:
            UserError: it is no longer in the bin, or cannot be moved.
        """
        place, origin = binned.place, binned.origin
        if not place.exists():
            raise UserError(f"{place}: no longer in the bin")
        with _writing(origin):
            if place.is_dir():
                return move_new(place, _names(origin))
            origin.parent.mkdir(parents=True, exist_ok=True)
            if origin.exists() and _is_cut_of(place, origin):
                os.replace(place, origin)
                return origin
            return move_new(place, itertools.chain([origin], episode_names(origin.parent)))

    def rename(self, name: str, new: str) -> Path:
        """Give a recording another name.

        Raises:
            UserError: there is none of this name, or the new one is taken or no file name.
        """
        folder, target = self._own(name), self.new_place(new)
        with _writing(target):
            return move_new(folder, [target])

    def merge(self, names: Sequence[str], into: str) -> Path:
        """Copy the episodes of several recordings of one environment into a new one, in their order.

        Raises:
            UserError: one is missing, empty or of another environment; or the new name is taken.
            JobError: the disk is full.
        """
        recordings = [self.find(name) for name in dict.fromkeys(names)]
        if len(recordings) < 2:
            raise UserError("merging takes at least two recordings")
        first = recordings[0]
        for other in recordings[1:]:
            for what in SAME:
                if other.meta.get(what) != first.meta.get(what):
                    raise UserError(f"{other.folder}: holds episodes of {differs(other.meta, first.meta, what)}")
            if other.dreamt != first.dreamt:
                raise UserError(f"{other.folder}: what was dreamt is not merged with what was lived")
        with self.aside(into) as folder:
            for recording in recordings:
                for info in recording.episodes:
                    add_episode_file(folder, functools.partial(_copy, info.path))
        return self.folder / into

    @contextlib.contextmanager
    def aside(self, name: str) -> Iterator[Path]:
        """A folder to put a new recording together in; it gets its name at the end, or is removed on any failure.

        Raises:
            UserError: the name is taken or no file name, or the folder cannot be made.
        """
        target = self.new_place(name)
        folder = self.folder / f"{_ASIDE}{owner()}"
        try:
            with _writing(folder):
                folder.mkdir(parents=True)
            yield folder
            with _writing(target):
                move_new(folder, [self.new_place(name)])
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def new_place(self, name: str) -> Path:
        """The folder of a recording that is to be made.

        Raises:
            UserError: the name is taken, or no file name.
        """
        if not name or safe_name(name) != name:
            raise UserError(
                f"{name[:80]!r} cannot name a recording; use letters, digits, '-', '_' and '.', such as "
                f"{safe_name(name)}"
            )
        if os.path.lexists(self.folder / name):
            raise UserError(f"a recording is called '{name}' already; choose another name")
        return self.folder / name

    def place_to_write(self, name: str) -> Path:
        """The folder of a recording that episodes are added to, there or not.

        Raises:
            UserError: the name is none of a folder here, or is a link's, which may lead anywhere.
        """
        if not is_plain(name):
            raise UserError(
                f"{name[:80]!r} cannot name a recording, which is a folder of {self.folder}; give a plain name such as "
                f"{safe_name(name)}"
            )
        folder = self.folder / name
        if os.path.islink(folder):
            raise UserError(f"{folder}: a link, which is not followed; give the recording another name")
        return folder

    def _place_to_read(self, name: str) -> Path:
        """`_place`, or a folder elsewhere that is named in full and is no link: it is read and never changed."""
        folder = Path(name) if "\0" not in name else Path()
        if folder.is_absolute() and ".." not in folder.parts and folder.is_dir() and not folder.is_symlink():
            return folder
        return self._place(name)

    def _place(self, name: str) -> Path:
        """The folder of a recording that is there: one of this workspace, whatever the name says."""
        known = self.names()
        if name in known:
            return self.folder / name
        inside = Path(os.path.abspath(name)) if name and "\0" not in name else Path()
        if inside.name in known and inside.parent == Path(os.path.abspath(self.folder)):
            return self.folder / inside.name
        hint = "; it is no recording of this workspace; give its folder in full" if os.path.isdir(name) else ""
        raise UserError(f"no recording '{name:.200}' in {self.folder}{hint}; {nearest(name[:200], known)}")

    def _check_own_episode(self, path: Path) -> None:
        """Refuse to touch what is no file of a recording here, or a link to some other place.

        Raises:
            UserError: it is not one.
        """
        folder = os.path.dirname(os.path.dirname(os.path.abspath(path)))
        if folder != os.path.abspath(self.folder) or path.parent.name not in self.names():
            raise UserError(f"{path}: no episode of a recording in {self.folder}")
        if not is_episode(path):
            raise UserError(f"{path}: no such file")

    def _own(self, name: str) -> Path:
        if name not in self.names():
            raise UserError(f"no recording '{name}' in {self.folder}; {nearest(name, self.names())}")
        return self.folder / name

    def _room(self, path: Path) -> Iterator[Path]:
        """Names for an episode in the bin."""
        folder = self.bin_folder / path.parent.name
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return _names(folder / path.name)


def is_plain(name: str) -> bool:
    """Whether a name is one of a folder in another, and nothing more: no path, nothing hidden, no control character."""
    return name == os.path.basename(name) and not name.startswith(".") and bool(name) and name.isprintable()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):
        return entry.is_dir(follow_symlinks=False)
    return False


def summary(recording: Recording) -> RecordingInfo:
    """What a list shows of a recording."""
    episodes: list[EpisodeInfo] = recording.episodes
    frames = recording.step_count
    size = 0
    for path in episode_paths(recording.folder):
        with contextlib.suppress(OSError):
            size += path.stat().st_size
    return RecordingInfo(
        name=recording.folder.name,
        folder=recording.folder,
        env=recording.env_id,
        episodes=len(episodes),
        frames=frames,
        mean_reward=sum(e.total_reward for e in episodes) / len(episodes),
        manual_share=sum(e.manual_share * e.length for e in episodes) / frames,
        sources=tuple(dict.fromkeys(e.source for e in episodes)),
        bytes=size,
        recorded=max(e.recorded for e in episodes),
        damaged=len(recording.damaged),
    )


def _copy(source: Path, target: Path) -> None:
    """An episode's file as it is, with its time."""
    shutil.copyfile(source, target)
    times = source.stat()
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))


def _names(path: Path) -> Iterator[Path]:
    """`path`, then with -2, -3, ... behind its name."""
    return itertools.chain([path], (path.with_name(f"{path.stem}-{n}{path.suffix}") for n in itertools.count(2)))


def _is_cut_of(whole: Path, part: Path) -> bool:
    """Whether a file is what was kept of an episode in the bin: `cut` gives it the time of the whole."""
    return abs(whole.stat().st_mtime - part.stat().st_mtime) < 1e-3


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """What cannot be written is said in one line."""
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error
