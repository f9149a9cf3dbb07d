"""Dreamt beside real reward, round by round: whether the dream can be believed, or is being cheated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

ROUNDS_FOOLED = 3  # so many rounds running the dreamt reward rises while the real one falls
LEAST = 4  # differences below which a correlation says nothing
LAST = 20  # rounds that the correlation is taken over


@dataclass
class DreamWatch:
    """What was dreamt of every policy, and what the same policy then earned.

    Attributes:
        pairs: reward a decision, dreamt at the end of a round and earned in the next, oldest first.
        dreamt: of the round that was not yet acted; None before the first.
    """

    pairs: list[tuple[float, float]] = field(default_factory=list)
    dreamt: float | None = None

    def acted(self, real: float) -> None:
        """The policy of the last round earned so much a decision."""
        if self.dreamt is not None:
            self.pairs.append((self.dreamt, real))
            self.dreamt = None

    @property
    def fooled(self) -> bool:
        """Whether the dreamt reward has risen and the real one fallen, `ROUNDS_FOOLED` times running."""
        changes = np.diff(np.array(self.pairs[-ROUNDS_FOOLED - 1 :]), axis=0)
        return len(changes) == ROUNDS_FOOLED and bool((changes[:, 0] > 0).all() and (changes[:, 1] < 0).all())

    def figures(self) -> dict[str, float]:
        """The last pair's gap, dreamt less real, and how the rounds' differences correlate; what is known of them.

        Differences, not levels: two rewards that both rise agree whatever the dream is worth.
        """
        if not self.pairs:
            return {}
        dreamt, real = self.pairs[-1]
        figures = {"dream/real_reward": real, "dream/gap": dreamt - real}
        changes = np.diff(np.array(self.pairs[-LAST - 1 :]), axis=0)
        if len(changes) >= LEAST and (changes.std(0) > 0).all():
            figures["dream/correlation"] = float(np.corrcoef(changes.T)[0, 1])
        return figures

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return {"pairs": list(self.pairs), "dreamt": self.dreamt}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.pairs, self.dreamt = list(state["pairs"]), state["dreamt"]
