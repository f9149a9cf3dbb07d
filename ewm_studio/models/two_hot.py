"""A number predicted by a distribution over bins: several outcomes at once, and no outcome too large to learn from.

Two-hot targets over exponentially spaced bins: Hafner et al. (2023), "Mastering diverse domains through world models".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BINS = 41
REACH = 4.0  # the outermost bins stand at e^4 - 1, some 54 deviations


class TwoHot(nn.Module):
    """A small network from features (..., H) to a distribution over numbers in units of their deviation."""

    bins: Tensor

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        last = nn.Linear(width, BINS)
        with torch.no_grad():  # hardly anything is foretold before anything was learned
            last.weight.mul_(0.1)
            last.bias.zero_()
        self.network = nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), nn.SiLU(), last)
        at = torch.linspace(-REACH, REACH, BINS)
        self.register_buffer("bins", at.sign() * (at.abs().exp() - 1), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Log-probabilities (..., BINS)."""
        return self.network(features).log_softmax(-1)

    def mean(self, log_probs: Tensor) -> Tensor:
        """The expected number (...)."""
        return (log_probs.exp() * self.bins).sum(-1)

    def error(self, log_probs: Tensor, numbers: Tensor) -> Tensor:
        """Cross-entropy (...) with numbers (...), each shared between its two nearest bins; nats above the least."""
        numbers = numbers.clamp(self.bins[0], self.bins[-1])
        above = torch.searchsorted(self.bins, numbers.contiguous()).clamp(1, BINS - 1)
        low, high = self.bins[above - 1], self.bins[above]
        share = (numbers - low) / (high - low)
        pair = log_probs.gather(-1, torch.stack([above - 1, above], dim=-1))
        least = -(torch.special.entr(share) + torch.special.entr(1 - share))
        return -(pair[..., 0] * (1 - share) + pair[..., 1] * share) + least


def binary_error(logit: Tensor, happened: Tensor) -> Tensor:
    """Cross-entropy (...) of logits (...) with what happened (...), bool."""
    return F.binary_cross_entropy_with_logits(logit, happened.to(logit.dtype), reduction="none")
