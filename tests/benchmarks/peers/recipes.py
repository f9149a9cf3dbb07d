"""Stable-Baselines3's and sb3-contrib's agents with the settings of their zoo (rl-baselines3-zoo)."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from PIL import Image

CARTPOLE_ENVS = 8
CARTPOLE_STEPS = 100_000  # the zoo's budget, over which its rates fall to zero
CARTPOLE: dict[str, Any] = {
    "n_steps": 32,
    "batch_size": 256,
    "gae_lambda": 0.8,
    "gamma": 0.98,
    "n_epochs": 20,
    "ent_coef": 0.0,
    "learning_rate": lambda left: left * 1e-3,
    "clip_range": lambda left: left * 0.2,
    "device": "cpu",
}
SMALL_LSTM: dict[str, Any] = {
    "ortho_init": False,
    "activation_fn": torch.nn.ReLU,
    "lstm_hidden_size": 64,
    "enable_critic_lstm": True,
    "net_arch": {"pi": [64], "vf": [64]},
}
CARRACING_ENVS = 8
CARRACING: dict[str, Any] = {
    "n_steps": 512,
    "batch_size": 128,
    "gae_lambda": 0.95,
    "gamma": 0.99,
    "n_epochs": 10,
    "ent_coef": 0.0,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
    "learning_rate": lambda left: left * 1e-4,
    "clip_range": 0.2,
    "use_sde": True,
    "sde_sample_freq": 4,
    "policy_kwargs": {
        "log_std_init": -2,
        "ortho_init": False,
        "enable_critic_lstm": False,
        "activation_fn": torch.nn.GELU,
        "lstm_hidden_size": 128,
    },
    "device": "cpu",
}
FRAMES = 1  # a decision of the zoo's CarRacing


def cartpole(env: str, seed: int, recurrent: bool) -> Any:
    """PPO (`ppo.yml`) or RecurrentPPO (`ppo_lstm.yml`, CartPoleNoVel-v1) on a CartPole."""
    from sb3_contrib import RecurrentPPO
    from stable_baselines3 import PPO

    envs = cartpole_envs(env, seed, recurrent)
    if recurrent:
        return RecurrentPPO("MlpLstmPolicy", envs, policy_kwargs=dict(SMALL_LSTM), seed=seed, **CARTPOLE)
    return PPO("MlpPolicy", envs, seed=seed, **CARTPOLE)


def cartpole_envs(env: str, seed: int, recurrent: bool) -> Any:
    """CartPoles; RecurrentPPO's with observations and rewards normalised."""
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    envs = make_vec_env(env, n_envs=CARTPOLE_ENVS, seed=seed)
    return VecNormalize(envs, gamma=CARTPOLE["gamma"]) if recurrent else envs


def remembering(env: str, kwargs: dict[str, Any], seed: int) -> Any:
    """RecurrentPPO with its own defaults, for a task that the zoo has no settings for."""
    from sb3_contrib import RecurrentPPO
    from stable_baselines3.common.env_util import make_vec_env

    envs = make_vec_env(env, n_envs=CARTPOLE_ENVS, seed=seed, env_kwargs=kwargs)
    return RecurrentPPO("MlpLstmPolicy", envs, seed=seed, device="cpu")


def carracing(seed: int) -> Any:
    """RecurrentPPO (`ppo_lstm.yml`, CarRacing-v3): 64 x 64 gray, two pictures stacked, rewards normalised."""
    from sb3_contrib import RecurrentPPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import SubprocVecEnv, VecFrameStack, VecNormalize

    envs = make_vec_env(gray_carracing, n_envs=CARRACING_ENVS, seed=seed, vec_env_cls=SubprocVecEnv)
    envs = VecNormalize(VecFrameStack(envs, 2), norm_obs=False, norm_reward=True)
    return RecurrentPPO("CnnLstmPolicy", envs, seed=seed, **CARRACING)


def gray_carracing() -> gym.Env:
    """Gymnasium's CarRacing-v3 as the zoo prepares it."""
    return SmallGray(gym.make("CarRacing-v3"))


class SmallGray(gym.ObservationWrapper):
    """Pictures as 64 x 64 gray, uint8 (64, 64, 1), by Pillow, since Gymnasium's own wrapper needs OpenCV."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.observation_space = spaces.Box(0, 255, (64, 64, 1), np.uint8)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(observation).convert("L").resize((64, 64), Image.Resampling.BILINEAR)
        return np.asarray(picture)[..., None]
