"""What a job says while it runs: small frozen dataclasses, picklable, the same for every consumer."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

MEAN_OF = 100  # episodes that "mean reward" is taken over, wherever it is said of a run


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first event of a job that makes a run."""

    job: str  # the kind of job
    run: str  # name in the workspace; empty where no run is made
    folder: str
    summary: str  # "ConvVAE + MDNRNN + LinearController on CarRacing-v3, seed 1, 16 environments, cpu"
    stages: tuple[str, ...] = ()  # what is to come, in order, by the names that `Progress` goes under


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the present stage is. `done` of `total` `unit`s; `total` is None where no end is known."""

    stage: str  # "collect", "vision", "encode", "memory", "clone", "train", "infer", ...
    done: int
    total: int | None
    unit: str
    per_second: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class EpisodeFinished:
    """One episode of one environment came to its end."""

    step: int  # environment steps taken so far, over all environments
    reward: float  # unshaped sum
    length: int  # environment steps
    seed: int | None = None
    mean: float | None = None  # reward until here: of an evaluation, else of the last `MEAN_OF` episodes of its run


@dataclass(frozen=True, slots=True)
class Metrics:
    """One logged row. Names are `part/name`: `ppo/policy_loss`, `vision/reconstruction`, `reward/mean_100`."""

    step: int
    epoch: int
    seconds: float  # since the start of the run
    values: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Pictures worth looking at, uint8 (N, H, W, 3), sent rarely. `original` and `reconstruction` have one N."""

    step: int
    pictures: dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """A checkpoint is safely on disk."""

    path: str
    step: int
    mean_reward: float | None
    best: bool


@dataclass(frozen=True, slots=True)
class EvaluationKept:
    """The episodes of this evaluation are kept in a folder, to be watched again; the first of them is there."""

    folder: str


@dataclass(frozen=True, slots=True)
class StudyRunMoved:
    """One run of a study began, went on, or ended."""

    key: str  # its name in the study
    cell: str  # what it is one of: "LSTM + linear"
    seed: int
    state: str  # waiting, running, stopped, finished or failed
    share: float  # of its work, 0 to 1
    run: str = ""  # the workspace's run, once there is one
    score: float | None = None  # mean of the episodes it is judged by, once it is
    reason: str = ""  # why it failed
    doing: str = ""  # in a few letters what it is at, where its share does not say it: "V 40%", "plays 45%"


@dataclass(frozen=True, slots=True)
class Message:
    """One line for the log."""

    text: str
    level: Literal["info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a job; `result` is what `--json` prints."""

    stopped_by: str  # "total_steps", "epochs", "patience", "stop", "episodes", "frames"
    result: dict[str, Any] = field(default_factory=dict)


Event = (
    RunStarted
    | Progress
    | EpisodeFinished
    | Metrics
    | Images
    | CheckpointSaved
    | EvaluationKept
    | StudyRunMoved
    | Message
    | Finished
)


class JobControl:
    """How a consumer asks a running job to stop. Pausing needs nothing: do not pull the next event."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask the job to save and end at its next safe point; may be called from any thread."""
        self._stop.set()

    @property
    def stop_requested(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()
