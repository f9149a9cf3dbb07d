"""The studies of a workspace: their files, and those that were run from a file that lies elsewhere."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ewm_studio.errors import UserError
from ewm_studio.resources import study_presets
from ewm_studio.settings.study_file import ENDING, StudyFile, study_at
from ewm_studio.workspace.studies import COPY, StudyFolder, study_names


def studies_of(workspace: Path) -> list[str]:
    """Names of all studies of a workspace, the one that was run last first; then those that were never run, by name."""
    begun = study_names(workspace)
    begun.sort(key=lambda name: _moment(StudyFolder(workspace, name).path / COPY), reverse=True)
    files = sorted(path.name.removesuffix(ENDING) for path in workspace.glob(f"*{ENDING}"))
    return [*begun, *(name for name in files if name not in begun)]


def study_of(workspace: Path, name: str) -> StudyFile:
    """A study of a workspace, from its file there, else from the ready-made one, else from what was kept of it.

    Raises:
        UserError: there is none, or its file is no study.
    """
    ready = {path.name.removesuffix(ENDING): path for path in study_presets()}
    places = [workspace / f"{name}{ENDING}", ready.get(name), StudyFolder(workspace, name).path / COPY]
    for place in places:
        if place is not None and place.is_file():
            return study_at(place, name)
    raise UserError(f"no study {name} in {workspace}")


def _moment(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0
