"""What a policy was dreamt to be worth beside what it was worth for real, round by round, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from ewm_studio.events import Message
from ewm_studio.models.base import Controller
from ewm_studio.training.dream_watch import DreamWatch, worth
from ewm_studio.training.rollback import Rollback

Earned = tuple[float, float]  # a decision's mean reward, and the chance that the episode ended for good with it


class Comparison:
    """Dream and reality of a run.

    Attributes:
        watch: of all rounds.
        rollback: the way back.
        earned: in each row acted in this round.
        dreamt: in each update of this round.
        figures: of the last round that was acted.
    """

    def __init__(self, controller: Controller, share: float, gamma: float) -> None:
        """Compare what `controller` is worth.

        Args:
            controller: what learns.
            share: of the way from chance to its best round, below which it is set back.
            gamma: discount of future rewards, by which an end costs what would have come.
        """
        self.watch, self.rollback, self.gamma = DreamWatch(), Rollback(controller, share), gamma
        self.earned: list[Earned] = []
        self.dreamt: list[Earned] = []
        self.figures: dict[str, float] = {}

    def tried(self, reward: Tensor, ended: Tensor) -> None:
        """Take in rewards and ends for good (T, B) of random actions: what is worth no more, nobody has learned."""
        chance = self._worth([(float(reward.mean()), float(ended.float().mean()))])
        if math.isfinite(chance):
            self.rollback.chance = chance

    def acted(self, reward: Tensor, ended: Tensor) -> None:
        """Take in rewards and ends for good (T, B) of a piece of this round, which may be shorter than others."""
        self.earned += zip(reward.mean(1).tolist(), ended.float().mean(1).tolist(), strict=True)

    def _worth(self, rows: list[Earned]) -> float:
        reward, end = np.mean(rows, axis=0)
        return worth(float(reward), float(end), self.gamma)

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
            self.figures = {"dream/real_reward": float(np.mean([reward for reward, _ in self.earned]))}
            real = self._worth(self.earned)
            if math.isfinite(real) and self.watch.acted(real):
                self.figures |= self.watch.figures()
                if self.watch.fooled:
                    yield Message(
                        f"round {number}: the dream is being cheated: what a decision is worth has risen in dreams and "
                        "fallen for real three rounds running; the best checkpoint is chosen by the real score",
                        "warning",
                    )
            set_back = math.isfinite(real) and not vision_learned and self.rollback.acted(real)
            if set_back:
                yield Message(
                    f"round {number}: a decision was worth {real:.3g}, ends counted: back to the controller of the "
                    "best round"
                )
        if self.dreamt and not set_back:  # of a controller that was given up, nothing will be earned
            self.watch.dreamt = self._worth(self.dreamt[-max(1, len(self.dreamt) // 4) :])
        self.earned, self.dreamt = [], []

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return {
            "rewards": [self.earned, self.dreamt],
            "compared": self.figures,
            "watch": self.watch.state(),
            "rollback": self.rollback.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.earned, self.dreamt = ([tuple(row) for row in part] for part in state["rewards"])
        self.figures = dict(state["compared"])
        self.watch.restore(state["watch"])
        self.rollback.restore(state["rollback"])
