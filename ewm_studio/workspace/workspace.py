"""A workspace: one folder that holds runs, recordings and the database of both."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import re
import shutil
import time
from collections.abc import Callable, Container, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ewm_studio.errors import JobError, UserError, nearest
from ewm_studio.formatting import printable
from ewm_studio.settings.typed_path import expanded
from ewm_studio.workspace.checkpoints import MODEL, Checkpoints
from ewm_studio.workspace.database import Database, update
from ewm_studio.workspace.files import check_path, write_error
from ewm_studio.workspace.pretrained import pretrained_model, pretrained_models
from ewm_studio.workspace.record import SETTINGS, is_name, write_note, write_record
from ewm_studio.workspace.recovery import Recovery, folders_in, rebuild
from ewm_studio.workspace.replays import MODEL_NAME, Evaluation, evaluations_in
from ewm_studio.workspace.run import REPLAYS, Run
from ewm_studio.workspace.run_info import COLUMNS, RunInfo, info_of

DATABASE = "workspace.sqlite"
LONGEST_NAME = 80  # of a run or a recording


def default_workspace() -> Path:
    """`EWM_WORKSPACE` where it is set, else `workspaces/default` under the current folder."""
    return Path(os.environ.get("EWM_WORKSPACE") or Path("workspaces") / "default")


class Workspace:
    """A workspace's folder; it is made when the first thing is written to it.

    Raises:
        UserError: a file is in the way, there is no permission, or the database is not one of ours. Damaged: it is
            none any more, and `Workspace.rebuild` brings it back.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = expanded(path)
        for folder in (self.runs_folder, self.recordings_folder):
            _check_place(folder)
        self._database = Database(self.path / DATABASE)
        self._database.check()
        self._recovery = Recovery(self._database, self.runs_folder, self.bin_folder)

    @classmethod
    def rebuild(cls, path: str | Path) -> tuple[Workspace, Path | None]:
        """Make the list of runs again from the run folders; gives the workspace, and where the old database is kept.

        Raises:
            UserError or JobError: it cannot be written, or another process holds it.
        """
        folder = expanded(path)
        aside = rebuild(Database(folder / DATABASE), folder / "runs", folder / "bin")
        return cls(folder), aside

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
    def models_folder(self) -> Path:
        """Where models that were pulled from the Hub lie, a folder each."""
        return self.path / "models"

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
        folder = self.claim_run(f"{datetime.now():%Y-%m-%d}-{safe_name(env_id)}-1")
        values = {"job": job, "env": env_id, "parts": dict(parts or {}), "seed": seed, "created": time.time()}
        run = Run(self._database, folder.name, folder)
        try:
            with contextlib.suppress(OSError):
                self.bin_folder.mkdir(exist_ok=True)  # a full disk has no room for it when it is needed
            run.create(values, experiment_toml)
        except BaseException:
            run.abandon()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return run

    def claim_run(self, name: str) -> Path:
        """An empty folder for a run, of this name `<date>-<env>-<n>` or with the next n that is free.

        Raises:
            UserError or JobError: it cannot be made.
        """
        start, _, number = name.rpartition("-")
        for n in itertools.count(int(number)):
            folder = self.runs_folder / f"{start}-{n}"
            if not self._claim(folder):
                continue
            if not self._is_known(folder.name):
                return folder
            folder.rmdir()  # a deleted run had this name
        raise AssertionError("numbers have no end")

    def take_in(self, name: str) -> None:
        """Bring the list to what the folder of a run holds that is computed elsewhere, as far as can be written now."""
        self._recovery.take_in(self.runs_folder / name)

    def runs(self) -> list[RunInfo]:
        """All runs, newest first. One whose process died is shown as interrupted."""
        found = [info_of(row, self.runs_folder / row[0]) for row in self._listed(COLUMNS)]
        return [info for info in found if info is not None]

    def info(self, name: str) -> RunInfo:
        """The row of one run.

        Raises:
            UserError: as `run`.
        """
        run = self.run(name)
        rows = self._database.read(f"SELECT {COLUMNS} FROM runs WHERE name = ?", (run.name,))
        info = info_of(rows[0], run.folder) if rows else None
        if info is None:
            raise UserError(f"run {run.name}: neither its row nor its folder {run.folder} says what it is")
        return info

    def run(self, name: str) -> Run:
        """The run of exactly this name.

        Raises:
            UserError: there is none; names the nearest.
        """
        known = [row[0] for row in self._listed("name")]
        if name not in known:
            raise self._no_run(name, known)
        return Run(self._database, name, self.runs_folder / name)

    def run_meant(self, typed: str) -> Run:
        """The run that a person means: by its name, the unique beginning of its name, or its folder in this workspace.

        Raises:
            UserError: there is none, with the nearest; or the beginning fits several.
        """
        found = self._find(typed, [row[0] for row in self._listed("name")])
        return Run(self._database, found, self.runs_folder / found)

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
        self._note_place(run.name, time.time())
        return target

    def binned_runs(self) -> list[str]:
        """Names of the runs in the bin, the one deleted last first."""
        self._recovery.take_up()
        rows = self._database.read("SELECT name FROM runs ORDER BY deleted DESC, id DESC")
        there = folders_in(self.bin_folder) - folders_in(self.runs_folder)
        return [row[0] for row in rows if row[0] in there]

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
        self._note_place(name, None)
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
        folder, info = self.runs_folder / new, self.info(run.name)
        values = dataclasses.asdict(info)
        write_record(run.folder, run.name, values)  # by which the folder is known again, should this be broken off
        if self._is_known(new) or not self._claim(folder):
            raise UserError(f"a run is called '{new}' already; choose another name")
        # Inside the transaction, so that nobody takes the folder for one put there by hand.
        with self._database.writing() as connection:
            connection.execute("UPDATE runs SET name = ? WHERE name = ?", (new, run.name))
            try:
                folder.rmdir()
                os.rename(run.folder, folder)
            except OSError as error:
                raise write_error(folder, error) from error
        write_record(folder, new, values)
        return self.run(new)

    def describe_run(self, name: str, *, title: str | None = None, note: str | None = None) -> None:
        """Set a run's title or note; None leaves it.

        Raises:
            UserError: no such run.
        """
        info = self.info(name)
        title, note = info.title if title is None else title, info.note if note is None else note
        with self._database.writing() as connection:
            update(connection, info.id, {"title": title, "note": note})
            write_note(info.folder, title, note)

    def resolve_model(self, text: str | Path) -> Path:
        """The model file that a person means: a .safetensors file, a run's folder, a run of this workspace (or the
        unique beginning of its name), a model that comes with the studio, or one that was pulled.

        For a run it is the best checkpoint. The file's content is not looked at. A folder in which there is none hides
        no run or model of its name.

        Raises:
            UserError: there is nothing by that name, or no model in it.
        """
        path, folder = expanded(text), False
        with contextlib.suppress(OSError, ValueError):
            if path.is_file():
                return path
            if (folder := path.is_dir()) and (best := _best_of(path)) is not None:
                return best
        if path.suffix == MODEL:
            raise UserError(f"{path}: expected a model, found no file by that name")
        try:
            return self._model_of(str(text), self.run_meant)
        except UserError:
            if folder:
                raise _no_model(path, str(text)) from None
            raise

    def model_named(self, name: str) -> Path:
        """The model file of the run of exactly this name, or of a model that comes with the studio or was pulled.

        Raises:
            UserError: as `resolve_model`.
        """
        return self._model_of(name, self.run)

    def _model_of(self, name: str, run_of: Callable[[str], Run]) -> Path:
        try:
            run = run_of(name)
        except UserError as error:
            if (pretrained := pretrained_model(name)) is not None:
                return pretrained.model
            pulled = self.pulled_models()
            if (found := pulled.get(pulled_name(name))) is not None:
                return found
            names = ", ".join([*(model.name for model in pretrained_models()), *pulled])
            raise UserError(f"{error}; models that come with the studio: {names or 'none'}") from None
        if (best := _best_of(run.folder)) is None:
            raise _no_model(run.folder, f"run {run.name}")
        return best

    def pulled_models(self) -> dict[str, Path]:
        """The files of the models that were pulled from the Hub, by name."""
        found = sorted(self.models_folder.glob(f"[!.]*/{MODEL_NAME}"))
        return {path.parent.name: path for path in found}

    def run_of(self, model: Path) -> str:
        """The name of the run that a model file is of; empty where it is of none in this workspace."""
        try:
            inside = model.resolve().relative_to(self.runs_folder.resolve())
        except (ValueError, OSError):
            return ""
        name = inside.parts[0]
        return name if len(inside.parts) > 1 and (self.runs_folder / name / SETTINGS).is_file() else ""

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
        """Nothing is held between two uses; what was opened is named as done with."""

    def _find(self, name: str, known: list[str]) -> str:
        if name in known:
            return name
        with contextlib.suppress(OSError, ValueError):
            path = expanded(name)
            if name and path.is_dir():
                if path.resolve().parent == self.runs_folder.resolve() and path.resolve().name in known:
                    return path.resolve().name
                if path.name not in known:
                    raise UserError(f"{name}: expected a run's folder in {self.runs_folder}, found another folder")
        fits = [n for n in known if name and _begins(n, name)]
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise UserError(f"'{name}' begins the names of {len(fits)} runs: {', '.join(sorted(fits)[-5:])}; give more")
        raise self._no_run(name, known)

    def _no_run(self, name: str, known: list[str]) -> UserError:
        return UserError(f"no run {name[:80]!r} in {self.path}; {nearest(name, sorted(known, reverse=True))}")

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

    def _is_known(self, name: str) -> bool:
        """Whether a run of this name is in the list or in the bin."""
        rows = self._database.read("SELECT 1 FROM runs WHERE name = ?", (name,))
        return bool(rows) or os.path.lexists(self.bin_folder / name)

    def _note_place(self, name: str, deleted: float | None) -> None:
        """Say in the database where a run lies now; where that cannot be written, its folder says it."""
        with contextlib.suppress(JobError), self._database.writing() as connection:
            connection.execute("UPDATE runs SET deleted = ? WHERE name = ?", (deleted, name))

    def _listed(self, columns: str) -> list[Any]:
        """Columns, of which the first is the name, of the runs whose folders are in the list, newest first."""
        self._recovery.take_up()
        rows = self._database.read(f"SELECT {columns} FROM runs ORDER BY created DESC, id DESC")
        there = folders_in(self.runs_folder)
        return [row for row in rows if is_name(row[0]) and row[0] in there]


