"""Settings of a dream that is driven from the command line."""

from __future__ import annotations

from ewm_studio.settings.declare import Settings, setting


class DreamDriveSettings(Settings):
    """Where a dream begins, who decides in it, and what is kept of it."""

    start: str | None = setting(
        None,
        "Where it begins: RUN/EPISODE:FRAME of a run's newest evaluation, RECORDING/EPISODE:FRAME, a file "
        "(.replay or .h5):FRAME, track:SEED for a fresh one, random:SEED for latents that are drawn.",
        flag="from",
        commands=("dream",),
    )
    steps: int = setting(
        200, "Decisions to dream.", unit="decisions", flag="steps", commands=("dream",), ge=1, le=100_000
    )
    actions: str = setting(
        "policy",
        "Who decides: policy (the controller), planner, recorded (what really came next), or moves in turn, such as "
        "left,left,gas*10,left+gas, of which the last is held.",
        flag="actions",
        commands=("dream",),
        min_length=1,
    )
    temperature: float = setting(
        1.0,
        "Of the draws: 0 takes the likeliest latents, 1 is the memory's own spread.",
        flag="temperature",
        commands=("dream",),
        ge=0,
        le=10,
    )
    beside: bool = setting(
        True,
        "Have the true environment beside the dream under the same actions, where it can be led there.",
        flag="beside",
        commands=("dream",),
    )
    fan: int = setting(
        0,
        "Draw so many futures under each of left, straight and right at the end of the dream; 0 draws none.",
        unit="draws",
        flag="fan",
        commands=("dream",),
        ge=0,
        le=100,
    )
    video: str | None = setting(
        None,
        "Film the dream, and reality beside it: an .mp4 or .gif file, or a .png with a strip of moments.",
        flag="video",
        commands=("dream",),
    )
    recording: str | None = setting(
        None,
        "Keep the dream in this recording, marked as dreamt.",
        flag="keep-as",
        commands=("dream",),
    )
