"""A memory left to itself: one imagined step after another, under actions that are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Generator, Tensor

from ewm_studio.models.base import Imagined, MemoryModel, State


def imagined(
    memory: MemoryModel,
    z: Tensor,
    state: State,
    actions: Iterable[Tensor],
    temperature: float = 1.0,
    generator: Generator | None = None,
) -> Iterator[Imagined]:
    """What would follow, step by step.

    Args:
        memory: predicts.
        z: latents (B, Z) to begin at.
        state: the memory's, before the first step.
        actions: an encoded action (B, A) for every step.
        temperature: 0 takes the likeliest latents, 1 draws them with memory's own spread.
        generator: draws them.
    """
    for action in actions:
        dreamt = memory.imagine(z, action, state, temperature, generator)
        yield dreamt
        z, state = dreamt.z, dreamt.state


def in_draws(state: State, draws: int) -> State:
    """The state (B, ...) of so many dreams of each, (draws * B, ...): all of the first draw, then of the second."""
    return {name: value.repeat(draws, *[1] * (value.dim() - 1)) for name, value in state.items()}
