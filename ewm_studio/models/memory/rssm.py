"""RSSM: the recurrent state-space model of DreamerV3 on the latents of a trained vision.

Hafner et al. (2019), "Learning latent dynamics for planning from pixels"; Hafner et al. (2023), "Mastering diverse
domains through world models": a GRU, a state of categorical variables, a posterior that sees what came and a prior that
must foretell it, their divergence balanced and free below a nat.

What differs, because a vision has been there before, and because draws were measured:

- The latent z takes the place of DreamerV3's encoded picture *and* of the state in the recurrence: h_{t+1} =
  GRU(h_t, z_t, a_t), with the z that was observed, or in a dream the z that a drawn state was decoded to (as in Chung
  et al. 2015, "A recurrent latent variable model for sequential data"). So the state need not carry the whole picture,
  only what could not be foretold; acting draws nothing, and a replayed agent acts as it did; and the controller, which
  sees z beside h, misses nothing of the state.
- The groups are foretold one after another, each from h and from the classes of the groups before. Foretold apart from
  each other, as DreamerV3 does, they are drawn apart too: where several groups say the same thing, a draw mixes two
  futures and is neither.
- The decoder tells how the latent changes, and is linear in the state. The mean over all states is foretold beside it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Generator, Tensor, nn

from ewm_studio.models.base import Imagined, Losses, State
from ewm_studio.models.categorical import StatePrediction, divergence, drawn, mixed, straight_through
from ewm_studio.models.codes import Codes
from ewm_studio.models.memory.lstm import packed
from ewm_studio.models.prediction import PredictiveMemory
from ewm_studio.models.predictive_settings import WorldSettings
from ewm_studio.models.residuals import GaussianPrediction, ResidualPrediction, bounded_log_std
from ewm_studio.settings import setting


class RSSMSettings(WorldSettings):
    """Settings of the RSSM."""

    hidden_dim: int = setting(256, "Width of the GRU.", unit="features", ge=1, le=8192)
    groups: int = setting(16, "Categorical variables of the state.", ge=1, le=256)
    classes: int = setting(16, "Classes of each variable.", ge=2, le=256)
    unimix: float = setting(0.01, "Share of every probability that is uniform.", ge=0, lt=1, advanced=True)
    free_nats: float = setting(
        1.0, "Divergence of a step's state from what was foretold that costs nothing.", unit="nats", ge=0, le=1000
    )
    dynamics_weight: float = setting(
        1.0, "Weight of the divergence, as it moves what is foretold of the state.", ge=0, le=1000, advanced=True
    )
    representation_weight: float = setting(
        0.1, "Weight of the divergence, as it moves what the state holds.", ge=0, le=1000, advanced=True
    )


class RSSM(PredictiveMemory[RSSMSettings]):
    """M that predicts the next latent by a categorical state: a draw picks one future.

    Its state: h (B, hidden) of the GRU, the latent before (B, Z), and whether there was one (B, 1).
    """

    Settings = RSSMSettings
    summary = "DreamerV3's recurrent state-space model on latents: a categorical state picks one of many futures."

    after: Tensor  # (G * K, G * K): 1 where the column's group comes after the row's

    def __init__(self, settings: RSSMSettings, latent_dim: int, action_dim: int) -> None:
        state = settings.groups * settings.classes
        super().__init__(settings, latent_dim, action_dim, 3 * latent_dim + state)
        self.gru = nn.GRU(2 * latent_dim + action_dim, settings.hidden_dim)
        self.posterior = nn.Sequential(
            nn.Linear(self.features + latent_dim, self.features),
            nn.LayerNorm(self.features),
            nn.SiLU(),
            nn.Linear(self.features, state),
        )
        effects = torch.randn(settings.groups, settings.classes, latent_dim) / settings.groups**0.5
        self.effects = nn.Parameter((effects - effects.mean(1, keepdim=True)).flatten(0, 1))  # nothing is foretold yet
        after = torch.ones(settings.groups, settings.groups).triu(1)
        shape = (settings.classes, settings.classes)
        self.register_buffer("after", torch.kron(after, torch.ones(shape)), persistent=False)
        self.chain = nn.Parameter(torch.zeros(state, state))
        self.log_std = nn.Parameter(torch.zeros(latent_dim))
        self.grid: Codes | None = None

    def take_codes(self, cells: int, codebook: Tensor) -> None:
        """Dream in codes from now on: the state decides of all cells together, each takes the code next to it."""
        if self.grid is not None:
            self.grid.follow(codebook)
        elif self.settings.codes:
            self.grid = Codes(cells, codebook)

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        widths = {"h": self.features, "previous": self.latent_dim, "seen": 1}
        return {name: torch.zeros(batch, width, device=self.device) for name, width in widths.items()}

    def step(self, z: Tensor, action: Tensor, state: State, generator: Generator | None = None) -> tuple[Tensor, State]:
        """One step: z (B, Z), action (B, A) -> h (B, H) = [GRU output, normalized z], and the new state."""
        latent, inputs = self.observe(z, action, state["previous"], state["seen"])
        hidden = torch.gru_cell(inputs, state["h"], *self.gru.all_weights[0])
        return torch.cat([hidden, latent], dim=-1), self._state(hidden, z)

    def sequence(
        self, z: Tensor, action: Tensor, is_first: Tensor, state: State, generator: Generator | None = None
    ) -> tuple[Tensor, State]:
        """Many steps: z (T, B, Z), action (T, B, A), is_first (T, B) -> h (T, B, H) and the last state."""
        latent, inputs = self.observe_sequence(z, action, is_first, state["previous"], state["seen"])
        is_first = is_first.cpu()
        start = self.reset(state, is_first[0].to(z.device))["h"]
        if bool(is_first[1:].any()):
            hidden, (last,) = packed(self.gru, inputs, is_first, (start,))
        else:
            hidden, last = self.gru(inputs, start.unsqueeze(0))
            last = last.squeeze(0)
        return torch.cat([hidden, latent], dim=-1), self._state(last, z[-1])

    @staticmethod
    def _state(hidden: Tensor, z: Tensor) -> State:
        return {"h": hidden, "previous": z, "seen": z.new_ones(z.shape[0], 1)}

    def residual(self, out: Tensor, reward: Tensor, end_logit: Tensor, base: Tensor, scale: Tensor) -> StatePrediction:
        """The change of the latent, as the state will decide."""
        size = self.latent_dim
        mu, offset, gain, logits = out.split([size, size, size, self.effects.shape[0]], dim=-1)
        groups = (self.settings.groups, self.settings.classes)
        return StatePrediction(
            reward,
            end_logit,
            base,
            scale,
            mu,
            offset,
            bounded_log_std(gain, self.settings.log_spread_max).exp(),
            logits.unflatten(-1, groups),
            self.settings.unimix,
            self.chain * self.after,
            self.effects,
            bounded_log_std(self.log_std),
        )

    def imagine(
        self, z: Tensor, action: Tensor, state: State, temperature: float = 1.0, generator: Generator | None = None
    ) -> Imagined:
        """What would follow in a drawn state, as of every memory that predicts."""
        dreamt = super().imagine(z, action, state, temperature, generator)
        return dreamt if self.grid is None else replace(dreamt, z=self.grid.snapped(dreamt.z))

    def density_costs(
        self, h: Tensor, predicted: ResidualPrediction, residual: Tensor, generator: Generator | None
    ) -> Losses:
        """The evidence bound: the latent under the state that the posterior takes, and the state under the prior.

        Where nothing is trained the posterior's likeliest state is taken, and nothing is drawn.
        """
        assert isinstance(predicted, StatePrediction)
        innovation = ((residual - predicted.offset) / predicted.gain).detach()
        logits = self.posterior(torch.cat([h[..., : self.features], innovation.clamp(-10, 10)], dim=-1))
        posterior = mixed(logits.view_as(predicted.logits), self.settings.unimix)
        index = drawn(posterior, 1.0 if self.training else 0.0, generator)
        state = straight_through(posterior, index)
        mu = predicted.given(state)
        prior = predicted.log_probs(state.detach())
        decoded = GaussianPrediction(
            predicted.reward, predicted.end_logit, predicted.base, predicted.scale, mu, predicted.log_std.expand_as(mu)
        )
        nll = self._but_for_outliers(decoded, residual).mean(-1)
        dynamics = divergence(posterior.detach(), prior)
        representation = divergence(posterior, prior.detach())
        settings = self.settings
        cost = settings.dynamics_weight * dynamics.clamp_min(settings.free_nats)
        cost = cost + settings.representation_weight * representation.clamp_min(settings.free_nats)
        return {
            "prediction": nll + cost / self.latent_dim,
            "decoded": nll,
            "kl": dynamics,
        }

    def _calibrate(self, predicted: ResidualPrediction, residual: Tensor, valid: Tensor) -> None:
        """Nothing: a draw is what a state that was seen would give, and has no tails to narrow."""
