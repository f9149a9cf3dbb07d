"""ConvVAE: the convolutional variational autoencoder of World Models (Ha & Schmidhuber 2018)."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import torch
from torch import Generator, Tensor, nn

from ewm_studio.models.base import Losses, Tag, VisionModel
from ewm_studio.models.layers import halvings, pad_to_multiple, picture_shape, squared_error, to_unit
from ewm_studio.models.randomness import normal_like
from ewm_studio.settings import TrainedSettings, setting

GRID = 4  # cells along the shorter side of the last feature map
WIDEST = 8  # the deepest layers have at most this many times the first one's channels


class ConvVAESettings(TrainedSettings):
    """Size and loss of the variational autoencoder."""

    latent_dim: int = setting(32, "Numbers in the latent.", unit="numbers", ge=1, le=4096)
    channels: int = setting(
        16,
        "Channels of the first layer; each next one has twice as many, up to 8 times.",
        unit="channels",
        ge=1,
        le=512,
    )
    kl_free: float = setting(
        0.5,
        "Divergence from the standard normal that costs nothing; more keeps more of the picture.",
        unit="nats / dim",
        ge=0,
        le=100,
    )
    kl_weight: float = setting(
        1.0, "Weight of the divergence beside the summed squared error of the pixels.", ge=0, le=1000, advanced=True
    )
    lr: float = setting(1e-3, "Learning rate.", gt=0, le=1)


class ConvVAE(VisionModel[ConvVAESettings]):
    """Pictures (B, C, H, W) <-> Gaussian latent (B, Z).

    As in World Models, layers of stride 2 with doubling channels, a dense latent with mean and deviation, a
    mirrored decoder with a sigmoid; the squared error is summed over the pixels, so that the divergence cannot
    win and blank the picture. Padded layers in place of the paper's unpadded ones serve any size of picture.

    Raises:
        UserError: the observation is no picture, or one too small.
    """

    Settings = ConvVAESettings
    tags = frozenset({Tag.IMAGE, Tag.RECONSTRUCTS})
    summary = "Variational autoencoder of World Models: a small Gaussian latent, sharp enough to drive by."

    def __init__(self, settings: ConvVAESettings, observation_space: gym.spaces.Box) -> None:
        super().__init__(settings, observation_space)
        channels, self.height, self.width = picture_shape(observation_space, "ConvVAE")
        self.latent_dim = settings.latent_dim
        layers = halvings(min(self.height, self.width), GRID)
        self.multiple = 2**layers
        widths = [settings.channels * min(2**i, WIDEST) for i in range(layers)]
        rows, columns = -(-self.height // self.multiple), -(-self.width // self.multiple)
        self.cells = (widths[-1], rows, columns)
        flat = widths[-1] * rows * columns

        down: list[nn.Module] = []
        for before, after in zip([channels, *widths], widths, strict=False):
            down += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        self.encoder = nn.Sequential(*down, nn.Flatten())
        self.to_mean = nn.Linear(flat, self.latent_dim)
        self.to_log_variance = nn.Linear(flat, self.latent_dim)

        self.from_latent = nn.Linear(self.latent_dim, flat)
        up: list[nn.Module] = []
        for before, after in zip(widths[::-1], [*widths[-2::-1], channels], strict=True):
            up += [nn.ReLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
        self.decoder = nn.Sequential(*up)
        self.to(memory_format=torch.channels_last)

    def posterior(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, Z) of q(z | obs)."""
        features = self.encoder(pad_to_multiple(to_unit(obs), self.multiple))
        # Bounded, so that its exponential stays finite whatever the picture.
        return self.to_mean(features), self.to_log_variance(features).clamp(-20, 10)

    def encode(self, obs: Tensor) -> Tensor:
        """Mean (B, Z) of the latent of pictures (B, C, H, W)."""
        features = self.encoder(pad_to_multiple(to_unit(obs), self.multiple))
        return self.to_mean(features)

    def decode(self, z: Tensor) -> Tensor:
        """Pictures (B, C, H, W) in 0 to 1 of latents (B, Z)."""
        cells = self.from_latent(z).unflatten(1, self.cells).contiguous(memory_format=torch.channels_last)
        return torch.sigmoid(self.decoder(cells)[..., : self.height, : self.width])

    def loss(self, obs: Tensor, generator: Generator | None = None) -> Losses:
        """Summed squared error of a sample's reconstruction plus max(KL, free nats), means over the batch.

        `kl` is the divergence before the free nats; `mse` the squared error of one pixel, in 0 to 1.
        """
        pictures = to_unit(obs)
        mean, log_variance = self.posterior(obs)
        z = mean + normal_like(mean, generator) * (0.5 * log_variance).exp()
        error = squared_error(self.decode(z), pictures).mean()
        kl = divergence(mean, log_variance).sum(1)  # (B,)
        charged = kl.clamp_min(self.settings.kl_free * self.latent_dim).mean()
        return {
            "total": error + self.settings.kl_weight * charged,
            "reconstruction": error,
            "kl": kl.mean(),
            "mse": error / pictures[0].numel(),
        }

    @torch.no_grad()
    def diagnostics(self, obs: Tensor) -> dict[str, Any]:
        """`kl` (Z,): mean divergence of each latent number in nats; near zero, it carries nothing."""
        mean, log_variance = self.posterior(obs)
        return {"kl": divergence(mean, log_variance).mean(0).cpu().numpy()}


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) of each number, in nats; shapes as given."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
