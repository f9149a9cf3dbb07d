"""Sequences of latents and actions for a memory to train on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from numpy.typing import NDArray
from torch import Tensor

from ewm_studio.data.experience import StoredSequences
from ewm_studio.data.replay_buffer import ReplayedRows
from ewm_studio.data.sequence_replay import Stretches
from ewm_studio.models.base import SequenceBatch


def to_sequence_batch(
    sequences: StoredSequences, latents: Tensor, encode_action: Callable[[Tensor], Tensor]
) -> SequenceBatch:
    """Sequences as a memory trains on them.

    Args:
        sequences: from `Experience.sequence_batches`.
        latents: (frames, Z) by number in the store.
        encode_action: the environment's actions (T, B, ...) -> (T, B, A).

    Returns:
        The batch on the device of `latents`.
    """

    def tensor(array: NDArray) -> Tensor:
        return torch.from_numpy(array).to(latents.device)

    return SequenceBatch(
        z=latents[tensor(sequences.frames)],
        action=encode_action(tensor(sequences.action)),
        reward=tensor(sequences.reward),
        terminated=tensor(sequences.terminated),
        is_first=tensor(sequences.is_first),
        valid=tensor(sequences.valid),
        mask=tensor(sequences.mask),
        known=tensor(sequences.known),
    )


def lived_batch(stretches: Stretches, encode_action: Callable[[Tensor], Tensor]) -> SequenceBatch:
    """What was lived as a memory trains on it.

    The observation that an episode ended with was not kept: `valid` says so, while reward and end are known.
    """
    everywhere = torch.ones_like(stretches.ended)
    return SequenceBatch(
        z=stretches.z,
        action=encode_action(stretches.action),
        reward=stretches.reward,
        terminated=stretches.terminated,
        is_first=stretches.is_first,
        valid=~stretches.ended,
        mask=everywhere,
        known=everywhere,
    )


def chunk_of(batch: SequenceBatch, part: slice, index: Tensor) -> SequenceBatch:
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


def to_replayed_batch(
    rows: ReplayedRows, encode_action: Callable[[Tensor], Tensor], device: torch.device
) -> SequenceBatch:
    """Rows of a replay buffer as a memory trains on them, on `device`."""
    return SequenceBatch(
        z=rows.z.to(device),
        action=encode_action(rows.action.to(device)),
        reward=rows.reward.to(device),
        terminated=rows.terminated.to(device),
        is_first=rows.is_first.to(device),
        valid=rows.valid.to(device),
        mask=rows.mask.to(device),
        known=rows.mask.to(device),
    )
