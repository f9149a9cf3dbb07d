"""How far a model's memory can be trusted as a world: `assess`."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ewm_studio.acting.agent import Agent
from ewm_studio.acting.episode import play_episodes
from ewm_studio.acting.policy import ControllerPolicy
from ewm_studio.analysis.action_response import Fork, extremes, forks, response, scene_rows
from ewm_studio.analysis.assessment import Assessment
from ewm_studio.analysis.dreamt_pictures import side_by_side, strip
from ewm_studio.analysis.end_timing import end_timing
from ewm_studio.analysis.open_loop import DRAWS, HORIZONS
from ewm_studio.analysis.turning import turning
from ewm_studio.analysis.windows import windows
from ewm_studio.data.experience import Experience
from ewm_studio.dreams.trust import shows_pictures
from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.envs.probe import EnvProbe
from ewm_studio.envs.single import SingleEnv
from ewm_studio.events import EpisodeFinished, Event, Finished, JobControl, Message, RunStarted
from ewm_studio.jobs.collect import Gathered, encode_all, find_recordings, frame_store, read_recordings
from ewm_studio.jobs.failures import explains_failures
from ewm_studio.jobs.infer_job import agent_for
from ewm_studio.jobs.kept_assessment import KEPT, keep_assessment
from ewm_studio.jobs.meter import Meter
from ewm_studio.jobs.place import opens_workspace
from ewm_studio.models.randomness import drawing_from, make_generator
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace

FORKS = 4  # in each of the first episodes
FORKED = 5  # episodes
MOST_NUMBERS = 2**26  # of all dreamt latents together: a quarter of a GiB
FIRST_SEED = 100_000  # of the episodes that are played, where run.seed is 0


@opens_workspace
@explains_failures
def assess(
    experiment: Experiment, workspace: Workspace, control: JobControl | None = None
) -> Generator[Event, None, None]:
    """Measure a memory's dreams on `infer.episodes` episodes that the model plays (sampled), or on recordings.

    Episode i is reset with `FIRST_SEED + run.seed + i`, far from what was recorded or trained on. Where the episodes
    are played, the environment is forked in some of them as well, to see what actions do. What is found is kept with
    the run.

    Raises:
        UserError: no model is named, its memory predicts nothing, or there is too little to measure on.
        JobError: the environment failed.
    """
    control = control or JobControl()
    with contextlib.closing(EnvProbe(experiment.env)) as probe:
        agent = agent_for(experiment, workspace, probe)
        spaces = probe.spaces
    agent.model.require_imagination()
    names = experiment.data.recording
    recordings = find_recordings(names, experiment, workspace) if names else []
    yield RunStarted("assess", "", "", f"{agent.model.summary()} on {experiment.env.id}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, frame_store(experiment, spaces, Path(folder)) as store:
        played: list[tuple[int, np.ndarray]] = []
        if recordings:
            experience = Experience(store, (yield from read_recordings(recordings, spaces, experiment, store)))
        else:
            gathered = Gathered(store)
            played = yield from _play(agent, experiment, gathered, control)
            experience = gathered.experience
        skip = -(-spaces.settling_frames // experiment.env.action_repeat)
        if skip:
            experience = experience.without_starts(skip)
        latents = yield from encode_all(store, agent.model, control)
        if control.stop_requested:
            yield Finished("stop", {})
            return
        assessment = _prepared(agent, experience, latents, experiment)
        meter = Meter("measure", assessment.parts, "parts")
        for done in assessment.measure():
            yield meter.at(done)
            if control.stop_requested:
                yield Finished("stop", {})
                return
        found, pictures = assessment.found, dict[str, NDArray]()
        generator = make_generator(experiment.run.seed, agent.model.device)
        memory, encoding = agent.model.memory, agent.model.action_encoding
        found["end_timing"] = end_timing(memory, experience, latents, encoding, generator)
        seeing = shows_pictures(agent.model.vision)
        if seeing:
            pictures["strip"] = strip(agent.model, assessment.windows, assessment.dreamt, experience.store.read)
        if played:
            actions, seen = yield from _fork(agent, played, experiment, control)
            if control.stop_requested:
                yield Finished("stop", {})
                return
            if seen:
                found |= {"actions": list(actions), "action_response": _response(agent, seen, actions, experiment)}
                found |= _turning(agent, seen, actions, experiment)
                if seeing:
                    middle = seen[len(seen) // 2]
                    pictures["actions"] = side_by_side(agent.model, middle, actions, experiment.run.seed)
    model = workspace.resolve_model(experiment.start.load_path or "")
    found |= {
        "checkpoint": model.stem,
        "on": _told_on(experiment),
        "seconds": time.monotonic() - began,
        "stopped_by": "episodes",
    }
    yield from _keep(found, pictures, experiment, workspace)
    yield Finished("episodes", found)


def _play(
    agent: Agent, experiment: Experiment, gathered: Gathered, control: JobControl
) -> Generator[Event, None, list[tuple[int, np.ndarray]]]:
    """Play episodes into an experience; their seeds and actions."""
    episodes, settings = experiment.infer.episodes, experiment.env.as_played()
    meter, done = Meter("play", episodes, "episodes"), list[tuple[int, np.ndarray]]()
    env = make_prepared_env(settings, window=False)
    generator = make_generator(experiment.run.seed, agent.model.device)
    with contextlib.closing(SingleEnv(env, settings, seeds=FIRST_SEED + experiment.run.seed)) as simulator:
        policy = ControllerPolicy(agent.model.controller)
        stopped = lambda: control.stop_requested  # noqa: E731
        steps = play_episodes(
            simulator, policy, agent.model, [gathered], episodes=episodes, generator=generator, stopped=stopped
        )
        for number, step in enumerate(steps, 1):
            for episode in step.episodes:
                done.append((episode.seed, gathered.experience.episodes[-1].action))
                yield EpisodeFinished(number, episode.reward, episode.length, episode.seed)
                yield meter.at(len(done))
    return done


def _prepared(agent: Agent, experience: Experience, latents: torch.Tensor, experiment: Experiment) -> Assessment:
    model, seed = agent.model, experiment.run.seed
    with drawing_from(make_generator(seed)):
        untrained = model.fresh_memory().to(model.device)
    most = max(16, min(1024, MOST_NUMBERS // (DRAWS * max(HORIZONS) * model.vision.latent_dim)))
    tried = windows(experience, latents, model.action_encoding, max(HORIZONS), most=most)
    return Assessment(model, untrained.eval(), tried, experience.store.read, make_generator(seed, model.device))


def _fork(
    agent: Agent, played: list[tuple[int, np.ndarray]], experiment: Experiment, control: JobControl
) -> Generator[Event, None, tuple[dict[str, Any], list[Fork]]]:
    """The actions to compare, and forks of the environment."""
    actions, seen = extremes(agent.model.action_space), list[Fork]()
    if len(actions) < 2:
        yield Message(f"what actions do is not measured: {agent.model.action_space} has no extremes")
        return actions, seen
    meter = Meter("fork", FORKED * FORKS, "forks")
    for fork in forks(agent, played[:FORKED], actions, FORKS, experiment.run.seed):
        seen.append(fork)
        yield meter.at(len(seen))
        if control.stop_requested:
            break
    return actions, seen


def _response(agent: Agent, seen: list[Fork], actions: dict[str, Any], experiment: Experiment) -> dict[str, Any]:
    shape = agent.model.observation_space.shape
    rows = scene_rows(experiment.env, shape[1]) if len(shape) == 3 else None
    generator = make_generator(experiment.run.seed, agent.model.device)
    return response(agent.model, seen, actions, generator, rows)


def _turning(agent: Agent, seen: list[Fork], actions: dict[str, Any], experiment: Experiment) -> dict[str, Any]:
    """Whether a car's wheel turns the dream, as `turning`; nothing where there is no wheel."""
    wheel = ("0 low", "0 high")
    if not experiment.env.id.startswith("CarRacing") or not set(wheel) <= set(actions):
        return {}
    left, right = ((name, actions[name]) for name in wheel)
    generator = make_generator(experiment.run.seed, agent.model.device)
    found = turning(agent.model, seen, left, right, generator)
    return {} if found is None else {"turning": found}


def _told_on(experiment: Experiment) -> str:
    """What it was measured on, in words."""
    if experiment.data.recording:
        return f"recording {experiment.data.recording}"
    seed, episodes = FIRST_SEED + experiment.run.seed, experiment.infer.episodes
    return f"episodes of seeds {seed} to {seed + episodes - 1}, sampled"


def _keep(
    found: dict[str, Any], pictures: dict[str, NDArray], experiment: Experiment, workspace: Workspace
) -> Generator[Event, None, None]:
    """Write figures and pictures beside the run that the model is of, where it is of one here."""
    run = workspace.run_of(workspace.resolve_model(experiment.start.load_path or ""))
    if run:
        folder = workspace.runs_folder / run
        keep_assessment(folder, found, pictures)
        yield Message(f"kept in {folder / KEPT}")
