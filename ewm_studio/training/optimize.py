"""One optimiser for one component: a step with finite losses, clipped gradients and the component's after-work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor, nn

from ewm_studio.errors import UserError
from ewm_studio.models.base import Component, Losses
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import Experiment, WorldModelSettings
from ewm_studio.training.adam import FusedAdam
from ewm_studio.training.finite import check_finite

if TYPE_CHECKING:
    from ewm_studio.training.data_parallel import Peers

DEFAULT_LR = 1e-3


class ComponentTrainer:
    """Trains vision or memory by the component's own loss."""

    def __init__(
        self, component: Component, name: str, settings: WorldModelSettings, generator: Generator | None = None
    ) -> None:
        """Train `component`, whose figures go under `name`; what its after-work draws comes from `generator`."""
        self.generator = generator
        self.component = component
        self.name = name
        self.max_grad_norm = settings.max_grad_norm
        self.trainable = any(p.requires_grad for p in component.parameters())
        self.lr: float = settings.lr if settings.lr is not None else getattr(component.settings, "lr", DEFAULT_LR)
        self.optimizer = FusedAdam(component, self.lr) if self.trainable else None

    def slow_to(self, share: float) -> None:
        """Make the next steps with this share of the learning rate."""
        if self.optimizer is not None:
            self.optimizer.lr = share * self.lr

    def step(self, losses: Losses, peers: Peers | None = None, weight: float = 1.0) -> dict[str, float]:
        """Minimise `losses["total"]` by one step; gives all losses and the gradient's norm as floats.

        Args:
            losses: of a minibatch, or of this process's share of one.
            peers: the other processes that train it.
            weight: of this process's gradient: how much its loss is a mean of.

        Raises:
            JobError: a loss is not finite, or another process ended.
        """
        figures = {f"{self.name}/{name}": value.detach() for name, value in losses.items()}
        if self.optimizer is not None:
            self.optimizer.zero_grad()
            losses["total"].backward()
            if peers is not None:
                peers.average(self.optimizer.parameters, weight)
            norm = self.optimizer.clip(self.max_grad_norm)
            self.optimizer.step(norm)
            figures[f"{self.name}/grad_norm"] = norm
        values = as_floats(figures)
        check_finite(values)
        if self.optimizer is not None:
            self.component.after_update(self.generator)
            if peers is not None:
                peers.follow(self.component)
        return values

    def state_dict(self) -> dict[str, Any]:
        """The optimiser's state."""
        return self.optimizer.state_dict() if self.optimizer is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave; the learning rate is that of the present settings."""
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state)
            self.optimizer.lr = self.lr


def trainers_of(
    model: WorldModel, experiment: Experiment, generator: Generator | None = None
) -> dict[str, ComponentTrainer]:
    """A trainer for each of vision and memory that `pretrain.vision` and `pretrain.memory` ask for and that can learn.

    With neither asked for, both are.

    Raises:
        UserError: there is nothing to train.
    """
    settings = experiment.pretrain
    both = not (settings.vision or settings.memory)
    trainers = {
        "vision": ComponentTrainer(model.vision, "vision", experiment.world_model, generator),
        "memory": ComponentTrainer(model.memory, "memory", experiment.world_model, generator),
    }
    chosen = {name: t for name, t in trainers.items() if t.trainable and (both or getattr(settings, name))}
    if not chosen:
        raise UserError(
            f"nothing to pretrain: {model.summary()} has no vision or memory to train among those asked for; "
            "choose others with --vision and --memory"
        )
    return chosen


def weights_of(component: nn.Module) -> dict[str, Tensor]:
    """Its weights as they are now, copied to the CPU."""
    return {name: value.detach().cpu().clone() for name, value in component.state_dict().items()}


def as_floats(figures: dict[str, Tensor]) -> dict[str, float]:
    """Scalars as floats, fetched from their device at once."""
    if not figures:
        return {}
    return dict(zip(figures, torch.stack([value.float() for value in figures.values()]).tolist(), strict=True))


class Averages:
    """Running means of named figures between two logged rows."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}
        self.count = 0  # sets taken in since the last `take`

    def add(self, values: dict[str, float]) -> None:
        """Take in one set of figures."""
        self.count += 1
        for name, value in values.items():
            total_, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total_ + value, count + 1)

    def take(self) -> dict[str, float]:
        """The means since the last call."""
        means = {name: total_ / count for name, (total_, count) in self._sums.items()}
        self._sums.clear()
        self.count = 0
        return means

    def state(self) -> dict[str, list[float]]:
        """For an exact resume: of each figure the sum and the number of its values."""
        return {name: [total_, count] for name, (total_, count) in self._sums.items()}

    def restore(self, state: dict[str, list[float]]) -> None:
        """Undo `state`."""
        self._sums = {name: (total_, int(count)) for name, (total_, count) in state.items()}
