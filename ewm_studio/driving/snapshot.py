"""What a drive says to whoever shows it: how it stands, and what became of its episodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Driver = Literal["person", "model"]
DriveState = Literal["starting", "driving", "paused", "ended", "over"]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """How things stand after a step."""

    state: DriveState
    frame: np.ndarray | None = None  # uint8 (H, W, 3)
    drawn_at: float = 0.0  # time.monotonic() when `frame` was drawn
    driver: Driver = "person"
    episode: int = 0
    steps: int = 0  # of the episode
    step_limit: int | None = None
    reward: float = 0.0  # of the episode
    seconds: float = 0.0  # in the world, since the episode began
    speed: float | None = None  # km/h
    held: tuple[str, ...] = ()  # names of keys
    values: tuple[float, ...] = ()  # of the axes
    action: Any = None  # executed last
    steps_per_second: float = 0.0
    period: float = 0.0  # seconds between two steps
    late: float = 0.0  # seconds after its time that the latest step came
    worst: float = 0.0  # the same, the worst of the last steps
    recording: str = ""  # name; empty while nothing is recorded
    episode_recorded: int = 0  # frames of the present episode that are recorded
    frames_recorded: int = 0  # in this session
    episodes_kept: int = 0
    bytes_kept: int = 0
    copilot: str = ""  # name of the model on board


@dataclass(frozen=True, slots=True)
class EpisodeKept:
    """An episode is safe on disk."""

    recording: str  # its name
    path: str
    reward: float
    length: int  # steps
    bytes: int


@dataclass(frozen=True, slots=True)
class EpisodeTakenBack:
    """An episode that was kept is gone from disk, as it was asked."""

    recording: str
    path: str


@dataclass(frozen=True, slots=True)
class ModelOnBoard:
    """A model is loaded and may drive."""

    name: str
