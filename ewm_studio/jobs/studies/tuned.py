"""What a search has found: reported beside the base, and taken over as a settings file for runs to come."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from ewm_studio.errors import UserError
from ewm_studio.settings.layers import Values
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.files import write_text
from ewm_studio.workspace.studies import RECORDS, StudyFolder

TUNED = "tuned.toml"  # in the study's folder
BASE, BEST = "base", "tuned"  # the two cells that are reported


def searched(file: StudyFile, folder: StudyFolder) -> StudyFile:
    """The study that is reported: the base and what a search has found by now; one that does not search is as it is.

    Raises:
        UserError: what is kept of the search is damaged.
    """
    if not file.study.search.on:
        return file
    cells: list[dict[str, Any]] = [{"name": BASE}]
    values = found_values(folder)
    if values is not None:
        cells.append({"name": BEST, **values})
    search = file.study.search.model_copy(update={"on": False})
    return replace(file, study=file.study.model_copy(update={"vary": {}, "cells": cells, "search": search}))


def found_values(folder: StudyFolder) -> Values | None:
    """The settings that a search has found by now, as they are kept; None before there are any.

    Raises:
        UserError: they are damaged.
    """
    path = folder.path / TUNED
    if not path.is_file():
        return None
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not what a search found ({error}); delete it to go on") from None


def reported_records(folder: StudyFolder) -> Path:
    """Where the records are of the runs that report what was found."""
    return folder.path / RECORDS / f"{BEST}-seed-*.json"


def is_reported(folder: StudyFolder) -> bool:
    """Whether such a run was begun."""
    place = reported_records(folder)
    return any(place.parent.glob(place.name))


def write_preset(file: StudyFile, workspace: Workspace, path: Path) -> None:
    """Write the settings that a study's search has found, with all that its runs were trained by.

    Raises:
        UserError: it did not search, or has found nothing yet. UserError or JobError: the file cannot be written.
    """
    if not file.study.search.on:
        raise UserError(f"{file.path}: --preset is of a study that searches (search.on = true)")
    found = searched(file, StudyFolder(workspace.path, file.name))
    cell = next((cell for cell in found.cells if cell.name == BEST), None)
    if cell is None:
        raise UserError(f"study {file.name} has found nothing yet: run it first")
    write_text(path, found.experiment(cell, found.study.seeds.reported[0]).to_toml())
