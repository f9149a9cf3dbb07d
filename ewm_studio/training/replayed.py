"""What was lived, as a memory believes it now: where dreams begin, and what keeps the value true."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ewm_studio.models.base import SequenceBatch, State
from ewm_studio.models.belief import Belief
from ewm_studio.models.randomness import integers
from ewm_studio.models.world_model import WorldModel


@dataclass(frozen=True)
class Replayed:
    """Sequences of T steps of B episodes, walked through by the present memory.

    Attributes:
        z: latents (T + 1, B, Z).
        h: hidden states (T + 1, B, H) at them.
        memory: memory's state (T, B, ...) before every step, by name.
        reward: (T, B).
        terminated: (T, B) bool.
        valid: (T, B) bool: the step is real, what it earned is known, and z[t + 1] follows it or it ended the episode.
        settled: (T, B) bool: the step is real, and memory has seen the episode's start or `context` steps of it.
    """

    z: Tensor
    h: Tensor
    memory: State
    reward: Tensor
    terminated: Tensor
    valid: Tensor
    settled: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, world: WorldModel, batch: SequenceBatch, context: int = 4) -> Replayed:
        """Walk through a batch.

        Args:
            world: whose memory.
            batch: sequences, which may begin anywhere in an episode.
            context: steps after which a memory that did not see the episode's start is believed.
        """
        memory, count = world.memory, batch.z.shape[1]
        h, state = memory.initial_hidden(count).to(batch.z), memory.initial_state(count)
        hidden, states = [], []
        for z, action, first in zip(batch.z, batch.action, batch.is_first, strict=False):
            state, h = memory.reset(state, first), h.masked_fill(first[:, None], 0.0)
            hidden.append(h)
            states.append(state)
            h, state = memory.step(z, action, state)
        seen = batch.is_first.cumsum(0) > 0
        seen[context:] = True
        return cls(
            batch.z,
            torch.stack([*hidden, h]),
            {name: torch.stack([state[name] for state in states]) for name in state},
            batch.reward,
            batch.terminated,
            batch.mask & batch.known & (batch.valid | batch.terminated),
            batch.mask & seen,
        )

    def starts(self, count: int, generator: Generator | None = None) -> Belief:
        """So many settled beliefs, drawn by `generator`.

        Raises:
            ValueError: there is none.
        """
        settled = self.settled.flatten().nonzero().squeeze(-1)
        if not len(settled):
            raise ValueError("no step of these sequences has a memory to begin a dream with")
        index = settled[integers(len(settled), count, generator).to(settled.device)]
        steps = slice(0, len(self.settled))
        memory = {name: value.flatten(0, 1)[index] for name, value in self.memory.items()}
        return Belief(self.z[steps].flatten(0, 1)[index], self.h[steps].flatten(0, 1)[index], memory)
