"""What the predicting memories can be told."""

from __future__ import annotations

from typing import Literal

from ewm_studio.settings import TrainedSettings, setting
from ewm_studio.settings.declare import inherited


class PredictiveSettings(TrainedSettings):
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
    reward_dropout: float = setting(
        0.0,
        "Share of features dropped before rewards are foretold, while the memory is trained: what one track, map or "
        "level pays is soon learnt by heart.",
        ge=0,
        lt=1,
        advanced=True,
        earlier=0.0,
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

    dropout: float = inherited(PredictiveSettings, "dropout", 0.1)
    reward: Literal["distribution", "mean"] = inherited(PredictiveSettings, "reward", "distribution")
    reward_dropout: float = inherited(PredictiveSettings, "reward_dropout", 0.4)
    head_layers: int = inherited(PredictiveSettings, "head_layers", 1)
    end_layers: int = inherited(PredictiveSettings, "end_layers", 1)
    input_noise: float = inherited(PredictiveSettings, "input_noise", 0.1)
    log_spread_max: float = inherited(PredictiveSettings, "log_spread_max", 0.0)
    outliers: float = inherited(PredictiveSettings, "outliers", 0.01)
    feedback_steps: int = inherited(PredictiveSettings, "feedback_steps", 24)
    feedback_draws: float = inherited(PredictiveSettings, "feedback_draws", 0.5)
