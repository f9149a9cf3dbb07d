"""The studies of a workspace: their files, and those that were run from a file that lies elsewhere."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from ewm_studio.errors import UserError
from ewm_studio.resources import study_presets
from ewm_studio.settings.experiment import text_of
from ewm_studio.settings.study_file import ENDING, StudyFile, read_study, study_at, study_path
from ewm_studio.workspace.files import write_text
from ewm_studio.workspace.record import is_name
from ewm_studio.workspace.studies import BASE, COPY, StudyFolder, study_names
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
    """A study of a workspace, from its file there, else from what was kept of it when it was run.

    What was kept of a ready-made one is that itself, as long as it says the same.

    Raises:
        UserError: there is none, or its file is no study.
    """
    if (own := workspace / f"{name}{ENDING}").is_file():
        return study_at(own, name)
    kept = StudyFolder(workspace, name).path / COPY
    ready = {path.name.removesuffix(ENDING): path for path in study_presets()}.get(name)
    if kept.is_file() and (ready is None or text_of(kept) != text_of(ready)):
        base = kept.with_name(BASE)
        return study_at(kept, name, base if base.is_file() else None)
    if ready is None:
        raise UserError(f"no study {name} in {workspace}")
    return study_at(ready, name)


def study_meant(workspace: Path, typed: str) -> StudyFile:
    """The study that a person means: by its name one whose file is in the workspace, else a file at a path, else one
    that was run in the workspace, else a ready-made one.

    Raises:
        UserError: there is none, or it is no study.
    """
    known = is_name(typed) and typed in studies_of(workspace)
    own = known and (workspace / f"{typed}{ENDING}").is_file()
    if not own and (not known or study_path(typed) is not None):
        return named_study(typed)
    found = study_of(workspace, typed)
    found.check()
    return found


def with_file(file: StudyFile, workspace: Path) -> StudyFile:
    """A study that has a file of its own; where there is only what was kept of it, that is put into the workspace.

    Raises:
        UserError or JobError: it cannot be written.
    """
    if file.path.name.endswith(ENDING):
        return file
    path = workspace / f"{file.name}{ENDING}"
    base = path.parent / file.study.base
    if file.kept_base is not None and base.parent == path.parent and not base.exists():
        write_text(base, file.base_text)
    write_text(path, file.text)
    return replace(file, path=path)


def _moment(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0
