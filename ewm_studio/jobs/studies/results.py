"""A study's raw numbers as a table: one row an episode, `results.csv`, and Parquet where pyarrow is there."""

from __future__ import annotations

import csv
import importlib.util
import io
from pathlib import Path
from typing import Any

from ewm_studio.settings.cells import EPISODE_COLUMNS
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.workspace.files import write_aside, write_text
from ewm_studio.workspace.studies import PARQUET, RESULTS, RunRecord, StudyFolder

Row = dict[str, Any]


def rows_of(record: RunRecord) -> list[Row]:
    """The episodes of a run; of one that has none, a row that says how it stands."""
    trained = record.trained
    of_run: Row = {
        **record.cell,
        "seed": record.seed,
        "state": record.state,
        "trained_frames": trained.get("frames"),
        "trained_seconds": trained.get("seconds"),
        "run": record.run,
        "failures": len(record.failures),
    }
    played = [
        {**of_run, "way": way, "episode": seed, "reward": reward, "steps": steps}
        for way, episodes in record.scores.items()
        for seed, reward, steps in episodes
    ]
    return played or [{**of_run, "way": None, "episode": None, "reward": None, "steps": None}]


def asked_records(file: StudyFile, folder: StudyFolder) -> list[RunRecord]:
    """The records of the runs that the study asks for now, in its order; of a run that never began there is one too.

    Raises:
        UserError: a record is damaged.
    """
    known = folder.records()
    return [known.get(key) or RunRecord(key, dict(cell.options), seed) for key, cell, seed in file.named_runs()]


def write_results(file: StudyFile, folder: StudyFolder) -> Path:
    """Write the tables; gives the first.

    Raises:
        UserError or JobError: they cannot be written.
    """
    rows = [row for record in asked_records(file, folder) for row in rows_of(record)]
    columns = [*file.cells[0].options, *EPISODE_COLUMNS]
    written = io.StringIO()
    writer = csv.DictWriter(written, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder.path / RESULTS, written.getvalue())
    if importlib.util.find_spec("pyarrow") is not None:
        _write_parquet(folder.path / PARQUET, columns, rows)
    return folder.path / RESULTS


def _write_parquet(path: Path, columns: list[str], rows: list[Row]) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({column: [row[column] for row in rows] for column in columns})
    write_aside(path, lambda temporary: pyarrow.parquet.write_table(table, temporary))
