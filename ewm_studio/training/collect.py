"""Experience for pretraining: collected with random actions, or read from a recording."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np

from ewm_studio.data.experience import Experience
from ewm_studio.data.frames import FrameStore
from ewm_studio.data.recordings import Recording, load_experience
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.vector import make_vector
from ewm_studio.errors import UserError, nearest
from ewm_studio.settings import Experiment
from ewm_studio.training.events import EpisodeFinished, Event, JobControl, Message
from ewm_studio.training.meter import Meter
from ewm_studio.training.random_policy import RandomPolicy
from ewm_studio.training.setup import Spaces
from ewm_studio.workspace import Workspace

MIB = 2**20


def frame_store(experiment: Experiment, spaces: Spaces, folder: Path) -> FrameStore:
    """An empty store for prepared observations, in memory up to the limit and on disk beyond it."""
    space = spaces.observation
    return FrameStore(space.shape, space.dtype, experiment.pretrain.memory_limit * MIB, folder)


def find_recording(experiment: Experiment, workspace: Workspace) -> Recording | None:
    """The recording that `pretrain.recording` names, checked against the environment; None to collect afresh.

    Raises:
        UserError: there is none of this name, it is of another environment, or driving is asked for without one.
    """
    name = experiment.pretrain.recording
    if name is None:
        if experiment.pretrain.mode == "manual":
            raise UserError(
                "pretrain.mode is manual: name what was driven with --recording NAME (ewm-studio record makes one "
                "without driving)"
            )
        return None
    folder = Path(name)
    if not folder.is_dir():
        folder = workspace.recordings_folder / name
    if not folder.is_dir():
        known = sorted(p.name for p in workspace.recordings_folder.glob("*") if p.is_dir())
        raise UserError(f"no recording '{name}' in {workspace.recordings_folder}; {nearest(name, known)}")
    recording = Recording(folder)
    if recording.env_id != experiment.env.id:
        raise UserError(f"{folder}: recorded on {recording.env_id}, this experiment is on {experiment.env.id}")
    return recording


def collect_random(
    experiment: Experiment, store: FrameStore, control: JobControl
) -> Generator[Event, None, Experience]:
    """Collect `pretrain.frames` frames with random actions; the generator's value is the experience.

    One seed always gives the same experience, also when a run is resumed.
    """
    goal = experiment.pretrain.frames
    envs = make_vector(experiment.env.model_copy(update={"idle_limit": None}), experiment.run.seed)
    try:
        rng = np.random.default_rng(np.random.SeedSequence([experiment.run.seed, 0xC0FFEE]))
        policy = RandomPolicy(envs.action_space, envs.num_envs, rng)
        experience = Experience(store)
        meter, ended, steps = Meter("collect", goal, "frames"), None, 0
        experience.begin(envs.reset())
        while experience.frame_count < goal and not control.stop_requested:
            action = policy.act(ended)
            step = envs.step(action)
            steps += envs.num_envs
            experience.add(action, step.reward, step.terminated, step.truncated, step.obs, step.final_obs)
            ended = step.terminated | step.truncated
            for episode in step.episodes:
                yield EpisodeFinished(steps, episode.reward, episode.length, episode.seed)
            if steps // envs.num_envs % 16 == 0:
                yield meter.at(min(experience.frame_count, goal))
        experience.finish()
        yield meter.at(min(experience.frame_count, goal))
        return experience
    finally:
        envs.close()


def read_recording(
    recording: Recording, preprocess: Preprocessor, experiment: Experiment, store: FrameStore
) -> Generator[Event, None, Experience]:
    """The experience of a recording; damaged episodes are named and left out."""
    for path, reason in recording.damaged:
        yield Message(f"{path.name} is left out: {reason}", "warning")
    experience = load_experience(recording, preprocess.batch, experiment.env.action_repeat, store)
    yield Message(f"{experience.frame_count:,} frames read from {recording.folder}")
    return experience
