"""The studies of a workspace: their files, and those that were run from a file that lies elsewhere."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ewm_studio.errors import UserError
from ewm_studio.resources import study_presets
from ewm_studio.settings.study_file import ENDING, StudyFile, read_study, study_at
from ewm_studio.workspace.studies import COPY, StudyFolder, study_names
from ewm_studio.workspace.workspace import name_problem


def studies_of(workspace: Path) -> list[str]:
    """Names of all studies of a workspace, the one that was run last first; then those that were never run, by name."""
    begun = study_names(workspace)
    begun.sort(key=lambda name: _moment(StudyFolder(workspace, name).path / COPY), reverse=True)
    files = sorted(path.name.removesuffix(ENDING) for path in workspace.glob(f"[!.]*{ENDING}"))
    return [*begun, *(name for name in files if name not in begun)]


def named_study(given: str | Path) -> StudyFile:
    """The study in a file that a person names, or the ready-made one of this name.

    Raises:
        UserError: as `read_study`, or the file's name is none that a folder of the study could have.
    """
    found = read_study(given)
    if problem := name_problem(found.name):
        raise UserError(
            f"{found.path}: {found.name[:80]!r} cannot name a study ({problem.rstrip('.')}); call it NAME{ENDING}"
        )
    return found


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
