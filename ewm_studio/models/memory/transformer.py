"""A causal transformer over a sliding window of past steps.

Pre-layer-norm blocks (Xiong et al. 2020) that attend to the present step and to the cached inputs of the last W
steps, layer by layer, as Transformer-XL does (Dai et al. 2019); distances enter as a learned bias on the attention
(Raffel et al. 2020). Every query sees the same W steps back, in `step` as in `sequence`, so the two agree.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ewm_studio.errors import UserError
from ewm_studio.models.base import State
from ewm_studio.models.prediction import PredictiveMemory
from ewm_studio.models.predictive_settings import PredictiveSettings
from ewm_studio.models.randomness import dropout
from ewm_studio.models.residuals import GaussianPrediction, bounded_log_std
from ewm_studio.settings import setting

CHUNK = 256  # steps attended to at once; bounds the memory that long sequences need


class TransformerSettings(PredictiveSettings):
    """Settings of the transformer memory."""

    hidden_dim: int = setting(64, "Width of the transformer; a multiple of heads.", unit="features", ge=1, le=8192)
    layers: int = setting(2, "Blocks.", unit="layers", ge=1, le=64)
    heads: int = setting(4, "Attention heads of a block.", ge=1, le=64)
    window: int = setting(16, "Past steps each layer sees; L layers reach L times as far.", unit="steps", ge=1, le=1024)


class Block(nn.Module):
    """One pre-layer-norm block: windowed attention, then a two-layer perceptron."""

    def __init__(self, dim: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.attention_norm, self.mlp_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        # Keys need no bias: it adds the same to every score, and the softmax removes it.
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim, bias=False)
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        # Heads start with different reach, from the last steps only to the whole window (ALiBi, Press et al. 2022).
        slopes = 2.0 ** (1 - torch.arange(heads, dtype=torch.float32))
        self.age_bias = nn.Parameter(slopes[:, None] * torch.arange(-window, 1))  # (heads, W + 1), oldest first

    def forward(self, x: Tensor, context: Tensor, bias: Tensor, generator: Generator | None = None) -> Tensor:
        """Queries x (B, T, D) over context (B, S, D), with bias (B, heads, T, S), -inf where not visible."""
        normed = self.attention_norm(context)
        own = normed[:, -x.shape[1] :]  # the context ends with x itself
        q, k, v = (self._split(layer(n)) for layer, n in ((self.query, own), (self.key, normed), (self.value, normed)))
        attended = F.scaled_dot_product_attention(q, k, v, bias).transpose(1, 2).flatten(2)
        x = x + self._dropped(self.out(attended), generator)
        return x + self._dropped(self.mlp(self.mlp_norm(x)), generator)

    def step(self, context: Tensor, hidden_from: Tensor, generator: Generator | None = None) -> Tensor:
        """`forward` for the last step alone: context (B, W + 1, D), hidden_from (B, 1, W + 1) -> (B, D).

        The query is carried through the keys' weights, and the mean through the values', so that neither keys nor
        values are made for the whole window: the same numbers for a fraction of the work.
        """
        heads, dim = self.heads, context.shape[-1]
        normed = self.attention_norm(context)
        q = self.query(normed[:, -1]).view(-1, heads, dim // heads).transpose(0, 1)  # (heads, B, D / heads)
        seeker = torch.bmm(q, self.key.weight.view(heads, -1, dim)).transpose(0, 1)  # (B, heads, D)
        bias = self.age_bias + hidden_from  # (B, heads, W + 1)
        weights = torch.baddbmm(bias, seeker, normed.transpose(1, 2), alpha=(dim // heads) ** -0.5).softmax(-1)
        found = torch.bmm(weights, normed).transpose(0, 1)  # (heads, B, D)
        values = torch.bmm(found, self.value.weight.view(heads, -1, dim).transpose(1, 2))  # (heads, B, D / heads)
        attended = values.transpose(0, 1).reshape(-1, dim) + self.value.bias
        x = context[:, -1] + self._dropped(self.out(attended), generator)
        return x + self._dropped(self.mlp(self.mlp_norm(x)), generator)

    def _dropped(self, x: Tensor, generator: Generator | None) -> Tensor:
        return dropout(x, self.dropout, self.training, generator)

    def _split(self, x: Tensor) -> Tensor:
        """(B, S, D) -> (B, heads, S, D / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class TemporalTransformer(PredictiveMemory[TransformerSettings]):
    """M that attends to the last steps.

    Its state: each layer's last W inputs (B, layers, W, D), which of them are there (B, W), and the latent before.
    """

    Settings = TransformerSettings
    summary = "Causal transformer over a sliding window: predicts the next latent, the reward and the end."

    def __init__(self, settings: TransformerSettings, latent_dim: int, action_dim: int) -> None:
        if settings.hidden_dim % settings.heads:
            raise UserError(
                f"memory TemporalTransformer: hidden_dim {settings.hidden_dim} is no multiple of heads {settings.heads}"
            )
        super().__init__(settings, latent_dim, action_dim, 2 * latent_dim)
        dim, self.window = settings.hidden_dim, settings.window
        self.embed = nn.Linear(2 * latent_dim + action_dim, dim)
        self.blocks = nn.ModuleList(
            Block(dim, settings.heads, self.window, settings.dropout) for _ in range(settings.layers)
        )
        self.norm = nn.LayerNorm(dim)

    @property
    def _layers(self) -> list[Block]:
        return cast(list[Block], list(self.blocks))

    def initial_state(self, batch: int) -> State:
        """An empty cache, nothing of it valid."""
        shape = (batch, self.settings.layers, self.window, self.features)
        return {
            "cache": torch.zeros(shape, device=self.device),
            "valid": torch.zeros(batch, self.window, dtype=torch.bool, device=self.device),
            "previous": torch.zeros(batch, self.latent_dim, device=self.device),
        }

    def step(self, z: Tensor, action: Tensor, state: State, generator: Generator | None = None) -> tuple[Tensor, State]:
        """One step: z (B, Z), action (B, A) -> h (B, H) = [transformer output, normalized z], and the new state."""
        latent, inputs = self.observe(z, action, state["previous"], state["valid"][:, -1:])
        x = self.embed(inputs)  # (B, D)
        valid = F.pad(state["valid"], (0, 1), value=True)  # (B, W + 1), oldest first
        hidden_from = torch.where(valid, 0.0, -torch.inf).unsqueeze(1)
        contexts = []
        for block, past in zip(self._layers, state["cache"].unbind(1), strict=True):
            contexts.append(torch.cat([past, x.unsqueeze(1)], dim=1))
            x = block.step(contexts[-1], hidden_from, generator)
        cache = torch.stack([context[:, 1:] for context in contexts], dim=1).detach()
        h = torch.cat([self.norm(x), latent], dim=-1)
        return h, {"cache": cache, "valid": valid[:, 1:], "previous": z}

    def sequence(
        self, z: Tensor, action: Tensor, is_first: Tensor, state: State, generator: Generator | None = None
    ) -> tuple[Tensor, State]:
        """Many steps: z (T, B, Z), action (T, B, A), is_first (T, B) -> h (T, B, H) and the last state."""
        latent, inputs = self.observe_sequence(z, action, is_first, state["previous"], state["valid"][:, -1:])
        x = self.embed(inputs).transpose(0, 1)  # (B, T, D)
        cache, valid = state["cache"].unbind(1), state["valid"]
        outputs = []
        for part, begins in zip(x.split(CHUNK, dim=1), is_first.T.split(CHUNK, dim=1), strict=True):
            out, cache, valid = self._attend(part, begins, cache, valid, generator)
            outputs.append(out)
        h = torch.cat([self.norm(torch.cat(outputs, dim=1)).transpose(0, 1), latent], dim=-1)
        return h, {"cache": torch.stack(list(cache), dim=1).detach(), "valid": valid, "previous": z[-1]}

    def _attend(
        self, x: Tensor, is_first: Tensor, cache: tuple[Tensor, ...], valid: Tensor, generator: Generator | None
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """All blocks over x (B, T, D) behind each layer's cache (B, W, D); outputs, new caches, their validity."""
        steps, window = x.shape[1], self.window
        episode = F.pad(is_first.long().cumsum(1), (window, 0))  # (B, W + T): the cache belongs to episode 0
        present = F.pad(valid, (0, steps), value=True)
        distance = (
            torch.arange(window, window + steps, device=x.device)[:, None]
            - torch.arange(window + steps, device=x.device)[None]
        )
        near = (distance >= 0) & (distance <= window)  # (T, W + T)
        visible = near & present[:, None] & (episode[:, window:, None] == episode[:, None])  # (B, T, W + T)
        hidden_from = torch.where(visible, 0.0, -torch.inf)[:, None]
        index = (window - distance).clamp(0, window)
        kept = (present & (episode == episode[:, -1:]))[:, -window:]
        caches = []
        for block, past in zip(self._layers, cache, strict=True):
            context = torch.cat([past, x], dim=1)
            caches.append(torch.where(kept.unsqueeze(-1), context[:, -window:], 0.0))
            x = block(x, context, block.age_bias[:, index] + hidden_from, generator)
        return x, tuple(caches), kept

    def residual(
        self, out: Tensor, reward: Tensor, end_logit: Tensor, base: Tensor, scale: Tensor
    ) -> GaussianPrediction:
        """A Gaussian for every latent dimension."""
        mu, log_std = out.chunk(2, dim=-1)
        return GaussianPrediction(
            reward, end_logit, base, scale, mu, bounded_log_std(log_std, self.settings.log_spread_max)
        )
