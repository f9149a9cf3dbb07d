"""Experience for pretraining: collected with random actions, read from recordings, or both."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from ewm_studio.acting.agent import Agent, load_agent
from ewm_studio.acting.disturbed import disturbed
from ewm_studio.acting.episode import Listener, play_episodes
from ewm_studio.acting.policy import ControllerPolicy, Policy
from ewm_studio.acting.random_policy import RandomPolicy
from ewm_studio.data.experience import Experience, StoredEpisode
from ewm_studio.data.frames import FrameStore
from ewm_studio.data.library import Library
from ewm_studio.data.recordings import Recording, load_experience
from ewm_studio.envs.failures import ClosingFailed, WrongOutput
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.probe import EnvProbe, Spaces
from ewm_studio.envs.simulator import Simulator, Step
from ewm_studio.envs.spaces import as_raw, describe, space_from_json, space_to_json
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.errors import UserError
from ewm_studio.events import EpisodeFinished, Event, JobControl, Message
from ewm_studio.jobs.meter import Meter
from ewm_studio.models.randomness import make_generator
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import EnvSettings, Experiment
from ewm_studio.workspace import Workspace

MIB = 2**20
ENCODE_BATCH = 512  # frames encoded at once
RANDOM_SALT = 0xC0FFEE  # keeps random actions apart from other draws of the same seed
PROGRESS_SECONDS = 0.1  # least time between two progress events


def frame_store(experiment: Experiment, spaces: Spaces, folder: Path) -> FrameStore:
    """An empty store for prepared observations, in memory up to the limit and on disk beyond it."""
    space = spaces.observation
    return FrameStore(space.shape, space.dtype, experiment.data.memory_limit * MIB, folder)


def recordings_to_pretrain_on(experiment: Experiment, workspace: Workspace) -> list[Recording]:
    """The recordings that `data.recording` names; none to collect afresh.

    Raises:
        UserError: as `find_recordings`; driving is asked for without one, or a share of random frames beside nothing.
    """
    settings = experiment.data
    if settings.recording is None:
        if experiment.pretrain.mode == "manual":
            raise UserError(
                "pretrain.mode is manual: name what was driven with --recording NAME (ewm-studio record makes one "
                "without driving)"
            )
        if settings.random_share:
            raise UserError(
                "data.random_share mixes random frames into recordings: name some with --recording NAME,NAME; "
                "without one all frames are random"
            )
        return []
    return find_recordings(settings.recording, experiment, workspace)


def find_recordings(names: str, experiment: Experiment, workspace: Workspace) -> list[Recording]:
    """The recordings of these names, set apart by commas, checked against the environment.

    Raises:
        UserError: there is none of a name, or one is of another environment, or dreamt where that is not allowed.
    """
    recordings = Library(workspace).find_all(names)
    for recording in recordings:
        if recording.env_id != experiment.env.id:
            raise UserError(
                f"{recording.folder}: recorded on {recording.env_id}, this experiment is on {experiment.env.id}"
            )
        if recording.dreamt and not experiment.data.dreamt:
            raise UserError(
                f"{recording.folder}: dreamt by a model, not lived; to use it all the same, add --set data.dreamt=true"
            )
        kwargs = recording.meta.get("env_kwargs", experiment.env.kwargs)  # unknown of earlier versions' and Minari's
        if kwargs != experiment.env.kwargs:
            raise UserError(
                f"{recording.folder}: recorded with the arguments {kwargs}, this experiment has "
                f"{experiment.env.kwargs}; give the same with --env-arg"
            )
    return recordings


def check_spaces(recordings: Sequence[Recording], spaces: Spaces) -> None:
    """Refuse recordings of other observations or actions than the environment as set gives and takes.

    Raises:
        UserError: naming the first.
    """
    for recording in recordings:
        seen = spaces.raw_observation
        if recording.dreamt and isinstance(spaces.observation, gym.spaces.Box):
            seen = as_raw(spaces.observation)  # vision makes what is prepared already
        for name, expected in (("observation_space", seen), ("action_space", spaces.action)):
            found = recording.meta.get(name)
            if found != space_to_json(expected):
                words = describe(space_from_json(found)) if isinstance(found, dict) else "nothing"
                raise UserError(
                    f"{recording.folder}: expected the {name.replace('_', ' ')} {describe(expected)}, found {words}; "
                    "look at --pixels"
                )


def driver_of(experiment: Experiment, workspace: Workspace, spaces: Spaces) -> Agent | None:
    """The model that `data.driver` names, on the CPU; None for random actions.

    Raises:
        UserError: there is none of that name, or it sees or does something else.
    """
    name = experiment.data.driver
    if not name:
        return None
    agent = load_agent(workspace.resolve_model(name))
    for word, own, found in (
        ("sees", spaces.observation, agent.model.observation_space),
        ("acts in", spaces.action, agent.model.action_space),
    ):
        if space_to_json(own) != space_to_json(found):
            raise UserError(
                f"data.driver: {name} {word} {describe(found)}, this experiment {describe(own)}; set env as it was "
                "trained with"
            )
    return agent


def gather(
    recordings: Sequence[Recording],
    experiment: Experiment,
    spaces: Spaces,
    store: FrameStore,
    control: JobControl,
    probe: EnvProbe | None = None,
    driver: Agent | None = None,
) -> Generator[Event, None, Experience]:
    """What is trained on: collected frames, or recordings with `data.random_share` of random frames among them.

    Without recordings `driver` acts, or chance, in bursts of other actions as `data` says.

    Raises:
        UserError: no episode of a recording can be read.
    """
    if not recordings:
        each = experiment.env.action_repeat
        goal = -(-experiment.data.frames // each)
        env, data = experiment.env.as_collected(experiment.data.idle_limit), experiment.data
        bursts = partial(disturbed, data=data)
        return (yield from collect(experiment, env, goal, store, control, probe, each, driver, bursts))
    episodes = yield from read_recordings(recordings, spaces, experiment, store)
    share = experiment.data.random_share
    frames = round(sum(len(episode.frames) for episode in episodes) * share / (1 - share))
    if frames > 1 and not control.stop_requested:  # one step has two
        episodes += (yield from collect_random(experiment, frames, store, control, probe)).episodes
        yield Message(f"{frames:,} random frames beside them")
    return Experience(store, episodes)


def collect_random(
    experiment: Experiment, goal: int, store: FrameStore, control: JobControl, probe: EnvProbe | None = None
) -> Generator[Event, None, Experience]:
    """Collect `goal` frames with random actions in the environment as it is played; see `collect`."""
    return (yield from collect(experiment, experiment.env.as_played(), goal, store, control, probe))


def collect(
    experiment: Experiment,
    env: EnvSettings,
    goal: int,
    store: FrameStore,
    control: JobControl,
    probe: EnvProbe | None = None,
    each: int = 1,
    driver: Agent | None = None,
    bursts: Callable[[Policy, gym.Space, np.random.Generator], Policy] | None = None,
) -> Generator[Event, None, Experience]:
    """Collect `goal` frames as they are seen, one a decision, or hardly more.

    One seed always gives the same experience, also when a run is resumed.

    Args:
        experiment: of the run.
        env: what is acted in.
        goal: frames wanted.
        store: takes them.
        control: asks to stop.
        probe: is as `make_vector` has it.
        each: frames of the environment that one of them is told as.
        driver: acts, sampled; None for random actions.
        bursts: makes of a policy another one that does something else now and then.

    Returns:
        The experience.
    """
    seed = experiment.run.seed
    rng = np.random.default_rng(np.random.SeedSequence([seed, RANDOM_SALT]))
    gathered = Gathered(store)
    envs = make_vector(env, seed, probe)
    try:
        with contextlib.closing(envs):
            meter, steps, experience = Meter("collect", goal * each, "frames"), 0, gathered.experience
            policy: Policy = RandomPolicy(envs.action_space, rng)
            if driver is not None:
                policy = ControllerPolicy(driver.model.controller)
            if bursts is not None:
                policy = bursts(policy, envs.action_space, rng)
            world, generator = driver.model if driver else None, make_generator(seed)
            enough = lambda: experience.frame_count >= goal or control.stop_requested  # noqa: E731
            playing = play_episodes(envs, policy, world, [gathered], generator=generator, stopped=enough)
            for step in playing:
                steps += envs.num_envs
                for episode in step.episodes:
                    yield EpisodeFinished(steps, episode.reward, episode.length, episode.seed)
                if steps // envs.num_envs % 16 == 0:
                    yield meter.at(min(experience.frame_count, goal) * each)
            experience.finish()
            yield meter.at(min(experience.frame_count, goal) * each)
    except ClosingFailed as failure:  # what was collected is whole
        yield Message(str(failure), "warning")
    return experience


class Gathered(Listener):
    """Puts every step into an experience."""

    def __init__(self, store: FrameStore) -> None:
        self.experience = Experience(store)

    def begin(self, simulator: Simulator, obs: np.ndarray) -> None:
        """The first observations."""
        self.experience.begin(obs)

    def step(self, belief: Any, action: Any, step: Step) -> None:
        """One step of every environment."""
        self.experience.add(np.asarray(action), step.reward, step.terminated, step.truncated, step.obs, step.final_obs)


def read_recordings(
    recordings: Sequence[Recording], spaces: Spaces, experiment: Experiment, store: FrameStore
) -> Generator[Event, None, list[StoredEpisode]]:
    """The episodes of recordings, whose frames go into the store; damaged episodes are named and left out.

    Raises:
        UserError: no episode of a recording can be read.
    """
    prepared = Preprocessor(spaces.raw_observation, experiment.env)
    episodes: list[StoredEpisode] = []
    for recording in recordings:
        for path, reason in recording.damaged:
            yield Message(f"{path.name} is left out: {reason}", "warning")
        prepare: Callable[[Any], np.ndarray] = prepared.batch
        repeat = experiment.env.action_repeat
        if recording.dreamt:
            prepare, repeat = _as_prepared, max(1, repeat // int(recording.meta.get("action_repeat", 1)))
        try:
            experience = load_experience(recording, prepare, repeat, store)
        except WrongOutput as error:
            raise UserError(f"{recording.folder}: damaged, it holds {error}") from None
        yield Message(f"{experience.frame_count:,} frames read from {recording.folder}")
        episodes += experience.episodes
    return episodes


def _as_prepared(raw: np.ndarray) -> np.ndarray:
    """Dreamt observations (N, ...) as they are prepared: pictures with their channels first."""
    return np.ascontiguousarray(raw.transpose(0, 3, 1, 2)) if raw.ndim == 4 else raw


@torch.no_grad()
def encode_all(store: FrameStore, model: WorldModel, control: JobControl) -> Generator[Event, None, Tensor]:
    """Latents (frames, Z) of every frame, encoded once by the vision as it is now; cut short when asked to stop."""
    vision, count, said = model.vision.eval(), len(store), 0.0
    latents = torch.empty(count, vision.latent_dim, device=model.device)
    meter = Meter("encode", count, "frames")
    for begin in range(0, count, ENCODE_BATCH):
        if control.stop_requested:
            break
        index = np.arange(begin, min(begin + ENCODE_BATCH, count))
        latents[begin : begin + len(index)] = vision.encode(torch.from_numpy(store.read(index)).to(model.device))
        if time.monotonic() - said > PROGRESS_SECONDS:
            said = time.monotonic()
            yield meter.at(begin + len(index))
    yield meter.at(count)
    return latents