def name_problem(name: str, taken: Container[str] = ()) -> str:
    """Why a folder of a workspace cannot be called so, in a sentence; empty where it can.

    Args:
        name: as a person typed it.
        taken: names that are in use.
    """
    if not name:
        return "Give it a name."
    if len(name) > LONGEST_NAME:
        return f"A name has at most {LONGEST_NAME} signs; this one has {len(name)}."
    odd = next((sign for sign in name if not re.fullmatch(r"[A-Za-z0-9._-]", sign)), "")
    if odd:
        found = "a blank" if odd.isspace() else f"“{printable(odd)}”"
        return f"A name has letters, digits, “-”, “_” and “.”, not {found}."
    if safe_name(name) != name:
        return "A name neither begins nor ends with “.” or “-”."
    return f"“{name}” is taken; choose another name." if name in taken else ""


def safe_name(text: str) -> str:
    """A text as a file name that every system takes: "module:Id-v0" becomes "module-Id-v0"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:LONGEST_NAME].rstrip(".-") or "run"


def pulled_name(repo: str) -> str:
    """The folder of a model that is pulled from this repository of the Hub."""
    return safe_name(repo.replace("/", "-"))


def _check_place(folder: Path) -> None:
    """Refuse a folder that cannot be one: the nearest thing that is there on the way to it is no folder."""
    check_path(folder, "workspace")
    place = next((p for p in (folder, *folder.parents) if os.path.lexists(p)), None)
    if place is not None and not place.is_dir():
        raise UserError(f"workspace {folder.parent}: a file is in the way of the folder; choose another place")


def _begins(name: str, typed: str) -> bool:
    """Whether what was typed begins a name; a number is typed whole, since run 1 is none of the ten from 10 on."""
    return name.startswith(typed) and not (typed[-1:].isdecimal() and name[len(typed) : len(typed) + 1].isdecimal())


def _best_of(folder: Path) -> Path | None:
    best = Checkpoints(folder / "checkpoints").best() or Checkpoints(folder).best()
    return None if best is None else best.path


def _no_model(folder: Path, said: str) -> UserError:
    return UserError(f"{said}: expected a run with a checkpoint, found none that can be read in {folder}")
