"""A workspace: one folder that holds runs, recordings and the database of both."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ewm_studio.errors import UserError, nearest
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.workspace.checkpoints import MODEL, Checkpoints
from ewm_studio.workspace.database import Database, update
from ewm_studio.workspace.files import write_error, write_text
from ewm_studio.workspace.pretrained import pretrained_model, pretrained_models
from ewm_studio.workspace.replays import Evaluation, evaluations_in
from ewm_studio.workspace.run import REPLAYS, Run, RunState

_COLUMNS = (
    "id, name, title, note, job, env, parts, seed, state, created, started, finished, steps, episodes, epochs, "
    "best_reward, mean_reward, checkpoint, error"
)


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


def default_workspace() -> Path:
    """`EWM_WORKSPACE` where it is set, else `workspaces/default` under the current folder."""
    return Path(os.environ.get("EWM_WORKSPACE") or Path("workspaces") / "default")


class Workspace:
    """A workspace's folder; it is made when the first thing is written to it.

    Raises:
        UserError: a file is in the way, there is no permission, or the database is not one of ours.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = _expanded(path)
        for folder in (self.runs_folder, self.recordings_folder):
            _check_place(folder)
        self._database = Database(self.path / "workspace.sqlite")

    @property
    def runs_folder(self) -> Path:
        """Where the runs lie."""
        return self.path / "runs"

    @property
    def recordings_folder(self) -> Path:
        """Where the recordings lie, a folder each."""
        return self.path / "recordings"

    @property
    def replays_folder(self) -> Path:
        """Where evaluations of models that are of no run here are kept, a folder each."""
        return self.path / REPLAYS

    @property
    def bin_folder(self) -> Path:
        """Where deleted runs go; emptying it is up to the user."""
        return self.path / "bin"

    def make(self) -> None:
        """Make the workspace's folder, if it does not exist.

        Raises:
            UserError: it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(self.path, error) from error

    def create_run(
        self, env_id: str, job: str, experiment_toml: str, parts: Mapping[str, Any] | None = None, seed: int = 0
    ) -> Run:
        """Make `runs/<date>-<env>-<n>/` with its experiment.toml, and become its writer.

        Args:
            env_id: the environment's id.
            job: train or pretrain.
            experiment_toml: all settings, as `Experiment.to_toml` gives them.
            parts: the components, as JSON can hold them.
            seed: the run's seed.
        """
        start = f"{datetime.now():%Y-%m-%d}-{safe_name(env_id)}"
        number = 1
        while True:
            name = f"{start}-{number}"
            number += 1
            folder = self.runs_folder / name
            if not self._claim(folder):
                continue
            try:
                id = self._insert(name, job, env_id, json.dumps(dict(parts or {})), seed, "running")
            except sqlite3.IntegrityError:  # a deleted run had this name
                folder.rmdir()
                continue
            run = Run(self._database, id, name, folder)
            run.begin()
            write_text(folder / "experiment.toml", experiment_toml)
            return run

    def runs(self) -> list[RunInfo]:
        """All runs, newest first. One whose process died is shown as interrupted."""
        self._adopt()
        rows = self._database.read(f"SELECT {_COLUMNS} FROM runs WHERE deleted IS NULL ORDER BY created DESC, id DESC")
        return [self._info(row) for row in rows if (self.runs_folder / row[1]).is_dir()]

    def info(self, name: str) -> RunInfo:
        """The row of one run.

        Raises:
            UserError: as `run`.
        """
        run = self.run(name)
        rows = self._database.read(f"SELECT {_COLUMNS} FROM runs WHERE name = ? AND deleted IS NULL", (run.name,))
        return self._info(rows[0])

    def run(self, name: str) -> Run:
        """A run by its name, the unique beginning of its name, or its folder in this workspace.

        Raises:
            UserError: there is none, with the nearest; or the beginning fits several.
        """
        self._adopt()
        known = {r[1]: r[0] for r in self._database.read("SELECT id, name FROM runs WHERE deleted IS NULL")}
        known = {n: i for n, i in known.items() if (self.runs_folder / n).is_dir()}
        found = self._find(name, list(known))
        return Run(self._database, known[found], found, self.runs_folder / found)

    def delete_run(self, name: str) -> Path:
        """Move a run to the bin; gives its folder there. Its metrics stay, for `restore_run`.

        Raises:
            UserError: no such run, or it is being trained.
        """
        run = self._idle(name, "deleted")
        try:
            self.bin_folder.mkdir(exist_ok=True)
            target = self.bin_folder / run.name
            os.rename(run.folder, target)
        except OSError as error:
            raise write_error(run.folder, error) from error
        with self._database.writing() as connection:
            connection.execute("UPDATE runs SET deleted = ? WHERE name = ?", (time.time(), run.name))
        return target

    def binned_runs(self) -> list[str]:
        """Names of the runs in the bin, the one deleted last first."""
        rows = self._database.read("SELECT name FROM runs WHERE deleted IS NOT NULL ORDER BY deleted DESC")
        return [row[0] for row in rows if (self.bin_folder / row[0]).is_dir()]

    def restore_run(self, name: str) -> Run:
        """Take a run out of the bin.

        Raises:
            UserError: it is not there.
        """
        binned = self.binned_runs()
        if name not in binned:
            raise UserError(f"no run {name[:80]!r} in the bin; {nearest(name, binned)}")
        try:
            os.rename(self.bin_folder / name, self.runs_folder / name)
        except OSError as error:
            raise write_error(self.runs_folder / name, error) from error
        with self._database.writing() as connection:
            connection.execute("UPDATE runs SET deleted = NULL WHERE name = ?", (name,))
        return self.run(name)

    def rename_run(self, name: str, new: str) -> Run:
        """Give a run and its folder another name.

        Raises:
            UserError: no such run, it is being trained, or the name is taken or no file name.
        """
        run = self._idle(name, "renamed")
        if not new or safe_name(new) != new:
            raise UserError(
                f"{new[:80]!r} cannot name a run; use letters, digits, '-', '_' and '.', such as {safe_name(new)}"
            )
        folder = self.runs_folder / new
        taken = self._database.read("SELECT 1 FROM runs WHERE name = ?", (new,))
        if taken or not self._claim(folder):
            raise UserError(f"a run is called '{new}' already; choose another name")
        # Inside the transaction, so that nobody takes the folder for one put there by hand.
        with self._database.writing() as connection:
            connection.execute("UPDATE runs SET name = ? WHERE name = ?", (new, run.name))
            try:
                folder.rmdir()
                os.rename(run.folder, folder)
            except OSError as error:
                raise write_error(folder, error) from error
        return self.run(new)

    def describe_run(self, name: str, *, title: str | None = None, note: str | None = None) -> None:
        """Set a run's title or note; None leaves it.

        Raises:
            UserError: no such run.
        """
        run = self.run(name)
        values = {k: v for k, v in (("title", title), ("note", note)) if v is not None}
        with self._database.writing() as connection:
            id = connection.execute("SELECT id FROM runs WHERE name = ?", (run.name,)).fetchone()[0]
            update(connection, id, values)

    def resolve_model(self, text: str | Path) -> Path:
        """The model file that a person means: a .safetensors file, a run's folder, a run of this workspace, or a model
        that comes with the studio.

        For a run it is the best checkpoint. The file's content is not looked at.

        Raises:
            UserError: there is nothing by that name, or no model in it.
        """
        path = _expanded(text)
        with contextlib.suppress(OSError, ValueError):
            if path.is_file():
                return path
            if path.is_dir():
                return _best_in(path, str(text))
        if path.suffix == MODEL:
            raise UserError(f"{path}: expected a model, found no file by that name")
        try:
            run = self.run(str(text))
        except UserError as error:
            if (pretrained := pretrained_model(str(text))) is not None:
                return pretrained.model
            names = ", ".join(model.name for model in pretrained_models())
            raise UserError(f"{error}; models that come with the studio: {names or 'none'}") from None
        return _best_in(run.folder, f"run {run.name}")

    def run_of(self, model: Path) -> str:
        """The name of the run that a model file is of; empty where it is of none in this workspace."""
        try:
            inside = model.resolve().relative_to(self.runs_folder.resolve())
        except (ValueError, OSError):
            return ""
        name = inside.parts[0]
        return name if len(inside.parts) > 1 and (self.runs_folder / name / "experiment.toml").is_file() else ""

    def replays_folder_of(self, model: Path) -> Path:
        """Where evaluations of a model file are kept: beside its run where it is of one."""
        run = self.run_of(model)
        return self.runs_folder / run / REPLAYS if run else self.replays_folder

    def evaluations(self) -> list[Evaluation]:
        """Every evaluation that was kept, of all runs and of other models, newest first."""
        found = evaluations_in(self.replays_folder)
        for run in self.runs():
            found += evaluations_in(run.folder / REPLAYS, run.name)
        return sorted(found, key=lambda e: (e.created, e.name), reverse=True)

    def close(self) -> None:
        """Close the database; it opens again when it is next used."""
        self._database.close()

    def _find(self, name: str, known: list[str]) -> str:
        if name in known:
            return name
        with contextlib.suppress(OSError, ValueError):
            path = _expanded(name)
            if name and path.is_dir():
                if path.resolve().parent == self.runs_folder.resolve() and path.resolve().name in known:
                    return path.resolve().name
                if path.name not in known:
                    raise UserError(f"{name}: expected a run's folder in {self.runs_folder}, found another folder")
        fits = [n for n in known if name and n.startswith(name)]
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise UserError(f"'{name}' begins the names of {len(fits)} runs: {', '.join(sorted(fits)[-5:])}; give more")
        raise UserError(f"no run {name[:80]!r} in {self.path}; {nearest(name, sorted(known, reverse=True))}")

    def _idle(self, name: str, done: str) -> Run:
        run = self.run(name)
        if run.alive:
            raise UserError(f"run {run.name} is being trained; stop it before it is {done}")
        return run

    def _claim(self, folder: Path) -> bool:
        """Make a run's folder; False if the name is taken. Of several processes one wins."""
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            return False
        except OSError as error:
            raise write_error(folder, error) from error
        return True

    def _insert(self, name: str, job: str, env: str, parts: str, seed: int, state: RunState) -> int:
        with self._database.writing() as connection:
            cursor = connection.execute(
                "INSERT INTO runs (name, job, env, parts, seed, state, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (name, job, env, parts, seed, state, time.time()),
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _adopt(self) -> None:
        """Take in runs whose folders were put here by hand: any with settings that the database does not know."""
        if self._database.read_only:
            return
        deleted = dict(self._database.read("SELECT name, deleted FROM runs"))
        with contextlib.suppress(OSError):
            for folder in sorted(self.runs_folder.iterdir()):
                if deleted.get(folder.name, "unknown") is None or not (folder / "experiment.toml").is_file():
                    continue
                if folder.name in deleted:
                    with self._database.writing() as connection:
                        connection.execute("UPDATE runs SET deleted = NULL WHERE name = ?", (folder.name,))
                    continue
                with contextlib.suppress(sqlite3.IntegrityError, OSError, ValueError, TypeError, KeyError):
                    values = tomllib.loads((folder / "experiment.toml").read_text("utf-8"))
                    parts = {k: {"name": values[k]["name"]} for k in COMPONENTS}
                    seed = int(values["run"]["seed"])
                    self._insert(folder.name, "train", str(values["env"]["id"]), json.dumps(parts), seed, "interrupted")

    def _info(self, row: Any) -> RunInfo:
        values = dict(zip(_COLUMNS.split(", "), row, strict=True))
        folder = self.runs_folder / values["name"]
        values["parts"] = json.loads(values["parts"])
        info = RunInfo(**values, folder=folder)
        if info.state == "running" and not Run(self._database, info.id, info.name, folder).alive:
            return RunInfo(**{**values, "state": "interrupted"}, folder=folder)
        return info


def safe_name(text: str) -> str:
    """A text as a file name that every system takes: "module:Id-v0" becomes "module-Id-v0"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:80].rstrip(".-") or "run"


def _check_place(folder: Path) -> None:
    """Refuse a folder that cannot be one: the nearest thing that is there on the way to it is no folder."""
    if "\0" in str(folder):
        raise UserError(f"workspace {str(folder.parent)[:80]!r} cannot be a folder: it holds a null character")
    place = next((p for p in (folder, *folder.parents) if os.path.lexists(p)), None)
    if place is not None and not place.is_dir():
        raise UserError(f"workspace {folder.parent}: a file is in the way of the folder; choose another place")


def _expanded(path: str | Path) -> Path:
    """`~` as the home folder; where there is no such home, the path as it is."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _best_in(folder: Path, said: str) -> Path:
    best = Checkpoints(folder / "checkpoints").best() or Checkpoints(folder).best()
    if best is None:
        raise UserError(f"{said}: expected a run with a checkpoint, found none that can be read in {folder}")
    return best.path
