"""Environments: making, preparing and vectorizing them. Imports neither torch nor Qt."""

from __future__ import annotations

import os

import gymnasium as gym

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # stdout belongs to the job's result

NO_VELOCITY_ID = "ewm_studio/CartPoleNoVel-v1"
RECALL_ID = "ewm_studio/Recall-v1"
T_MAZE_ID = "ewm_studio/TMaze-v1"


def register() -> None:
    """Register the studio's own environments with Gymnasium; doing it again changes nothing."""
    if NO_VELOCITY_ID not in gym.registry:
        gym.register(
            id=NO_VELOCITY_ID,
            entry_point="ewm_studio.envs.cartpole:CartPoleNoVelocity",
            max_episode_steps=500,
            reward_threshold=475.0,
        )
    if RECALL_ID not in gym.registry:
        gym.register(id=RECALL_ID, entry_point="ewm_studio.envs.memory_tasks:Recall", reward_threshold=0.9)
    if T_MAZE_ID not in gym.registry:
        gym.register(id=T_MAZE_ID, entry_point="ewm_studio.envs.memory_tasks:TMaze", reward_threshold=3.9)


register()
