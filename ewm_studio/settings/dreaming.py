"""Settings of learning in dreams: the controller learns in what the memory imagines, in rounds with acting for real."""

from __future__ import annotations

from typing import Literal

from ewm_studio.settings.declare import Settings, setting


class RoundSettings(Settings):
    """Rounds of acting for real, of vision and memory on what was seen, and of the controller in dreams."""

    train: bool = setting(
        False,
        "The controller learns in what the memory imagines, and acts for real only to teach vision and memory.",
        flag="dream",
        commands=("train",),
        fixed=True,
    )
    random_steps: int = setting(
        3_000,
        "Decisions of random actions that vision and memory begin with.",
        unit="steps",
        ge=16,
        le=10_000_000,
        fixed=True,
    )
    round_steps: int = setting(
        1_600, "Decisions for real in every round, over all environments.", unit="steps", ge=1, le=10_000_000
    )
    bursts: float = setting(
        0.0,
        "Chance that a decision acted for real begins a burst of one random action, held for 3 to 12 decisions, in the "
        "mean over episodes, some of which have none: memory sees what actions do, and dreams begin where a driver got "
        "into trouble. What is earned for real is the less for it; judgements have none.",
        ge=0,
        le=1,
        fixed=True,
    )
    gentle: float = setting(
        0.5,
        "Share of these bursts in which a car steers anywhere with a little gas and no brake, as data.gentle.",
        ge=0,
        le=1,
        advanced=True,
        fixed=True,
    )
    vision_updates: int = setting(
        500,
        "Minibatches of vision on the random frames; 0: vision stays as it is for the whole run.",
        ge=0,
        le=1_000_000,
    )
    vision_refresh: int = setting(
        250, "Minibatches of vision on the run's own frames, after each of vision_rounds.", ge=0, le=1_000_000
    )
    vision_rounds: str = setting(
        "3, 6, 9, 12, 16, 20",
        "Rounds after which vision goes on learning, each time at a lower rate; all latents are made anew then.",
        pattern=r"^[0-9, ]*$",
        max_length=10_000,
        advanced=True,
    )
    first_memory_updates: int = setting(
        400, "Minibatches of memory on the random decisions.", ge=0, le=1_000_000, advanced=True
    )
    memory_updates: int = setting(100, "Minibatches of memory in every round.", ge=0, le=1_000_000)
    recent_steps: int = setting(
        5_000,
        "Of every minibatch of memory recent_share comes from the newest so many decisions, the rest from all.",
        unit="steps",
        ge=1,
        le=100_000_000,
        advanced=True,
    )
    recent_share: float = setting(
        0.5, "Share of a minibatch of memory, and of the places where dreams begin, that is new.", ge=0, le=1
    )
    learner: Literal["actor_critic", "ppo"] = setting(
        "actor_critic",
        "actor_critic: on imagined returns, after DreamerV3, by the settings here. ppo: on rollouts of dreams, by the "
        "settings of ppo.",
        fixed=True,
    )
    updates: int = setting(
        80, "Updates of the controller in every round, each on dreams of its own.", ge=0, le=1_000_000
    )
    real_epochs: int = setting(
        0,
        "Passes of PPO's policy gradient over what every round acted for real, by the settings of ppo: what memory has "
        "wrong is set right without a further step. 0: the policy learns in dreams alone.",
        ge=0,
        le=1000,
    )
    real_lr: float = setting(
        2e-4, "Learning rate of these passes; it falls evenly to a tenth unless lr_schedule is constant.", gt=0, le=1
    )
    real_share: float = setting(
        0.0,
        "Last share of the run that is learned for real alone: PPO on rollouts of the environment, by the settings of "
        "ppo, with vision and memory as they are by then. It costs a tenth of the time and sees what no dream shows. "
        "0: dreams to the end.",
        ge=0,
        lt=1,
    )
    ensemble: int = setting(
        1,
        "Memories that learn side by side, each from its own first weights on its own draws; every dream is of one of "
        "them. The first is the agent's. Each costs what a memory costs, to teach and in every dream.",
        unit="memories",
        ge=1,
        le=16,
        fixed=True,
    )
    pessimism: float = setting(
        0.0,
        "Of an ensemble: a dreamt reward is the mean that the memories expect less so many of their deviations, so "
        "that nothing is to be had where they do not agree.",
        ge=0,
        le=100,
    )
    precision: Literal["float32", "bfloat16"] = setting(
        "float32",
        "What memory and controller learn with; vision, and acting for real, are always float32. bfloat16 takes about "
        "two thirds of the time where the processor has it (avx512_bf16, amx), and more where it has not.",
        advanced=True,
    )
    context: int = setting(
        16,
        "True decisions that memory is led through before a dream begins.",
        unit="steps",
        ge=1,
        le=10_000,
        advanced=True,
    )
    judge_every: int = setting(
        5,
        "Rounds between two judgements for real, by which the best checkpoint is chosen.",
        unit="rounds",
        ge=1,
        le=1_000_000,
    )
    judge_episodes: int = setting(
        8, "Episodes of a judgement, greedy and sampled each, always the same ones.", unit="episodes", ge=1, le=1_000
    )
    rollback: float = setting(
        0.0,
        "The controller goes back to that of the best round when a round is worth less for real than this share of "
        "the way from random actions to it, ends counted; 0: never.",
        ge=0,
        lt=1,
    )


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
    actor_lr: float = setting(6e-4, "Learning rate of the policy.", gt=0, le=1)
    critic_lr: float = setting(1.2e-3, "Learning rate of the value.", gt=0, le=1)
    lr_schedule: Literal["squared", "linear", "constant"] = setting(
        "constant",
        "linear: the rates of policy and value fall evenly to a tenth at the last dream of the run. squared: the "
        "policy's falls sooner and to nothing, with the square of what is left of dreams: what was acted for real has "
        "the last word, where dream.real_epochs has any.",
        advanced=True,
    )
    entropy: float = setting(3e-3, "Weight of the entropy bonus at the start of the run.", ge=0, le=1000)
    entropy_final: float = setting(3e-4, "Weight of the entropy bonus at its end; it falls evenly.", ge=0, le=1000)
    real_weight: float = setting(
        0.3, "Weight of the value's loss on sequences that were lived, beside that on dreams.", ge=0, le=1000
    )
    slow_rate: float = setting(
        0.05,
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


class DreamSettings(ImaginationSettings, RoundSettings):
    """Learning in dreams: its rounds, and how the controller learns in them."""
