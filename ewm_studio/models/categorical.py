"""Groups of categorical variables: the latent states of an RSSM.

G groups, K classes of each. Every class keeps a little probability ("unimix"), so that no divergence is infinite and
no class is ever lost: Hafner et al. (2023), "Mastering diverse domains through world models".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from ewm_studio.models.randomness import uniform_like
from ewm_studio.models.residuals import ResidualPrediction, gaussian_nll


def mixed(logits: Tensor, uniform: float) -> Tensor:
    """Log-probabilities (..., G, K) of logits (..., G, K), of which a share `uniform` is the same for every class."""
    logits = logits.float()  # whatever the network computes in: rare classes are drawn, too
    if not uniform:
        return logits.log_softmax(-1)
    return ((1 - uniform) * logits.softmax(-1) + uniform / logits.shape[-1]).log()


def drawn(log_probs: Tensor, temperature: float, generator: Generator | None) -> Tensor:
    """A class (..., G) of each group, int64; temperature 0 takes the likeliest."""
    if temperature == 0:
        return log_probs.argmax(-1)
    # Gumbel-max: a uniform draw of exactly 0 gives -inf noise and is never chosen, so no guard is needed.
    noise = uniform_like(log_probs, generator).log_().neg_().log_()
    return noise.neg_().add_(log_probs, alpha=1 / temperature).argmax(-1)


def straight_through(log_probs: Tensor, index: Tensor) -> Tensor:
    """One-hot classes (..., G, K) of `index` (..., G), with the gradient of the probabilities."""
    probs = log_probs.exp()
    return F.one_hot(index, log_probs.shape[-1]).to(probs.dtype) + probs - probs.detach()


def divergence(log_q: Tensor, log_p: Tensor) -> Tensor:
    """KL(q || p) (...) in nats of log-probabilities (..., G, K), summed over the groups."""
    return (log_q.exp() * (log_q - log_p)).sum((-2, -1))


@dataclass
class StatePrediction(ResidualPrediction):
    """A residual that a categorical state decides: offset + gain * sum of what the groups' classes do.

    Attributes:
        mu: expected residual (..., Z).
        offset: what is foretold whatever the state (..., Z).
        gain: how much the state counts here (..., Z).
        logits: of the state, before any group is known (..., G, K).
        uniform: share of every probability that is uniform.
        chain: what each class adds to the logits of the groups after its own (G * K, G * K).
        effects: what each class adds to the residual (G * K, Z).
        log_std: of what the state leaves open (Z,).
    """

    mu: Tensor
    offset: Tensor
    gain: Tensor
    logits: Tensor
    uniform: float
    chain: Tensor
    effects: Tensor
    log_std: Tensor

    @property
    def residual_mean(self) -> Tensor:
        """Expected residual (..., Z)."""
        return self.mu

    def given(self, state: Tensor) -> Tensor:
        """The residual (..., Z) of a state (..., G, K) of one-hot classes."""
        return self.offset + self.gain * (state.flatten(-2) @ self.effects)

    def log_probs(self, state: Tensor) -> Tensor:
        """Log-probabilities (..., G, K) of each group where the groups before are as in `state` (..., G, K)."""
        chained = (state.flatten(-2) @ self.chain).view_as(self.logits)
        return mixed(self.logits + chained, self.uniform)

    @torch.no_grad()
    def draw(self, temperature: float, generator: Generator | None) -> Tensor:
        """A state, group after group: rows (N, G) of `effects`."""
        groups, classes = self.logits.shape[-2:]
        logits = self.logits.flatten(0, -3).flatten(1).clone()  # (N, G * K)
        rows = torch.empty(len(logits), groups, dtype=torch.long, device=logits.device)
        for group in range(groups):
            after = (group + 1) * classes
            log_probs = mixed(logits[:, after - classes : after], self.uniform)
            rows[:, group] = drawn(log_probs, temperature, generator) + (after - classes)
            if group + 1 < groups:
                logits[:, after:] += self.chain[rows[:, group], after:]
        return rows

    def residual_sample(self, temperature: float, generator: Generator | None) -> Tensor:
        """The residual (..., Z) of a drawn state."""
        effect = F.embedding_bag(self.draw(temperature, generator), self.effects, mode="sum")
        return self.offset + self.gain * effect.view_as(self.offset)

    def nll(self, residual: Tensor) -> Tensor:
        """Half the squared error of the mean, and the constant that makes it a density (..., Z), as of a point."""
        return gaussian_nll(residual, self.mu, torch.zeros_like(self.mu))
