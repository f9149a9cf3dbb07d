"""Vision and memory learn from everything that was seen, minibatch by minibatch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Generator

from ewm_studio.data.sequence_replay import SequenceReplay
from ewm_studio.models.base import MemoryModel
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import DreamSettings, WorldModelSettings
from ewm_studio.training.optimize import ComponentTrainer
from ewm_studio.training.sequences import lived_batch


class ReplayTrainer:
    """Trains V on the frames of a replay and M on its sequences.

    Attributes:
        vision, memory: their optimisers.
        others: further memories, each in a world with the model's vision, and their optimisers.
    """

    def __init__(
        self,
        model: WorldModel,
        settings: WorldModelSettings,
        dreams: DreamSettings,
        generator: Generator | None = None,
        others: Sequence[MemoryModel] = (),
    ) -> None:
        """Train `model` and `others`, memories beside its own; everything drawn comes from `generator`."""
        self.model, self.settings, self.dreams, self.generator = model, settings, dreams, generator
        self.vision = ComponentTrainer(model.vision, "vision", settings, generator)
        self.memory = ComponentTrainer(model.memory, "memory", settings, generator)
        self.others = [
            (model.with_memory(memory), ComponentTrainer(memory, "memory", settings, generator)) for memory in others
        ]

    def vision_update(self, replay: SequenceReplay, share: float) -> dict[str, float]:
        """One step of vision at this share of its learning rate."""
        vision = self.model.vision.train()
        self.vision.slow_to(share)
        frames = replay.frames(self.settings.vision_batch_size, self.generator).to(self.model.device)
        figures = self.vision.step(self.model.losses(obs=frames, generator=self.generator)["vision"])
        vision.eval()
        return figures

    def memory_update(self, replay: SequenceReplay, left: float) -> dict[str, float]:
        """One step of every memory, the figures of the model's own; `left` is the share of the run to come."""
        figures = self._memory_step(self.model, self.memory, replay, left)
        for world, trainer in self.others:
            self._memory_step(world, trainer, replay, left)
        return figures

    def _memory_step(
        self, world: WorldModel, trainer: ComponentTrainer, replay: SequenceReplay, left: float
    ) -> dict[str, float]:
        if self.settings.lr_schedule == "linear":
            trainer.slow_to(left)
        memory, dreams = world.memory.train(), self.dreams
        length = min(self.settings.sequence_length, len(replay) - 1)
        places = replay.places(
            self.settings.memory_batch_size, length, dreams.recent_steps, dreams.recent_share, self.generator
        )
        batch = lived_batch(replay.at(places, length), self.model.action_encoding)
        figures = trainer.step(world.losses(sequences=batch, generator=self.generator)["memory"])
        memory.eval()
        return figures

    def state(self) -> dict[str, Any]:
        """The optimisers, and the memories that are no part of the model, for an exact resume."""
        others = [
            {"weights": dict(world.memory.state_dict()), "optimiser": trainer.state_dict()}
            for world, trainer in self.others
        ]
        return {"vision": self.vision.state_dict(), "memory": self.memory.state_dict(), "others": others}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.vision.load_state_dict(state["vision"])
        self.memory.load_state_dict(state["memory"])
        for (world, trainer), saved in zip(self.others, state["others"], strict=True):
            world.memory.load_state_dict(saved["weights"])
            trainer.load_state_dict(saved["optimiser"])
