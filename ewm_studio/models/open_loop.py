"""A memory on its own predictions: from several places of every sequence, side by side.

Training a memory on the true latents alone teaches it one step; its errors, fed back, then carry a dream away within a
few. Here it is also trained on states that its own predictions led to (Venkatraman et al. 2015, "Improving multi-step
prediction of learned time series models"; measured on CarRacing it is the largest single gain of dreams).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from ewm_studio.models.base import SequenceBatch, State


@dataclass(frozen=True)
class Pieces:
    """Where in sequences of T steps a memory is left to itself, and for how long: from `context` on, every `steps`."""

    context: int
    steps: int
    length: int

    @classmethod
    def of(cls, length: int, context: int, steps: int) -> Pieces:
        """For sequences of `length` steps; a short sequence has a context of a quarter."""
        context = min(context, length // 4)
        return cls(context, min(steps, length - context), length)

    @property
    def starts(self) -> list[int]:
        """The steps at which it is left to itself."""
        return list(range(self.context, self.length, self.steps)) if self.steps > 0 else []

    @property
    def cuts(self) -> list[int]:
        """The lengths of the parts between which the memory's state is needed."""
        edges = [0, *self.starts, self.length]
        return [b - a for a, b in itertools.pairwise(edges) if b > a]

    def laid(self, values: Tensor) -> Tensor:
        """What (T, B, ...) holds in each piece, side by side: (steps, P * B, ...); behind the end stands the last."""
        index = torch.tensor(self.starts)[None] + torch.arange(self.steps)[:, None]  # (steps, P)
        return values[index.clamp(max=len(values) - 1).to(values.device)].flatten(1, 2)

    def inside(self, batch: SequenceBatch) -> Tensor:
        """(steps, P * B) bool: the step is in the sequence, and no other episode has begun since the piece did."""
        index = torch.tensor(self.starts)[None] + torch.arange(self.steps)[:, None]
        there = (index < self.length).to(batch.mask.device)[:, :, None].expand(-1, -1, batch.mask.shape[1])
        begun = self.laid(batch.is_first).clone()
        begun[0] = False  # a piece may begin with an episode
        return there.flatten(1, 2) & self.laid(batch.mask) & (begun.cumsum(0) == 0)


def joined(states: list[State]) -> State:
    """States of B rows each, one after another."""
    return {name: torch.cat([state[name] for state in states]) for name in states[0]}
