"""Dreamt beside real worth, round by round: whether the dream can be believed, or is being cheated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

ROUNDS_FOOLED = 3  # so many rounds running dreamt worth rises while real worth falls
MOVED = 0.1  # of the range that each has had: less than that in these rounds is chance
ROUNDING = 1e-6  # of the largest value: less than that is no change
LEAST = 4  # differences below which a correlation says nothing
LAST = 20  # rounds that the correlation is taken over
LONGEST = 1000  # decisions that count where nothing is discounted


def worth(reward: float, end: float, gamma: float) -> float:
    """What a decision is worth with ends counted, in rewards: the reward itself where no episode ends for good.

    It is (1 - gamma) times the discounted return of whoever earns `reward` a decision and is over with the chance
    `end` after each. By rewards alone a pole that falls at once is as good as one that never does.
    """
    gamma = min(gamma, 1 - 1 / LONGEST)
    return reward * (1 - gamma) / (1 - gamma * (1 - end))


@dataclass
class DreamWatch:
    """What was dreamt of every policy, and what the same policy then was for real.

    Attributes:
        pairs: what a decision was worth, dreamt at the end of a round and for real in the next, oldest first.
        dreamt: of the round that was not yet acted; None before the first.
    """

    pairs: list[tuple[float, float]] = field(default_factory=list)
    dreamt: float | None = None

    def acted(self, real: float) -> bool:
        """The policy of the last round was worth so much; gives whether anything was dreamt of it."""
        if self.dreamt is None:
            return False
        self.pairs.append((self.dreamt, real))
        self.dreamt = None
        return True

    @property
    def fooled(self) -> bool:
        """Whether the dreamt worth has risen and the real one fallen, `ROUNDS_FOOLED` times running and by much."""
        if len(self.pairs) <= ROUNDS_FOOLED:
            return False
        pairs = np.array(self.pairs)
        up, down = (np.diff(pairs[-ROUNDS_FOOLED - 1 :], axis=0) * (1, -1)).T
        moved = np.abs(pairs[-1] - pairs[-ROUNDS_FOOLED - 1])
        by_much = moved > np.maximum(MOVED * np.ptp(pairs, axis=0), _rounding(pairs))
        return bool((up > 0).all() and (down > 0).all() and by_much.all())

    def figures(self) -> dict[str, float]:
        """The last pair and its gap, dreamt less real, and how the rounds' differences correlate; what is known.

        Differences, not levels: two that both rise agree whatever the dream is worth.
        """
        if not self.pairs:
            return {}
        dreamt, real = self.pairs[-1]
        figures = {"dream/worth": dreamt, "dream/real_worth": real, "dream/gap": dreamt - real}
        pairs = np.array(self.pairs[-LAST - 1 :])
        changes = np.diff(pairs, axis=0)
        if len(changes) >= LEAST and (changes.std(0) > _rounding(pairs)).all():
            figures["dream/correlation"] = float(np.corrcoef(changes.T)[0, 1])
        return figures

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return {"pairs": list(self.pairs), "dreamt": self.dreamt}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.pairs, self.dreamt = list(state["pairs"]), state["dreamt"]


def _rounding(pairs: np.ndarray) -> np.ndarray:
    """Changes (2,) of either side of pairs (N, 2) that are none."""
    return ROUNDING * np.abs(pairs).max(0)
