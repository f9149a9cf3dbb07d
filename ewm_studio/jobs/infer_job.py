"""Playing a saved model: `infer`. Every evaluation is kept, so that its episodes can be watched again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ewm_studio.acting.agent import Agent
from ewm_studio.acting.play import EpisodeScore, Played, play, process_count
from ewm_studio.analysis.figures import spread
from ewm_studio.analysis.film import FILMS, check_target, export, panes_of
from ewm_studio.analysis.trace import trace
from ewm_studio.envs.factory import env_notes
from ewm_studio.envs.failures import ClosingFailed
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.probe import EnvProbe, Spaces, spaces_of
from ewm_studio.errors import JobError, UserError
from ewm_studio.events import EpisodeFinished, EvaluationKept, Event, Finished, JobControl, Message, RunStarted
from ewm_studio.jobs.failures import explains_failures
from ewm_studio.jobs.meter import Meter
from ewm_studio.jobs.place import opens_workspace
from ewm_studio.jobs.setup import load_for, model_metadata, patch_from
from ewm_studio.models.device import choose_device, set_threads
from ewm_studio.settings import Experiment
from ewm_studio.settings.typed_path import typed_path
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import save_model
from ewm_studio.workspace.replays import EvaluationWriter, Replay, copy_model, link_model, manner

WORST = 5  # episodes that a result names


@opens_workspace
@explains_failures
def infer(
    experiment: Experiment, workspace: Workspace, control: JobControl | None = None
) -> Generator[Event, None, None]:
    """Play a saved model for `infer.episodes` episodes; episode i is reset, and its draws seeded, with `run.seed + i`.

    `env.workers` processes play side by side; the scores are the same for any number of them. The result names the
    worst episodes by their seeds, which is where to look first.

    Raises:
        UserError: no model is named, it is damaged, or it is made for another environment.
        JobError: the environment failed; after the result, where it only did not let itself be ended.
    """
    control, settings = control or JobControl(), experiment.infer
    video = typed_path(settings.video, "infer.video") if settings.video else None
    if video is not None:
        check_target(video, FILMS)
    with contextlib.closing(EnvProbe(experiment.env)) as probe:
        agent = agent_for(experiment, workspace, probe)
        processes = process_count(agent, experiment.env, settings.episodes, probe)
    planner = experiment.planner if settings.policy == "planner" else None
    if planner is not None:
        agent.model.require_imagination()
    yield RunStarted(
        "infer",
        "",
        "",
        f"{agent.model.summary()} on {experiment.env.id}, {manner(settings.policy, settings.greedy)}",
    )
    yield from (Message(line, "warning") for line in env_notes(experiment.env))
    meter, scores, laps = Meter("infer", settings.episodes, "episodes"), list[EpisodeScore](), list[bool | None]()
    # Playing a file is no reason to make a workspace.
    keeps = settings.keep_replays and workspace.path.is_dir()
    keeper = Keeper(evaluation_writer(experiment, agent, workspace) if keeps else None)
    began, steps, first = time.monotonic(), 0, None
    seed, greedy = experiment.run.seed, settings.greedy
    played_all = _PlayedAll(play(agent, experiment.env, seed, settings.episodes, greedy, control, processes, planner))
    for played in played_all:
        score = played.score
        scores.append(score)
        laps.append(played.replay.lap_finished)
        steps += score.steps
        yield from keeper.keep(played.replay)
        first = first or played.replay
        mean = float(np.mean([each.reward for each in scores]))  # of all, as the result says
        yield EpisodeFinished(steps, score.reward, score.steps, score.seed, mean)
        yield meter.at(len(scores))
    seconds = time.monotonic() - began
    if video is not None and first is not None:
        yield from _film(video, agent, first)
    stopped_by = "stop" if len(scores) < settings.episodes else "episodes"
    result: dict[str, Any] = {"episodes": [asdict(s) for s in scores], **spread([s.reward for s in scores])}
    if len(scores) > WORST and len({s.reward for s in scores}) > 1:  # where all are alike, none is worse
        result["worst"] = {str(s.seed): s.reward for s in sorted(scores, key=lambda s: s.reward)[:WORST]}
    if laps and None not in laps:
        result["laps_finished"] = laps.count(True) / len(laps)
    result |= {"seconds": seconds, "steps_per_second": steps / max(seconds, 1e-9), "stopped_by": stopped_by}
    yield Finished(stopped_by, result)
    if played_all.failure is not None:
        raise played_all.failure


class _PlayedAll:
    """Episodes as they are played, and the failure of an environment that could only not be ended after them."""

    def __init__(self, episodes: Iterator[Played]) -> None:
        self._episodes = episodes
        self.failure: ClosingFailed | None = None

    def __iter__(self) -> Iterator[Played]:
        try:
            yield from self._episodes
        except ClosingFailed as failure:
            self.failure = failure


def agent_for(experiment: Experiment, workspace: Workspace, probe: EnvProbe | None = None) -> Agent:
    """The agent that `start.load_path` names, checked against the environment and moved to the device.

    `probe` is of the environment, where one is at hand.

    Raises:
        UserError: see `infer`.
    """
    if not experiment.start.load_path:
        raise UserError("start.load_path: name the model to play, with --load-path FILE_OR_RUN")
    spaces = probe.spaces if probe else spaces_of(experiment.env)
    device = choose_device(experiment.run.device)
    model = load_for(experiment.start.load_path, spaces, experiment.env, workspace)
    patch_from(experiment.start, model, workspace)
    # One observation at a time gains nothing from a second thread.
    set_threads(1 if experiment.run.threads == "auto" else experiment.run.threads, model.observation_space)
    return Agent(model.to(device), Preprocessor(spaces.raw_observation, experiment.env), experiment.env, {})


class Keeper:
    """Keeps episodes as long as that can be done: an evaluation does not fail because nothing can be written."""

    def __init__(self, writer: EvaluationWriter | None) -> None:
        """`writer` None keeps nothing."""
        self._writer = writer

    def keep(self, replay: Replay) -> Iterator[Event]:
        """Keep one and tell of the first; where that cannot be done, one line says so and no other is tried."""
        if self._writer is None:
            return
        first = self._writer.folder is None
        try:
            path = self._writer.add(replay)
        except (UserError, JobError) as error:
            self._writer = None
            yield Message(f"replays are not kept: {error}", "warning")
            return
        if first:
            yield EvaluationKept(str(path.parent))


def _film(path: Path, agent: Agent, replay: Replay) -> Iterator[Event]:
    """Film an episode.

    Raises:
        UserError: it cannot be played again, or the file cannot be written.
    """
    made = trace(agent, replay)
    panes = panes_of(made)
    if not panes:
        raise UserError(f"infer.video: {replay.env.id} draws no pictures, so there is nothing to film")
    export(path, panes, made.fps)
    yield Message(f"episode of seed {replay.seed} filmed: {path}")


def evaluation_writer(experiment: Experiment, agent: Agent, workspace: Workspace) -> EvaluationWriter:
    """What keeps the episodes that `agent_for(experiment, workspace)` plays, beside the run that the model is of."""
    start = experiment.start
    source = workspace.resolve_model(start.load_path or "")
    name = str(source)
    if start.patch_load_path:
        name = f"{source} with {start.patch} of {workspace.resolve_model(start.patch_load_path)}"

    def put_model(target: Path) -> None:
        if start.patch_load_path:  # in no file yet
            spaces = Spaces(agent.preprocessor.raw_space, agent.preprocessor.space, agent.model.action_space)
            save_model(target, agent.model.state_dict(), model_metadata(agent.model, experiment, spaces, {}))
        elif workspace.run_of(source):
            link_model(source, target)
        else:  # whoever owns the file may change it in place
            copy_model(source, target)

    return EvaluationWriter(workspace.replays_folder_of(source), name, agent.model.summary(), put_model)
