"""What can be asked of a dream that is driven, beside what can be asked of any drive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ewm_studio.driving.commands import LetGo, Pause, Press, Release, Restart, Resume, SetKeys, SetSpeed, TakeOver

Who = Literal["controller", "planner", "recorded"]
Under = Literal["action", "controller", "turns"]


@dataclass(frozen=True, slots=True)
class Step:
    """One decision, then rest."""


@dataclass(frozen=True, slots=True)
class Rewind:
    """Go back so many steps, over the beginnings of branches, at most to the start, and rest there."""

    steps: int = 1


@dataclass(frozen=True, slots=True)
class GoTo:
    """Stand at a step of a branch, and rest there. Driving on from the middle of a branch begins another."""

    branch: int
    step: int


@dataclass(frozen=True, slots=True)
class Fork:
    """Begin a branch here; of another seed it goes another way under the same actions."""

    seed: int | None = None


@dataclass(frozen=True, slots=True)
class NameBranch:
    """Give a branch a name; an empty one takes it away."""

    branch: int
    name: str


@dataclass(frozen=True, slots=True)
class KeepBranch:
    """Have a branch stay until it is let go."""

    branch: int
    kept: bool = True


@dataclass(frozen=True, slots=True)
class DeleteBranch:
    """Take away a branch and all that leave it."""

    branch: int


@dataclass(frozen=True, slots=True)
class LetDrive:
    """Somebody else decides from the next step on, until a key is pressed: the controller, a planner, or what was
    recorded after the frame that the dream begins at."""

    who: Who


@dataclass(frozen=True, slots=True)
class SetRival:
    """Have the controller drive from the same start beside whoever drives, or no more."""

    on: bool = True


@dataclass(frozen=True, slots=True)
class SetTemperature:
    """Of the draws from the next step on: 0 takes the likeliest, 1 is memory's own spread."""

    value: float


@dataclass(frozen=True, slots=True)
class DrawFan:
    """Draw futures from here: under the last action, the controller, or each of left, straight, right.

    They come as a `FanDrawn`, drawn in a thread of their own; what is driven does not wait.
    """

    under: Under = "action"
    count: int = 7
    steps: int = 16


@dataclass(frozen=True, slots=True)
class EditLatents:
    """Put other numbers into the latent, (dimension, value) each, on a new branch."""

    values: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class SwapModel:
    """Let the vision (v), the memory (m) or both (vm) of another model take over, once it is loaded."""

    path: Path
    name: str
    parts: str = "vm"


@dataclass(frozen=True, slots=True)
class KeepRecording:
    """Keep the way from the start to here as an episode of a recording, marked as dreamt."""

    folder: Path


@dataclass(frozen=True, slots=True)
class SaveDream:
    """Write the whole tree into a folder of its own."""

    folder: Path


DreamCommand = (
    Press
    | Release
    | LetGo
    | Pause
    | Resume
    | Restart
    | SetSpeed
    | SetKeys
    | TakeOver
    | Step
    | Rewind
    | GoTo
    | Fork
    | NameBranch
    | KeepBranch
    | DeleteBranch
    | LetDrive
    | SetRival
    | SetTemperature
    | DrawFan
    | EditLatents
    | SwapModel
    | KeepRecording
    | SaveDream
)
