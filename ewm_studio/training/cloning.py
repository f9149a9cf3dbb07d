"""Behaviour cloning: a controller that begins by copying a recorded driver (Pomerleau 1989, ALVINN)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ewm_studio.data.experience import Episode
from ewm_studio.models.base import Controller
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import PPOSettings
from ewm_studio.training.adam import Adam
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
def demonstration(model: WorldModel, episodes: Sequence[Episode], latents: Tensor, gamma: float) -> Demonstration:
    """What `model` sees in recorded episodes.

    Args:
        model: its vision made the latents; its memory is run over them.
        episodes: at least one.
        latents: (frames, Z) by number in the episodes' store.
        gamma: discount of the returns.
    """
    scaler, memory = RewardScaler(1, gamma), model.memory
    z, h, raw, rewards = [], [], [], []
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
        rewards.append(scaler(torch.from_numpy(episode.reward).unsqueeze(1), ended))
    returns = np.concatenate([_discounted(reward[:, 0].numpy(), gamma) for reward in rewards])
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
    """Trains a controller on a demonstration: the likelihood of the recorded actions, and the value of the states."""

    def __init__(self, controller: Controller, settings: PPOSettings, scaler: RewardScaler | None) -> None:
        """`scaler` is that of the run, which takes over the demonstration's scale with it."""
        self.controller, self.settings, self.scaler = controller, settings, scaler
        self.optimizer = Adam(controller, settings.lr, eps=1e-5)

    def begin(self, shown: Demonstration) -> None:
        """Take in what the inputs and the rewards look like."""
        self.controller.observe(shown.z, shown.h)
        if self.scaler is not None:
            self.scaler.adopt(shown.scaler)

    def step(self, shown: Demonstration) -> dict[str, float]:
        """One minibatch of `ppo.batch_size` draws; its losses.

        Raises:
            JobError: a loss is not finite.
        """
        index = torch.randint(len(shown.z), (self.settings.batch_size,)).to(shown.z.device)
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
        self.controller.after_update()
        self.controller.eval()
        values = as_floats({name: figure.detach() for name, figure in figures.items()})
        check_finite(values)
        return values

    def state_dict(self) -> dict[str, Any]:
        """The optimiser's state."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.optimizer.load_state_dict(state)
