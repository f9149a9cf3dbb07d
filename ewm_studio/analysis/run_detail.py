"""What is known of a run beyond its row: its settings and how they differ from another's, evaluations, checkpoints."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ewm_studio.analysis.settings_diff import words_of
from ewm_studio.errors import UserError
from ewm_studio.settings import Experiment
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.workspace import Run
from ewm_studio.workspace.checkpoints import TRAINER, Checkpoints
from ewm_studio.workspace.replays import Evaluation

SETTINGS = "experiment.toml"
_LEFT_OUT = ("versions",)
NOT_GIVEN = "not given"  # its part has no such setting
AUTO = "auto"


@dataclass(frozen=True)
class Difference:
    """A setting that is not the same in two runs, as text."""

    path: str
    here: str
    there: str


@dataclass(frozen=True)
class Compared:
    """The settings of a run beside those of another, or beside the defaults.

    Attributes:
        different: what is not the same.
        rest: what is, and what `auto` found for this machine: by path, as text.
    """

    different: tuple[Difference, ...] = ()
    rest: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Evaluated:
    """An evaluation that was kept, and what it came to."""

    evaluation: Evaluation
    mean: float
    spread: float
    episodes: int


@dataclass(frozen=True)
class Saved:
    """A checkpoint of the run."""

    step: int
    mean_reward: float | None
    bytes: int
    best: bool


@dataclass(frozen=True)
class RunDetail:
    """All of it."""

    settings: Compared = Compared()  # beside the defaults, which stand there
    evaluations: tuple[Evaluated, ...] = ()
    checkpoints: tuple[Saved, ...] = ()
    problem: str = ""  # why its settings cannot be read


def run_detail(run: Run) -> RunDetail:
    """Read it from the run's folder."""
    settings, problem = Compared(), ""
    try:
        own = settings_of(run.folder)
        settings = compared(own, defaults_of(own))
    except UserError as error:
        problem = str(error)
    return RunDetail(settings, tuple(_evaluated(run.evaluations())), tuple(_saved(run.folder)), problem)


def defaults_of(experiment: Experiment) -> Experiment:
    """The defaults, with those of the parts that an experiment has: what nobody changed is the same in both."""
    from ewm_studio.models.registry import component  # brings torch

    values = Experiment().model_dump(mode="json")
    for kind in COMPONENTS:
        with contextlib.suppress(UserError):  # of a package that is no more installed: its settings are listed
            values[kind] |= component(kind, getattr(experiment, kind).name).Settings().model_dump(mode="json")
    return Experiment.from_dict(values)


def compared(here: Experiment, there: Experiment) -> Compared:
    """What tells an experiment from another, and what does not."""
    found = differences(here, there)
    different = tuple(one for one in found if one.there != AUTO or one.path.endswith(".name"))
    told = {one.path for one in different}
    return Compared(different, tuple((path, words_of(value)) for path, value in flat(here).items() if path not in told))


def settings_of(folder: Path) -> Experiment:
    """A run's settings.

    Raises:
        UserError: they cannot be read.
    """
    return Experiment.from_toml(folder / SETTINGS)


def differences(here: Experiment, there: Experiment) -> tuple[Difference, ...]:
    """The settings that two experiments do not share, by their paths."""
    mine, other = flat(here), flat(there)
    paths = dict.fromkeys([*mine, *other])
    pairs = [(path, mine.get(path, NOT_GIVEN), other.get(path, NOT_GIVEN)) for path in paths]
    pairs.sort(key=lambda pair: NOT_GIVEN in pair[1:])  # what both have comes first, in the order it is declared
    return tuple(Difference(path, words_of(a), words_of(b)) for path, a, b in pairs if a != b)


def flat(experiment: Experiment) -> dict[str, Any]:
    """All settings of an experiment by their paths, as "env.id"."""
    found: dict[str, Any] = {}
    for section, values in experiment.model_dump(mode="json").items():
        if section not in _LEFT_OUT and isinstance(values, dict):
            found |= {f"{section}.{name}": value for name, value in values.items()}
    return found


def _evaluated(evaluations: Sequence[Evaluation]) -> list[Evaluated]:
    found = []
    for evaluation in evaluations:
        rewards = np.array([episode.reward for episode in evaluation.episodes()])
        if len(rewards):
            found.append(Evaluated(evaluation, float(rewards.mean()), float(rewards.std()), len(rewards)))
    return found


def _saved(folder: Path) -> list[Saved]:
    """Its checkpoints, the latest first."""
    checkpoints = Checkpoints(folder / "checkpoints")
    best, found = checkpoints.best(), []
    for checkpoint in reversed(checkpoints.all()):
        size = 0
        for path in (checkpoint.path, checkpoint.path.with_suffix(TRAINER)):
            with contextlib.suppress(OSError):
                size += path.stat().st_size
        found.append(Saved(checkpoint.step, checkpoint.mean_reward, size, checkpoint == best))
    return found
