"""Settings of the data that is not an agent's own rollouts: collected at random, recorded, or driven."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ewm_studio.settings.declare import Settings, setting

MOST_FRAMES = 100_000_000


class DataSettings(Settings):
    """Frames from elsewhere, to train on beforehand or to record: how many, from where, and how they are kept."""

    recording: str | None = setting(
        None,
        "Recordings to train on, set apart by commas (names in the workspace, or a folder in full); of record, the one "
        "to write. Empty: collect afresh.",
        flag="recording",
        commands=("pretrain", "record", "assess"),
        fixed=True,
        moved="pretrain.recording",
    )
    frames: int = setting(
        10_000,
        "Frames of the environment to collect or record, each of its steps one, whatever the action repeat.",
        unit="frames",
        flag="frames",
        commands=("pretrain", "record"),
        ge=16,
        le=MOST_FRAMES,
        fixed=True,
        moved="pretrain.frames",
    )
    bursts: float = setting(
        0.0,
        "Where actions are recorded, collected, or random before dreams: chance that a decision begins a burst of one "
        "random action, held for 3 to 12 decisions, so that a memory sees what actions do (0.08 disturbs about half).",
        flag="bursts",
        commands=("record", "pretrain"),
        ge=0,
        le=1,
        fixed=True,
    )
    holds: float = setting(
        0.0,
        "Share of the bursts that are long: for 20 to 60 decisions nothing is done, or the opposite of what the policy "
        "was doing, so that standstill and going back are seen.",
        ge=0,
        le=1,
        advanced=True,
        fixed=True,
    )
    gentle: float = setting(
        0.0,
        "Share of the bursts in which one axis that goes both ways is held anywhere and those that go one way are held "
        "low: of a car, steering with a little gas and no brake, which shows best what steering does.",
        ge=0,
        le=1,
        advanced=True,
        fixed=True,
    )
    driver: str | None = setting(
        None,
        "A model (file, run or shipped) that acts, sampled, where pretrain collects frames; empty: random actions. "
        "record has --load-path for it.",
        flag="driver",
        commands=("pretrain",),
        fixed=True,
    )
    idle_limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = setting(
        None,
        "Where frames are recorded or collected: cut an episode after this many frames without a reward above zero. "
        "Empty: never.",
        unit="frames",
        advanced=True,
        fixed=True,
    )
    random_share: float = setting(
        0.0,
        "Share of all frames that is collected at random, beside the recordings that are trained on.",
        flag="random-share",
        commands=("pretrain",),
        ge=0,
        lt=1,
        fixed=True,
        moved="pretrain.random_share",
    )
    dreamt: bool = setting(
        False,
        "Recordings may be of dreams, whose pictures and rewards a model made up; else such a recording is refused.",
        advanced=True,
        fixed=True,
    )
    manual_mode_delay: float | None = setting(
        None,
        "Seconds between two steps while you drive; empty: the environment's own pace.",
        unit="s",
        flag="manual-mode-delay",
        commands=("pretrain",),
        ge=0,
        le=10,
        moved="pretrain.manual_mode_delay",
    )
    skip_start: Annotated[int, Field(ge=0, le=100_000)] | Literal["auto"] = setting(
        "auto",
        "Frames at the start of every episode that are left out; auto leaves out what an environment says is no part "
        "of its task (the 50 frames in which CarRacing zooms in).",
        unit="frames",
        advanced=True,
        fixed=True,
        moved="pretrain.skip_start",
    )
    held_out: float = setting(
        0.1,
        "Share of the episodes kept aside to measure on.",
        ge=0.01,
        le=0.5,
        fixed=True,
        moved="pretrain.held_out",
    )
    memory_limit: int = setting(
        512,
        "Frames beyond this go to disk.",
        unit="MiB",
        ge=1,
        le=1_000_000,
        advanced=True,
        moved="pretrain.memory_limit",
    )
