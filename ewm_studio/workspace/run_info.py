"""A row of the list of runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ewm_studio.workspace.lock import RunLock
from ewm_studio.workspace.logbook import Logbook
from ewm_studio.workspace.record import FIELDS, RunState, describe, is_name, makes_sense

COLUMNS = ", ".join(("name", "id", *FIELDS))


@dataclass(frozen=True)
class RunInfo:
    """One row of the list of runs. Times are seconds since 1970."""

    id: int
    name: str
    title: str
    note: str
    job: str
    env: str
    parts: dict[str, Any]
    seed: int
    state: RunState
    created: float
    started: float | None
    finished: float | None
    steps: int
    episodes: int
    epochs: int
    best_reward: float | None
    mean_reward: float | None
    checkpoint: str  # the best one, from the run's folder; empty before the first
    error: str
    folder: Path = field(default_factory=Path)


def info_of(row: Sequence[Any], folder: Path) -> RunInfo | None:
    """What a row of `COLUMNS` says of the run in a folder; where that makes no sense, what the folder says.

    None where neither says enough. A run whose process died is interrupted.
    """
    name, id, *rest = row
    if not is_name(name):
        return None
    values: dict[str, Any] | None = dict(zip(FIELDS, rest, strict=True))
    assert values is not None
    try:
        values["parts"] = json.loads(values["parts"])
    except (ValueError, TypeError, RecursionError):
        values["parts"] = None
    if not all(makes_sense(field, value) for field, value in values.items()):
        values = describe(folder, Logbook(folder).read())
    if values is None:
        return None
    if values["state"] == "running" and not RunLock(folder).alive():
        values["state"] = "interrupted"
    return RunInfo(id=id, name=name, folder=folder, **values)
