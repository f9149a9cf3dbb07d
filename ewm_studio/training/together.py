"""Vision and memory trained as one model: vision also learns to hold what memory can foretell.

Memory's gradient goes on through the latents into vision's encoder, weighed; memory itself learns at its full rate. A
latent that said nothing would be foretold best of all, and vision's own loss, which has to make pictures of it, is what
keeps it from that. DreamerV3 weighs what moves the representation by a tenth for the same reason. See `weighed` for why
a weight alone is not enough.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ewm_studio.data.experience import StoredSequences
from ewm_studio.data.frames import FrameStore
from ewm_studio.errors import UserError
from ewm_studio.models.base import Losses, Tag
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import Experiment
from ewm_studio.training.finite import check_finite
from ewm_studio.training.optimize import ComponentTrainer, as_floats, trainers_of
from ewm_studio.training.sequences import to_sequence_batch

NAME = "together"


class TogetherTrainer:
    """Trains vision and memory by one backward pass; each has an optimiser of its own.

    Attributes:
        component: both of them.
    """

    name = "vision and memory together"

    def __init__(self, model: WorldModel, trainers: dict[str, ComponentTrainer], weight: float) -> None:
        """Train what `trainers` train; memory's gradient reaches vision with this weight."""
        self.model, self.trainers, self.weight = model, trainers, weight
        self.component = nn.ModuleDict({name: trainer.component for name, trainer in trainers.items()})

    def losses(self, sequences: StoredSequences, store: FrameStore, generator: Generator | None = None) -> Losses:
        """Losses of both on B stored sequences of T steps, as `vision/...` and `memory/...`, and their sum, `total`.

        Every frame is encoded once, with gradient, and vision's own loss is on these frames.

        Args:
            sequences: what memory trains on.
            store: holds their frames.
            generator: draws what the losses draw.
        """
        numbers, places = np.unique(sequences.frames, return_inverse=True)
        own = replace(sequences, frames=places.reshape(sequences.frames.shape))
        frames = torch.from_numpy(store.read(numbers)).to(self.model.device)  # (N, ...)
        z = self.model.vision.encode(frames)
        batch = to_sequence_batch(own, weighed(z, self.weight), self.model.action_encoding)
        apart = self.model.losses(obs=frames, sequences=batch, generator=generator)
        named = {f"{kind}/{name}": value for kind, part in apart.items() for name, value in part.items()}
        return {"total": named["vision/total"] + named["memory/total"], **named}

    def slow_to(self, share: float) -> None:
        """Make the next steps with this share of the learning rates."""
        for trainer in self.trainers.values():
            trainer.slow_to(share)

    def step(self, losses: Losses) -> dict[str, float]:
        """Minimise `losses["total"]` by one step of each; gives the losses of both and the norms of their gradients.

        Raises:
            JobError: a loss is not finite.
        """
        figures = {name: value.detach() for name, value in losses.items() if name != "total"}
        optimizers = {name: trainer.optimizer for name, trainer in self.trainers.items() if trainer.optimizer}
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        losses["total"].backward()
        for name, optimizer in optimizers.items():
            norm = optimizer.clip(self.trainers[name].max_grad_norm)
            optimizer.step(norm)
            figures[f"{name}/grad_norm"] = norm
        values = as_floats(figures)
        check_finite(values)
        for trainer in self.trainers.values():
            trainer.component.after_update(trainer.generator)
        return values

    def state_dict(self) -> dict[str, Any]:
        """The optimisers' states, by component."""
        return {name: trainer.state_dict() for name, trainer in self.trainers.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave; the learning rates are those of the present settings."""
        for name, trainer in self.trainers.items():
            trainer.load_state_dict(state[name])


def trainers_by_stage(
    model: WorldModel, experiment: Experiment, generator: Generator | None = None
) -> dict[str, ComponentTrainer | TogetherTrainer]:
    """The trainers of `trainers_of`, or one of both by the name of `NAME` where `world_model.together` asks for it.

    Raises:
        UserError: there is nothing to train, or not both, or no gradient of memory's would reach this vision.
    """
    trainers = trainers_of(model, experiment, generator)
    if not experiment.world_model.together:
        return {**trainers}
    if len(trainers) < 2:
        raise UserError(
            f"world_model.together trains vision and memory as one, but of {model.summary()} only "
            f"{' and '.join(trainers)} is to be trained; turn it off, or choose others with --vision and --memory"
        )
    vision = model.vision
    if Tag.RECONSTRUCTS not in vision.tags or not _lets_through(model):
        reason = "codes let no gradient through" if vision.code_cells else "nothing would keep its latents from a point"
        raise UserError(
            f"world_model.together needs a vision with a gradient through its latents that makes pictures of them, and "
            f"of {type(vision).__name__} {reason}; turn it off, or choose ConvVAE with --vision"
        )
    return {NAME: TogetherTrainer(model, trainers, experiment.world_model.together_weight)}


def _lets_through(model: WorldModel) -> bool:
    """Whether a gradient at the latents reaches vision's weights."""
    space = model.observation_space
    blank = torch.from_numpy(np.zeros((1, *space.shape), space.dtype)).to(model.device)
    return model.vision.encode(blank).requires_grad


def weighed(z: Tensor, weight: float) -> Tensor:
    """Latents (N, Z) as they are, whose gradient is weighed by `weight` and by the variance of each dimension over N.

    Memory's errors are in units of the latents' own spread, so their gradient grows as the spread shrinks: latents that
    still say little, as those of an untrained vision, are drawn to a point for good, whatever the weight. Times the
    variance, it moves them in proportion to their spread.
    """
    still = z.detach()
    return still + weight * still.var(0, correction=0) * (z - still)
