"""A policy that learns in dreams, set right by what it did for real.

Whatever memory gets wrong, the policy learns wrong: a tile that it leaves out in a corner, a slide that costs the lap.
Every round is acted by the present policy, though, so that PPO's policy gradient on it (Schulman et al. 2017) costs no
further step of the environment and knows of no dream. The value is the one that dreams and real sequences teach.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from ewm_studio.acting.collector import Rollout
from ewm_studio.models.base import Controller
from ewm_studio.settings import DreamSettings, PPOSettings
from ewm_studio.training.adam import FusedAdam
from ewm_studio.training.gae import compute_gae
from ewm_studio.training.imagination import to_a_tenth
from ewm_studio.training.ppo import PPOBatch, ppo_update

COLUMNS = (
    *("z", "h", "raw", "log_prob", "value", "reward"),
    *("terminated", "truncated", "final_value", "disturbed"),
)


class RealPolicy:
    """PPO's step of a policy on each round that was acted for real, its value left alone."""

    def __init__(
        self, controller: Controller, settings: DreamSettings, ppo: PPOSettings, generator: Generator | None = None
    ) -> None:
        """Set `controller` right.

        Args:
            controller: what learns; its own policy acted.
            settings: of the dreams: discount, passes over a round (`real_epochs`) and learning rate (`real_lr`).
            ppo: clipping, size of the minibatches and all else.
            generator: draws the minibatches.
        """
        self.controller, self.settings, self.generator = controller, settings, generator
        self.ppo = ppo.model_copy(
            update={
                "epochs": settings.real_epochs,
                "gamma": settings.gamma,
                "value_coef": 0.0,
                "entropy_coef": 0.0,  # dreams see to it
                "max_grad_norm": settings.max_grad_norm,
            }
        )
        self.optimizer = FusedAdam(controller, settings.real_lr, eps=1e-5)
        self._pieces: list[dict[str, Tensor]] = []
        self._last_value = torch.empty(0)

    def add(self, rollout: Rollout) -> None:
        """Take in what was acted next in this round."""
        self._pieces.append({name: getattr(rollout.buffer, name) for name in COLUMNS})
        self._last_value = rollout.last_value

    def update(self, unit: float, left: float) -> dict[str, float]:
        """Learn from the round, and be ready for the next; figures as of PPO.

        Args:
            unit: of the value, in rewards.
            left: the share of the run, 1 to 0, that was to come.

        Raises:
            JobError: a loss is not finite.
        """
        column = {name: torch.cat([piece[name] for piece in self._pieces]) for name in COLUMNS}
        advantage, returns = compute_gae(
            column["reward"] / unit,
            column["value"],
            self._last_value,
            column["terminated"],
            column["truncated"],
            column["final_value"],
            self.ppo.gamma,
            self.ppo.gae_lambda,
        )
        self._pieces = []
        # Where something else was done than what the policy drew, its draw deserves neither praise nor blame.
        own = (~column["disturbed"]).flatten().nonzero().squeeze(-1)
        if len(own) < 2:
            return {}
        columns = (*(column[name] for name in ("z", "h", "raw", "log_prob", "value")), advantage, returns)
        batch = PPOBatch(*(values.flatten(0, 1)[own] for values in columns))
        rate = self.settings.real_lr * (1.0 if self.settings.lr_schedule == "constant" else to_a_tenth(left))
        self.controller.train()
        figures = ppo_update(
            self.controller, self.optimizer, batch, self.ppo.model_copy(update={"lr": rate}), self.generator
        )
        self.controller.eval()
        return figures

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return {"optimizer": self.optimizer.state_dict(), "pieces": self._pieces, "last_value": self._last_value}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        place = next(self.controller.parameters()).device
        self.optimizer.load_state_dict(state["optimizer"])
        self._pieces = [{name: column.to(place) for name, column in piece.items()} for piece in state["pieces"]]
        self._last_value = state["last_value"].to(place)
