"""What the predicting memories share: running normalization, prediction heads and the loss around them.

A memory's hidden state is h = [features, normalized z_t]. Carrying z_t makes h sufficient for `predict`, whose
distribution is over the *residual* z_{t+1} - z_t in units of the residual's running root mean square: a head that
outputs zero says "next equals this", and slow latents are predicted as sharply as fast ones.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Literal, TypeVar

import torch
from torch import Generator, Tensor, nn

from ewm_studio.models.base import Imagined, Losses, MemoryModel, SequenceBatch, State, Tag
from ewm_studio.models.codes import CodeHead
from ewm_studio.models.open_loop import Pieces, joined
from ewm_studio.models.randomness import dropout, normal_like, uniform_like
from ewm_studio.models.residuals import LOG_STD_MAX, ResidualPrediction, gaussian_nll
from ewm_studio.models.running_scale import Calibration, LatentRange, RunningScale
from ewm_studio.models.two_hot import TwoHot, binary_error
from ewm_studio.settings import ComponentSettings, setting
from ewm_studio.settings.declare import inherited

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


class PredictiveSettings(ComponentSettings):
    """What every predicting memory can be told."""

    hidden_dim: int = setting(128, "Width of the memory's features.", unit="features", ge=1, le=8192)
    lr: float = setting(1e-3, "Learning rate, where the experiment gives none.", gt=0, le=1)
    dropout: float = setting(0.0, "Share of features dropped while the memory is trained, and in dreams.", ge=0, lt=1)
    reward: Literal["distribution", "mean"] = setting(
        "mean",
        "How rewards are foretold: by a distribution over them, through a layer of its own, or by their mean alone.",
        earlier="mean",
    )
    head_layers: int = setting(
        0, "Layers between the features and what is foretold of the next latent.", ge=0, le=4, advanced=True, earlier=0
    )
    end_layers: int = setting(
        0,
        "Layers between the features and the chance that the episode ends: without one, a bound on both sides (a pole "
        "that falls to the left or to the right) is hardly learnt.",
        ge=0,
        le=4,
        advanced=True,
        earlier=0,
    )
    input_noise: float = setting(
        0.0,
        "Noise on the latents that the memory takes in while it is trained, as a share of what a usual step changes, "
        "so that it forgives its own errors.",
        ge=0,
        le=10,
        earlier=0.0,
    )
    log_spread_max: float = setting(
        3.0,
        "Logarithm of the widest spread that is foretold of a latent, in usual changes of a step: what lies beyond is "
        "an outlier, or dreams fall apart by it.",
        ge=-2,
        le=10,
        advanced=True,
        earlier=3.0,
    )
    outliers: float = setting(
        0.0,
        "Share of steps that may be anything: no spread is widened for them, and dreams do not draw them.",
        ge=0,
        lt=1,
        advanced=True,
        earlier=0.0,
    )
    codes: bool = setting(
        True,
        "Where the latents of vision are codes, foretell for every cell which code follows; off: numbers between them.",
        advanced=True,
        earlier=False,
    )
    feedback_steps: int = setting(
        0,
        "Steps of its own predictions that the memory is also trained on: what makes dreams hold. 0: none.",
        unit="steps",
        ge=0,
        le=1024,
        earlier=0,
    )
    feedback_weight: float = setting(
        10.0,
        "Weight of the error on fed-back predictions, in shares of the latents' variance.",
        ge=0,
        le=10_000,
        advanced=True,
        earlier=0.0,
    )
    feedback_draws: float = setting(
        0.0,
        "Share of the fed-back sequences in which predictions are drawn and not expected, so that drawn dreams hold.",
        ge=0,
        le=1,
        advanced=True,
        earlier=0.0,
    )
    feedback_context: int = setting(
        8, "True steps before predictions are fed back.", unit="steps", ge=0, le=1024, advanced=True, earlier=8
    )


class WorldSettings(PredictiveSettings):
    """The same for memories that are meant as worlds: what makes dreams hold is on.

    Beside PPO, where C reads h, a memory with linear heads and without feedback learns to be useful in fewer steps.
    """

    reward: Literal["distribution", "mean"] = inherited(PredictiveSettings, "reward", "distribution")
    head_layers: int = inherited(PredictiveSettings, "head_layers", 1)
    end_layers: int = inherited(PredictiveSettings, "end_layers", 1)
    input_noise: float = inherited(PredictiveSettings, "input_noise", 0.1)
    log_spread_max: float = inherited(PredictiveSettings, "log_spread_max", 0.0)
    outliers: float = inherited(PredictiveSettings, "outliers", 0.01)
    feedback_steps: int = inherited(PredictiveSettings, "feedback_steps", 24)


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
        out = self.reward_head(h)
        expected = self.reward_head.mean(out).unsqueeze(-1) if isinstance(self.reward_head, TwoHot) else out
        reward = self.reward_scale.restore(expected).squeeze(-1)
        predicted = self._following(h, reward, self.end_head(h).squeeze(-1))
        predicted.reward_out = out
        return predicted

    def _following(self, h: Tensor, reward: Tensor, end_logit: Tensor) -> ResidualPrediction:
        """The distribution of the next latent, beside what is foretold of reward and end."""
        base = self.latent_scale.restore(h[..., self.features :])
        described = self.residual if self.codes is None else self.codes.predict
        return described(self.residual_head(self.trunk(h)), reward, end_logit, base, self.residual_scale.scale)

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
                latents' variance; total: their weighted sum.
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
        predicted = self.predict(h)
        # From the latents themselves, not from h: exact, and not cut off.
        costs = self.density_costs(h, predicted, (following - taken) / self.residual_scale.scale, generator)
        if self.training and self.settings.outliers and self.codes is None:
            self._calibrate(predicted, following - taken, batch.valid)
        losses = {
            **{name: _mean(cost, batch.valid) for name, cost in costs.items()},
            "reward": _mean(self._reward_error(predicted.reward_out, reward), known),
            "end": _mean(binary_error(predicted.end_logit, batch.terminated), known),
        }
        total = losses["prediction"] + losses["reward"] + losses["end"]
        if states:
            own = self._open_loop(batch, (z, following, action, reward, taken), states, pieces, generator)
            step = _mean(self._share(predicted.mean - following), batch.valid)
            total = total + self.settings.feedback_weight * (2 * step + own["open_loop"])
            total = total + own.pop("reward") + own.pop("end")
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
            wrong = (predicted.residual_mean * scale - residual).square().sum(-1)
            foretold = (predicted.residual_variance * scale.square()).sum(-1)
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
        values: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
        states: list[State],
        pieces: Pieces,
        generator: Generator | None,
    ) -> Losses:
        """Errors of the memory on its own expected latents: open_loop, reward and end."""
        _, following, action, reward, taken = (pieces.laid(value) for value in values)
        inside, valid = pieces.inside(batch), pieces.laid(batch.valid)
        known, terminated = inside & pieces.laid(batch.known), pieces.laid(batch.terminated)
        state, z, wrong, outputs = joined(states), taken[0], [], []
        later = z.new_empty(0)  # reward and end are foretold of all steps at once
        drawn = self._drawn(z, generator)
        for t in range(pieces.steps):
            h, state = self.step(z, action[t], state, generator)
            outputs.append(self._dropped(h, self.training, generator))
            predicted = self._following(outputs[-1], later, later)
            z = predicted.mean
            wrong.append(self._share(z - following[t]))
            if drawn is not None:
                with torch.no_grad():
                    change = self.calibration.narrowed(predicted.sample(1.0, generator), z) - z
                z = torch.where(drawn, z + change, z)
        every = torch.stack(outputs)
        return {
            "open_loop": _mean(torch.stack(wrong), inside & valid),
            "reward": _mean(self._reward_error(self.reward_head(every), reward), known),
            "end": _mean(binary_error(self.end_head(every).squeeze(-1), terminated), known),
        }

    def _drawn(self, z: Tensor, generator: Generator | None) -> Tensor | None:
        """(B, 1) bool: in which of the sequences predictions are drawn; None for none, as in a measurement."""
        share = self.settings.feedback_draws if self.training else 0.0
        return uniform_like(z[:, :1], generator) < share if share else None

    def _share(self, error: Tensor) -> Tensor:
        """Squared error (...) of latents (..., Z) as a share of the latents' variance: 1 is the mean latent's."""
        return error.square().sum(-1) / self.latent_scale.scale.square().sum()

    def _reward_error(self, out: Tensor | None, reward: Tensor) -> Tensor:
        """Of what the reward head gave (..., outputs), beside rewards (...)."""
        assert out is not None
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
