"""Every setting of an experiment, declared once: type, range, unit, help and flag.

The command line's flags, the window's forms, `experiment.toml` and the documentation are all made from these
declarations. A component's own settings stand beside the component (`models/*/`); here a component is only
chosen: `ComponentChoice` holds its name and whatever settings were given, and the registry checks them.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ewm_studio.errors import UserError, nearest

Command = Literal["train", "pretrain", "infer", "record"]
EVERY: tuple[Command, ...] = ("train", "pretrain", "infer", "record")


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    flag: str = "",
    commands: tuple[Command, ...] = EVERY,
    advanced: bool = False,
    **constraints: Any,
) -> Any:
    """One declared setting.

    Args:
        default: its default value.
        help: one sentence; shown as tooltip and in `--help`.
        unit: what the number counts, shown inside the field ("steps", "frames/s").
        flag: its flag on the command line, without the dashes; none means `--set section.field=value` only.
        commands: the commands on which the flag has a meaning.
        advanced: shown only on request.
        constraints: pydantic's `ge`, `gt`, `le`, `lt`, ...
    """
    extra: dict[str, Any] = {"unit": unit, "flag": flag, "commands": list(commands), "advanced": advanced}
    return Field(default, description=help, json_schema_extra=extra, **constraints)


class Settings(BaseModel):
    """Base of every group of settings: unknown names, NaN and infinity are refused, also on assignment."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_none(cls, values: Any) -> Any:
        """TOML has no null: an empty string stands for it wherever a setting may be empty."""
        if not isinstance(values, dict):
            return values
        optional = {n for n, f in cls.model_fields.items() if type(None) in get_args(f.annotation)}
        return {name: None if value == "" and name in optional else value for name, value in values.items()}


class EnvSettings(Settings):
    """The environment, how its observations are prepared, and how many run side by side."""

    id: str = setting(
        "CartPole-v1", "Environment: any registered Gymnasium id, or module:Id-v0.", flag="env", min_length=1
    )
    pixels: bool = setting(
        False, "Observe the environment's rendered picture instead of its own observation.", flag="pixels"
    )
    action_repeat: int = setting(
        1,
        "Times each action is applied; rewards are summed.",
        unit="frames",
        flag="action-repeat",
        ge=1,
        le=100,
    )
    image_size: int = setting(
        64,
        "Pictures are resized to this many pixels a side before vision sees them.",
        unit="pixels",
        ge=8,
        le=512,
    )
    crop_top: int = setting(
        0, "Rows cut off the top of the picture before it is resized.", unit="pixels", ge=0, le=100_000, advanced=True
    )
    crop_bottom: int = setting(
        0,
        "Rows cut off the bottom (12 removes CarRacing's instruments).",
        unit="pixels",
        ge=0,
        le=100_000,
        advanced=True,
    )
    crop_left: int = setting(0, "Columns cut off the left.", unit="pixels", ge=0, le=100_000, advanced=True)
    crop_right: int = setting(0, "Columns cut off the right.", unit="pixels", ge=0, le=100_000, advanced=True)
    grayscale: bool = setting(False, "Drop the colours of the picture.", advanced=True)
    max_episode_steps: int | None = setting(
        None,
        "Truncate an episode after this many steps of the environment; empty keeps the environment's own limit.",
        unit="steps",
        ge=1,
        le=1_000_000_000,
        advanced=True,
    )
    idle_limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = setting(
        None,
        "Truncate a training episode after this many frames without a reward above zero, so that little time goes "
        "into being stuck; never while a model is played. Empty: never.",
        unit="frames",
        advanced=True,
    )
    lap_truncates: bool = setting(
        False,
        "A finished lap ends a training episode as a time limit does, not as a failure: what driving on would have "
        "won still counts, so that to finish soon is no loss.",
        advanced=True,
    )
    fast: bool = setting(True, "Use the fast, bit-identical CarRacing in place of the stock one.", advanced=True)
    batch_size: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = setting(
        8,
        "Environments that run in parallel; auto finds the number by a short measurement.",
        unit="environments",
        flag="batch-size",
        commands=("train", "pretrain", "record"),
    )
    workers: Annotated[int, Field(ge=0, le=256)] | Literal["auto"] = setting(
        "auto",
        "Processes the environments are spread over; 0 runs them inside this one; auto decides by what a step costs.",
        unit="processes",
        advanced=True,
    )
    render_mode: Literal["human", "rgb_array"] = setting(
        "rgb_array", "human opens the environment's own window; rgb_array shows nothing.", flag="render-mode"
    )


