"""The controller learns in dreams: short ones, that begin where the agent has really been."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from ewm_studio.acting.collector import LocalCollector
from ewm_studio.data.sequence_replay import SequenceReplay
from ewm_studio.dreams.simulator import DreamSimulator
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.base import SequenceBatch
from ewm_studio.models.belief import Belief
from ewm_studio.models.randomness import integers
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import DreamSettings
from ewm_studio.training.ppo import PPO

MOST_SEEDS = 2**31 - 1


class Dreaming:
    """Updates of a controller, each on dreams of its own.

    Attributes:
        learner: changes the controller.
    """

    def __init__(
        self,
        model: AgentModel,
        learner: PPO,
        settings: DreamSettings,
        settling: int = 0,
        generator: Generator | None = None,
    ) -> None:
        """Teach the controller of `model`.

        Args:
            model: dreams and learns.
            learner: of `settings.batch_size` dreams side by side.
            settings: of the dreams.
            settling: steps at the start of an episode in which no dream begins.
            generator: draws all.
        """
        self.model, self.learner, self.settings = model, learner, settings
        self.settling, self.generator = settling, generator
        self._scaled = False  # whether the controller knows the scale of what it sees

    def update(self, replay: SequenceReplay, left: float) -> dict[str, float]:
        """Dream and learn once; the learner's figures and those of the dreams.

        Args:
            replay: where dreams begin.
            left: the share of the run, 1 to 0, that was to come.

        Raises:
            JobError: a loss is not finite.
        """
        settings, starts = self.settings, self.starts(replay)
        if not self._scaled:
            self.model.controller.observe(starts.z, starts.h)
            self._scaled = True
        seed = int(integers(MOST_SEEDS, 1, self.generator))
        dream = DreamSimulator(self.model, starts, settings.batch_size, temperature=settings.temperature, seed=seed)
        self.learner.steps = settings.horizon
        figures = self.learner.update(LocalCollector(dream, self.model, generator=self.generator), left)
        rollout = self.learner.rollout
        assert rollout is not None
        return {
            **figures,
            "dream/reward": float(rollout.buffer.reward.mean()),
            "dream/value": float(rollout.buffer.value.mean()),
            "dream/ends": float(rollout.buffer.terminated.float().mean()),
        }

    def starts(self, replay: SequenceReplay) -> Belief:
        """At least as many beliefs as there are dreams, of places where the agent has been."""
        settings = self.settings
        length = min(settings.context, len(replay) - 1)
        windows = max(16, -(-2 * settings.batch_size // length))
        places = replay.places(windows, length, settings.recent_steps, settings.recent_share, self.generator)
        age = replay.age[places[0] + torch.arange(length)[:, None], places[1]]
        batch = replay.batch(places, length, self.model.action_encoding)
        return beliefs_along(self.model, batch, _may_begin(age, self.settling, length // 2).to(batch.z.device))

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return {**self.learner.state(), "scaled": self._scaled}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.learner.restore(state)
        self._scaled = state["scaled"]


def _may_begin(age: Tensor, settling: int, led: int) -> Tensor:
    """(L, B) bool: the episode has settled, and memory was led through its beginning or through `led` steps.

    Where none qualifies, every settled place does, and where no episode has settled yet, every place.

    Args:
        age: (L, B) steps since the episode began.
        settling: steps until it has settled.
        led: steps that are enough for a memory that starts amid an episode.
    """
    along = torch.arange(len(age))[:, None]
    settled = age >= settling
    good = settled & ((age <= along) | (along >= led))
    return good if bool(good.any()) else settled if bool(settled.any()) else torch.ones_like(settled)


@torch.inference_mode()
def beliefs_along(world: WorldModel, batch: SequenceBatch, chosen: Tensor) -> Belief:
    """What is believed at the steps of sequences that are `chosen`, (L, B) bool: a belief of N episodes."""
    memory = world.memory
    state = memory.initial_state(batch.z.shape[1])
    h = torch.zeros(batch.z.shape[1], memory.hidden_dim, device=batch.z.device)
    found: list[Belief] = []
    for z, action, first, here in zip(batch.z[:-1], batch.action, batch.is_first, chosen, strict=True):
        h, state = h.masked_fill(first[:, None], 0.0), memory.reset(state, first)
        found.append(Belief(z, h, state).rows(here.nonzero()[:, 0]))
        h, state = memory.step(z, action, state)
    return _joined(found, lambda parts: torch.cat(parts))


def _joined(beliefs: list[Belief], join: Callable[[list[Tensor]], Tensor]) -> Belief:
    names = beliefs[0].memory
    return Belief(
        join([b.z for b in beliefs]),
        join([b.h for b in beliefs]),
        {name: join([b.memory[name] for b in beliefs]) for name in names},
    )
