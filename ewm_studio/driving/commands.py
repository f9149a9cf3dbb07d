"""What can be asked of a drive: small values that say everything themselves, so that they could travel anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ewm_studio.driving.controls import KeyMap  # brings environments with it, for which a window does not wait


@dataclass(frozen=True, slots=True)
class Press:
    """A key goes down: it moves, takes over from the model, and begins an episode where one waits."""

    key: str


@dataclass(frozen=True, slots=True)
class Release:
    """A key goes up."""

    key: str


@dataclass(frozen=True, slots=True)
class LetGo:
    """Nobody watches the keys any more: all go up, axes go back to zero, and a person's driving rests."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Rest."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on; after an episode's end, with the next one."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Begin the episode again, on the same seed; what was recorded of it is forgotten."""


@dataclass(frozen=True, slots=True)
class Keep:
    """End the episode here, keep what was recorded of it, and begin another."""


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget the episode, also one that has just ended and was kept, and begin another."""

    to_bin: bool = False  # it is written, and whoever is told of it moves it to the bin, from where it can be taken


@dataclass(frozen=True, slots=True)
class Record:
    """Record into a folder from now on; None: no more, and what was recorded of the episode is kept."""

    folder: Path | None


@dataclass(frozen=True, slots=True)
class SetSpeed:
    """Slow motion: 0.25 is a quarter of the true pace."""

    factor: float


@dataclass(frozen=True, slots=True)
class SetKeys:
    """Drive by other keys: those of some moves, the others as usual."""

    keys: KeyMap


@dataclass(frozen=True, slots=True)
class LoadModel:
    """Take a saved model along, once it is loaded; the drive goes on meanwhile."""

    path: Path
    name: str  # what it is called
    greedy: bool = True  # whether it takes its likeliest action
    drives: bool = False  # whether it drives from then on; where a model drives already, from the next episode on


@dataclass(frozen=True, slots=True)
class DropModel:
    """Leave the model behind, or the one that is being loaded."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """The model on board drives, until a key is pressed."""


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The person drives."""


Command = (
    Press
    | Release
    | LetGo
    | Pause
    | Resume
    | Restart
    | Keep
    | Discard
    | Record
    | SetSpeed
    | SetKeys
    | LoadModel
    | DropModel
    | HandOver
    | TakeOver
)
