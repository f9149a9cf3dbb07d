"""Latents that are codes, foretold as codes: which vector of the codebook each cell takes next.

A Gaussian of a code's vector lies between the codes, where no picture is; a draw of codes is a latent of the vision.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ewm_studio.models.categorical import drawn
from ewm_studio.models.residuals import ResidualPrediction

KEY = 16  # numbers by which a cell says what code it wants
STAYS = 2.0  # logit of the present code before anything was learnt


class Codes(nn.Module):
    """A vision's codebook, as a memory keeps it, and how its latents are made of it.

    A latent (D * cells,) is laid out (D, cells). The codebook moves while the vision is trained: `follow` copies it.
    """

    book: Tensor  # (K, D)

    def __init__(self, cells: int, book: Tensor) -> None:
        super().__init__()
        self.cells = cells
        self.register_buffer("book", book.detach().clone())

    @torch.no_grad()
    def follow(self, book: Tensor) -> None:
        """Take the vision's present codebook."""
        self.book.copy_(book)

    def index(self, z: Tensor) -> Tensor:
        """The code (..., cells) nearest to each cell of latents (..., Z)."""
        vectors = z.unflatten(-1, (-1, self.cells)).transpose(-1, -2)
        return (self.book.square().sum(1) - 2 * vectors @ self.book.T).argmin(-1)

    def latents(self, index: Tensor) -> Tensor:
        """The latents (..., Z) of codes (..., cells), exactly those of the codebook."""
        return F.embedding(index, self.book).transpose(-1, -2).flatten(-2)

    def expected(self, probs: Tensor) -> Tensor:
        """The mean latent (..., Z) under probabilities (..., cells, K)."""
        return (probs @ self.book).transpose(-1, -2).flatten(-2)

    def snapped(self, z: Tensor) -> Tensor:
        """The latents (..., Z) of the codes nearest to `z` (..., Z)."""
        return self.latents(self.index(z))


class CodeHead(Codes):
    """What a memory's last layer says of the next codes: a key for every cell, compared with one of every code."""

    def __init__(self, cells: int, book: Tensor) -> None:
        super().__init__(cells, book)
        self.keys = nn.Parameter(torch.randn(len(book), KEY, device=book.device) / KEY**0.5)

    @property
    def outputs(self) -> int:
        """Numbers that the last layer gives: a key and the weight of the present code, for every cell."""
        return self.cells * (KEY + 1)

    def predict(self, out: Tensor, reward: Tensor, end_logit: Tensor, base: Tensor, scale: Tensor) -> CodePrediction:
        """What a head's outputs (..., outputs) say of the codes that follow those of `base` (..., Z)."""
        keys, stays = out.unflatten(-1, (self.cells, KEY + 1)).split([KEY, 1], dim=-1)
        present = self.index(base).unsqueeze(-1)
        logits = (keys @ self.keys.T).scatter_add(-1, present, STAYS + stays)
        return CodePrediction(reward, end_logit, base, scale, logits.log_softmax(-1), self)


@dataclass
class CodePrediction(ResidualPrediction):
    """A categorical for every cell over the codebook: `log_probs` (..., cells, K) of the next codes."""

    log_probs: Tensor
    codes: Codes

    @property
    def mean(self) -> Tensor:
        """Expected next latent (..., Z), between the codes."""
        return self.codes.expected(self.log_probs.exp())

    @property
    def residual_mean(self) -> Tensor:
        """Expected residual (..., Z)."""
        return (self.mean - self.base) / self.scale

    def sample(self, temperature: float = 1.0, generator: Generator | None = None) -> Tensor:
        """A next latent (..., Z) of drawn codes; temperature 0 takes each cell's likeliest.

        Raises:
            ValueError: the temperature is negative.
        """
        if temperature < 0:
            raise ValueError(f"temperature must be at least 0 (found {temperature})")
        return self.codes.latents(drawn(self.log_probs, temperature, generator))

    def residual_sample(self, temperature: float, generator: Generator | None) -> Tensor:
        """A residual (..., Z) of drawn codes."""
        return (self.sample(temperature, generator) - self.base) / self.scale

    def nll(self, residual: Tensor) -> Tensor:
        """Negative log-probability (..., cells) of the codes nearest to base + scale * residual (..., Z)."""
        index = self.codes.index(self.base + self.scale * residual)
        return -self.log_probs.gather(-1, index.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-probability (...) of the codes nearest to a next latent (..., Z), in nats."""
        return self.log_probs.gather(-1, self.codes.index(z).unsqueeze(-1)).squeeze(-1).sum(-1)
