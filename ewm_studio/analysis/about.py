"""What a run is of: environment, parts, seed, and whether another one differs from it by its seed alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ewm_studio.errors import UserError
from ewm_studio.settings import Experiment
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.workspace import Run

# Settings that leave what is learned as it is: runs of one kind may differ in these.
OF_ONE_RUN: Any = {"run": True, "versions": True, "env": {"workers", "render_mode"}, "infer": True, "dream_drive": True}


@dataclass(frozen=True)
class About:
    """A run's settings in a few words."""

    env: str
    parts: tuple[str, ...]
    seed: int
    kind: str  # the same for runs that differ by their seed alone

    @property
    def words(self) -> str:
        """ "seed 1 · ConvVAE + MDNRNN + LinearController"."""
        return f"seed {self.seed} · {' + '.join(self.parts)}"


def about(run: Run) -> About | None:
    """What a run is of, by its settings; None where they cannot be read."""
    try:
        experiment = Experiment.from_toml(run.folder / "experiment.toml")
    except UserError:
        return None
    return about_experiment(experiment)


def about_experiment(experiment: Experiment) -> About:
    """What a run of an experiment is of."""
    settings = experiment.model_dump(mode="json", exclude=OF_ONE_RUN)
    kind = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    parts = tuple(getattr(experiment, name).name for name in COMPONENTS)
    return About(experiment.env.id, parts, experiment.run.seed, kind)
