"""What a tree of dreams is made of: steps, branches, and places among them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from numpy.typing import NDArray

if TYPE_CHECKING:
    from ewm_studio.dreams.beside import RealStep  # brings torch, for which a window does not wait


@dataclass(frozen=True, slots=True, eq=False)
class DreamStep:
    """One decision in a dream and what came of it.

    Attributes:
        action: as the environment takes it.
        z: the latent (Z,) that followed, float32.
        reward: expected by memory.
        end: the probability that the episode ended with it.
        ended: whether it was drawn to have ended.
        temperature: that it was drawn at.
        driver: who decided: person, controller, planner, recorded.
        trust: of the meter, 1 as at first; NaN where it was not read.
        value, entropy: of the controller at what followed; NaN where there is none.
        real: what reality did; None where it was not beside.
    """

    action: NDArray
    z: NDArray
    reward: float
    end: float
    ended: bool
    temperature: float
    driver: str = "person"
    trust: float = math.nan
    value: float = math.nan
    entropy: float = math.nan
    real: RealStep | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A step of a branch; steps are counted from where the whole dream begins, which is 0."""

    branch: int
    step: int


@dataclass(eq=False)
class Branch:
    """Steps in a row that leave another branch, or begin the dream.

    Attributes:
        number: of the branch; the first is 0.
        parent: the branch that it leaves; None for the first.
        at: the step at which it leaves it.
        how: what made it another: "you turned", "seed 5", "z 3 edited", "memory of carracing-2".
        seed: what its draws come from.
        model: the number of the model that dreams.
        root: the latent (Z,) that it begins at.
        steps: those after `at`.
        name: given by the person; empty for none.
        kept: not to be deleted before it is let go.
        edited: dimensions of the latent that were set by hand where it begins.
        dreamt_before, real_before: returns from the start to where it begins; the second NaN where reality was not
            beside.
        dreamt, real: likewise to the tip.
    """

    number: int
    parent: int | None
    at: int
    how: str
    seed: int
    model: int
    root: NDArray
    steps: list[DreamStep] = field(default_factory=list)
    name: str = ""
    kept: bool = False
    edited: tuple[int, ...] = ()
    dreamt_before: float = 0.0  # returns from the start to where it begins
    real_before: float = 0.0
    drivers: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.dreamt, self.real = self.dreamt_before, self.real_before

    def add(self, step: DreamStep) -> None:
        """One step more."""
        self.steps.append(step)
        self.dreamt += step.reward
        self.real += step.real.reward if step.real is not None else math.nan
        self.drivers[step.driver] += 1

    @property
    def tip(self) -> int:
        """The last step."""
        return self.at + len(self.steps)


@dataclass(frozen=True, slots=True)
class BranchInfo:
    """What a drawing of the tree shows of a branch. `dreamt` and `real` are returns from the start to its tip."""

    number: int
    parent: int | None
    at: int
    tip: int
    name: str
    how: str
    kept: bool
    driver: str  # who decided most of it
    model: str
    temperature: float  # of the last step
    dreamt: float
    real: float  # NaN where reality was not beside
    ended: bool
    here: bool  # the present place is on it
