"""What a study would come to, before it is begun: its runs, and about how long they take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ewm_studio.jobs.studies.pool import slots_of
from ewm_studio.settings import Experiment
from ewm_studio.settings.cells import Cell
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.workspace import Workspace

GUESSED_SPEED = 800.0  # frames a second of a run on one core, where no run says anything: a small world's
GUESSED_PICTURES = 100.0  # the same of one that is seen in pictures
BEGINNING_SECONDS = 12.0  # until a run's process learns, and until its models are there again to be judged
REPORTED = 2  # cells of a search: the base, and what was found
_LEAST_SECONDS = 5.0  # of a run from which a speed is taken
_MOST_RUNS = 20  # that are asked


@dataclass(frozen=True)
class StudyPlan:
    """What a study would come to.

    Attributes:
        axes: what varies, and over how many options: {"memory": 3}.
        cells: by name.
        runs: all of them; of a search, at most.
        slots: how many at once.
        seconds: about how long all of it takes; None where nothing bounds it.
        measured: whether that goes by the speed of runs of this workspace; else it is a guess.
    """

    axes: dict[str, int]
    cells: list[str]
    runs: int
    slots: int
    seconds: float | None
    measured: bool


def plan_of(file: StudyFile, workspace: Workspace) -> StudyPlan:
    """What a study would come to.

    Raises:
        UserError: it cannot be run so; says what is wrong.
    """
    plans = file.check()
    study = file.study
    runs, slots = len(plans) * len(study.seeds.reported), slots_of(study.place)
    if study.search.on:
        runs = study.search.trials * len(study.seeds.tuning) + REPORTED * len(study.seeds.reported)
    speeds = {id: _measured(workspace, id) for id in {plan.experiment.env.id for plan in plans}}
    each = [_run_seconds(file, plan.experiment, speeds[plan.experiment.env.id]) for plan in plans]
    known = [seconds for seconds in each if seconds is not None]
    rounds = math.ceil(runs / min(slots, runs))
    seconds = float(np.mean(known)) * rounds if len(known) == len(each) else None
    measured = all(speed is not None for speed in speeds.values())
    cells = [plan.cell for plan in plans]
    return StudyPlan(axes_of_cells(cells), [cell.name for cell in cells], runs, slots, seconds, measured)


def axes_of_cells(cells: Sequence[Cell]) -> dict[str, int]:
    """What varies, and over how many options."""
    axes: dict[str, set[str]] = {}
    for cell in cells:
        for axis, option in cell.options.items():
            axes.setdefault(axis, set()).add(option)
    return {axis: len(options) for axis, options in axes.items()}


def _run_seconds(file: StudyFile, experiment: Experiment, measured: float | None) -> float | None:
    """About how long one run takes; None where only its own progress ends it."""
    guess = GUESSED_PICTURES if experiment.env.pixels or "Racing" in experiment.env.id else GUESSED_SPEED
    speed = measured or guess
    train, repeat = experiment.train, experiment.env.action_repeat
    ends = [] if train.total_steps is None else [train.total_steps * repeat / speed]
    ends += [] if train.minutes is None else [train.minutes * 60]
    return min(ends) + BEGINNING_SECONDS if ends else None


def _measured(workspace: Workspace, id: str) -> float | None:
    """Frames a second of the latest runs in an environment; None where there are none."""
    speeds: list[float] = []
    for info in workspace.runs():
        if info.env != id or info.job != "train" or info.state != "finished" or len(speeds) >= _MOST_RUNS:
            continue
        seconds = (info.finished or 0.0) - (info.started or 0.0)
        if seconds >= _LEAST_SECONDS:
            speeds.append(info.steps * _repeat(workspace, info.name) / seconds)
    return float(np.median(speeds)) if speeds else None


def _repeat(workspace: Workspace, run: str) -> int:
    return Experiment.of_run(workspace.run(run).folder / "experiment.toml").env.action_repeat
