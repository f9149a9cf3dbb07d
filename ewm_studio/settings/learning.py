"""Settings of learning: PPO, the world model beside it, and what comes before."""

from __future__ import annotations

from typing import Literal

from ewm_studio.settings.declare import Settings, setting


class TrainSettings(Settings):
    """What trains the controller, and for how long."""

    learner: Literal["ppo", "cma_es"] = setting(
        "ppo",
        "ppo: from rollouts; cma_es: a LinearController by evolution, judged by whole episodes, on a vision and a "
        "memory that stay as they are.",
        flag="learner",
        commands=("train",),
        fixed=True,
    )
    total_steps: int | None = setting(
        100_000,
        "Stop after this many environment steps (decisions, whatever the action repeat), counted over all "
        "environments; empty: no limit.",
        unit="steps",
        flag="total-steps",
        commands=("train",),
        ge=1,
        le=1_000_000_000_000,
    )
    minutes: float | None = setting(
        None,
        "Stop after so many minutes of learning, those before a resume included; empty: no limit. What then comes out "
        "depends on the machine.",
        unit="minutes",
        gt=0,
        le=1_000_000,
        advanced=True,
    )
    epochs: int | None = setting(
        None,
        "Stop after this many epochs (one rollout and its update each, or one generation); empty: no limit.",
        unit="epochs",
        flag="epochs",
        commands=("train",),
        ge=1,
        le=1_000_000_000,
    )
    patience: int | None = setting(
        None,
        "Stop when the mean reward of the last 100 episodes has not improved for this many epochs; empty: never.",
        unit="epochs",
        flag="patience",
        commands=("train",),
        ge=1,
        le=1_000_000_000,
    )
    collectors: int = setting(
        0,
        "Of PPO: collectors that each act in a share of the environments with a copy of the model and send whole "
        "rollouts; 0: the learner acts itself. How many there are changes the draws, where they are does not.",
        unit="collectors",
        ge=0,
        le=4096,
        advanced=True,
        fixed=True,
    )
    collect_on: str = setting(
        "",
        "Where the collectors are. Empty: in this process, one after the other. A Ray cluster (extra cluster), a core "
        "each: ray://HOST:10001, or auto for RAY_ADDRESS, else the one that this computer is the head of.",
        max_length=300,
        advanced=True,
    )


