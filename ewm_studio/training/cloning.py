"""Behaviour cloning: a controller that begins by copying a recorded driver (Pomerleau 1989, ALVINN)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.data.experience import StoredEpisode
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.base import Controller
from ewm_studio.models.randomness import integers
from ewm_studio.settings import PPOSettings
from ewm_studio.training.adam import FusedAdam
from ewm_studio.training.finite import check_finite
from ewm_studio.training.optimize import as_floats
from ewm_studio.training.reward_scaler import RewardScaler


@dataclass
class Demonstration:
    """N decisions of a recorded driver, as the controller would have met them."""

    z: Tensor  # (N, Z)
    h: Tensor  # (N, H)
    raw: Tensor  # (N, R) the raw actions that stand for what was done
    returns: Tensor  # (N,) discounted sums of scaled rewards to the end of the episode, or of what was recorded of it
    scaler: RewardScaler  # what the rewards were scaled by


@torch.no_grad()
def demonstration(model: AgentModel, episodes: Sequence[StoredEpisode], latents: Tensor, gamma: float) -> Demonstration:
    """What `model` sees in recorded episodes.

    Args:
        model: its vision made the latents; its memory is run over them.
        episodes: at least one.
        latents: (frames, Z) by number in the episodes' store.
        gamma: discount of the returns.
    """
    scaler, memory = RewardScaler(1, gamma), model.memory
    z, h, raw = [], [], []
    for episode in episodes:
        seen = latents[torch.from_numpy(episode.frames[:-1]).to(latents.device)]  # (T, Z)
        action = torch.from_numpy(episode.action).to(latents.device)
        encoded = model.action_encoding(action).unsqueeze(1)
        is_first = torch.zeros(len(episode), 1, dtype=torch.bool, device=latents.device)
        after, _ = memory.sequence(seen.unsqueeze(1), encoded, is_first, memory.initial_state(1))  # (T, 1, H)
        z.append(seen)
        h.append(torch.cat([memory.initial_hidden(1).to(after), after[:-1, 0]]))
        raw.append(model.controller.to_raw(action))
        ended = torch.zeros(len(episode), 1, dtype=torch.bool)
        ended[-1] = True
        scaler.take_in(torch.from_numpy(episode.reward).unsqueeze(1), ended)
    # Scaled once all was seen: else the same reward would be worth less in every later episode.
    rewards = [scaler.scale(torch.from_numpy(episode.reward)).numpy() for episode in episodes]
    returns = np.concatenate([_discounted(reward, gamma) for reward in rewards])
    return Demonstration(
        torch.cat(z), torch.cat(h), torch.cat(raw), torch.from_numpy(returns).to(latents.device), scaler
    )


def _discounted(reward: np.ndarray, gamma: float) -> np.ndarray:
    """Discounted sums (T,) of the rewards (T,) from each step on."""
    returns = np.empty(len(reward), np.float32)
    later = 0.0
    for t in range(len(reward) - 1, -1, -1):
        later = returns[t] = reward[t] + gamma * later
    return returns


class Cloning:
    """A `Learner` from a demonstration: the likelihood of the recorded actions, and the value of the states."""

    def __init__(
        self,
        controller: Controller,
        settings: PPOSettings,
        scaler: RewardScaler | None,
        generator: Generator | None = None,
    ) -> None:
        """Clone into `controller`.

        Args:
            controller: copies the driver.
            settings: sizes and rates.
            scaler: that of the run, which takes over the demonstration's scale with it.
            generator: draws the minibatches.
        """
        self.controller, self.settings, self.scaler, self.generator = controller, settings, scaler, generator
        self.optimizer = FusedAdam(controller, settings.lr, eps=1e-5)

    def begin(self, shown: Demonstration) -> None:
        """Take in what the inputs and the rewards look like."""
        self.controller.observe(shown.z, shown.h)
        if self.scaler is not None:
            self.scaler.adopt(shown.scaler)
            self.controller.value_unit.fill_(shown.scaler.deviation)

    def update(self, experience: Demonstration, left: float = 1.0) -> dict[str, float]:
        """One minibatch of `ppo.batch_size` draws, whatever is `left` of the run; its losses.

        Raises:
            JobError: a loss is not finite.
        """
        shown = experience
        index = integers(len(shown.z), self.settings.batch_size, self.generator).to(shown.z.device)
        z, h = shown.z[index], shown.h[index]
        self.controller.train()
        policy_loss = -self.controller.distribution(z, h).log_prob(shown.raw[index]).mean()
        figures = {"clone/policy_loss": policy_loss}
        loss = policy_loss
        if self.scaler is not None:  # without it the returns are of another scale than the run's
            figures["clone/value_loss"] = (self.controller.value(z, h) - shown.returns[index]).square().mean()
            loss = loss + self.settings.value_coef * figures["clone/value_loss"]
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step(self.optimizer.clip(self.settings.max_grad_norm))
        self.controller.after_update(self.generator)
        self.controller.eval()
        values = as_floats({name: figure.detach() for name, figure in figures.items()})
        check_finite(values)
        return values

    def state(self) -> dict[str, Any]:
        """The optimiser's state."""
        return self.optimizer.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`; the learning rate is that of the present settings."""
        self.optimizer.load_state_dict(state)
        self.optimizer.lr = self.settings.lr
