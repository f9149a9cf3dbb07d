"""What a study leaves for people: its tables and its report, made again from what is kept whenever it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ewm_studio.jobs.studies.conditions import kept_conditions
from ewm_studio.jobs.studies.figures import CellFigures, study_figures
from ewm_studio.jobs.studies.report import write_report
from ewm_studio.jobs.studies.results import write_results
from ewm_studio.jobs.studies.tuned import searched
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import REPORT, StudyFolder


def write_outcome(file: StudyFile, workspace: Workspace, path: Path | None = None) -> dict[str, Any]:
    """Write the raw numbers and the report of what there is by now; what `study report --json` prints.

    Args:
        file: the study.
        workspace: in which it was run.
        path: of the report; in the study's folder by default.

    Raises:
        UserError: it was never run, something it keeps is damaged, or its file has other settings now. JobError: the
            disk is full.
    """
    folder = StudyFolder(workspace.path, file.name)
    file = searched(file, folder)
    conditions = kept_conditions(folder)
    figures = study_figures(file, folder, workspace)  # first, since it sees whether the file is still theirs
    results = write_results(file, folder)
    report = write_report(file, figures, conditions, path or folder.path / REPORT)
    return {
        "study": file.name,
        "cells": [_told(cell, file.study.judge.ways[0]) for cell in figures.cells],
        "results": str(results),
        "report": str(report),
    }


def _told(cell: CellFigures, way: str) -> dict[str, Any]:
    """One cell, as plain values."""
    return {
        **cell.options,
        "scores": cell.scores[way].tolist(),
        "iqm": cell.iqm.value if cell.iqm else None,
        "low": cell.iqm.low if cell.iqm else None,
        "high": cell.iqm.high if cell.iqm else None,
        "failed": cell.failed,
        "runs": cell.asked,
        "frames": cell.frames,
        "minutes": cell.minutes,
    }
