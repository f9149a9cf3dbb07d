"""MDN-RNN, the memory of Ha & Schmidhuber (2018), "World Models": an LSTM with a mixture density head.

Mixture density networks: Bishop (1994). Sampling with a temperature: Ha & Eck (2017), "Sketch-RNN".
"""

from __future__ import annotations

import torch
from torch import Tensor

from ewm_studio.models.memory.lstm import LSTMSettings, RecurrentMemory
from ewm_studio.models.predictive_settings import WorldSettings
from ewm_studio.models.residuals import MixturePrediction, bounded_log_std
from ewm_studio.settings import setting
from ewm_studio.settings.declare import inherited


class MDNRNNSettings(WorldSettings):
    """Settings of the MDN-RNN; its sizes are the paper's."""

    hidden_dim: int = setting(256, "Width of the LSTM.", unit="features", ge=1, le=8192)
    mixtures: int = setting(5, "Gaussians for every latent dimension.", ge=1, le=64)
    slowest: int = inherited(LSTMSettings, "slowest", 1)


class MDNRNN(RecurrentMemory[MDNRNNSettings]):
    """M that predicts the next latent by a mixture of Gaussians for every dimension."""

    Settings = MDNRNNSettings
    summary = "LSTM with a mixture density head, after World Models: predicts several futures."

    def __init__(self, settings: MDNRNNSettings, latent_dim: int, action_dim: int) -> None:
        super().__init__(settings, latent_dim, action_dim, 3 * latent_dim * settings.mixtures, settings.slowest)
        # The Gaussians start side by side, so that each can take its own share of the residuals.
        with torch.no_grad():
            bias = self.residual_head.bias.view(3, latent_dim, settings.mixtures)
            if settings.mixtures > 1:
                bias[1] = torch.linspace(-1, 1, settings.mixtures)

    def residual(
        self, out: Tensor, reward: Tensor, end_logit: Tensor, base: Tensor, scale: Tensor
    ) -> MixturePrediction:
        """A mixture for every latent dimension."""
        shape = (*out.shape[:-1], self.latent_dim, self.settings.mixtures)
        logits, mu, log_std = (part.reshape(shape) for part in out.chunk(3, dim=-1))
        return MixturePrediction(
            reward, end_logit, base, scale, logits, mu, bounded_log_std(log_std, self.settings.log_spread_max)
        )
