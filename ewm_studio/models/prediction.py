"""What the predicting memories share: running normalization, prediction heads and the loss around them.

A memory's hidden state is h = [features, normalized z_t]. Carrying z_t makes h sufficient for `predict`, whose
distribution is over the *residual* z_{t+1} - z_t in units of the residual's running root mean square: a head that
outputs zero says "next equals this", and slow latents are predicted as sharply as fast ones.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ewm_studio.models.base import Losses, MemoryModel, Prediction, SequenceBatch, State, Tag
from ewm_studio.models.randomness import dropout, normal_like
from ewm_studio.settings import ComponentSettings, setting

CLAMP = 10.0  # normalized latents beyond this many deviations are cut off
LOG_STD_MIN, LOG_STD_MAX = -3.0, 3.0  # of residuals in their own units; a narrower density makes gradients explode
HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class RunningScale(nn.Module):
    """Running mean and deviation of vectors (..., D), forgetting slowly so that drifting latents are followed.

    With `centered=False` the mean stays zero and the deviation is the root mean square. A dimension that has not
    varied has deviation 1.
    """

    mean: Tensor
    variance: Tensor
    scale: Tensor
    count: Tensor

    def __init__(self, dim: int, centered: bool = True, horizon: float = 100_000.0) -> None:
        super().__init__()
        self.centered = centered
        self.horizon = horizon  # samples beyond which older ones fade
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("variance", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))  # the deviation, kept so that acting need not compute it
        self.register_buffer("count", torch.zeros(()))

    @torch.no_grad()
    def update(self, samples: Tensor) -> None:
        """Take in samples (N, D) by the parallel variance formula of Chan et al. (1979)."""
        if samples.shape[0] == 0:
            return
        n = float(samples.shape[0])
        batch_mean = samples.mean(0) if self.centered else torch.zeros_like(self.mean)
        batch_variance = (samples - batch_mean).square().mean(0)
        share = n / (self.count + n)
        change = batch_mean - self.mean
        self.variance += share * (batch_variance - self.variance) + share * (1 - share) * change.square()
        self.mean += share * change
        self.count.copy_((self.count + n).clamp(max=self.horizon))
        # Relative to the mean, because rounding alone gives a constant of 1000 a little variance.
        varies = self.variance > 1e-10 * self.mean.square() + 1e-30
        self.scale.copy_(torch.where(varies, self.variance.sqrt(), torch.ones_like(self.variance)))

    def normalize(self, x: Tensor) -> Tensor:
        """(..., D) in its own units -> deviations from the mean."""
        return (x - self.mean) / self.scale

    def restore(self, x: Tensor) -> Tensor:
        """The inverse of `normalize`."""
        return x * self.scale + self.mean


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

    @property
    def residual_mean(self) -> Tensor:
        """Expected residual (..., Z)."""
        return (self.logits.softmax(-1) * self.mu).sum(-1)

    def residual_sample(self, temperature: float, generator: Generator | None) -> Tensor:
        """A residual (..., Z): mixture logits divided by the temperature, noise scaled by its root."""
        if temperature == 0:
            index = self.logits.argmax(-1, keepdim=True)
        else:
            weights = (self.logits / temperature).softmax(-1)
            index = weights.flatten(0, -2).multinomial(1, generator=generator).view(*weights.shape[:-1], 1)
        mu, std = self.mu.gather(-1, index).squeeze(-1), self.log_std.gather(-1, index).squeeze(-1).exp()
        return mu + std * math.sqrt(temperature) * normal_like(mu, generator)

    def nll(self, residual: Tensor) -> Tensor:
        """Negative log-density (..., Z) of the mixture."""
        components = gaussian_nll(residual.unsqueeze(-1), self.mu, self.log_std)
        return -torch.logsumexp(self.logits.log_softmax(-1) - components, dim=-1)


def gaussian_nll(x: Tensor, mu: Tensor, log_std: Tensor) -> Tensor:
    """Negative log-density of `x` under Gaussians, element by element, in nats."""
    return 0.5 * ((x - mu) * torch.exp(-log_std)).square() + log_std + HALF_LOG_TWO_PI


def bounded_log_std(raw: Tensor) -> Tensor:
    """Bend raw outputs smoothly into LOG_STD_MIN to LOG_STD_MAX; unlike clamping, no gradient is cut off."""
    raw = LOG_STD_MAX - F.softplus(LOG_STD_MAX - raw)
    return LOG_STD_MIN + F.softplus(raw - LOG_STD_MIN)


def small_linear(inputs: int, outputs: int, bias: float = 0.0) -> nn.Linear:
    """A last layer whose outputs start near `bias`."""
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.mul_(0.1)
        layer.bias.fill_(bias)
    return layer


class PredictiveSettings(ComponentSettings):
    """What every predicting memory can be told."""

    hidden_dim: int = setting(128, "Width of the memory's features.", unit="features", ge=1, le=8192)
    lr: float = setting(1e-3, "Learning rate, where the experiment gives none.", gt=0, le=1)
    dropout: float = setting(0.0, "Share of features dropped while the memory is trained.", ge=0, lt=1)


PS = TypeVar("PS", bound=PredictiveSettings)


class PredictiveMemory(MemoryModel[PS]):
    """Base of the memories that predict: normalizes latents, owns the heads, computes the loss.

    A subclass makes features of width `settings.hidden_dim` in `step` and `sequence`, joins them to the normalized
    latent with `join`, and says in `residual` what distribution its `residual_head` describes.
    """

    tags = frozenset({Tag.PREDICTS})

    def __init__(self, settings: PS, latent_dim: int, action_dim: int, outputs: int) -> None:
        super().__init__(settings, latent_dim, action_dim)
        self.features = settings.hidden_dim
        self.hidden_dim = self.features + latent_dim
        self.latent_scale = RunningScale(latent_dim)
        self.residual_scale = RunningScale(latent_dim, centered=False)
        self.reward_scale = RunningScale(1)
        self.residual_head = small_linear(self.hidden_dim, outputs)
        self.reward_head = small_linear(self.hidden_dim, 1)
        self.end_head = small_linear(self.hidden_dim, 1, bias=-3.0)  # ends are rare

    @abstractmethod
    def residual(
        self, out: Tensor, reward: Tensor, end_logit: Tensor, base: Tensor, scale: Tensor
    ) -> ResidualPrediction:
        """The distribution that outputs `out` (..., outputs) of the residual head describe."""

    def observe(self, z: Tensor, action: Tensor, previous: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """What the memory takes in at a step.

        The change since the step before goes in beside the latent itself: of a slow latent it is a sliver, lost next
        to the latent's own spread, yet it is the velocity that has to be carried on.

        Args:
            z, action: latents (..., Z) and encoded actions (..., A).
            previous: latents (..., Z) of the step before.
            seen: (..., 1), 1 where there was one, 0 at an episode's start.

        Returns:
            normalized latents (..., Z), and inputs (..., 2 Z + A) = [normalized latent, normalized change, action].
        """
        latent = self.latent_scale.normalize(z).clamp(-CLAMP, CLAMP)
        change = ((z - previous) / self.residual_scale.scale).clamp(-CLAMP, CLAMP) * seen
        return latent, torch.cat([latent, change, action], dim=-1)

    def observe_sequence(
        self, z: Tensor, action: Tensor, is_first: Tensor, previous: Tensor, seen: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`observe` at every step of z (T, B, Z); `previous` (B, Z) and `seen` (B, 1) are those of the first step."""
        before = torch.cat([previous.unsqueeze(0), z[:-1]])
        seen = torch.cat([seen.unsqueeze(0), seen.new_ones(z.shape[0] - 1, *seen.shape)])
        return self.observe(z, action, before, seen * ~is_first.unsqueeze(-1))

    def predict(self, h: Tensor) -> ResidualPrediction:
        """What follows, from h (..., H): distribution of the next latent, expected reward, logit of the end."""
        base = self.latent_scale.restore(h[..., self.features :])
        reward = self.reward_scale.restore(self.reward_head(h)).squeeze(-1)
        return self.residual(
            self.residual_head(h), reward, self.end_head(h).squeeze(-1), base, self.residual_scale.scale
        )

    def loss(self, batch: SequenceBatch, state: State, generator: Generator | None = None) -> Losses:
        """Losses through the whole sequence from `state`.

        Returns:
            prediction: negative log-density of the residual, mean over valid steps and over latent dimensions (so
                that a wide latent does not drown the other heads), in nats; reward: half the squared error in
                running deviations; end: binary cross-entropy of termination, in nats; total: their sum.
        """
        batch, state = _own(batch), {name: _plain(value) for name, value in state.items()}
        z, following, action, reward = _without_padding(batch)
        known = batch.mask & batch.known
        if self.training:
            self._update_scales(z, following, reward, batch, known)
        h, _ = self.sequence(z, action, batch.is_first, state, generator)
        features, latent = h.split([self.features, self.latent_dim], dim=-1)
        h = torch.cat([dropout(features, self.settings.dropout, self.training, generator), latent], dim=-1)
        predicted = self.predict(h)
        # From the latents themselves, not from h: exact, and not cut off.
        nll = predicted.nll((following - z) / self.residual_scale.scale).mean(-1)
        wrong_reward = (predicted.reward - reward) / self.reward_scale.scale
        wrong_end = F.binary_cross_entropy_with_logits(
            predicted.end_logit, batch.terminated.to(h.dtype), reduction="none"
        )
        losses = {
            "prediction": _mean(nll, batch.valid),
            "reward": _mean(0.5 * wrong_reward.square(), known),
            "end": _mean(wrong_end, known),
        }
        return {"total": losses["prediction"] + losses["reward"] + losses["end"], **losses}

    def _update_scales(self, z: Tensor, following: Tensor, reward: Tensor, batch: SequenceBatch, known: Tensor) -> None:
        self.latent_scale.update(z[batch.mask])
        self.residual_scale.update((following - z)[batch.valid])
        self.reward_scale.update(reward[known].unsqueeze(-1))


def _plain(value: Tensor) -> Tensor:
    """Tensors made under `torch.inference_mode` cannot enter autograd; a copy can."""
    return value.clone() if value.is_inference() else value


def _own(batch: SequenceBatch) -> SequenceBatch:
    return SequenceBatch(**{name: _plain(value) for name, value in vars(batch).items()})


def _without_padding(batch: SequenceBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z, next z, action, reward with harmless values wherever the batch holds none that count.

    Multiplying by a zero mask is not enough: a NaN in the padding would survive it.
    """
    mask, valid = batch.mask.unsqueeze(-1), batch.valid.unsqueeze(-1)
    z = torch.where(mask, batch.z[:-1], 0.0)
    following = torch.where(valid, batch.z[1:], z)
    return z, following, torch.where(mask, batch.action, 0.0), torch.where(batch.mask, batch.reward, 0.0)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of values (T, B) where mask (T, B) is true; 0 where it never is."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)
