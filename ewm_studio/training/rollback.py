"""The controller of the best round, to go back to when a later round is far worse: a dream was cheated."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ewm_studio.models.base import Controller


class Rollback:
    """Keeps the controller that was worth most for real.

    Attributes:
        share: of the way from chance to the best, below which is gone back; 0 keeps nothing.
        chance: what random actions are worth.
        best: what the controller that is kept was worth; None where none is.
    """

    def __init__(self, controller: Controller, share: float) -> None:
        self.controller, self.share = controller, share
        self.chance = 0.0
        self.best: float | None = None
        self._kept: dict[str, Tensor] = {}
        self._acting: dict[str, Tensor] = {}

    def begin(self) -> None:
        """A round is about to be acted with the controller as it is now."""
        if self.share:
            self._acting = {name: value.clone() for name, value in self.controller.state_dict().items()}

    def acted(self, worth: float) -> bool:
        """That round was worth so much; gives whether the controller was set back.

        What was gone back to is then no longer the measure: vision and memory have moved on since it was the best.
        """
        if not self._acting:
            return False
        learned = -1.0 if self.best is None else self.best - self.chance
        if learned > 0 and worth < self.chance + self.share * learned:
            self.controller.load_state_dict(self._kept)
            self.forget()
            return True
        if self.best is None or worth >= self.best:
            self.best, self._kept = worth, self._acting
        return False

    def forget(self) -> None:
        """What was best is not known any more, as when vision has learned and every latent means something else."""
        self.best, self._kept = None, {}

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return {"chance": self.chance, "best": self.best, "kept": self._kept, "acting": self._acting}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.chance, self.best = state["chance"], state["best"]
        self._kept, self._acting = state["kept"], state["acting"]
