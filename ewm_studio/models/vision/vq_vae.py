"""VQ_VAE: a grid of codes from a learned codebook (van den Oord et al. 2017), kept by moving averages."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ewm_studio.models.base import Losses, Tag, VisionModel
from ewm_studio.models.layers import ResidualBlock, halvings, pad_to_multiple, picture_shape, squared_error, to_unit
from ewm_studio.models.randomness import integers
from ewm_studio.settings import TrainedSettings, setting


class VQVAESettings(TrainedSettings):
    """Size of the grid, of the codebook, and how the codebook follows the encoder."""

    grid: int = setting(
        8, "Codes along the picture's shorter side (up to twice as many, by halving).", unit="codes", ge=1, le=64
    )
    code_dim: int = setting(8, "Numbers in one code; the latent has grid x grid x this many.", ge=1, le=512)
    codes: int = setting(256, "Codes in the codebook.", unit="codes", ge=2, le=65536)
    channels: int = setting(32, "Channels of the first layer; the next ones have twice as many.", ge=1, le=512)
    commitment: float = setting(0.25, "Weight that keeps the encoder near the codes.", ge=0, le=100)
    decay: float = setting(0.99, "Decay of the codebook's moving averages, an update.", ge=0, lt=1, advanced=True)
    epsilon: float = setting(1e-5, "Laplace smoothing of the codes' counts.", gt=0, le=1, advanced=True)
    dead_below: float = setting(
        0.1,
        "A code used less than this share of the mean use is replaced by a random encoder output.",
        ge=0,
        lt=1,
        advanced=True,
    )
    lr: float = setting(1e-3, "Learning rate.", gt=0, le=1)


class VQ_VAE(VisionModel[VQVAESettings]):
    """Pictures (B, C, H, W) <-> a grid of codebook vectors, flattened to (B, D * H' * W').

    Where something is in the picture stays where its code is in z. The codebook (K, D) is no parameter: `loss`
    in train mode gathers what the encoder gave, and `after_update` moves the averages. `encode` never does.

    Raises:
        UserError: the observation is no picture, or one too small.
    """

    Settings = VQVAESettings
    tags = frozenset({Tag.IMAGE, Tag.RECONSTRUCTS})
    summary = "Vector-quantised autoencoder: a grid of discrete codes, the sharpest pictures."

    codebook: Tensor  # (K, D)
    code_use: Tensor  # (K,) moving average of how many vectors of an update took the code
    code_sum: Tensor  # (K, D) moving average of the sum of these vectors

    def __init__(self, settings: VQVAESettings, observation_space: gym.spaces.Box) -> None:
        super().__init__(settings, observation_space)
        channels, self.height, self.width = picture_shape(observation_space, "VQ_VAE")
        layers = halvings(min(self.height, self.width), settings.grid)
        self.multiple = 2**layers
        rows, columns = -(-self.height // self.multiple), -(-self.width // self.multiple)
        self.cells = (settings.code_dim, rows, columns)
        self.latent_dim = settings.code_dim * rows * columns
        self.code_cells = rows * columns
        self._build(channels, [settings.channels * min(2**i, 4) for i in range(layers)])

        self.register_buffer("codebook", torch.randn(settings.codes, settings.code_dim))
        self.register_buffer("code_use", torch.zeros(settings.codes))
        self.register_buffer("code_sum", torch.zeros(settings.codes, settings.code_dim))
        self._gathered: list[tuple[Tensor, Tensor]] = []  # (vectors, codes) since the last update

    def _build(self, channels: int, widths: list[int]) -> None:
        deepest = widths[-1] if widths else self.settings.channels
        down: list[nn.Module] = []
        for before, after in zip([channels, *widths], widths, strict=False):
            down += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        if not widths:
            down += [nn.Conv2d(channels, deepest, 3, padding=1), nn.ReLU()]
        self.encoder = nn.Sequential(
            *down, ResidualBlock(deepest, deepest // 2 or 1), nn.ReLU(), nn.Conv2d(deepest, self.settings.code_dim, 1)
        )
        up: list[nn.Module] = []
        for before, after in zip(widths[::-1], [*widths[-2::-1], channels], strict=True) if widths else ():
            up += [nn.ReLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
        if not widths:
            up += [nn.ReLU(), nn.Conv2d(deepest, channels, 3, padding=1)]
        self.decoder = nn.Sequential(
            nn.Conv2d(self.settings.code_dim, deepest, 3, padding=1), ResidualBlock(deepest, deepest // 2 or 1), *up
        )
        self.to(memory_format=torch.channels_last)

    def _vectors(self, obs: Tensor) -> Tensor:
        """What the encoder gives, before quantisation: (B, H', W', D)."""
        cells = self.encoder(pad_to_multiple(to_unit(obs), self.multiple))
        return cells.permute(0, 2, 3, 1).float()  # distances and averages need float32, also under autocast

    def nearest(self, vectors: Tensor) -> Tensor:
        """Index (...) of the codebook vector nearest to each of vectors (..., D)."""
        # |v - c|^2 less |v|^2, which is the same for every c.
        return (self.codebook.square().sum(1) - 2 * vectors @ self.codebook.T).argmin(-1)

    def codes(self, obs: Tensor) -> Tensor:
        """Code indices (B, H', W') of pictures (B, C, H, W)."""
        return self.nearest(self._vectors(obs))

    def encode(self, obs: Tensor) -> Tensor:
        """Latent (B, Z) of pictures (B, C, H, W): the codes' vectors, laid out (D, H', W')."""
        return F.embedding(self.codes(obs), self.codebook).permute(0, 3, 1, 2).flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        """Pictures (B, C, H, W) in 0 to 1 of latents (B, Z), each cell taken as the nearest code.

        So a latent that a memory predicted, which lies between the codes, gives a picture of real codes.
        """
        vectors = z.unflatten(1, self.cells).permute(0, 2, 3, 1)
        return self._draw(F.embedding(self.nearest(vectors), self.codebook))

    def _draw(self, vectors: Tensor) -> Tensor:
        """Pictures (B, C, H, W) of vectors (B, H', W', D)."""
        return torch.sigmoid(self.decoder(vectors.permute(0, 3, 1, 2))[..., : self.height, : self.width])

    def loss(self, obs: Tensor, generator: Generator | None = None) -> Losses:
        """Summed squared error plus the commitment of the encoder to its codes, means over the batch.

        `mse` is the squared error of one pixel, in 0 to 1; `perplexity` the number of codes in even use.
        """
        pictures = to_unit(obs)
        vectors = self._vectors(obs)
        codes = self.nearest(vectors.detach())
        chosen = F.embedding(codes, self.codebook)
        if self.training and torch.is_grad_enabled():  # a loss without gradients is a measurement
            self._gathered.append((vectors.detach().flatten(0, 2), codes.flatten()))
        straight_through = vectors + (chosen - vectors).detach()
        error = squared_error(self._draw(straight_through), pictures).mean()
        commitment = squared_error(vectors, chosen).mean()
        share = torch.bincount(codes.flatten(), minlength=self.settings.codes) / codes.numel()
        return {
            "total": error + self.settings.commitment * commitment,
            "reconstruction": error,
            "commitment": commitment,
            "mse": error / pictures[0].numel(),
            "perplexity": torch.special.entr(share).sum().exp(),
        }

    @torch.no_grad()
    def after_update(self, generator: Generator | None = None) -> None:
        """Move the codebook towards what the encoder gave since the last update, and revive dead codes."""
        if not self._gathered:
            return
        vectors = torch.cat([v for v, _ in self._gathered])  # (N, D)
        codes = torch.cat([c for _, c in self._gathered])  # (N,)
        self._gathered.clear()
        decay, epsilon = self.settings.decay, self.settings.epsilon
        taken = F.one_hot(codes, self.settings.codes).to(vectors.dtype)  # (N, K)
        self.code_use.mul_(decay).add_(taken.sum(0), alpha=1 - decay)
        self.code_sum.mul_(decay).add_(taken.T @ vectors, alpha=1 - decay)
        everything = self.code_use.sum()
        smoothed = (self.code_use + epsilon) / (everything + self.settings.codes * epsilon) * everything
        self.codebook.copy_(self.code_sum / smoothed[:, None])
        self._revive(vectors, generator)

    def _revive(self, vectors: Tensor, generator: Generator | None) -> None:
        """Put random encoder outputs (of N, D) in the place of codes that hardly any vector takes.

        The averages begin at zero, so the first update gives most codes their first place this way too. A
        revived code starts with the mean use: it has time to win vectors before it is judged again.
        """
        mean_use = self.code_use.mean()
        dead = self.code_use < self.settings.dead_below * mean_use
        picks = integers(len(vectors), len(dead), generator).to(vectors.device)
        self.codebook[dead] = vectors[picks[dead]]
        self.code_use[dead] = mean_use
        self.code_sum[dead] = vectors[picks[dead]] * mean_use

    @torch.no_grad()
    def diagnostics(self, obs: Tensor) -> dict[str, Any]:
        """`usage` (K,): how often each code appears in these pictures."""
        return {"usage": torch.bincount(self.codes(obs).flatten(), minlength=self.settings.codes).cpu().numpy()}
