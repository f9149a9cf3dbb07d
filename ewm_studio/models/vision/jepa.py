"""JEPA: features learned by predicting features of hidden parts, without pixels (I-JEPA, Assran et al. 2023)."""

from __future__ import annotations

import copy
import math
from typing import Any

import gymnasium as gym
import torch
from pydantic import model_validator
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ewm_studio.models.base import Losses, Tag, VisionModel
from ewm_studio.models.layers import TransformerBlock, grid_positions, pad_to_multiple, picture_shape, to_unit
from ewm_studio.models.randomness import integers, uniform
from ewm_studio.settings import TrainedSettings, setting

BLOCKS = 4  # hidden blocks to predict
BLOCK_SCALE = (0.15, 0.2)  # share of the grid in one hidden block
BLOCK_ASPECT = (0.75, 1.5)  # height over width of a hidden block
CONTEXT_SCALE = (0.85, 1.0)  # share of the grid in the context, before the hidden blocks are taken out


class JEPASettings(TrainedSettings):
    """Size of the encoder and weights of the losses."""

    latent_dim: int = setting(128, "Numbers in the latent.", unit="numbers", ge=1, le=4096)
    grid: int = setting(8, "Patches along the picture's shorter side.", unit="patches", ge=4, le=32)
    features: int = setting(64, "Features of a patch; a multiple of 4 times the heads.", ge=8, le=1024)
    layers: int = setting(2, "Transformer layers of the encoder.", unit="layers", ge=1, le=24)
    heads: int = setting(4, "Attention heads.", unit="heads", ge=1, le=16)
    predictor_features: int = setting(
        32, "Features inside the predictor; a multiple of 4 times the heads.", ge=8, le=1024
    )
    predictor_layers: int = setting(2, "Transformer layers of the predictor.", unit="layers", ge=1, le=24)
    ema: float = setting(0.996, "Decay of the target encoder's moving average, an update.", ge=0, lt=1)
    variance_weight: float = setting(1.0, "Weight of the hinge on the features' deviations (VICReg).", ge=0, le=100)
    covariance_weight: float = setting(0.04, "Weight of the features' covariances (VICReg).", ge=0, le=100)
    lr: float = setting(5e-4, "Learning rate.", gt=0, le=1)

    @model_validator(mode="after")
    def _heads_fit(self) -> JEPASettings:
        for name in ("features", "predictor_features"):
            if getattr(self, name) % (4 * self.heads):
                raise ValueError(f"{name} must be a multiple of 4 x heads = {4 * self.heads}")
        return self


class PatchEncoder(nn.Module):
    """A small vision transformer over patches: pictures (B, C, H, W) -> tokens (B, N, F), one a patch."""

    positions: Tensor

    def __init__(self, channels: int, patch: int, rows: int, columns: int, settings: JEPASettings) -> None:
        super().__init__()
        self.patch = nn.Conv2d(channels, settings.features, patch, stride=patch)
        self.blocks = nn.Sequential(
            *[TransformerBlock(settings.features, settings.heads) for _ in range(settings.layers)]
        )
        self.norm = nn.LayerNorm(settings.features)
        # Not persistent: they follow from the shape.
        self.register_buffer("positions", grid_positions(rows, columns, settings.features), persistent=False)

    def forward(self, pictures: Tensor, keep: Tensor | None = None) -> Tensor:
        """Tokens of all patches, or only of those with the indices `keep` (M,), which then see only one another."""
        tokens = self.patch(pictures).flatten(2).transpose(1, 2) + self.positions
        return self.norm(self.blocks(tokens if keep is None else tokens[:, keep]))


class Predictor(nn.Module):
    """Predicts the features of hidden patches from the context's features and the hidden patches' places."""

    positions: Tensor

    def __init__(self, rows: int, columns: int, settings: JEPASettings) -> None:
        super().__init__()
        width = settings.predictor_features
        self.enter = nn.Linear(settings.features, width)
        self.hidden = nn.Parameter(torch.randn(width) * 0.02)
        self.blocks = nn.Sequential(
            *[TransformerBlock(width, settings.heads) for _ in range(settings.predictor_layers)]
        )
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, settings.features))
        self.register_buffer("positions", grid_positions(rows, columns, width), persistent=False)

    def forward(self, context: Tensor, keep: Tensor, blocks: Tensor) -> Tensor:
        """Features (K, B, M, F) of blocks (K, M) of patches, from context tokens (B, N, F) of patches `keep` (N,).

        Each block is predicted by itself: blocks do not see one another's places.
        """
        batch, (count, size) = len(context), blocks.shape
        seen = (self.enter(context) + self.positions[keep]).expand(count, -1, -1, -1)
        asked = (self.hidden + self.positions[blocks])[:, None].expand(-1, batch, -1, -1)
        tokens = torch.cat([seen, asked], dim=2).flatten(0, 1)  # (K * B, N + M, width)
        return self.leave(self.blocks(tokens)[:, -size:]).unflatten(0, (count, batch))


