"""Where a dream that is driven begins, in plain values that could travel anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ewm_studio.dreams.limits import FRESH_FRAMES
from ewm_studio.workspace.replays import load_replay

if TYPE_CHECKING:
    from ewm_studio.acting.agent import Agent  # brings torch, for which a window does not wait
    from ewm_studio.dreams.starts import Start


@dataclass(frozen=True, slots=True)
class FromReplay:
    """A frame of a replay's file."""

    path: Path
    frame: int
    words: str = ""  # what the replay is called


@dataclass(frozen=True, slots=True)
class FromRecording:
    """A frame of a recorded episode's file."""

    path: Path
    frame: int


@dataclass(frozen=True, slots=True)
class FromTrack:
    """A fresh episode, in which the controller acts for some frames, or nobody."""

    seed: int
    frames: int = FRESH_FRAMES
    controller: bool = True


@dataclass(frozen=True, slots=True)
class FromNowhere:
    """Latents that are drawn."""

    seed: int


Source = FromReplay | FromRecording | FromTrack | FromNowhere


@dataclass(frozen=True, slots=True)
class DreamBeginning:
    """All that a driven dream begins with.

    Attributes:
        model: the model's file.
        name: what it is called.
        source: where it begins.
        seed: of what is drawn.
        temperature: of the draws.
        beside: reality beside it, where it can be.
        measure: of the trust meter, as an assessment found it (`trust.usual`); None measures the dream by its own
            first steps.
    """

    model: Path
    name: str
    source: Source
    seed: int = 0
    temperature: float = 1.0
    beside: bool = True
    measure: dict[str, float] | None = None


def load_start(agent: Agent, source: Source) -> Start:
    """Stand where a dream is to begin.

    Raises:
        UserError: nothing can be dreamt from there, and why. JobError: the environment failed.
    """
    from ewm_studio.acting.policy import ControllerPolicy
    from ewm_studio.dreams import starts

    if isinstance(source, FromReplay):
        return starts.from_replay(agent, load_replay(source.path), source.frame, source.words or source.path.stem)
    if isinstance(source, FromRecording):
        return starts.from_recording(agent, source.path, source.frame)
    if isinstance(source, FromTrack):
        act = ControllerPolicy(agent.model.controller, greedy=True).act if source.controller else None
        return starts.from_track(agent, source.seed, act, source.frames)
    return starts.from_nowhere(agent, source.seed)
