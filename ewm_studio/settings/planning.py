"""Settings of planning through a memory."""

from __future__ import annotations

from ewm_studio.settings.declare import Settings, setting


class PlannerSettings(Settings):
    """The cross-entropy method over a memory's futures, as in PlaNet (Hafner et al. 2019)."""

    candidates: int = setting(
        64, "Plans that are tried in a round.", unit="plans", ge=4, le=100_000, commands=("infer",)
    )
    horizon: int = setting(
        12, "Decisions that a plan looks ahead.", unit="decisions", ge=1, le=1000, commands=("infer",)
    )
    rounds: int = setting(3, "Rounds, each around the best plans of the one before.", ge=1, le=100, commands=("infer",))
    elites: int = setting(
        8, "Plans of a round that the next one is drawn around.", unit="plans", ge=1, le=10_000, commands=("infer",)
    )
    gamma: float = setting(0.985, "Discount of future rewards, a decision.", ge=0, le=1, commands=("infer",))
    temperature: float = setting(
        0.0,
        "Of what is drawn in the futures: 0 takes the likeliest latents, without dropout.",
        ge=0,
        le=10,
        commands=("infer",),
    )
    spread: float = setting(
        0.5,
        "Of choices, and of bounded actions, which are cut into bins: the share of the first round that is drawn "
        "evenly. Of actions without bounds: the deviation of the first round's plans.",
        gt=0,
        le=1,
        advanced=True,
        commands=("infer",),
    )
    value: bool = setting(
        False, "What comes after a plan is left to the controller's value; else to nothing.", commands=("infer",)
    )
