"""Lambda returns: sums of rewards, bootstrapped by the value after every number of steps at once."""

from __future__ import annotations

import torch
from torch import Tensor


def lambda_returns(reward: Tensor, following: Tensor, discount: Tensor, lam: float) -> Tensor:
    """Returns (T, B) from each step on: the TD(lambda) target of Sutton (1988), as in Dreamer.

    Args:
        reward: (T, B).
        following: (T, B) values of the states that the steps lead to; the last one stands for all that comes later.
        discount: (T, B) of what follows each step: gamma where the episode goes on, 0 where it ends, and between them
            where it may.
        lam: 1 looks to the last step, 0 only to the next.
    """
    returns = torch.empty_like(reward)
    later = following[-1]
    for t in range(len(reward) - 1, -1, -1):
        later = returns[t] = reward[t] + discount[t] * ((1 - lam) * following[t] + lam * later)
    return returns
