"""What processes that were killed have left behind: removed at the next start, by the process that made it.

The whole mark in the name tells (`processes/living.py`). What a live process holds stays, and so do what another
machine made on a drive that two share, what other programs leave, and all of a folder that is no workspace.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ewm_studio.processes.living import owner_died
from ewm_studio.workspace.lock import RunLock
from ewm_studio.workspace.record import SETTINGS
from ewm_studio.workspace.replays import MODEL_NAME
from ewm_studio.workspace.workspace import DATABASE

EMPTY_SECONDS = 60.0  # a run's folder is not empty for as long as this
UNMARKED_SECONDS = 3600.0  # a temporary file this old belongs to a write that was killed
_FOLDERS = ("runs", "recordings", "replays", "models", "studies", "bin")  # of a workspace
_DEPTH = 3  # runs/<run>/replays/<evaluation>/
_UNMARKED = re.compile(r"\..+\.\d+-[0-9a-f]{8}\.tmp")  # what version 0.1.0 wrote aside: a process and a random part
_EPISODES = "[0-9]*.h5"
_SIGNS = (DATABASE, f"recordings/*/{_EPISODES}", f"models/*/{MODEL_NAME}", "studies/*/runs/*.json")  # of a workspace


def clean_workspace(path: Path) -> None:
    """Remove unfinished files and recordings from a workspace, and folders of runs that never began.

    A folder that is no workspace stays as it is.
    """
    if not _is_workspace(path):
        return
    clean_owned(path)
    for name in _FOLDERS:
        for folder in _folders(path / name, _DEPTH):
            clean_owned(folder)
            if _holds_only_ours(folder):
                _clean_unmarked(folder)
    _remove_unbegun(path / "runs")


def _is_workspace(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return any(found.is_file() for sign in _SIGNS for found in path.glob(sign))
    return False


def _holds_only_ours(folder: Path) -> bool:
    """Whether a folder in a workspace is a run's, its checkpoints' or a recording's."""
    run = folder.parent if folder.name == "checkpoints" else folder
    return (run / SETTINGS).is_file() or any(folder.glob(_EPISODES))


def _clean_unmarked(folder: Path) -> None:
    """Remove what version 0.1.0 left of killed writes; its names do not tell who made them, only their age does."""
    now = time.time()
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _UNMARKED.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    if now - entry.stat(follow_symlinks=False).st_mtime >= UNMARKED_SECONDS:
                        os.unlink(entry.path)


def clean_temporary() -> None:
    """Remove what is left among the system's temporary files and among Minari's datasets."""
    with contextlib.suppress(OSError):  # on a full disk no folder will do for the system's temporary files
        _clean_place(Path(tempfile.gettempdir()))
    clean_owned(Path(os.environ.get("MINARI_DATASETS_PATH") or os.path.expanduser("~/.minari/datasets")))


def _clean_place(place: Path) -> None:
    """Remove what is left in the folder of the system's temporary files."""
    clean_owned(place, "ewm-studio-")
    with os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith("pymp-") and entry.is_dir(follow_symlinks=False):
                marks = [name for name in os.listdir(entry.path) if name.startswith("ewm-studio-")]
                if marks and all(map(owner_died, marks)):
                    shutil.rmtree(entry.path, ignore_errors=True)


def clean_owned(folder: Path, start: str = ".") -> None:
    """Remove files and folders whose names begin so and whose maker is dead; links are not followed."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(start) and owner_died(entry.name):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)


def _folders(path: Path, depth: int) -> Iterator[Path]:
    """A folder and those in it; hidden ones and links are left out."""
    if path.is_symlink():
        return
    yield path
    if depth == 0:
        return
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        inside = [e.path for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")]
        for folder in inside:
            yield from _folders(Path(folder), depth - 1)


def _remove_unbegun(runs: Path) -> None:
    """Remove folders that were claimed for a run whose process died before anything was in them."""
    with contextlib.suppress(OSError), os.scandir(runs) as entries:
        for entry in entries:
            folder = Path(entry.path)
            with contextlib.suppress(OSError):
                unbegun = entry.is_dir(follow_symlinks=False) and set(os.listdir(folder)) <= {".lock"}
                if unbegun and time.time() - folder.stat().st_mtime > EMPTY_SECONDS and not RunLock(folder).alive():
                    with contextlib.suppress(FileNotFoundError):
                        (folder / ".lock").unlink()
                    folder.rmdir()
