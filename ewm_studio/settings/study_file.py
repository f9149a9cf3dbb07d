"""A study as it is read: its file, its base, and the experiment of every run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ewm_studio.errors import UserError, nearest
from ewm_studio.resources import resource, study_presets
from ewm_studio.settings.cells import Cell, cells_of, settings_of
from ewm_studio.settings.experiment import Experiment, read_sections, read_settings, reason_of, text_of
from ewm_studio.settings.layers import Values, over
from ewm_studio.settings.study import PlaceSettings, Study
from ewm_studio.settings.typed_path import expanded, typed_path

ENDING = ".study.toml"


@dataclass(frozen=True)
class RunPlan:
    """One run of a study: a cell with a seed.

    Attributes:
        key: its name in the study's folder.
        cell: what it is one of.
        seed: the run's.
        experiment: all its settings.
    """

    key: str
    cell: Cell
    seed: int
    experiment: Experiment


@dataclass(frozen=True)
class StudyFile:
    """A study with the name of its file.

    Attributes:
        name: of the study: the file's, without its ending.
        path: the file.
        study: what stands in it.
        kept_base: a copy of the base that is a file; that one itself may be gone.
    """

    name: str
    path: Path
    study: Study
    kept_base: Path | None = None

    def placed(self, parallel: str | None = None, on: str | None = None) -> StudyFile:
        """The same study with so many runs side by side, or computed elsewhere; None leaves what the file says.

        Raises:
            UserError: that is no number of runs, or no place.
        """
        place = self.study.place
        for name, text in (("parallel", parallel), ("on", on)):
            if text is None:
                continue
            value = int(text) if name == "parallel" and text.isdecimal() and len(text) < 10 else text
            try:
                place = PlaceSettings.model_validate({**place.model_dump(), name: value})
            except ValidationError as error:
                raise UserError(f"--{name}: {reason_of(error)} (found {text!r:.60})") from None
        return replace(self, study=self.study.model_copy(update={"place": place}))

    @cached_property
    def cells(self) -> list[Cell]:
        """What is compared.

        Raises:
            UserError: it is not understood.
        """
        return cells_of(self.study, str(self.path))

    @cached_property
    def base(self) -> Values:
        """The settings that all runs share, as they are given.

        Raises:
            UserError: there is no such base, or it is no settings file.
        """
        values = read_sections(self.base_path) if self.study.base else {}
        return over(values, settings_of(self.study.experiment, f"{self.path}: experiment"))

    @property
    def text(self) -> str:
        """Of its file."""
        return text_of(self.path)

    @property
    def base_text(self) -> str:
        """Of the file that it is based on; empty where it is on none, or on a preset."""
        return text_of(self.base_path) if self.study.base.endswith(".toml") else ""

    def named_runs(self) -> list[tuple[str, Cell, int]]:
        """Name, cell and seed of every run, as `plans` has them, without their settings."""
        return [(_key(cell, seed), cell, seed) for seed in self.study.seeds.reported for cell in self.cells]

    def plans(self, seeds: list[int] | None = None) -> list[RunPlan]:
        """Every run, one seed of all cells after the other, so that what is there by then can be compared.

        Raises:
            UserError: a cell's settings are none; names the cell.
        """
        seeds = self.study.seeds.reported if seeds is None else seeds
        return [
            RunPlan(_key(cell, seed), cell, seed, self.experiment(cell, seed)) for seed in seeds for cell in self.cells
        ]

    def check(self) -> list[RunPlan]:
        """One run of every cell: whether its settings are sound does not hang on the seed.

        Raises:
            UserError: as `plans`.
        """
        return self.plans(self.study.seeds.reported[:1])

    def experiment(self, cell: Cell, seed: int) -> Experiment:
        """The settings of a run.

        Raises:
            UserError: as `plans`.
        """
        values = over(self.base, cell.values)
        values.pop("versions", None)
        values = over(values, self._own(values, seed))
        return Experiment.from_dict(values, f"{self.path}: cell '{cell.name}'").as_of_file()

    def _own(self, values: Values, seed: int) -> Values:
        """What a study sets of every run: its seed, its budget, and that each keeps to its share of the machine."""
        study = self.study
        own: Values = {"run": {"seed": seed, "threads": study.place.threads}, "env": {}, "train": {}}
        if values.get("env", {}).get("workers", "auto") == "auto":
            own["env"]["workers"] = 0
        frames, minutes = study.budget.frames, study.budget.minutes
        if frames is not None or minutes is not None:
            own["train"] = {"total_steps": self._steps(values), "minutes": minutes, "epochs": None, "patience": None}
        return own

    def _steps(self, values: Values) -> int | None:
        """Decisions that a run learns from after its warm-up: the budget's, less those that were warmed up with.

        Raises:
            UserError: nothing is left of it.
        """
        frames, repeat = self.study.budget.frames, values.get("env", {}).get("action_repeat", 1)
        if frames is None or not isinstance(repeat, int) or repeat < 1:  # it is refused where it stands
            return frames
        before = values.get("warm_up", {}).get("random_frames", 0)
        before = before if isinstance(before, int) else 0  # as well
        steps = -(-frames // repeat) - before
        if steps < 1:
            raise UserError(
                f"{self.path}: budget.frames: {frames:,} frames are {-(-frames // repeat):,} decisions, and "
                f"warm_up.random_frames takes {before:,} of them; give more, or warm up with less"
            )
        return steps

    @property
    def base_path(self) -> Path:
        """The file of its base, which it has.

        Raises:
            UserError: there is no preset of this name.
        """
        name = self.study.base
        if name.endswith(".toml"):
            return self.kept_base or self.path.parent / expanded(name)
        preset = resource("presets", f"{name}.toml")
        if preset.is_file() and not preset.name.endswith(ENDING):
            return preset
        known = [p.stem for p in sorted(resource("presets").glob("*.toml")) if not p.name.endswith(ENDING)]
        raise UserError(f"{self.path}: base: no preset '{name}'; {nearest(name, known)}")


def read_study(given: str | Path) -> StudyFile:
    """The study in a file, or the ready-made one of this name.

    Raises:
        UserError: there is no such file, or it is no study; says where and what would be right.
    """
    path = find_study(given)
    found = study_at(path, path.name.removesuffix(ENDING).removesuffix(".toml"))
    found.check()
    return found


def study_at(path: Path, name: str, kept_base: Path | None = None) -> StudyFile:
    """The study of this name in a file of any name, perhaps with a copy of its base; its cells are not looked at.

    Raises:
        UserError: it is no study.
    """
    try:
        return StudyFile(name, path, Study.model_validate(read_settings(path)), kept_base)
    except ValidationError as error:
        raise UserError(f"{path}: {_complaint(error)}") from None


def find_study(given: str | Path) -> Path:
    """The file that a person means: a path, with or without its ending, or a ready-made study's name.

    Raises:
        UserError: there is none.
    """
    if (path := study_path(given)) is not None:
        return path
    ready = {p.name.removesuffix(ENDING): p for p in study_presets()}
    if str(given) in ready:
        return ready[str(given)]
    if (path := expanded(given)).exists():
        raise UserError(f"{path}: expected a file called NAME{ENDING}, found a folder")
    raise UserError(f"{path}: no such study; ready-made ones: {', '.join(ready) or 'none'}")


def study_path(given: str | Path) -> Path | None:
    """The study's file at a path with or without its ending; None where there is none.

    Raises:
        UserError: there is a file that is no study's, or nothing can be there.
    """
    path = typed_path(given, "study")
    named = [path.with_name(path.name + ENDING)] if path.name else []  # the root folder has no name
    for candidate in (path, *(typed_path(other, "study") for other in named)):
        if candidate.is_file():
            if not candidate.name.endswith(ENDING):
                raise UserError(f"{candidate}: a study's file is called NAME{ENDING}")
            return candidate
    return None


def _key(cell: Cell, seed: int) -> str:
    return f"{cell.slug}-seed-{seed}"


def _complaint(error: ValidationError) -> str:
    """What is wrong first, in one line."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("constrained", "literal", "list")))
    if first["type"] == "extra_forbidden":
        return f"no setting '{where}'; {nearest(where, _known(first['loc']))}"
    if first["type"] == "value_error" and "." not in where:  # of a whole group: it names the setting itself
        return reason_of(error)
    if first["type"] == "model_type":
        return f"{where} should be a table (found {first['input']!r:.80})"
    found = f" (found {first['input']!r:.80})" if where else ""
    return f"{where + ' ' if where else ''}{reason_of(error)}{found}"


def _known(place: tuple[Any, ...]) -> list[str]:
    """Names of what may stand beside something that may not."""
    section = Study.model_fields.get(str(place[0])) if len(place) > 1 else None
    group = section.annotation if section is not None else Study
    assert isinstance(group, type)
    if not issubclass(group, BaseModel):
        return []
    start = f"{place[0]}." if section is not None else ""
    return [f"{start}{name}" for name in group.model_fields]
