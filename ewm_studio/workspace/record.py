"""`run.json` and `note.json`: what the list of runs shows of a run, kept in the run's own folder.

The run's writer keeps `run.json`, whoever looks at the list `note.json`, so that neither overwrites the other. A folder
without them, of version 0.1.0 say, is described by its settings and its checkpoints.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ewm_studio.errors import JobError, UserError
from ewm_studio.events import MEAN_OF
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.workspace import models
from ewm_studio.workspace.checkpoints import Checkpoints
from ewm_studio.workspace.files import write_text
from ewm_studio.workspace.logbook import EPISODES

RECORD, NOTE, SETTINGS = "run.json", "note.json", "experiment.toml"
MOST_BYTES = 1_000_000  # of a record; more is none
_LAST_SECOND = 253_370_000_000.0  # of the year 9999; later ones are no dates
RunState = Literal["running", "finished", "stopped", "failed", "interrupted"]
_TEXTS = ("title", "note", "job", "env", "checkpoint", "error")
_COUNTS = ("seed", "steps", "episodes", "epochs")
_TIMES = ("created", "started", "finished")
_REWARDS = ("best_reward", "mean_reward")
_NO_NAME = set("/\\\0")
_NEEDED = {*_TEXTS, *_COUNTS, "created", "state", "parts"}
FIELDS = (*_TEXTS, *_COUNTS, *_TIMES, *_REWARDS, "state", "parts")


def is_name(name: object) -> bool:
    """Whether this is the name of a folder, and of no other place."""
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & _NO_NAME


def makes_sense(field: str, value: object) -> bool:
    """Whether a value is one that this field of a run can have."""
    if value is None:
        return field not in _NEEDED
    return _CHECKS[field](value)


def _is_count(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**63


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that a file and the database can hold."""
    return _is_count(value) or (isinstance(value, float) and math.isfinite(value))


def _is_time(value: Any) -> bool:
    return is_number(value) and 0 <= value < _LAST_SECOND


_CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_TEXTS, lambda value: isinstance(value, str)),
    **dict.fromkeys(_COUNTS, _is_count),
    **dict.fromkeys(_TIMES, _is_time),
    **dict.fromkeys(_REWARDS, is_number),
    "state": lambda value: value in get_args(RunState),
    "parts": lambda value: isinstance(value, dict),
}


