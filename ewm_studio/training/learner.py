"""How a policy learns: one interface for whatever changes its parameters from experience."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

LearnsFrom = TypeVar("LearnsFrom", contravariant=True)


class Learner(Protocol[LearnsFrom]):
    """Changes parameters from experience, one update after another.

    The experience is a `Collector`, which acts with the present policy wherever that may be, or what was recorded.
    """

    def update(self, experience: LearnsFrom, left: float) -> dict[str, float]:
        """Learn once more; the figures of the update by their names.

        Args:
            experience: what is learned from.
            left: the share of the run, 1 to 0, that was to come before this update.

        Raises:
            JobError: a loss is not finite.
        """

    def state(self) -> dict[str, Any]:
        """Everything besides the weights and the random numbers that the next update depends on."""

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
