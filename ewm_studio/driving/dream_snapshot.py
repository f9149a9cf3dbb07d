"""What a dream that is driven says to whoever shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ewm_studio.dreams.branches import BranchInfo, DreamStep, Place

if TYPE_CHECKING:
    from ewm_studio.dreams.fan import Fan  # brings torch, for which a window does not wait

DreamState = Literal["starting", "driving", "paused", "ended", "over"]
DreamDriver = Literal["person", "controller", "planner", "recorded"]
LANES = ("reward", "end", "trust", "value", "entropy", "drift", "difference", "surprise", "real_reward")


@dataclass(frozen=True, slots=True, eq=False)
class DreamPath:
    """The steps from the start to the present place; a list that only grows, of which the first `count` count."""

    steps: Sequence[DreamStep] = ()
    count: int = 0

    def lane(self, name: str) -> NDArray:
        """One quantity of `LANES` (count,), NaN where it is not known; may be called from any thread."""
        steps = self.steps[: self.count]
        if name in ("drift", "difference", "surprise"):
            return np.array([getattr(step.real, name) if step.real else np.nan for step in steps], float)
        if name == "real_reward":
            return np.array([step.real.reward if step.real else np.nan for step in steps], float)
        return np.array([getattr(step, name) for step in steps], float)


@dataclass(frozen=True, slots=True, eq=False)
class DreamSnapshot:
    """How a dream stands."""

    state: DreamState
    words: str = ""  # where it begins
    dream: np.ndarray | None = None  # uint8 (H, W, 3)
    real: np.ndarray | None = None  # likewise; None where reality is not beside
    no_reality: str = ""  # why not
    rival: np.ndarray | None = None  # the same start driven by the controller, likewise; None where it is not
    rival_return: float = 0.0  # that it has dreamt by now
    drawn_at: float = 0.0  # time.monotonic() when they were drawn
    driver: DreamDriver = "person"
    looking_ahead: bool = False  # the planner has no plan yet, and nothing moves
    recorded_left: int = 0  # recorded actions that are left from here
    place: Place = field(default_factory=lambda: Place(0, 0))
    steps: int = 0  # since the start
    seconds: float = 0.0  # in the world, since the start
    path: DreamPath = field(default_factory=DreamPath)
    dreamt_return: float = 0.0
    real_return: float = float("nan")
    reward: float = 0.0  # of the last step
    end: float = 0.0  # its probability
    trust: float = float("nan")  # up to 2 green, up to 4 yellow
    trusted_until: int | None = None  # the step up to which trust is expected to last; None where that is not in sight
    drift: float = float("nan")
    parted: int | None = None  # the step at which dream and reality part company
    real_over: bool = False
    temperature: float = 1.0
    z: NDArray | None = None  # (Z,)
    spread: NDArray | None = None  # what each latent varies by (Z,)
    plan: np.ndarray | None = None  # pictures of the planner's plan (S, H, W, 3)
    held: tuple[str, ...] = ()  # names of keys
    values: tuple[float, ...] = ()  # of the axes
    action: Any = None  # executed last
    branches: tuple[BranchInfo, ...] = ()
    model: str = ""  # that dreams
    decisions_per_second: float = 0.0
    period: float = 0.0  # seconds between two decisions
    decision_seconds: float = 0.0  # that the last one took to compute
    late: float = 0.0  # seconds after its time that the latest decision came
    worst: float = 0.0  # the same, the worst of the last
    key_to_picture: float = float("nan")  # seconds from the last key to the first picture drawn after its decision


@dataclass(frozen=True, slots=True, eq=False)
class FanDrawn:
    """Futures that were asked for, one fan or one of each turn."""

    place: Place
    fans: tuple[Fan, ...]


@dataclass(frozen=True, slots=True)
class ModelSwapped:
    """Another model has taken over."""

    name: str
    parts: str


@dataclass(frozen=True, slots=True)
class DreamSaved:
    """The tree is on disk."""

    folder: str