def sensible(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields of a run that make sense."""
    return {field: values[field] for field in FIELDS if field in values and makes_sense(field, values[field])}


def read_record(folder: Path) -> dict[str, Any]:
    """What a folder's two files say, and as `name` what the run was called; nothing where they say nothing."""
    found: dict[str, Any] = {}
    for file, texts in ((RECORD, False), (NOTE, True)):
        with contextlib.suppress(OSError, ValueError, RecursionError):
            path = folder / file
            if not path.is_file() or path.stat().st_size > MOST_BYTES:
                continue
            values = json.loads(path.read_text("utf-8"))
            if not isinstance(values, dict):
                continue
            fields = sensible(values)
            found |= {k: v for k, v in fields.items() if (k in ("title", "note")) == texts}
            if not texts and is_name(values.get("name")):
                found["name"] = values["name"]
    return found


def write_record(folder: Path, name: str, values: Mapping[str, Any]) -> None:
    """Write `run.json`; whatever of `values` is no field of it is left out.

    Raises:
        JobError: the disk is full. UserError: it cannot be written.
    """
    kept = {k: v for k, v in sensible(values).items() if k not in ("title", "note")}
    write_text(folder / RECORD, json.dumps({"name": name, **kept}, indent=1) + "\n")


def write_note(folder: Path, title: str, note: str) -> None:
    """Write `note.json`.

    Raises:
        JobError: the disk is full. UserError: it cannot be written.
    """
    write_text(folder / NOTE, json.dumps({"title": title, "note": note}, indent=1) + "\n")


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's: its settings or its record are there."""
    with contextlib.suppress(OSError):
        return (folder / SETTINGS).is_file() or (folder / RECORD).is_file()
    return False


def describe(folder: Path, rows: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
    """All that a row of the list needs, from whatever a run's folder holds; None where that is not enough.

    Args:
        folder: the run's.
        rows: what it has logged, `ROW` arrays by tag.
    """
    found = {"job": "train", "seed": 0, "error": "", "checkpoint": "", "title": "", "note": ""}
    found |= {**dict.fromkeys(("steps", "episodes", "epochs"), 0), **dict.fromkeys((*_TIMES[1:], *_REWARDS))}
    found |= {**_from_rows(rows), **_from_settings(folder), **_from_checkpoints(folder)}
    record = read_record(folder)
    found |= record
    if found.setdefault("state", "interrupted") == "running":  # it was killed, and logged more than it could say
        logged = _from_rows(rows)
        found |= {key: max(found[key], logged.get(key, 0)) for key in ("steps", "epochs")}
        found |= {key: logged.get(key, found[key]) for key in ("episodes", "mean_reward")}
        found["state"] = "interrupted"
    found.setdefault("created", _date_of(folder))
    found.pop("name", None)
    return found if all(makes_sense(field, found.get(field)) for field in FIELDS) else None


def as_columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same as columns of the database hold it."""
    return {field: json.dumps(v) if field == "parts" else v for field, v in sensible(values).items()}


def _from_settings(folder: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        values = tomllib.loads((folder / SETTINGS).read_text("utf-8"))
        parts = {kind: {"name": values[kind]["name"]} for kind in COMPONENTS}
        return {"parts": parts, "seed": int(values["run"]["seed"]), "env": str(values["env"]["id"])}
    return {}


def _from_checkpoints(folder: Path) -> dict[str, Any]:
    checkpoints = Checkpoints(folder / "checkpoints")
    found: dict[str, Any] = {}
    with contextlib.suppress(UserError, JobError, OSError):
        best, latest = checkpoints.best(), checkpoints.latest()
        if best is not None:
            place = best.path.relative_to(folder).as_posix()
            found |= {"checkpoint": place, "best_reward": best.mean_reward, "steps": best.step}
        if latest is not None:
            found |= {"mean_reward": latest.mean_reward, "steps": latest.step}
            metadata = models.read_metadata(latest.path)
            if isinstance(metadata.get("parts"), dict):
                found["parts"] = metadata["parts"]
            counters = metadata.get("counters")
            if isinstance(counters, dict):
                found["job"] = "pretrain" if "frames" in counters else "train"
                # Without a record it is of 0.1.0, whose list counted the frames that were gathered.
                given = {**counters, "steps": counters.get("frames", latest.step)}
                found |= {k: given[k] for k in ("steps", "episodes", "epochs") if makes_sense(k, given.get(k))}
    return found


def _from_rows(rows: Mapping[str, np.ndarray]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if EPISODES in rows:
        found |= {"episodes": len(rows[EPISODES]), "mean_reward": mean_of_last(rows[EPISODES]["value"])}
    if steps := [int(array["step"].max()) for array in rows.values() if len(array)]:
        found["steps"] = max(steps)
    if epochs := [int(array["count"].max()) for tag, array in rows.items() if tag != EPISODES and len(array)]:
        found["epochs"] = max(epochs)
    return found


def mean_of_last(rewards: Sequence[float] | np.ndarray) -> float | None:
    """What a list of runs calls mean reward: that of the last 100 episodes; None before the first."""
    return float(np.mean(rewards[-MEAN_OF:])) if len(rewards) else None


def _date_of(folder: Path) -> float:
    """When a run was made: its settings are never written again; else the date its name begins with."""
    with contextlib.suppress(OSError):
        return (folder / SETTINGS).stat().st_mtime
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.strptime(folder.name[:10], "%Y-%m-%d").timestamp()
    return time.time()
