"""What a world model holds true of the present: the value that is observed for, imagined on from, and acted on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ewm_studio.models.base import State


@dataclass(frozen=True)
class Belief:
    """The present of B episodes.

    Attributes:
        z: latents (B, Z) of the present observations.
        h: hidden states (B, H) that memory made of everything before.
        memory: memory's state before this step.
    """

    z: Tensor
    h: Tensor
    memory: State

    def __len__(self) -> int:
        return len(self.z)

    def rows(self, index: Tensor | list[int] | slice) -> Belief:
        """The belief of these episodes alone."""
        return Belief(self.z[index], self.h[index], {name: value[index] for name, value in self.memory.items()})

    def where(self, chosen: Tensor, other: Belief) -> Belief:
        """`other` where `chosen` (B,) is true, this one elsewhere."""
        memory = {name: _where(chosen, other.memory[name], value) for name, value in self.memory.items()}
        return Belief(_where(chosen, other.z, self.z), _where(chosen, other.h, self.h), memory)

    def clone(self) -> Belief:
        """A copy that shares nothing."""
        return Belief(self.z.clone(), self.h.clone(), {name: value.clone() for name, value in self.memory.items()})


def _where(chosen: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(chosen.view(-1, *[1] * (other.dim() - 1)), one, other)
