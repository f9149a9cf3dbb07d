"""Recurrent PPO: the controller's gradient goes on through the memory, by truncated back-propagation through time.

A memory that learns by prediction alone keeps what the next latent and the reward need, and no more. Minibatches are
whole environments here: their hidden states are computed anew from the rollout's start under the present weights, so
that the loss of a late decision reaches what the memory took in early.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ewm_studio.acting.collector import Rollout
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.base import MemoryModel, State
from ewm_studio.models.randomness import permutation
from ewm_studio.settings import Experiment, PPOSettings
from ewm_studio.training.adam import FusedAdam
from ewm_studio.training.ppo import PPO, PPOBatch, update_by


def make_ppo(model: AgentModel, experiment: Experiment, envs: int, generator: Generator | None = None) -> PPO:
    """PPO of the controller alone, or through the memory as well where `ppo.memory_gradient` says so.

    Args:
        model: whose controller learns.
        experiment: of the run.
        envs: environments that a rollout is of.
        generator: draws the minibatches.
    """
    settings = experiment.ppo
    wanted = settings.memory_gradient == "on" or (settings.memory_gradient == "auto" and experiment.world_model.train)
    if wanted and any(p.requires_grad for p in model.memory.parameters()):
        return RecurrentPPO(model, settings, envs, generator)
    return PPO(model.controller, settings, envs, generator)


class RecurrentPPO(PPO):
    """A `Learner` of a controller and of the memory that it reads, from rollouts."""

    trains_memory = True

    def __init__(self, model: AgentModel, settings: PPOSettings, envs: int, generator: Generator | None = None) -> None:
        """Teach `model`'s controller and memory.

        Args:
            model: both are of it.
            settings: of the whole run.
            envs: environments that a rollout is of.
            generator: draws the minibatches.
        """
        super().__init__(model.controller, settings, envs, generator)
        self.memory, self.action_encoding = model.memory, model.action_encoding
        self.memory_optimizer = FusedAdam(model.memory, settings.lr, eps=1e-5)

    def _learn(self, batch: PPOBatch, rollout: Rollout, settings: PPOSettings) -> dict[str, float]:
        self.optimizer.lr = settings.lr
        self.memory_optimizer.lr = settings.memory_lr if settings.memory_lr is not None else settings.lr
        action = self.action_encoding(rollout.buffer.action)
        sequences = Sequences(self.memory, batch, rollout, action, settings, self.generator)
        learning = {
            "grad_norm": (self.controller, self.optimizer),
            "memory_grad_norm": (self.memory, self.memory_optimizer),
        }
        with _recurrent_layers_training(self.memory):
            return update_by(sequences.minibatches, self.controller, learning, batch, settings, self.generator)

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return {**super().state(), "memory_optimizer": self.memory_optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`; a run that did without so far has no state of the memory's optimiser, which begins anew."""
        super().restore(state)
        if "memory_optimizer" in state:
            self.memory_optimizer.load_state_dict(state["memory_optimizer"])


class Sequences:
    """A rollout cut into pieces in time, each from a state without a gradient, and into groups of environments."""

    def __init__(
        self,
        memory: MemoryModel,
        batch: PPOBatch,
        rollout: Rollout,
        action: Tensor,
        settings: PPOSettings,
        generator: Generator | None = None,
    ) -> None:
        """Cut a rollout.

        Args:
            memory: what the hidden states are made by.
            batch: the rollout's T * B samples.
            rollout: the same with what surrounds it.
            action: (T, B, A) encoded.
            settings: say how long a piece is and how many samples a minibatch has.
            generator: draws the order of the minibatches.
        """
        buffer = rollout.buffer
        self.memory, self.start, self.action, self.is_first = memory, rollout.start, action, buffer.is_first
        self.batch_size, self.generator = settings.batch_size, generator
        self.columns = {name: value.unflatten(0, buffer.reward.shape) for name, value in vars(batch).items()}
        pieces = -(-buffer.steps // (settings.sequence_length or buffer.steps))
        steps = torch.arange(buffer.steps)
        self.pieces = [slice(int(some[0]), int(some[-1]) + 1) for some in steps.tensor_split(pieces)]

    def minibatches(self) -> Iterator[tuple[PPOBatch, Tensor]]:
        """One pass: every piece of every environment once."""
        begins, device = self._begins(), self.action.device
        for number in permutation(len(self.pieces), self.generator).tolist():
            part, (h, state) = self.pieces[number], begins[number]
            envs = self.action.shape[1]
            groups = min(envs, max(1, round(envs * (part.stop - part.start) / self.batch_size)))
            for index in permutation(envs, self.generator).to(device).tensor_split(groups):
                yield self._minibatch(part, index, h, state)

    @torch.no_grad()
    def _begins(self) -> list[tuple[Tensor, State]]:
        """h (B, H) that the first decision of each piece saw and the memory's state there, by the present weights."""
        begins = [(self.columns["h"][0], self.start)]
        for part in self.pieces[:-1]:
            hidden, state = self.memory.sequence(
                self.columns["z"][part], self.action[part], self.is_first[part], begins[-1][1]
            )
            begins.append((hidden[-1].masked_fill(self.is_first[part.stop, :, None], 0.0), state))
        return begins

    def _minibatch(self, part: slice, index: Tensor, h: Tensor, state: State) -> tuple[PPOBatch, Tensor]:
        """The samples of steps `part` of environments `index`, with hidden states that carry a gradient."""
        batch = {name: value[part, index] for name, value in self.columns.items()}
        firsts, hidden = self.is_first[part, index], [h[index].unsqueeze(0)]
        if part.stop - part.start > 1:  # the last step's hidden state is the next piece's
            rows = {name: value[index] for name, value in state.items()}
            made, _ = self.memory.sequence(batch["z"][:-1], self.action[part, index][:-1], firsts[:-1], rows)
            hidden.append(made.masked_fill(firsts[1:].unsqueeze(-1), 0.0))
        batch["h"] = torch.cat(hidden)
        samples = PPOBatch(**{name: value.flatten(0, 1) for name, value in batch.items()})
        return samples, torch.arange(len(samples.z), device=index.device)


@contextmanager
def _recurrent_layers_training(memory: MemoryModel) -> Iterator[None]:
    """cuDNN gives no gradient of a recurrent layer in evaluation; the memory itself stays in it, and drops nothing."""
    layers = [module for module in memory.modules() if isinstance(module, nn.RNNBase)]
    for layer in layers:
        layer.train()
    try:
        yield
    finally:
        for layer in layers:
            layer.eval()
