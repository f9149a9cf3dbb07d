"""Writing a recording without a person: by the random policy or by a model."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from ewm_studio.acting.agent import Agent, AgentState
from ewm_studio.acting.random_policy import RandomPolicy
from ewm_studio.data.recordings import RecordingWriter
from ewm_studio.envs.factory import env_notes, make_env
from ewm_studio.envs.failures import environment_at_work
from ewm_studio.envs.spaces import space_to_json
from ewm_studio.errors import UserError
from ewm_studio.events import EpisodeFinished, Event, Finished, JobControl, Message, RunStarted
from ewm_studio.jobs.failures import explains_failures
from ewm_studio.jobs.infer_job import agent_for, spread
from ewm_studio.jobs.meter import Meter
from ewm_studio.settings import Experiment
from ewm_studio.training.randomness import seed_everything
from ewm_studio.workspace import Workspace

Decide = Callable[[Any, bool], np.ndarray]  # (raw observation, whether it is an episode's first) -> action


@explains_failures
def record(
    experiment: Experiment, workspace: Workspace, control: JobControl | None = None
) -> Generator[Event, None, None]:
    """Record `data.frames` frames of stock observations; every finished episode is on disk at once.

    With `start.load_path` the model acts, otherwise the random policy. Every frame is recorded with the action
    applied at it; `env.action_repeat` holds each decision for that many frames. The last episode is cut at the end.

    Raises:
        UserError: bad input. JobError: the disk is full.
    """
    control = control or JobControl()
    settings = experiment.env
    if "," in (experiment.data.recording or ""):
        raise UserError(f"--recording {experiment.data.recording}: a recording is written under one name")
    rng = seed_everything(experiment.run.seed)
    agent = agent_for(experiment, workspace) if experiment.start.load_path else None
    env = make_env(
        settings.id,
        pixels=settings.pixels,
        fast=settings.fast,
        render_mode=settings.render_mode,
        max_episode_steps=settings.max_episode_steps,
    )
    try:
        decide = model_policy(agent, experiment.infer.greedy) if agent else random_policy(env.action_space, rng)
        source = "model" if agent else "random"
        name = experiment.data.recording or time.strftime(f"%Y-%m-%d-%H%M%S-{source}")
        writer = RecordingWriter(
            workspace.recordings_folder / name,
            {
                "env": settings.id,
                "pixels": settings.pixels,
                "source": source,
                "seed": experiment.run.seed,
                "action_repeat": settings.action_repeat,
                "observation_space": space_to_json(env.observation_space),
                "action_space": space_to_json(env.action_space),
            },
        )
        yield RunStarted("record", name, str(writer.folder), f"{settings.id} by {source} policy")
        yield from (Message(line, "warning") for line in env_notes(settings))
        yield from _episodes(env, decide, writer, experiment, control)
    finally:
        env.close()


def _episodes(
    env: gym.Env, decide: Decide, writer: RecordingWriter, experiment: Experiment, control: JobControl
) -> Generator[Event, None, None]:
    goal, repeat = experiment.data.frames, experiment.env.action_repeat
    meter, frames, rewards, number = Meter("record", goal, "frames"), 0, list[float](), 0
    began = time.monotonic()
    while frames < goal and not control.stop_requested:
        with environment_at_work(experiment.env.id):
            obs, _ = env.reset(seed=experiment.run.seed + number)
        writer.begin(obs)
        total, length, over, action = 0.0, 0, False, None
        while not over and frames < goal and not control.stop_requested:
            if length % repeat == 0:
                action = decide(obs, length == 0)
            with environment_at_work(experiment.env.id):
                obs, reward, terminated, truncated, _ = env.step(action)
            writer.step(action, float(reward), obs, manual=False)
            total, length, frames = total + float(reward), length + 1, frames + 1
            over = terminated or truncated
            if frames % 256 == 0:
                yield meter.at(frames)
        if length == 0:
            writer.discard()
            break
        writer.end(terminated=over and terminated, truncated=not (over and terminated))
        rewards.append(total)
        yield EpisodeFinished(frames, total, length, experiment.run.seed + number)
        number += 1
    stopped_by = "stop" if frames < goal else "frames"
    yield Message(f"{frames:,} frames in {len(rewards)} episodes written to {writer.folder}")
    result = {"recording": str(writer.folder), "frames": frames, "episodes": len(rewards), **spread(rewards)}
    yield Finished(stopped_by, {**result, "seconds": time.monotonic() - began, "stopped_by": stopped_by})


def random_policy(space: gym.Space, rng: np.random.Generator) -> Decide:
    """Decisions of the random policy for one environment."""
    policy = RandomPolicy(space, 1, rng)

    def decide(_: Any, first: bool) -> np.ndarray:
        return policy.act(np.array([first]))[0]

    return decide


def model_policy(agent: Agent, greedy: bool) -> Decide:
    """Decisions of a model for one environment."""
    state: AgentState = agent.initial_state()

    def decide(obs: Any, first: bool) -> np.ndarray:
        nonlocal state
        if first:
            state = agent.initial_state()
        prepared = torch.from_numpy(np.array(agent.preprocessor(obs))[None]).to(agent.world_model.device)
        action, state = agent.act_prepared(prepared, state, greedy)
        return action[0]

    return decide
