"""Vision and memory trained on the agent's own rollouts, along with PPO."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.data.frame_buffer import FrameBuffer, motion_levels
from ewm_studio.data.replay_buffer import ReplayBuffer
from ewm_studio.data.rollout_buffer import RolloutBuffer
from ewm_studio.models.base import SequenceBatch, State
from ewm_studio.models.randomness import permutation
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import WorldModelSettings
from ewm_studio.training.optimize import Averages, ComponentTrainer
from ewm_studio.training.sequences import chunk_of, to_replayed_batch

ENCODE_BATCH = 512  # frames encoded at once


class WorldModelTrainer:
    """Trains V on a rollout's frames and M through its sequences, from the states the rollout began with.

    Attributes:
        frames: the agent's last frames, where V trains on draws from them instead.
        replay: the agent's last decisions, where M trains on sequences drawn from them instead.
    """

    def __init__(self, model: WorldModel, settings: WorldModelSettings, generator: Generator | None = None) -> None:
        """Train `model`; everything drawn comes from `generator`."""
        self.model, self.settings, self.generator = model, settings, generator
        self.vision = ComponentTrainer(model.vision, "vision", settings, generator)
        self.memory = ComponentTrainer(model.memory, "memory", settings, generator)
        self.frames: FrameBuffer | None = None
        if settings.train and settings.frame_buffer and self.vision.trainable:
            self.frames = self.new_frames(settings.frame_buffer)
        self.replay: ReplayBuffer | None = None
        if settings.train and settings.replay and self.memory.trainable:
            self.replay = self.new_replay(settings.replay)

    @property
    def idle(self) -> bool:
        """Whether neither component has anything to train."""
        return not (self.vision.trainable or self.memory.trainable)

    @property
    def kept(self) -> list[FrameBuffer | ReplayBuffer]:
        """What is kept of the agent's experience, in files beside the checkpoints."""
        return [ring for ring in (self.frames, self.replay) if ring is not None]

    def new_frames(self, capacity: int) -> FrameBuffer:
        """An empty ring for so many of the environment's frames."""
        space = self.model.observation_space
        return FrameBuffer(capacity, space.shape, torch.from_numpy(space.low).dtype)

    def new_replay(self, capacity: int) -> ReplayBuffer:
        """An empty replay of so many decisions; observations are kept where vision is trained on."""
        seen, acts = self.model.observation_space, self.model.action_space
        action = tuple(acts.shape or ()), torch.from_numpy(np.empty(0, acts.dtype)).dtype
        obs = (seen.shape, torch.from_numpy(seen.low).dtype) if self.vision.trainable else None
        return ReplayBuffer(capacity, self.model.vision.latent_dim, action, obs)

    def train_on(self, rollout: RolloutBuffer, next_obs: Tensor, start: State, left: float) -> dict[str, float]:
        """Train by passes or, with `frames` and `replay`, by draws; M finds the latents computed anew where V trained.

        One that only holds latents has replaced those of the vision before within a few steps.

        Args:
            rollout: the rollout, with its observations where vision is trained.
            next_obs: (B, ...) observations that follow its last step.
            start: the memory's state before its first step.
            left: the share of the run, 1 to 0, that was to come before this rollout.
        """
        averages = Averages()
        if self.settings.lr_schedule == "linear":
            self.vision.slow_to(left)
            self.memory.slow_to(left)
        if self.vision.trainable:
            self._train_vision(rollout, averages)
        if self.replay is not None:
            self.replay.add_rollout(rollout)
            self.train_on_replay(self.replay, self.settings.memory_updates, averages)
        elif self.memory.trainable:
            with torch.no_grad():
                next_z = self.model.vision.encode(next_obs)
            self._train_memory(rollout, next_z, start, averages)
        return averages.take()

    def _train_vision(self, rollout: RolloutBuffer, averages: Averages) -> None:
        assert rollout.obs is not None
        frames = rollout.obs.flatten(0, 1)  # (T * B, ...)
        if self.frames is not None:
            levels = motion_levels(rollout.obs, rollout.is_first.cpu()).flatten() if self.settings.balance else None
            self.frames.add(frames, levels)
            self.train_on_draws(self.frames, self.settings.vision_updates, averages)
        else:
            self._pass_over(frames, averages)
        if self.replay is not None:
            self.replay.vision_changed()
        if self.memory.trainable:
            with torch.no_grad():
                z = torch.cat([self.model.vision.encode(f.to(self.model.device)) for f in frames.split(ENCODE_BATCH)])
            rollout.z.copy_(z.view_as(rollout.z))

    def _pass_over(self, frames: Tensor, averages: Averages) -> None:
        """Train vision for `world_model.epochs` passes over frames (N, ...)."""
        self.model.vision.train()
        for _ in range(self.settings.epochs):
            order = permutation(frames.shape[0], self.generator).cpu()
            # Batches of nearly one size: one frame left over would have no statistics to train on.
            for index in order.tensor_split(-(-len(order) // self.settings.vision_batch_size)):
                averages.add(self._vision_step(frames[index]))
        self.model.vision.eval()

    def train_on_draws(self, frames: FrameBuffer, updates: int, averages: Averages) -> None:
        """Train vision on that many minibatches drawn from `frames`."""
        self.model.vision.train()
        for _ in range(updates):
            drawn = frames.sample(self.settings.vision_batch_size, self.settings.balance, self.generator)
            averages.add(self._vision_step(drawn))
        self.model.vision.eval()

    def _vision_step(self, frames: Tensor) -> dict[str, float]:
        losses = self.model.losses(obs=frames.to(self.model.device), generator=self.generator)
        return self.vision.step(losses["vision"])

    def _train_memory(self, rollout: RolloutBuffer, next_z: Tensor, start: State, averages: Averages) -> None:
        memory, length = self.model.memory, self.settings.sequence_length
        z = torch.cat([rollout.z, next_z[None]])  # (T + 1, B, Z)
        action = self.model.action_encoding(rollout.action)
        steps, envs = rollout.reward.shape
        ones = torch.ones(steps, envs, dtype=torch.bool, device=z.device)
        whole = SequenceBatch(
            z, action, rollout.true_reward, rollout.env_terminated, rollout.is_first, ~rollout.ended, ones, ones
        )
        for _ in range(self.settings.epochs):
            chunks: list[tuple[slice, State]] = []
            state = start
            with torch.no_grad():  # the state each chunk starts from, under the present weights
                for begin in range(0, steps, length):
                    part = slice(begin, min(begin + length, steps))
                    chunks.append((part, state))
                    if part.stop < steps:
                        _, state = memory.sequence(z[part], action[part], rollout.is_first[part], state)
            memory.train()
            for number in permutation(len(chunks), self.generator).tolist():
                part, state = chunks[number]
                for index in permutation(envs, self.generator).to(z.device).split(self.settings.memory_batch_size):
                    rows = {name: value[index] for name, value in state.items()}
                    losses = self.model.losses(
                        sequences=chunk_of(whole, part, index), state=rows, generator=self.generator
                    )
                    averages.add(self.memory.step(losses["memory"]))
            memory.eval()

    def train_on_replay(self, replay: ReplayBuffer, updates: int, averages: Averages) -> None:
        """Train memory on that many minibatches of sequences drawn from `replay`."""
        memory, burn_in = self.model.memory, self.settings.burn_in
        for _ in range(updates):
            batch = self._replayed(replay, burn_in + self.settings.sequence_length)
            state, every = memory.initial_state(batch.z.shape[1]), torch.arange(batch.z.shape[1])
            if burn_in:
                with torch.no_grad():
                    before = chunk_of(batch, slice(0, burn_in), every)
                    _, state = memory.sequence(before.z[:-1], before.action, before.is_first, state)
                batch = chunk_of(batch, slice(burn_in, batch.mask.shape[0]), every)
            memory.train()
            losses = self.model.losses(sequences=batch, state=state, generator=self.generator)
            averages.add(self.memory.step(losses["memory"]))
            memory.eval()

    def _replayed(self, replay: ReplayBuffer, length: int) -> SequenceBatch:
        """A minibatch of sequences, seen by vision as it is now."""
        device, settings = self.model.device, self.settings
        rows = replay.sample(
            settings.memory_batch_size,
            length,
            settings.replay_newest,
            generator=self.generator,
            encode=lambda obs: self.model.vision.encode(obs.to(device)),
        )
        return to_replayed_batch(rows, self.model.action_encoding, device)

    def state_dict(self) -> dict[str, Any]:
        """Both optimisers."""
        return {"vision": self.vision.state_dict(), "memory": self.memory.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.vision.load_state_dict(state["vision"])
        self.memory.load_state_dict(state["memory"])
