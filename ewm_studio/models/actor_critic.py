"""What the controllers share: scaled inputs, a policy network with a head, and a value network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Literal, TypeVar, cast

import gymnasium as gym
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ewm_studio.models.base import ActionDistribution, Controller
from ewm_studio.models.heads import Head
from ewm_studio.settings import ComponentSettings, setting

Activation = Literal["tanh", "relu", "silu"]
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu, "silu": F.silu}

_WINDOW = 100_000  # samples the running statistics remember: vision goes on learning, and z drifts with it
_LIMIT = 10.0  # scaled inputs are clamped to +- this
_VARIANCE_FLOOR = 1e-8


class ActorCriticSettings(ComponentSettings):
    """What every controller can be told."""

    normalize_inputs: bool = setting(
        True, "Scale z and h to mean 0 and deviation 1 by their statistics so far.", advanced=True
    )


class InputScaler(nn.Module):
    """Running mean and deviation of [z, h], changed by `observe` only; before the first call it does nothing."""

    mean: Tensor
    variance: Tensor
    scale: Tensor
    count: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("variance", torch.ones(dim))
        self.register_buffer("scale", torch.ones(dim))  # 1 / deviation, kept so that a step need not take the root
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Scaled inputs (B, D); overwrites x."""
        return x.sub_(self.mean).mul_(self.scale).clamp_(-_LIMIT, _LIMIT)

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Merge the statistics of samples x (N, D) into the running ones (Chan et al. 1979)."""
        if x.shape[0] == 0:
            return
        variance, mean = torch.var_mean(x, 0, correction=0)
        total = self.count + x.shape[0]
        share = x.shape[0] / total.to(mean.dtype)
        delta = mean - self.mean
        self.variance.copy_(torch.lerp(self.variance, variance, share) + delta.square() * share * (1 - share))
        self.mean.add_(delta * share)
        self.scale.copy_((self.variance + _VARIANCE_FLOOR).rsqrt())
        self.count.copy_(total.clamp_max(_WINDOW))


S = TypeVar("S", bound=ActorCriticSettings)


class ActorCritic(Controller[S]):
    """Separate policy and value networks on the scaled [z, h]. A subclass gives head and hidden layers."""

    def __init__(
        self,
        settings: S,
        latent_dim: int,
        hidden_dim: int,
        action_space: gym.Space,
        head: Head,
        hidden: tuple[int, ...] = (),
        activation: Activation = "tanh",
        normed: bool = False,
        gains: tuple[float, float] = (0.01, 1.0),
    ) -> None:
        """Networks for `head`.

        Args:
            settings, latent_dim, hidden_dim, action_space: as of every controller.
            head: makes the distribution.
            hidden: widths of the hidden layers, of policy and value each.
            activation: after each of them.
            normed: each is normalized before that.
            gains: of the last layers of policy and value; 0 begins with the same for every input.
        """
        super().__init__(settings, latent_dim, hidden_dim, action_space)
        inputs = latent_dim + hidden_dim
        self.scaler = InputScaler(inputs) if settings.normalize_inputs else None
        self.head = head
        # A small last layer makes the first policy nearly the same everywhere, and PPO's first steps safe
        # (Andrychowicz et al. 2021, "What Matters In On-Policy Reinforcement Learning?").
        self.policy = MLP(inputs, hidden, head.outputs, activation, gains[0], normed)
        self.critic = MLP(inputs, hidden, 1, activation, gains[1], normed)

    def _inputs(self, z: Tensor, h: Tensor) -> Tensor:
        x = torch.cat((z, h), -1)
        return x if self.scaler is None else self.scaler(x)

    def distribution(self, z: Tensor, h: Tensor) -> ActionDistribution:
        """Policy at z (B, Z), h (B, H)."""
        return self.head(self.policy(self._inputs(z, h)))

    def linear(self, z: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """What a policy of one layer would give at z (B, Z), h (B, H) with weights (B, P, Z + H) and biases (B, P)."""
        return torch.baddbmm(bias.unsqueeze(-1), weight, self._inputs(z, h).unsqueeze(-1)).squeeze(-1)

    def to_raw(self, action: Tensor) -> Tensor:
        """Raw actions (B, R) for the environment's (B, ...)."""
        return self.head.to_raw(action)

    def value(self, z: Tensor, h: Tensor) -> Tensor:
        """Expected discounted return (B,) at z (B, Z), h (B, H)."""
        return self.critic(self._inputs(z, h)).squeeze(-1)

    def observe(self, z: Tensor, h: Tensor) -> None:
        """Take the statistics of a rollout's z (N, Z), h (N, H) into the scaling of the inputs."""
        if self.scaler is not None:
            self.scaler.observe(torch.cat((z, h), -1))


class MLP(nn.Module):
    """Layers (B, inputs) -> (B, outputs) with orthogonal weights, zero biases, and `gain` on the last layer."""

    def __init__(
        self,
        inputs: int,
        hidden: tuple[int, ...],
        outputs: int,
        activation: Activation,
        gain: float,
        normed: bool = False,
    ) -> None:
        super().__init__()
        widths = (inputs, *hidden, outputs)
        gains = (*[2**0.5] * len(hidden), gain)
        self.layers = nn.ModuleList(_linear(i, o, g) for i, o, g in zip(widths[:-1], widths[1:], gains, strict=True))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in hidden) if normed else None
        self.activation = _ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (B, outputs) of inputs (B, inputs)."""
        # Not an nn.Sequential: for a handful of environments the calls of its modules cost as much as their work.
        *hidden, last = cast("list[nn.Linear]", list(self.layers))
        norms: Iterable[nn.Module | None] = repeat(None) if self.norms is None else self.norms
        for layer, norm in zip(hidden, norms, strict=False):
            x = F.linear(x, layer.weight, layer.bias)
            x = self.activation(x if norm is None else norm(x))
        kind = x.device.type
        if not (torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)):
            return F.linear(x, last.weight, last.bias)
        # Of 32 bits whatever comes before: in 16, a rare action is hardly ever drawn and a value has three digits.
        with torch.autocast(kind, enabled=False):
            return F.linear(x.float(), last.weight, last.bias)


def _linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