class PPOSettings(Settings):
    """Proximal Policy Optimization (Schulman et al. 2017), for the controller."""

    rollout_steps: int = setting(
        64,
        "Steps each environment takes between two updates.",
        unit="steps",
        flag="rollout-steps",
        commands=("train",),
        ge=1,
        le=100_000,
    )
    lr: float = setting(1e-3, "Learning rate of the controller.", flag="ppo-lr", commands=("train",), gt=0, le=1)
    lr_schedule: Literal["linear", "constant"] = setting(
        "linear", "linear: the learning rate falls to zero at the last step of the run."
    )
    clip_schedule: Literal["linear", "constant"] = setting(
        "constant", "linear: the clip range falls to zero at the last step of the run.", advanced=True
    )
    entropy_schedule: Literal["linear", "constant"] = setting(
        "constant", "linear: the weight of the entropy falls to zero at the last step of the run.", advanced=True
    )
    epochs: int = setting(
        10, "Passes over each rollout.", unit="passes", flag="ppo-epochs", commands=("train",), ge=1, le=1000
    )
    batch_size: int = setting(
        256,
        "Samples in one minibatch of the update; with memory_gradient whole environments, at least one.",
        unit="samples",
        flag="ppo-batch-size",
        commands=("train",),
        ge=2,
        le=10_000_000,
    )
    clip_range: float = setting(
        0.2,
        "The policy ratio is clipped to 1 plus or minus this.",
        flag="ppo-clip-range",
        commands=("train",),
        gt=0,
        le=10,
    )
    clip_range_vf: float | None = setting(
        None,
        "Clip the change of the value by this; empty: off (the right size depends on the reward's scale).",
        flag="ppo-range-vf",
        commands=("train",),
        gt=0,
        le=1_000_000,
    )
    gamma: float = setting(0.99, "Discount of future rewards, a step.", flag="gamma", commands=("train",), ge=0, le=1)
    gae_lambda: float = setting(
        0.95,
        "Bias against variance of the advantages (GAE).",
        flag="gae-lambda",
        commands=("train",),
        ge=0,
        le=1,
    )
    value_coef: float = setting(0.5, "Weight of the value loss.", flag="value-coef", commands=("train",), ge=0, le=1000)
    entropy_coef: float = setting(
        0.0,
        "Weight of the entropy bonus: more explores more.",
        flag="entropy-coef",
        commands=("train",),
        ge=0,
        le=1000,
    )
    max_grad_norm: float = setting(
        0.5,
        "Gradients longer than this are shortened to it.",
        flag="max-grad-norm",
        commands=("train",),
        gt=0,
        le=1_000_000,
    )
    target_kl: float | None = setting(
        None,
        "End an update early when the policy has moved 1.5 times this far; empty: never.",
        unit="nats",
        gt=0,
        le=1000,
        advanced=True,
    )
    normalize_advantage: bool = setting(True, "Give each minibatch's advantages mean 0 and deviation 1.", advanced=True)
    scale_reward: bool = setting(
        True, "Divide rewards by the running deviation of the discounted return.", advanced=True
    )
    memory_gradient: Literal["auto", "on", "off"] = setting(
        "auto",
        "Recurrent PPO: the controller's gradient goes on through memory (truncated back-propagation through time), so "
        "that it keeps what the controller needs; auto: where memory is trained beside it (world_model.train).",
        flag="memory-gradient",
        commands=("train",),
    )
    memory_lr: float | None = setting(
        None,
        "With a memory_gradient: learning rate of memory by it; empty: the controller's.",
        gt=0,
        le=1,
        advanced=True,
    )
    sequence_length: int | None = setting(
        None,
        "With a memory_gradient: steps after which back-propagation through memory is cut off; empty: after a rollout.",
        unit="steps",
        ge=2,
        le=100_000,
        advanced=True,
    )


class WorldModelSettings(Settings):
    """How vision and memory are trained, beforehand (`pretrain`) and along with PPO (`train`)."""

    train: bool = setting(
        True,
        "Train vision and memory on what the agent acts, too; a warm-up trains them anyway.",
        flag="train-world-model",
        commands=("train",),
    )
    epochs: int = setting(
        1,
        "Passes over each rollout for vision and memory.",
        unit="passes",
        flag="world-model-epochs",
        commands=("train",),
        ge=1,
        le=1000,
    )
    lr: float | None = setting(
        None,
        "Learning rate of vision and memory; empty: each component's own default.",
        flag="lr",
        commands=("train", "pretrain"),
        gt=0,
        le=1,
    )
    lr_schedule: Literal["linear", "constant"] = setting(
        "linear",
        "linear: along with the controller, the learning rates of vision and memory fall to zero at the last step of "
        "the run, so that a policy that hardly moves any more need not follow latents that still do.",
    )
    dropout: float | None = setting(
        None,
        "Dropout of every component that has it; empty: each component's own default.",
        flag="dropout",
        commands=("train", "pretrain"),
        ge=0,
        lt=1,
    )
    frame_buffer: int = setting(
        0,
        "Vision trains on minibatches drawn from the last so many frames the agent saw, vision_updates of them after "
        "every rollout, in place of passes over each rollout; 0: passes.",
        unit="frames",
        ge=0,
        le=10_000_000,
        advanced=True,
        fixed=True,
    )
    vision_updates: int = setting(
        10, "With a frame_buffer: minibatches of vision after every rollout; 0: none.", ge=0, le=100_000, advanced=True
    )
    balance: bool = setting(
        False,
        "With a frame_buffer: draw frames evenly over how fast the picture was changing, not as often as they came; "
        "of a car, this is its speed and the curvature of the road.",
        advanced=True,
    )
    replay: int = setting(
        0,
        "Memory trains on sequences drawn from the agent's last so many decisions, memory_updates minibatches after "
        "every rollout, in place of passes over each rollout; 0: passes.",
        unit="decisions",
        ge=0,
        le=10_000_000,
        advanced=True,
        fixed=True,
    )
    memory_updates: int = setting(
        4, "With a replay: minibatches of memory after every rollout; 0: none.", ge=0, le=100_000, advanced=True
    )
    replay_newest: float = setting(
        0.5,
        "With a replay: share of the sequences that end in the newest tenth of it, or in the last rollout if that is "
        "more; the others end anywhere.",
        ge=0,
        le=1,
        advanced=True,
    )
    burn_in: int = setting(
        8,
        "With a replay: steps before each sequence by which memory finds its state, without learning from them.",
        unit="steps",
        ge=0,
        le=100_000,
        advanced=True,
    )
    together: bool = setting(
        False,
        "Pretraining: train vision and memory as one model, by sequences of frames: memory's gradient goes on into the "
        "encoder of vision. It needs a vision that reconstructs, such as ConvVAE; off: vision first, then memory on "
        "its latents.",
        advanced=True,
        fixed=True,
    )
    together_weight: float = setting(
        0.1,
        "With together: weight of memory's gradient in vision, beside vision's own; more gives latents that are "
        "easier to foretell and say less of the picture.",
        ge=0,
        le=1000,
        advanced=True,
    )
    vision_batch_size: int = setting(64, "Frames in one minibatch of vision.", unit="frames", ge=2, le=65536)
    memory_batch_size: int = setting(8, "Sequences in one minibatch of memory.", unit="sequences", ge=1, le=65536)
    sequence_length: int = setting(64, "Steps of one training sequence of memory.", unit="steps", ge=2, le=100_000)
    max_grad_norm: float = setting(
        10.0, "Gradients of vision and memory longer than this are shortened to it.", gt=0, le=1_000_000, advanced=True
    )


