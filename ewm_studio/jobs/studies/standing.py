"""How a study stands: what of it is finished, failed, running and waiting; without torch."""

from __future__ import annotations

from typing import Any

from ewm_studio.jobs.studies.results import asked_records
from ewm_studio.jobs.studies.tuned import searched
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.workspace.studies import Pace, RunRecord, StudyFolder

STATES = ("finished", "failed", "running", "waiting")


def standing(file: StudyFile, folder: StudyFolder) -> dict[str, Any]:
    """Counts of the runs by state, of all and cell by cell, and every run.

    Raises:
        UserError: a record is damaged.
    """
    file = searched(file, folder)
    alive, pace = folder.running, folder.pace()
    rows = [_row(record, file, alive, pace) for record in asked_records(file, folder)]
    cells = []
    for cell in file.cells:
        own = [row for row in rows if row["cell"] == cell.name]
        scores = [row["score"] for row in own if row["score"] is not None]
        cells.append({"cell": cell.name, **_counts(own), "mean": sum(scores) / len(scores) if scores else None})
    counts = _counts(rows)
    over = counts["finished"] + counts["failed"] == len(rows)
    state = "is being run" if alive else "is done" if over else "is stopped" if folder.begun else "was never run"
    told = {"study": file.name, "file": str(file.path), "folder": str(folder.path), "state": state, **counts}
    return {**told, "seconds_left": pace.left if alive else None, "cells": cells, "runs": rows}


def _counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {state: sum(row["state"] == state for row in rows) for state in STATES}


def _row(record: RunRecord, file: StudyFile, alive: bool, pace: Pace) -> dict[str, Any]:
    """One run; where nobody runs the study, what was running waits to be gone on with."""
    going = record.state == "running" and alive
    state = record.state if record.done else "running" if going else "waiting"
    played = record.scores.get(file.study.judge.ways[0], [])
    score = sum(reward for _, reward, _ in played) / len(played) if played else None
    return {
        "cell": record.name,
        "seed": record.seed,
        "state": state,
        "share": 1.0 if record.done else pace.shares.get(record.key, 0.0),
        "doing": pace.doing.get(record.key, "") if going else "",
        "run": record.run,
        "score": score,
        "failures": record.failures,
        **{name: record.trained.get(name) for name in ("frames", "seconds")},
    }
