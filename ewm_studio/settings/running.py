"""Settings of the surroundings of a run: its environment, its start, seed and files, and how a model is played."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator

from ewm_studio.settings.arguments import check_arguments, read_arguments
from ewm_studio.settings.declare import EVERY, Settings, declared, setting


class EnvSettings(Settings):
    """The environment, how its observations are prepared, and how many run side by side."""

    id: str = setting(
        "CartPole-v1", "Environment: any registered Gymnasium id, or module:Id-v0.", flag="env", min_length=1
    )
    kwargs: dict[str, Any] = setting(
        {},
        'Arguments of the environment\'s constructor: is_slippery = false, map_name = "8x8". As a flag one at a time, '
        "as often as there are some: --env-arg is_slippery=false.",
        flag="env-arg",
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
        "End a training episode after this many frames without a reward above zero, so that little time goes "
        "into being stuck; never while a model is played. Empty: never.",
        unit="frames",
        advanced=True,
        training_only=True,
    )
    idle_terminates: bool = setting(
        False,
        "The idle_limit ends an episode as a failure after which nothing more is won, not as a time limit does: right "
        "where who is stuck stays stuck.",
        advanced=True,
        training_only=True,
    )
    round_end: Literal["played", "cut", "final"] = setting(
        "played",
        "Of CarRacing: what the end of a round is to training. played: an end if every tile of the road was touched, "
        "else it goes on. cut: the episode ends as by a time limit, so that what driving on would have won counts. "
        "final: it ends for good. With either, nobody learns from a second round, on which the same road is worth "
        "nothing.",
        advanced=True,
        training_only=True,
    )
    random_start: float = setting(
        0.0,
        "Of the fast CarRacing: share of the episodes that begin anywhere on the track, some of them the wrong way "
        "round or on the grass, in training and in data that are collected or recorded.",
        ge=0,
        le=1,
        advanced=True,
        training_only=True,
    )
    skip_penalty: float = setting(
        0.0,
        "Of CarRacing: taken from a training reward for every tile of the road that the car drives past without "
        "touching it, since a lap with one left out never finishes. Rewards that are shown are without it.",
        ge=0,
        le=1000,
        advanced=True,
        training_only=True,
    )
    fast: bool = setting(True, "Use the fast, bit-identical CarRacing in place of the stock one.", advanced=True)
    observe: Literal["auto", "vector", "as_0.1.0"] = setting(
        "auto",
        "What observations are taken for: auto finds pictures, also with four channels or with their channels first, "
        "and boards; vector flattens whatever comes; as_0.1.0 is for models of that version, which knew pictures "
        "with their channels last only.",
        advanced=True,
    )
    batch_size: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = setting(
        8,
        "Environments that run in parallel; auto finds the number by a short measurement.",
        unit="environments",
        flag="batch-size",
        commands=("train", "pretrain", "record"),
        of_model=False,
        fixed=True,
    )
    workers: Annotated[int, Field(ge=0, le=256)] | Literal["auto"] = setting(
        "auto",
        "Processes the environments are spread over; 0 runs them inside this one; auto decides by what a step costs.",
        unit="processes",
        advanced=True,
        of_model=False,
    )
    render_mode: Literal["human", "rgb_array"] = setting(
        "rgb_array",
        "human opens the environment's own window; rgb_array shows nothing.",
        flag="render-mode",
        of_model=False,
    )

    @field_validator("kwargs", mode="before")
    @classmethod
    def _arguments(cls, value: Any) -> Any:
        """Arguments as a person writes them in one line, or by name; a UserError says which cannot be."""
        if isinstance(value, str):
            return read_arguments(value, "env.kwargs")
        return check_arguments(value) if isinstance(value, dict) else value

    @classmethod
    def of_file(cls, values: dict[str, Any]) -> Self:
        """What a file says of its environment; what it does not know of is as it was when it was written.

        Raises:
            ValidationError: it says something that no environment has.
        """
        return cls.model_validate(values_of_file(values))

    def as_played(self) -> Self:
        """Without what holds in training only, for data that are of the environment as it is."""
        return type(self)(**self.describe())

    def as_collected(self, idle_limit: int | None) -> Self:
        """As played, but that episodes may begin anywhere, and are cut where nothing is won for so many frames."""
        return self.as_played().model_copy(update={"random_start": self.random_start, "idle_limit": idle_limit})

    def describe(self) -> dict[str, Any]:
        """What a file says of the environment that its model or episode is of: all but what holds in training only."""
        return self.model_dump(mode="json", exclude=self._declared("training_only", True))

    def of_model(self) -> dict[str, Any]:
        """What a model brings along: the environment that it sees and acts in, however many run."""
        return self.model_dump(mode="json", exclude=self._declared("of_model", False))

    @classmethod
    def _declared(cls, fact: str, value: bool) -> set[str]:
        return {name for name, info in cls.model_fields.items() if declared(info)[fact] is value}


def values_of_file(values: dict[str, Any]) -> dict[str, Any]:
    """The environment's settings as a run's or a model's file has them, with what the file is too old to know of."""
    return {"observe": "as_0.1.0", **values}


class RunSettings(Settings):
    """Seed, device, and what a run writes."""

    seed: int = setting(0, "One seed fixes everything that is random.", flag="seed", ge=0, le=2**32 - 1, fixed=True)
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


class StartSettings(Settings):
    """What a run starts from and where its model goes."""

    load_path: str | None = setting(
        None,
        "Model to start from: a .safetensors file, a run's folder, or a run's name; its components are used.",
        flag="load-path",
        commands=EVERY,
        fixed=True,
    )
    patch_load_path: str | None = setting(
        None,
        "Second model, from which the parts named by patch are taken.",
        flag="patch-load-path",
        commands=EVERY,
        fixed=True,
    )
    patch: str | None = setting(
        None,
        "Parts to take from the second model: any of v, m, c.",
        flag="patch",
        commands=EVERY,
        pattern="^[vmc, ]*$",
        fixed=True,
    )
    save_path: str | None = setting(
        None,
        "Also save the final model to this .safetensors file, or under the run's name in this folder.",
        flag="save-path",
        commands=("train", "pretrain"),
    )


class InferSettings(Settings):
    """How a saved model is played."""

    episodes: int = setting(
        10,
        "Episodes to play.",
        unit="episodes",
        flag="episodes",
        commands=("infer", "assess"),
        ge=1,
        le=1_000_000,
    )
    greedy: bool = setting(
        True,
        "Take the likeliest action, or the best plan; --sample draws from the policy instead, or from the good plans.",
        flag="greedy",
        commands=("infer", "record", "dream"),
    )
    policy: Literal["controller", "planner"] = setting(
        "controller",
        "Who acts: the controller, or a planner that tries plans in the memory and has nothing learned of its own.",
        flag="policy",
        commands=("infer",),
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
