"""A dream driven without a window: `dream`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from ewm_studio.analysis.dream_film import dream_panes, dream_strip, fan_strip
from ewm_studio.analysis.film import check_target, export
from ewm_studio.data.library import Library
from ewm_studio.dreams.branches import DreamStep
from ewm_studio.dreams.fan import Fan
from ewm_studio.dreams.trust import TRUSTED
from ewm_studio.driving.dream_beginning import load_start
from ewm_studio.driving.dream_drive import DreamDrive
from ewm_studio.driving.moves import actions_of
from ewm_studio.envs.probe import EnvProbe
from ewm_studio.events import Event, Finished, JobControl, Message, RunStarted
from ewm_studio.jobs.dream_places import source_of
from ewm_studio.jobs.failures import explains_failures
from ewm_studio.jobs.infer_job import agent_for
from ewm_studio.jobs.kept_assessment import kept_assessment
from ewm_studio.jobs.meter import Meter
from ewm_studio.jobs.place import opens_workspace
from ewm_studio.settings import Experiment
from ewm_studio.settings.typed_path import typed_path
from ewm_studio.workspace import Workspace

LANES = ("reward", "end", "trust", "value", "entropy")
REAL_LANES = ("reward", "drift", "difference", "surprise")
FAN_STEPS = 16


@opens_workspace
@explains_failures
def dream(
    experiment: Experiment, workspace: Workspace, control: JobControl | None = None
) -> Generator[Event, None, None]:
    """Drive in a model's dream from a real moment on, with reality beside it, and say how long it could be trusted.

    Raises:
        UserError: no model or no start is named, or nothing can be dreamt from there. JobError: the environment failed.
    """
    control, settings = control or JobControl(), experiment.dream_drive
    video = typed_path(settings.video, "dream_drive.video") if settings.video else None
    if video is not None:
        check_target(video)
    folder = Library(workspace).place_to_write(settings.recording) if settings.recording else None
    source = source_of(settings.start, workspace)
    with contextlib.closing(EnvProbe(experiment.env)) as probe:
        agent = agent_for(experiment, workspace, probe)
    start = load_start(agent, source)
    drive = DreamDrive(
        agent,
        start,
        seed=experiment.run.seed,
        temperature=settings.temperature,
        beside=settings.beside,
        greedy=experiment.infer.greedy,
        planner=experiment.planner,
        measure=_measure(experiment, workspace),
        by_keys=False,
    )
    with contextlib.closing(drive):
        yield RunStarted("dream", "", "", f"{agent.model.summary()} from {start.words}, {settings.actions:.60}")
        if settings.beside and start.moment is None:
            yield Message(f"reality is not beside: {start.no_moment}", "warning")
        filmed = _Filmed(drive, video is not None)
        stopped_by = yield from _drive(drive, experiment, filmed, control)
        fans = drive.fans("turns", settings.fan, FAN_STEPS) if settings.fan else ()
        if video is not None:
            yield from _film(video, drive, filmed, fans)
        if folder is not None and (kept := drive.keep_recording(folder)) is not None:
            yield Message(f"{kept.length} dreamt decisions kept in {kept.path}")
        yield Finished(stopped_by, _result(drive, fans) | {"stopped_by": stopped_by})


def _measure(experiment: Experiment, workspace: Workspace) -> dict[str, float] | None:
    """What the trust meter measures by: the model's assessment, where there is one."""
    model = workspace.resolve_model(experiment.start.load_path or "")
    run = workspace.run_of(model)
    found = kept_assessment(workspace.runs_folder / run if run else model.parent)
    usual = (found or {}).get("trust", {}).get("usual")
    return usual if isinstance(usual, dict) else None


def _drive(
    drive: DreamDrive, experiment: Experiment, filmed: _Filmed, control: JobControl
) -> Generator[Event, None, str]:
    """Decide as often as is asked for; what it was stopped by."""
    settings = experiment.dream_drive
    listed: list[Any] = []
    if settings.actions in ("policy", "planner", "recorded"):
        drive.hand_over("controller" if settings.actions == "policy" else settings.actions)  # type: ignore[arg-type]
    else:
        listed = actions_of(settings.actions, drive.usual, drive.agent.model.action_space)
    meter = Meter("dream", settings.steps, "decisions")
    for number in range(settings.steps):
        if control.stop_requested:
            return "stop"
        step = drive.tree.step(listed[min(number, len(listed) - 1)], "listed") if listed else drive.step()
        if step is None:
            yield Message(f"only {number} recorded decisions come after {drive.start.words}")
            return "recorded"
        filmed.take()
        yield meter.at(number + 1)
        if step.ended:
            return "end"
    return "steps"


class _Filmed:
    """The pictures of a dream and of reality, where they are wanted."""

    def __init__(self, drive: DreamDrive, wanted: bool) -> None:
        self._drive, self._wanted = drive, wanted
        self.dream: list[np.ndarray] = []
        self.real: list[list[np.ndarray]] = []
        self.take()

    def take(self) -> None:
        """As it is now."""
        if self._wanted:
            beside = self._drive.tree.beside
            self.dream.append(self._drive.picture())
            self.real += [list(beside.pictures)] if beside is not None else []


def _film(video: Path, drive: DreamDrive, filmed: _Filmed, fans: tuple[Fan, ...]) -> Generator[Event, None, None]:
    panes = dream_panes(filmed.dream, filmed.real, drive.repeat, drive.tree.path())
    if video.suffix.lower() == ".png":
        dream_strip(video, panes)
    else:
        export(video, panes, 1 / drive.frame_seconds)
    yield Message(f"filmed: {video}")
    if any(fan.pictures is not None for fan in fans):
        path = video.with_name(f"{video.stem}-fan.png")
        fan_strip(path, fans)
        yield Message(f"futures under {', '.join(fan.words for fan in fans)}: {path}")


def _result(drive: DreamDrive, fans: tuple[Fan, ...]) -> dict[str, Any]:
    path, beside = drive.tree.path(), drive.tree.beside is not None
    trusted = drive.trusted_until
    found: dict[str, Any] = {
        "start": drive.start.words,
        "steps": len(path),
        "seed": drive.tree.branch.seed,
        "dreamt_return": sum(step.reward for step in path),
        "real_return": sum(step.real.reward for step in path if step.real) if beside else None,
        "reality": "" if beside else drive.start.no_moment or "not asked for",
        "parted": drive.parted,
        "trusted": len(path) if trusted is None else min(trusted, len(path)),
        "trust_limit": TRUSTED,
        "ended": path[-1].ended if path else False,
    }
    for word, fan in ((fan.words, fan) for fan in fans):
        spread = fan.spread.tolist()
        found[f"fan_{word}"] = {"return": float(fan.reward.sum(0).mean()), "spread": [spread[0], spread[-1]]}
    lanes = {name: [_known(getattr(step, name)) for step in path] for name in LANES}
    if beside:
        lanes |= {("real_reward" if name == "reward" else name): _real(path, name) for name in REAL_LANES}
    return found | {"lanes": lanes}


def _real(path: list[DreamStep], name: str) -> list[float | None]:
    return [_known(getattr(step.real, name)) if step.real else None for step in path]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
