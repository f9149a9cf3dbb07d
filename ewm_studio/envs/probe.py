"""What an environment gives and takes, found by making it."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym

from ewm_studio.envs.factory import make_env, make_prepared_env, settling_frames
from ewm_studio.settings import EnvSettings


@dataclass(frozen=True)
class Spaces:
    """What an environment gives before and after preparation, and what it takes."""

    raw_observation: gym.Space
    observation: gym.spaces.Box
    action: gym.Space
    settling_frames: int = 0  # at the start of an episode, no part of the task


def spaces_of(settings: EnvSettings) -> Spaces:
    """The spaces of an environment with these settings.

    Raises:
        UserError: the environment is unknown or cannot be used.
    """
    env = make_env(settings.id, pixels=settings.pixels, fast=settings.fast)
    try:
        raw, settling = env.observation_space, settling_frames(env)
    finally:
        env.close()
    prepared = make_prepared_env(settings.model_copy(update={"render_mode": "rgb_array"}))
    try:
        observation, action = prepared.observation_space, prepared.action_space
    finally:
        prepared.close()
    assert isinstance(observation, gym.spaces.Box)
    return Spaces(raw, observation, action, settling)