class RunSettings(Settings):
    """Seed, device, and what a run writes."""

    seed: int = setting(0, "One seed fixes everything that is random.", flag="seed", ge=0, le=2**32 - 1)
    device: str = setting(
        "auto",
        "Where the models compute: auto, cpu, cuda, cuda:1, mps.",
        flag="device",
        pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$",
    )
    threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = setting(
        "auto",
        "CPU threads PyTorch uses; auto takes 1 for small models and every core for pictures.",
        unit="threads",
        advanced=True,
    )
    save_freq: int = setting(
        20,
        "Epochs between two checkpoints.",
        unit="epochs",
        flag="save-freq",
        commands=("train", "pretrain"),
        ge=1,
        le=1_000_000_000,
    )
    keep_checkpoints: int = setting(
        3, "Latest checkpoints that are kept besides the best one.", ge=1, le=1_000_000, advanced=True
    )
    log_freq: int = setting(
        1,
        "Epochs between two logged rows of metrics.",
        unit="epochs",
        flag="log-freq",
        commands=("train", "pretrain"),
        ge=1,
        le=1_000_000_000,
    )
    tensorboard: bool = setting(
        False,
        "Also write TensorBoard files: losses, rewards, gradient norms, reconstructions.",
        flag="tensorboard",
        commands=("train", "pretrain"),
    )


