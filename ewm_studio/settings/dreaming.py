"""Settings of learning in dreams."""

from __future__ import annotations

from ewm_studio.settings.declare import Settings, setting


class ImaginationSettings(Settings):
    """An actor-critic on imagined returns, after DreamerV3 (Hafner et al. 2023)."""

    horizon: int = setting(
        15, "Decisions of a dream; what comes after is left to the value.", unit="decisions", ge=1, le=1000
    )
    starts: int = setting(
        256, "Dreams side by side in one update, each from a state that was lived.", ge=1, le=1_000_000
    )
    temperature: float = setting(
        1.0, "Of what is drawn in dreams: 0 takes the likeliest latent, without dropout.", ge=0, le=10
    )
    gamma: float = setting(0.985, "Discount of future rewards, a decision.", ge=0, le=1)
    return_lambda: float = setting(
        0.95,
        "Bias against variance of the returns: 1 sums dreamt rewards up to the horizon, 0 trusts the value.",
        ge=0,
        le=1,
    )
    actor_lr: float = setting(2e-4, "Learning rate of the policy.", gt=0, le=1)
    critic_lr: float = setting(4e-4, "Learning rate of the value.", gt=0, le=1)
    entropy: float = setting(3e-3, "Weight of the entropy bonus at the start of the run.", ge=0, le=1000)
    entropy_final: float = setting(3e-4, "Weight of the entropy bonus at its end; it falls evenly.", ge=0, le=1000)
    real_weight: float = setting(
        0.3, "Weight of the value's loss on sequences that were lived, beside that on dreams.", ge=0, le=1000
    )
    slow_rate: float = setting(
        0.02,
        "Share of the value that its slow copy takes over in an update; returns are estimated by the copy.",
        gt=0,
        le=1,
        advanced=True,
    )
    scale_rate: float = setting(
        0.02,
        "Share of an update in the running range of returns that advantages are divided by.",
        gt=0,
        le=1,
        advanced=True,
    )
    max_grad_norm: float = setting(
        10.0, "Gradients of policy and value longer than this are shortened to it.", gt=0, le=1_000_000, advanced=True
    )
