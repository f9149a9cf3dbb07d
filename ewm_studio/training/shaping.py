"""What the rules of training add to rewards, in dreams too.

Memory foretells what the environment pays, so that its dreams are of the environment. Rules such as `env.skip_penalty`
are of training alone: a small network beside memory learns them from memory's features, and is paid out in the dreams
that the controller learns in, nowhere else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ewm_studio.models.base import Imagined, Losses, MemoryModel, SequenceBatch, State
from ewm_studio.models.randomness import drawing_from, integers, make_generator
from ewm_studio.settings import ComponentSettings
from ewm_studio.training.adam import FusedAdam
from ewm_studio.training.optimize import as_floats
from ewm_studio.training.replayed import Replayed

MOST_SEEDS = 2**31 - 1
HIDDEN = 128
RATE = 1e-3
LONGEST_GRADIENT = 10.0


class ShapedMemory(MemoryModel[ComponentSettings]):
    """Another memory, whose dreams pay what the rules of training add as well.

    Attributes:
        inner: the memory, which stays as it is.
        head: h (B, H) -> what is added (B, 1), in units of `scale`.
        scale: root mean square of all that was added when first anything was; 0 before.
    """

    scale: Tensor

    def __init__(self, inner: MemoryModel, generator: Generator | None = None) -> None:
        """Wrap `inner`; the first weights are drawn by `generator`."""
        super().__init__(inner.settings, inner.latent_dim, inner.action_dim)
        self.tags = inner.tags  # type: ignore[misc]  # of the class elsewhere, here of what is wrapped
        self.hidden_dim, self.inner = inner.hidden_dim, inner
        with drawing_from(make_generator(int(integers(MOST_SEEDS, 1, generator)))):
            last = nn.Linear(HIDDEN, 1)
            self.head = nn.Sequential(
                nn.LayerNorm(inner.hidden_dim), nn.Linear(inner.hidden_dim, HIDDEN), nn.SiLU(), last
            )
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.register_buffer("scale", torch.zeros(()))
        self.to(inner.device)
        self.optimizer = FusedAdam(self.head, RATE)

    def learn(self, real: Replayed, shaping: Tensor) -> dict[str, float]:
        """One step on what was lived.

        Args:
            real: sequences, walked through by the present memory.
            shaping: (T, B) what the rules added at each of their steps.
        """
        counts = (real.valid & real.settled).flatten().nonzero().squeeze(-1)
        if not len(counts):
            return {}
        h, wanted = real.h[1:].flatten(0, 1)[counts], shaping.flatten()[counts]
        if not self.scale:
            self.scale = wanted.square().mean().sqrt()
        if not self.scale:
            return {}
        loss = (self.head(h).squeeze(-1).float() - wanted / self.scale).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step(self.optimizer.clip(LONGEST_GRADIENT))
        return as_floats({"dream/shaping_loss": loss.detach()})

    def initial_state(self, batch: int) -> State:
        """As of the memory within."""
        return self.inner.initial_state(batch)

    def step(self, z: Tensor, action: Tensor, state: State, generator: Generator | None = None) -> tuple[Tensor, State]:
        """As of the memory within."""
        return self.inner.step(z, action, state, generator)

    def sequence(
        self, z: Tensor, action: Tensor, is_first: Tensor, state: State, generator: Generator | None = None
    ) -> tuple[Tensor, State]:
        """As of the memory within."""
        return self.inner.sequence(z, action, is_first, state, generator)

    def imagine(
        self, z: Tensor, action: Tensor, state: State, temperature: float = 1.0, generator: Generator | None = None
    ) -> Imagined:
        """What the memory within imagines, and what the rules would add to its reward."""
        dreamt = self.inner.imagine(z, action, state, temperature, generator)
        return replace(dreamt, reward=dreamt.reward + self.scale * self.head(dreamt.h).squeeze(-1).float())

    def loss(self, batch: SequenceBatch, state: State, generator: Generator | None = None) -> Losses:
        """Nothing: the memory within is trained by itself."""
        return {}

    def saved(self) -> dict[str, Any]:
        """Of what is learned here, for an exact resume."""
        return {"head": dict(self.head.state_dict()), "scale": self.scale, "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `saved`."""
        self.head.load_state_dict(state["head"])
        self.scale = state["scale"].to(self.scale)
        self.optimizer.load_state_dict(state["optimizer"])