class TrainSettings(Settings):
    """How long PPO trains."""

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
    epochs: int | None = setting(
        None,
        "Stop after this many epochs (one rollout and its update each); empty: no limit.",
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
        "Samples in one minibatch of the update.",
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


class WorldModelSettings(Settings):
    """How vision and memory are trained, beforehand (`pretrain`) and along with PPO (`train`)."""

    train: bool = setting(
        True,
        "Train vision and memory on the rollouts as well.",
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
        "Collect so many frames of random actions and train vision and memory on them; 0: none. They are the first "
        "that a world_model.frame_buffer holds.",
        unit="frames",
        ge=0,
        le=10_000_000,
        advanced=True,
    )
    recording: str | None = setting(
        None,
        "Recordings, set apart by commas (names in the workspace, or a folder): vision and memory train on them too, "
        "and the controller begins by copying their driver.",
        advanced=True,
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
    )
    memory: bool = setting(
        False,
        "Train memory. With neither chosen, both are trained.",
        flag="pretrain-memory",
        commands=("pretrain",),
    )
    mode: Literal["random", "manual"] = setting(
        "random",
        "random: actions are random (smooth where continuous); manual: you drive.",
        flag="pretrain-mode",
        commands=("pretrain",),
    )
    manual_mode_delay: float | None = setting(
        None,
        "Seconds between two steps while you drive; empty: the environment's own pace.",
        unit="s",
        flag="manual-mode-delay",
        commands=("pretrain",),
        ge=0,
        le=10,
    )
    recording: str | None = setting(
        None,
        "Recordings to train on, set apart by commas (names in the workspace, or a folder); of record, the one to "
        "write. Empty: collect afresh.",
        flag="recording",
        commands=("pretrain", "record"),
    )
    random_share: float = setting(
        0.0,
        "Share of all frames that is collected at random, beside the recordings that are trained on.",
        flag="random-share",
        commands=("pretrain",),
        ge=0,
        lt=1,
    )
    frames: int = setting(
        10_000,
        "Frames to collect.",
        unit="frames",
        flag="frames",
        commands=("pretrain", "record"),
        ge=16,
        le=100_000_000,
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
    patience: int | None = setting(
        None,
        "Stop when the held-out loss has not improved for this many epochs; empty: never.",
        unit="epochs",
        flag="patience",
        commands=("pretrain",),
        ge=1,
        le=1_000_000_000,
    )
    skip_start: Annotated[int, Field(ge=0, le=100_000)] | Literal["auto"] = setting(
        "auto",
        "Frames at the start of every episode that are left out; auto leaves out what an environment says is no part "
        "of its task (the 50 frames in which CarRacing zooms in).",
        unit="frames",
        advanced=True,
    )
    held_out: float = setting(0.1, "Share of the episodes kept aside to measure on.", ge=0.01, le=0.5)
    memory_limit: int = setting(512, "Frames beyond this go to disk.", unit="MiB", ge=1, le=1_000_000, advanced=True)


class InferSettings(Settings):
    """How a saved model is played."""

    episodes: int = setting(
        10,
        "Episodes to play.",
        unit="episodes",
        flag="episodes",
        commands=("infer",),
        ge=1,
        le=1_000_000,
    )
    greedy: bool = setting(
        True,
        "Take the likeliest action; --sample draws from the policy instead.",
        flag="greedy",
        commands=("infer", "record"),
    )
    keep_replays: bool = setting(
        True,
        "Keep every episode's seed and actions in the workspace, where there is one, to watch it again.",
        flag="keep-replays",
        commands=("infer",),
    )
    video: str | None = setting(
        None,
        "Film the first episode, beside what the model saw of it and expected: an .mp4 or .gif file.",
        flag="video",
        commands=("infer",),
        advanced=True,
    )


class StartSettings(Settings):
    """What a run starts from and where its model goes."""

    load_path: str | None = setting(
        None,
        "Model to start from: a .safetensors file, a run's folder, or a run's name; its components are used.",
        flag="load-path",
        commands=EVERY,
    )
    patch_load_path: str | None = setting(
        None, "Second model, from which the parts named by patch are taken.", flag="patch-load-path", commands=EVERY
    )
    patch: str | None = setting(
        None, "Parts to take from the second model: any of v, m, c.", flag="patch", commands=EVERY, pattern="^[vmc, ]*$"
    )
    save_path: str | None = setting(
        None,
        "Also save the final model to this .safetensors file.",
        flag="save-path",
        commands=("train", "pretrain"),
    )


class ComponentSettings(Settings):
    """Base of a component's own settings; each component declares a subclass beside its module."""


class ComponentChoice(BaseModel):
    """A component by name and the settings given for it; the registry checks them against the component."""

    model_config = ConfigDict(extra="allow", validate_assignment=True)

    name: str = Field("auto", description="Name of the component; auto picks one that fits.")

    @property
    def given(self) -> dict[str, Any]:
        """The component's own settings as given, unchecked."""
        return dict(self.model_extra or {})


class Experiment(Settings):
    """Everything that fixes a run."""

    env: EnvSettings = Field(default_factory=EnvSettings)
    vision: ComponentChoice = Field(default_factory=ComponentChoice)
    memory: ComponentChoice = Field(default_factory=ComponentChoice)
    controller: ComponentChoice = Field(default_factory=ComponentChoice)
    train: TrainSettings = Field(default_factory=TrainSettings)
    ppo: PPOSettings = Field(default_factory=PPOSettings)
    world_model: WorldModelSettings = Field(default_factory=WorldModelSettings)
    warm_up: WarmUpSettings = Field(default_factory=WarmUpSettings)
    pretrain: PretrainSettings = Field(default_factory=PretrainSettings)
    infer: InferSettings = Field(default_factory=InferSettings)
    start: StartSettings = Field(default_factory=StartSettings)
    run: RunSettings = Field(default_factory=RunSettings)
    versions: dict[str, str] = Field(
        default_factory=dict, description="What the run was made with; written, never read."
    )

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        if self.train.total_steps is None and self.train.epochs is None and self.train.patience is None:
            raise ValueError("a run needs an end: give train.total_steps, train.epochs or train.patience")
        if 0 < self.world_model.frame_buffer < self.warm_up.random_frames:
            raise ValueError("warm_up.random_frames do not fit: give a world_model.frame_buffer of as many frames")
        return self

    @classmethod
    def from_dict(cls, values: dict[str, Any], source: str = "settings") -> Experiment:
        """Build from nested values, turning pydantic's report into one clear line.

        Raises:
            UserError: naming the setting, what was found and what would be right.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(explain(error, source)) from None

    @classmethod
    def from_toml(cls, path: str | Path) -> Experiment:
        """Read an `experiment.toml`.

        Raises:
            UserError: the file is missing, is no TOML, or holds a bad setting.
        """
        path = Path(path)
        return cls.from_dict(read_toml(path), source=str(path))

    def to_toml(self) -> str:
        """All settings as TOML, which has no null: an empty setting is an empty string, read back as None."""
        return tomli_w.dumps(_none_to_empty(self.model_dump(mode="json")))

    def with_values(self, *overrides: tuple[str, Any], source: str = "settings") -> Experiment:
        """A copy with `section.field` paths set to new values, checked as a whole."""
        values = self.model_dump(mode="json")
        for path, value in overrides:
            section, _, field = path.partition(".")
            if not field or "." in field or section not in values or section == "versions":
                known = [f"{s}.{f}" for s, group in values.items() if isinstance(group, dict) for f in group]
                raise UserError(f"{source}: no setting '{path}'; {nearest(path, known)}")
            values[section][field] = value
        return Experiment.from_dict(values, source)


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file; a missing or damaged one is a `UserError`."""
    try:
        values = tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a TOML file ({error})") from None
    return values


def explain(error: ValidationError, source: str) -> str:
    """The first of pydantic's complaints as one line: what, where, what to do."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"] if not _is_union_branch(part))
    if first["type"] == "extra_forbidden":
        known = _known_fields(error.title, first["loc"])
        return f"{source}: no setting '{where}'; {nearest(where, known)}"
    messages = {
        e["msg"]
        for e in error.errors(include_url=False)
        if ".".join(str(p) for p in e["loc"] if not _is_union_branch(p)) == where
    }
    text = " or ".join(sorted(m.removeprefix("Value error, ") for m in messages)).replace("Input should", "should")
    found = "" if not where else f" (found {first['input']!r:.80})"
    return f"{source}: {where + ' ' if where else ''}{text}{found}"


def _is_union_branch(part: str | int) -> bool:
    """pydantic puts the tried branch of a union into the location: `int`, `literal['auto']`."""
    return isinstance(part, str) and (
        part in {"int", "float", "str", "bool", "constrained-int"} or part.startswith("literal[")
    )


def _known_fields(title: str, location: tuple[str | int, ...]) -> list[str]:
    sections = {n: f.annotation for n, f in Experiment.model_fields.items()}
    if len(location) == 1 and title == "Experiment":
        return list(sections)
    model = sections.get(str(location[0]))
    if isinstance(model, type) and issubclass(model, BaseModel):
        return [f"{location[0]}.{name}" for name in model.model_fields]
    return []


def _none_to_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {k: _none_to_empty(v) if isinstance(v, dict) else ("" if v is None else v) for k, v in values.items()}