class JEPA(VisionModel[JEPASettings]):
    """Pictures (B, C, H, W) -> latent (B, Z) that keeps where things are.

    An encoder sees part of the patches; a predictor predicts, for 4 hidden blocks, the features that a slow
    moving average of the encoder (the target) gives of the whole picture. Variance and covariance terms
    (VICReg, Bardes et al. 2022) keep the features from collapsing. z is a linear map of all the target's
    patch features, learned so that they can be read back from it and its numbers stay spread and apart.

    Raises:
        UserError: the observation is no picture, or one too small.
    """

    Settings = JEPASettings
    tags = frozenset({Tag.IMAGE})
    summary = "Predicts features of hidden parts of the picture; no reconstruction, no time lost on pixels."

    def __init__(self, settings: JEPASettings, observation_space: gym.spaces.Box) -> None:
        super().__init__(settings, observation_space)
        channels, height, width = picture_shape(observation_space, "JEPA")
        self.latent_dim = settings.latent_dim
        self.patch = max(1, min(height, width) // settings.grid)
        self.rows, self.columns = -(-height // self.patch), -(-width // self.patch)
        self.encoder = PatchEncoder(channels, self.patch, self.rows, self.columns, settings)
        self.target = copy.deepcopy(self.encoder).requires_grad_(False)
        self.predictor = Predictor(self.rows, self.columns, settings)
        flat = self.rows * self.columns * settings.features
        self.project = nn.Linear(flat, self.latent_dim)
        self.read_back = nn.Linear(self.latent_dim, flat)

    def features(self, obs: Tensor) -> Tensor:
        """The target's features (B, H' * W', F) of pictures, with mean 0 and deviation 1 in each patch."""
        tokens = self.target(pad_to_multiple(to_unit(obs), self.patch))
        return F.layer_norm(tokens, tokens.shape[-1:])

    def encode(self, obs: Tensor) -> Tensor:
        """Latent (B, Z) of pictures (B, C, H, W)."""
        return self.project(self.features(obs).flatten(1))

    def loss(self, obs: Tensor, generator: Generator | None = None) -> Losses:
        """Prediction of hidden features, spread of the features, and the projection to z.

        `std` is the mean deviation of z's numbers over the batch: near zero, it has collapsed.
        """
        keep, blocks = (index.to(obs.device) for index in draw_masks(self.rows, self.columns, generator))
        with torch.no_grad():
            features = self.features(obs)  # (B, N, F)
        context = self.encoder(pad_to_multiple(to_unit(obs), self.patch), keep)
        predicted = self.predictor(context, keep, blocks)
        prediction = F.smooth_l1_loss(predicted, features[:, blocks].transpose(0, 1))
        z = self.project(features.flatten(1))
        projection = F.smooth_l1_loss(self.read_back(z), features.flatten(1))
        variance = hinge(context) + hinge(z)
        covariance = decorrelation(context.flatten(0, 1)) + decorrelation(z)
        spread = self.settings.variance_weight * variance + self.settings.covariance_weight * covariance
        return {
            "total": prediction + projection + spread,
            "prediction": prediction,
            "projection": projection,
            "variance": variance,
            "covariance": covariance,
            "std": z.detach().std(0, unbiased=False).mean(),
        }

    @torch.no_grad()
    def after_update(self, generator: Generator | None = None) -> None:
        """Move the target a little towards the encoder."""
        for slow, fast in zip(self.target.parameters(), self.encoder.parameters(), strict=True):
            slow.lerp_(fast, 1 - self.settings.ema)

    @torch.no_grad()
    def diagnostics(self, obs: Tensor) -> dict[str, Any]:
        """`features` (H', W', F): the feature map of the first picture."""
        return {"features": self.features(obs[:1])[0].unflatten(0, (self.rows, self.columns)).cpu().numpy()}


def hinge(x: Tensor) -> Tensor:
    """How far the deviations over the batch of x (B, ...) stay below 1, on average (VICReg's variance term)."""
    return F.relu(1 - (x.var(0, unbiased=False) + 1e-4).sqrt()).mean()


def decorrelation(x: Tensor) -> Tensor:
    """Squared covariances between the columns of x (B, D), summed, over D (VICReg's covariance term)."""
    centered = x - x.mean(0)
    covariance = centered.T @ centered / max(1, len(x) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / x.shape[1]


def draw_masks(rows: int, columns: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
    """Indices of the context's patches (N,) and of the 4 hidden blocks' patches (4, M); they never overlap.

    One draw serves a whole batch: all pictures then have equally many tokens, and nothing is padded.
    """
    index = torch.arange(rows * columns).view(rows, columns)
    least = max(1, rows * columns // 8)  # context patches below which there is too little to predict from
    while True:
        height, width = _block_size(rows, columns, BLOCK_SCALE, BLOCK_ASPECT, generator)
        blocks = torch.stack([_place(index, height, width, generator) for _ in range(BLOCKS)])
        seen = torch.zeros(rows * columns, dtype=torch.bool)
        context = _block_size(rows, columns, CONTEXT_SCALE, (1.0, 1.0), generator)
        seen[_place(index, *context, generator)] = True
        seen[blocks.flatten()] = False
        if int(seen.sum()) >= least:
            return seen.nonzero().flatten(), blocks


def _block_size(
    rows: int,
    columns: int,
    scale: tuple[float, float],
    aspect: tuple[float, float],
    generator: Generator | None,
) -> tuple[int, int]:
    """Height and width, in patches, of a block with a random share of the grid and a random shape."""
    share = scale[0] + (scale[1] - scale[0]) * uniform(generator)
    ratio = aspect[0] + (aspect[1] - aspect[0]) * uniform(generator)
    height, width = math.sqrt(share * ratio) * rows, math.sqrt(share / ratio) * columns
    return min(rows, max(1, round(height))), min(columns, max(1, round(width)))


def _place(index: Tensor, height: int, width: int, generator: Generator | None) -> Tensor:
    """Patch indices (height * width,) of a block at a random place in the grid `index` (rows, columns)."""
    top = int(integers(index.shape[0] - height + 1, 1, generator))
    left = int(integers(index.shape[1] - width + 1, 1, generator))
    return index[top : top + height, left : left + width].flatten()
