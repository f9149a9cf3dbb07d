"""Generalised advantage estimation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def compute_gae(
    rewards: Tensor,
    values: Tensor,
    last_value: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    final_values: Tensor,
    gamma: float,
    lam: float,
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2016), equations 11 to 16, on whole episodes and cut ones.

    The step after which an episode ended is masked by that very end. A truncated episode bootstraps from the value of
    its final observation, a terminated one (also where both are set) from 0.

    Args:
        rewards: (T, B).
        values: (T, B) value of the state each action was taken in.
        last_value: (B,) value of the state after the last step.
        terminated: (T, B) bool.
        truncated: (T, B) bool.
        final_values: (T, B) value of the final observation; read only where truncated.
        gamma: discount a step.
        lam: bias against variance; 1 gives discounted returns minus the value, 0 the one-step error.

    Returns:
        Advantages (T, B) and returns (T, B), which are advantages plus values, float32 on the device of `rewards`.
    """
    reward, value, last, final = (
        x.detach().cpu().double().numpy() for x in (rewards, values, last_value, final_values)
    )
    died, cut = (x.detach().cpu().numpy().astype(bool) for x in (terminated, truncated))
    following = np.concatenate([value[1:], last[None]])
    following = np.where(died, 0.0, np.where(cut, final, following))
    advantage = reward + gamma * following - value  # the temporal-difference errors, summed up in place below
    decay = np.where(died | cut, 0.0, gamma * lam)
    for t in range(len(advantage) - 2, -1, -1):
        advantage[t] += decay[t] * advantage[t + 1]
    advantages, returns = (torch.from_numpy(x).float().to(rewards.device) for x in (advantage, advantage + value))
    return advantages, returns