class WarmUpSettings(Settings):
    """What a training run (`train`) does before its first rollout."""

    random_frames: int = setting(
        0,
        "Collect so many frames of random actions, one a decision, and train vision and memory on them; 0: none. "
        "They are the first that a world_model.frame_buffer holds.",
        unit="frames",
        ge=0,
        le=10_000_000,
        advanced=True,
        fixed=True,
    )
    recording: str | None = setting(
        None,
        "Recordings, set apart by commas (names in the workspace, or a folder): vision and memory train on them too, "
        "and the controller begins by copying their driver.",
        advanced=True,
        fixed=True,
    )
    vision_epochs: int = setting(
        10, "Passes of vision over these frames.", unit="passes", ge=0, le=100_000, advanced=True
    )
    memory_epochs: int = setting(
        10, "Passes of memory over their latents.", unit="passes", ge=0, le=100_000, advanced=True
    )
    clone_epochs: int = setting(
        10, "Passes of the controller over the recorded decisions.", unit="passes", ge=0, le=100_000, advanced=True
    )


class PretrainSettings(Settings):
    """Vision and memory trained before the controller, on random, recorded or driven data."""

    vision: bool = setting(
        False,
        "Train vision. With neither chosen, both are trained.",
        flag="pretrain-vision",
        commands=("pretrain",),
        fixed=True,
    )
    memory: bool = setting(
        False,
        "Train memory. With neither chosen, both are trained.",
        flag="pretrain-memory",
        commands=("pretrain",),
        fixed=True,
    )
    mode: Literal["random", "manual"] = setting(
        "random",
        "random: actions are random (smooth where continuous); manual: you drive.",
        flag="pretrain-mode",
        commands=("pretrain",),
        fixed=True,
    )
    epochs: int = setting(
        10,
        "Passes over the data, for vision and for memory each.",
        unit="epochs",
        flag="epochs",
        commands=("pretrain",),
        ge=1,
        le=1_000_000_000,
    )
    lr_schedule: Literal["linear", "constant"] = setting(
        "linear", "linear: the learning rate falls to zero over the epochs; constant: it stays.", advanced=True
    )
    patience: int | None = setting(
        None,
        "Stop when the held-out loss has not improved for this many epochs; empty: never.",
        unit="epochs",
        flag="patience",
        commands=("pretrain",),
        ge=1,
        le=1_000_000_000,
    )
