"""Sequences of latents and actions for a memory to train on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from numpy.typing import NDArray
from torch import Tensor

from ewm_studio.data.experience import Stretch
from ewm_studio.models.base import SequenceBatch


def to_sequence_batch(stretch: Stretch, latents: Tensor, encode_action: Callable[[Tensor], Tensor]) -> SequenceBatch:
    """A stretch as a memory trains on it.

    Args:
        stretch: from `Experience.sequence_batches`.
        latents: (frames, Z) by number in the store.
        encode_action: the environment's actions (T, B, ...) -> (T, B, A).

    Returns:
        The batch on the device of `latents`.
    """

    def tensor(array: NDArray) -> Tensor:
        return torch.from_numpy(array).to(latents.device)

    return SequenceBatch(
        z=latents[tensor(stretch.frames)],
        action=encode_action(tensor(stretch.action)),
        reward=tensor(stretch.reward),
        terminated=tensor(stretch.terminated),
        is_first=tensor(stretch.is_first),
        valid=tensor(stretch.valid),
        mask=tensor(stretch.mask),
        known=tensor(stretch.known),
    )


def stretch(batch: SequenceBatch, part: slice, index: Tensor) -> SequenceBatch:
    """Steps `part` of the columns `index` of a batch."""
    return SequenceBatch(
        z=batch.z[part.start : part.stop + 1, index],
        action=batch.action[part, index],
        reward=batch.reward[part, index],
        terminated=batch.terminated[part, index],
        is_first=batch.is_first[part, index],
        valid=batch.valid[part, index],
        mask=batch.mask[part, index],
        known=batch.known[part, index],
    )
