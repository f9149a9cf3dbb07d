"""Distributions over the next latent, as what is added to the present one."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from ewm_studio.models.base import Prediction
from ewm_studio.models.randomness import normal_like, uniform_like

LOG_STD_MIN, LOG_STD_MAX = -3.0, 3.0  # of residuals in their own units; a narrower density makes gradients explode
HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@dataclass
class ResidualPrediction(Prediction):
    """Base of the distributions over z_{t+1} = base + scale * residual.

    Attributes:
        reward: expected reward (...).
        end_logit: logit of the episode's end (...).
        base: z_t as h carries it (..., Z).
        scale: root mean square (Z,) of the residuals, in the latent's units.
    """

    reward: Tensor
    end_logit: Tensor
    base: Tensor
    scale: Tensor

    @property
    @abstractmethod
    def residual_mean(self) -> Tensor:
        """Expected residual (..., Z), in units of `scale`."""

    @property
    def residual_variance(self) -> Tensor:
        """Variance (..., Z) of the residual, in units of `scale` squared; by default none is foretold."""
        return torch.zeros_like(self.residual_mean)

    @abstractmethod
    def residual_sample(self, temperature: float, generator: Generator | None) -> Tensor:
        """A residual (..., Z) drawn at this temperature, in units of `scale`."""

    @abstractmethod
    def nll(self, residual: Tensor) -> Tensor:
        """Negative log-density (..., Z), each dimension by itself, of residuals (..., Z) in units of `scale`."""

    @property
    def mean(self) -> Tensor:
        """Expected next latent (..., Z)."""
        return self.base + self.scale * self.residual_mean

    def sample(self, temperature: float = 1.0, generator: Generator | None = None) -> Tensor:
        """A next latent (..., Z); temperature 0 gives the likeliest, 1 the model's own spread.

        Raises:
            ValueError: the temperature is negative.
        """
        if temperature < 0:
            raise ValueError(f"temperature must be at least 0 (found {temperature})")
        return self.base + self.scale * self.residual_sample(temperature, generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density (...) of a next latent (..., Z), in nats."""
        return -(self.nll((z - self.base) / self.scale) + self.scale.log()).sum(-1)


@dataclass
class GaussianPrediction(ResidualPrediction):
    """An independent Gaussian for every latent dimension: `mu` and `log_std` (..., Z) of the residual."""

    mu: Tensor
    log_std: Tensor

    @property
    def residual_mean(self) -> Tensor:
        """Expected residual (..., Z)."""
        return self.mu

    @property
    def residual_variance(self) -> Tensor:
        """Variance (..., Z) of the residual."""
        return (2 * self.log_std).exp()

    def residual_sample(self, temperature: float, generator: Generator | None) -> Tensor:
        """A residual (..., Z); the deviation is scaled by the root of the temperature."""
        return self.mu + self.log_std.exp() * math.sqrt(temperature) * normal_like(self.mu, generator)

    def nll(self, residual: Tensor) -> Tensor:
        """Gaussian negative log-density (..., Z)."""
        return gaussian_nll(residual, self.mu, self.log_std)


@dataclass
class PointPrediction(ResidualPrediction):
    """A single predicted value; as a density it counts as a Gaussian as wide as the residuals usually are."""

    mu: Tensor

    @property
    def residual_mean(self) -> Tensor:
        """The predicted residual (..., Z)."""
        return self.mu

    def residual_sample(self, temperature: float, generator: Generator | None) -> Tensor:
        """The predicted residual (..., Z), at every temperature."""
        return self.mu

    def nll(self, residual: Tensor) -> Tensor:
        """Half the squared error, and the constant that makes it a density (..., Z)."""
        return gaussian_nll(residual, self.mu, torch.zeros_like(self.mu))


@dataclass
class MixturePrediction(ResidualPrediction):
    """A mixture of K Gaussians for every latent dimension: `logits`, `mu`, `log_std` (..., Z, K) of the residual."""

    logits: Tensor
    mu: Tensor
    log_std: Tensor

    @cached_property
    def weights(self) -> Tensor:
        """Probabilities (..., Z, K) of the Gaussians: a softmax over so few costs as much as half of the network."""
        return self.logits.softmax(-1)

    @property
    def residual_mean(self) -> Tensor:
        """Expected residual (..., Z)."""
        return (self.weights * self.mu).sum(-1)

    @property
    def residual_variance(self) -> Tensor:
        """Variance (..., Z) of the residual."""
        # Around the mean, so that it is never below zero: a difference of squares is, by rounding.
        apart = self.mu - self.residual_mean.unsqueeze(-1)
        return (self.weights * (apart.square() + (2 * self.log_std).exp())).sum(-1)

    def residual_sample(self, temperature: float, generator: Generator | None) -> Tensor:
        """A residual (..., Z): mixture logits divided by the temperature, noise scaled by its root."""
        if temperature == 0:
            index = self.logits.argmax(-1, keepdim=True)
        else:
            weights = self.weights if temperature == 1 else (self.logits / temperature).softmax(-1)
            below = weights @ weights.new_ones(weights.shape[-1], weights.shape[-1]).triu()  # up to each, cumulated
            draw = uniform_like(below[..., :1], generator)
            index = (draw > below[..., :-1]).sum(-1, keepdim=True)  # one uniform draw: of five exponential ones a third
        mu, std = self.mu.gather(-1, index).squeeze(-1), self.log_std.gather(-1, index).squeeze(-1).exp()
        return mu + std * math.sqrt(temperature) * normal_like(mu, generator)

    def nll(self, residual: Tensor) -> Tensor:
        """Negative log-density (..., Z) of the mixture."""
        components = gaussian_nll(residual.unsqueeze(-1), self.mu, self.log_std)
        return -torch.logsumexp(self.logits.log_softmax(-1) - components, dim=-1)


def gaussian_nll(x: Tensor, mu: Tensor, log_std: Tensor) -> Tensor:
    """Negative log-density of `x` under Gaussians, element by element, in nats."""
    return 0.5 * ((x - mu) * torch.exp(-log_std)).square() + log_std + HALF_LOG_TWO_PI


def bounded_log_std(raw: Tensor, high: float = LOG_STD_MAX) -> Tensor:
    """Bend raw outputs smoothly into LOG_STD_MIN to `high`; unlike clamping, no gradient is cut off."""
    raw = high - F.softplus(high - raw)
    return LOG_STD_MIN + F.softplus(raw - LOG_STD_MIN)
