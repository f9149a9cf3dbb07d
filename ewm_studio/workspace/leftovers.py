"""What processes that were killed have left behind: removed at the next start, by the process that made it.

What a live process holds stays, and so does what another machine made on a drive that two share.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ewm_studio.processes.living import owner_died
from ewm_studio.workspace.files import clean_leftovers
from ewm_studio.workspace.lock import RunLock

EMPTY_SECONDS = 60.0  # a run's folder is not empty for as long as this
_DEPTH = 4  # runs/<run>/replays/<evaluation>/


def clean_workspace(path: Path) -> None:
    """Remove unfinished files and recordings from a workspace, and folders of runs that never began."""
    for folder in _folders(path, _DEPTH):
        clean_leftovers(folder)
        clean_owned(folder)
    _remove_unbegun(path / "runs")


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
