"""What the predicting memories share: running normalization, prediction heads and the loss around them.

A memory's hidden state is h = [features, normalized z_t]. Carrying z_t makes h sufficient for `predict`, whose
distribution is over the *residual* z_{t+1} - z_t in units of the residual's running root mean square: a head that
outputs zero says "next equals this", and slow latents are predicted as sharply as fast ones.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ewm_studio.models.base import Imagined, Losses, MemoryModel, SequenceBatch, State, Tag
from ewm_studio.models.codes import CodeHead
from ewm_studio.models.open_loop import Pieces, joined
from ewm_studio.models.predictive_settings import PredictiveSettings
from ewm_studio.models.randomness import dropout, normal_like, uniform_like
from ewm_studio.models.residuals import LOG_STD_MAX, ResidualPrediction, gaussian_nll
from ewm_studio.models.running_scale import Calibration, LatentRange, RunningScale
from ewm_studio.models.two_hot import TwoHot, binary_error

LEAST_VARIANCE = 1e-4  # of a residual; a point has none
CLAMP = 10.0  # normalized latents beyond this many deviations are cut off


def small_linear(inputs: int, outputs: int, bias: float = 0.0) -> nn.Linear:
    """A last layer whose outputs start near `bias`."""
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.mul_(0.1)
        layer.bias.fill_(bias)
    return layer


def _trunk(inputs: int, width: int, layers: int) -> nn.Sequential:
    """So many layers of this width; none gives its input back."""
    made: list[nn.Module] = []
    for _ in range(layers):
        made += [nn.Linear(inputs, width), nn.LayerNorm(width), nn.SiLU()]
        inputs = width
    return nn.Sequential(*made)


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
        self.range = LatentRange(latent_dim)
        self.calibration = Calibration()
        self.reward_scale = RunningScale(1)
        self.codes: CodeHead | None = None
        self.trunk = _trunk(self.hidden_dim, self.features, settings.head_layers)
        self.residual_head = small_linear(self.features if settings.head_layers else self.hidden_dim, outputs)
        self.reward_head: TwoHot | nn.Linear = small_linear(self.hidden_dim, 1)
        if settings.reward == "distribution":
            self.reward_head = TwoHot(self.hidden_dim, self.features)
        self.end_head: nn.Module = small_linear(
            self.features if settings.end_layers else self.hidden_dim, 1, bias=-3.0
        )  # ends are rare
        if settings.end_layers:
            layers = _trunk(self.hidden_dim, self.features, settings.end_layers)
            self.end_head = nn.Sequential(layers, self.end_head)

    def take_codes(self, cells: int, codebook: Tensor) -> None:
        """Foretell codes from now on, with a head of their own; later, follow the codebook."""
        if self.codes is not None:
            self.codes.follow(codebook)
        elif self.settings.codes:
            self.codes = CodeHead(cells, codebook)
            self.residual_head = small_linear(self.residual_head.in_features, self.codes.outputs).to(codebook.device)

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
        out = self.reward_head(h).float()
        expected = self.reward_head.mean(out).unsqueeze(-1) if isinstance(self.reward_head, TwoHot) else out
        reward = self.reward_scale.restore(expected).squeeze(-1)
        return self._following(h, reward, self.end_head(h).squeeze(-1).float())

    def _following(self, h: Tensor, reward: Tensor, end_logit: Tensor) -> ResidualPrediction:
        """The distribution of the next latent, beside what is foretold of reward and end."""
        base = self.latent_scale.restore(h[..., self.features :])
        described = self.residual if self.codes is None else self.codes.predict
        out = self.residual_head(self.trunk(h)).float()  # densities are of 32 bits, whatever the network computes in
        return described(out, reward, end_logit, base, self.residual_scale.scale)

    def imagine(
        self, z: Tensor, action: Tensor, state: State, temperature: float = 1.0, generator: Generator | None = None
    ) -> Imagined:
        """What would follow, as of every memory; features are dropped as in training, latents stay where some were.

        At temperature 0 nothing is dropped.
        """
        h, state = self.step(z, action, state, generator)
        predicted = self.predict(self._dropped(h, temperature > 0, generator))
        following = predicted.sample(temperature, generator)
        if self.codes is not None:
            return Imagined(following, h, state, predicted.reward, predicted.end_logit.sigmoid())
        if temperature > 0:
            following = self.calibration.narrowed(following, predicted.mean)
        following = self.range.bound(following)
        return Imagined(following, h, state, predicted.reward, predicted.end_logit.sigmoid())

    def loss(self, batch: SequenceBatch, state: State, generator: Generator | None = None) -> Losses:
        """Losses through the whole sequence from `state`.

        Returns:
            prediction: negative log-density of the residual, mean over valid steps and over latent dimensions (so
                that a wide latent does not drown the other heads), in nats; reward: the reward head's error in
                running deviations; end: binary cross-entropy of termination, in nats; with `feedback_steps`, step and
                open_loop: squared error of one step, and of steps on the memory's own predictions, in shares of the
                latents' variance, and spread: how far variances foretold in dreams are from those foretold awake;
                total: their weighted sum.
        """
        batch, state = _own(batch), {name: _plain(value) for name, value in state.items()}
        z, following, action, reward = _without_padding(batch)
        known = batch.mask & batch.known
        if self.training:
            self._update_scales(z, following, reward, batch, known)
        taken = self._disturbed(z, generator)
        pieces = Pieces.of(len(z), self.settings.feedback_context, self.settings.feedback_steps)
        h, states = self._along(taken, action, batch.is_first, state, pieces, generator)
        h = self._dropped(h, self.training, generator)
        paid = self._reward_error(h, reward, generator)  # before the others: gradients add up in this order
        predicted = self._following(h, h.new_empty(0), self.end_head(h).squeeze(-1).float())
        # From the latents themselves, not from h: exact, and not cut off.
        costs = self.density_costs(h, predicted, (following - taken) / self.residual_scale.scale, generator)
        if self.training and self.settings.outliers and self.codes is None:
            self._calibrate(predicted, following - taken, batch.valid)
        losses = {
            **{name: _mean(cost, batch.valid) for name, cost in costs.items()},
            "reward": _mean(paid, known),
            "end": _mean(binary_error(predicted.end_logit, batch.terminated), known),
        }
        total = losses["prediction"] + losses["reward"] + losses["end"]
        if states:
            wide = predicted.residual_variance.detach()
            own = self._open_loop(batch, (z, following, action, reward, taken, wide), states, pieces, generator)
            step = _mean(self._share(predicted.mean - following), batch.valid)
            total = total + self.settings.feedback_weight * (2 * step + own["open_loop"])
            total = total + own.pop("reward") + own.pop("end") + own["spread"]
            losses |= {"step": step, **own}
        return {"total": total, **losses}

    def density_costs(
        self, h: Tensor, predicted: ResidualPrediction, residual: Tensor, generator: Generator | None
    ) -> Losses:
        """What the next latents cost at every step (T, B) as `prediction`, and what else is to be shown.

        Args:
            h: (T, B, H), features dropped as the prediction has them.
            predicted: from `h`.
            residual: (T, B, Z) what came, in units of the usual residual.
            generator: draws what is drawn.
        """
        return {"prediction": self._but_for_outliers(predicted, residual).mean(-1)}

    def _but_for_outliers(self, predicted: ResidualPrediction, residual: Tensor) -> Tensor:
        """Negative log-density (..., Z) under the prediction, or with a small chance under one that is very wide."""
        nll, share = predicted.nll(residual), self.settings.outliers
        if not share or self.codes is not None:
            return nll
        wide = gaussian_nll(residual, torch.zeros_like(residual), torch.full_like(residual, LOG_STD_MAX))
        return -torch.logaddexp(math.log1p(-share) - nll, math.log(share) - wide)

    def _calibrate(self, predicted: ResidualPrediction, residual: Tensor, valid: Tensor) -> None:
        with torch.no_grad():
            scale = self.residual_scale.scale
            share = scale.square() / scale.square().sum()  # by the latents' own sizes, whatever their unit
            wrong = ((predicted.residual_mean - residual / scale).square() * share).sum(-1)
            foretold = (predicted.residual_variance * share).sum(-1)
            self.calibration.update(_mean(wrong, valid), _mean(foretold, valid))

    def _along(
        self,
        z: Tensor,
        action: Tensor,
        is_first: Tensor,
        state: State,
        pieces: Pieces,
        generator: Generator | None,
    ) -> tuple[Tensor, list[State]]:
        """h (T, B, H) of the whole sequence, and the state at the start of each piece."""
        outputs, states, begin = [], [], 0
        parts = (value.split(pieces.cuts) for value in (z, action, is_first))
        for some_z, some_action, firsts in zip(*parts, strict=True):
            if begin in pieces.starts:
                states.append(self.reset(state, firsts[0]))
            h, state = self.sequence(some_z, some_action, firsts, state, generator)
            outputs.append(h)
            begin += len(h)
        return torch.cat(outputs) if len(outputs) > 1 else outputs[0], states

    def _open_loop(
        self,
        batch: SequenceBatch,
        values: tuple[Tensor, ...],
        states: list[State],
        pieces: Pieces,
        generator: Generator | None,
    ) -> Losses:
        """Errors of the memory on its own latents: open_loop, reward and end; and spread.

        The squared error is the mean's alone. Nothing else says how widely a memory may draw where only dreams have
        been, and a mixture whose Gaussians lie far apart has a good mean: its draws ran away within ten steps. So the
        logarithm of the foretold variance is held to that foretold at the same step from what was true.

        Args:
            values: latents, those that followed, actions, rewards, latents as taken in, variances foretold of what
                followed in units of usual changes; (T, B, ...) each.
        """
        _, following, action, reward, taken, wide = (pieces.laid(value) for value in values)
        inside, valid = pieces.inside(batch), pieces.laid(batch.valid)
        known, terminated = inside & pieces.laid(batch.known), pieces.laid(batch.terminated)
        state, z, wrong, outputs, spread = joined(states), taken[0], [], [], []
        later = z.new_empty(0)  # reward and end are foretold of all steps at once
        drawn = self._drawn(z, generator)
        for t in range(pieces.steps):
            h, state = self.step(z, action[t], state, generator)
            outputs.append(self._dropped(h, self.training, generator))
            predicted = self._following(outputs[-1], later, later)
            z = predicted.mean
            wrong.append(self._share(z - following[t]))
            spread.append(_unlike(predicted.residual_variance, wide[t]))
            if drawn is not None:
                with torch.no_grad():
                    change = self.calibration.narrowed(predicted.sample(1.0, generator), z) - z
                z = torch.where(drawn, z + change, z)
        every = torch.stack(outputs)
        return {
            "open_loop": _mean(torch.stack(wrong), inside & valid),
            "spread": _mean(torch.stack(spread), inside & valid),
            "reward": _mean(self._reward_error(every, reward, generator), known),
            "end": _mean(binary_error(self.end_head(every).squeeze(-1).float(), terminated), known),
        }

    def _drawn(self, z: Tensor, generator: Generator | None) -> Tensor | None:
        """(B, 1) bool: in which of the sequences predictions are drawn; None for none, as in a measurement."""
        share = self.settings.feedback_draws if self.training else 0.0
        return uniform_like(z[:, :1], generator) < share if share else None

    def _share(self, error: Tensor) -> Tensor:
        """Squared error (...) of latents (..., Z) as a share of the latents' variance: 1 is the mean latent's."""
        return error.square().sum(-1) / self.latent_scale.scale.square().sum()

    def _reward_error(self, h: Tensor, reward: Tensor, generator: Generator | None) -> Tensor:
        """Of what is foretold from h (..., H) beside rewards (...)."""
        out = self.reward_head(dropout(h, self.settings.reward_dropout, self.training, generator)).float()
        if isinstance(self.reward_head, TwoHot):
            return self.reward_head.error(out, self.reward_scale.normalize(reward[..., None])[..., 0])
        return 0.5 * ((self.reward_scale.restore(out).squeeze(-1) - reward) / self.reward_scale.scale).square()

    def _disturbed(self, z: Tensor, generator: Generator | None) -> Tensor:
        if not (self.training and self.settings.input_noise):
            return z
        return z + self.settings.input_noise * self.residual_scale.scale * normal_like(z, generator)

    def _dropped(self, h: Tensor, drops: bool, generator: Generator | None) -> Tensor:
        if not (drops and self.settings.dropout):
            return h
        features, latent = h.split([self.features, self.latent_dim], dim=-1)
        return torch.cat([dropout(features, self.settings.dropout, True, generator), latent], dim=-1)

    def _update_scales(self, z: Tensor, following: Tensor, reward: Tensor, batch: SequenceBatch, known: Tensor) -> None:
        self.latent_scale.update(z[batch.mask])
        self.range.update(z[batch.mask])
        self.residual_scale.update((following - z)[batch.valid])
        self.reward_scale.update(reward[known].unsqueeze(-1))


def _unlike(variance: Tensor, wanted: Tensor) -> Tensor:
    """How far apart the logarithms of variances (..., Z) are, (...)."""
    apart = (variance + LEAST_VARIANCE).log() - (wanted + LEAST_VARIANCE).log()
    return F.smooth_l1_loss(apart, torch.zeros_like(apart), reduction="none").mean(-1)


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
