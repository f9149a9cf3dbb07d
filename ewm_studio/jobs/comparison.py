"""What a policy was dreamt to earn beside what it earned for real, round by round, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from ewm_studio.events import Message
from ewm_studio.models.base import Controller
from ewm_studio.training.dream_watch import DreamWatch
from ewm_studio.training.rollback import Rollback


class Comparison:
    """Dream and reality of a run.

    Attributes:
        watch: of all rounds.
        rollback: the way back.
        earned: reward a decision, in each row acted in this round.
        dreamt: the same in each update of this round.
    """

    def __init__(self, controller: Controller, share: float) -> None:
        """Compare what `controller` earns; below `share` of its best round it is set back."""
        self.watch, self.rollback = DreamWatch(), Rollback(controller, share)
        self.earned: list[float] = []
        self.dreamt: list[float] = []

    def acted(self, reward: Tensor) -> None:
        """Take in rewards (T, B) of a piece of this round, which may be shorter than others."""
        self.earned += reward.mean(1).tolist()

    def end_round(self, number: int, vision_learned: bool) -> Iterator[Message]:
        """Compare, once a round; tells what is to be known. Again in the same round does nothing.

        Args:
            number: of the round.
            vision_learned: in this round, after it was acted: every latent means something else now, so that no
                controller of before can be gone back to.
        """
        set_back = False
        if vision_learned:
            self.rollback.forget()
        if self.earned:
            real = float(np.mean(self.earned))
            self.watch.acted(real)
            if self.watch.fooled:
                yield Message(
                    f"round {number}: the dream is being cheated: dreamt reward has risen and real reward fallen "
                    "three rounds running; the best checkpoint is chosen by the real one",
                    "warning",
                )
            set_back = not vision_learned and self.rollback.acted(real)
            if set_back:
                yield Message(f"round {number} earned {real:.3g} a decision: back to the controller of the best round")
        if self.dreamt and not set_back:  # of a controller that was given up, nothing will be earned
            self.watch.dreamt = float(np.mean(self.dreamt[-max(1, len(self.dreamt) // 4) :]))
        self.earned, self.dreamt = [], []

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return {
            "rewards": [self.earned, self.dreamt],
            "watch": self.watch.state(),
            "rollback": self.rollback.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.earned, self.dreamt = (list(part) for part in state["rewards"])
        self.watch.restore(state["watch"])
        self.rollback.restore(state["rollback"])
