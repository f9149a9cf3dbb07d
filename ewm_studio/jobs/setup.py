"""What every job does first: device, threads, seeds, spaces and the model, all checked before anything starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

from ewm_studio.envs.factory import make_env, make_training_env, settling_frames
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.spaces import describe, space_to_json
from ewm_studio.errors import UserError
from ewm_studio.models.world_model import WorldModel, choose_parts, from_description, patch
from ewm_studio.settings import ComponentChoice, EnvSettings, Experiment, StartSettings
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model

_VERSIONED = ("ewm-studio", "torch", "gymnasium", "numpy")


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
    prepared = make_training_env(settings.model_copy(update={"render_mode": "rgb_array"}))
    try:
        observation, action = prepared.observation_space, prepared.action_space
    finally:
        prepared.close()
    assert isinstance(observation, gym.spaces.Box)
    return Spaces(raw, observation, action, settling)


def choose_device(name: str) -> torch.device:
    """The device a name stands for; `auto` takes the GPU where there is one.

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"run.device '{name}' is no device: {str(error).splitlines()[0]}") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise UserError(f"run.device '{name}' is not there: this machine has {count or 'no'} CUDA device(s); use cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("run.device 'mps' is not there: this machine has no Metal GPU; use cpu")
    return device


def set_threads(setting: int | str, observation: gym.spaces.Box) -> None:
    """CPU threads for PyTorch: small models lose time on the second thread, pictures gain."""
    if setting == "auto":
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        threads = threads if len(observation.shape) == 3 else 1
    else:
        threads = int(setting)
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def build_model(experiment: Experiment, spaces: Spaces, workspace: Workspace) -> tuple[WorldModel, Experiment]:
    """The model a run starts with: fresh, loaded, or patched; and the experiment that names its parts in full.

    Raises:
        UserError: parts do not fit, or a file is damaged, of another kind or of other spaces.
    """
    start, dropout = experiment.start, experiment.world_model.dropout
    if start.load_path:
        model = load_for(start.load_path, spaces, experiment.env, workspace, dropout)
    else:
        parts = choose_parts(experiment, spaces.observation, spaces.action)
        model = WorldModel(parts, spaces.observation, spaces.action)
    patch_from(start, model, workspace, dropout)
    chosen: dict[str, ComponentChoice] = {
        kind: ComponentChoice(name=part.name, **part.settings.model_dump(mode="json"))
        for kind, part in model.parts.items()
    }
    return model, experiment.model_copy(update=chosen)


def patch_from(start: StartSettings, model: WorldModel, workspace: Workspace, dropout: float | None = None) -> None:
    """Replace the parts of `model` that `start.patch` names by those of the second model, where one is given.

    Raises:
        UserError: as `build_model`.
    """
    if start.patch_load_path:
        source = workspace.resolve_model(start.patch_load_path)
        donor, _ = from_description(*load_model(source), str(source), dropout)
        patch(model, donor, start.patch or "", str(source))
    elif start.patch:
        raise UserError("start.patch names parts, but no second model: give --patch-load-path")


def load_for(
    path: str, spaces: Spaces, env: EnvSettings, workspace: Workspace, dropout: float | None = None
) -> WorldModel:
    """A saved model for an environment with these spaces.

    Raises:
        UserError: as `build_model`.
    """
    source = workspace.resolve_model(path)
    model, made_for = from_description(*load_model(source), str(source), dropout)
    if model.observation_space != spaces.observation:
        raise UserError(
            f"{source}: made for {made_for.id}, observing {describe(model.observation_space)}; "
            f"{env.id} as set gives {describe(spaces.observation)}"
        )
    if model.action_space != spaces.action:
        raise UserError(
            f"{source}: made for {made_for.id}, acting by {describe(model.action_space)}; "
            f"{env.id} takes {describe(spaces.action)}"
        )
    return model


def model_metadata(
    model: WorldModel, experiment: Experiment, spaces: Spaces, counters: dict[str, Any]
) -> dict[str, Any]:
    """What a model file says about itself, so that it loads alone."""
    description = model.describe()
    description["spaces"]["raw_observation"] = space_to_json(spaces.raw_observation)
    return {
        **description,
        "env": experiment.env.describe(),
        "counters": counters,
        "seed": experiment.run.seed,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of what a run is made with."""
    return {name: metadata.version(name) for name in _VERSIONED}


def preprocessor_of(spaces: Spaces, env: EnvSettings) -> Preprocessor:
    """The preparation of raw observations that these settings ask for."""
    return Preprocessor(spaces.raw_observation, env)


def save_path_of(experiment: Experiment) -> Path | None:
    """Where the final model goes besides the run.

    Raises:
        UserError: the place cannot hold a file.
    """
    if not experiment.start.save_path:
        return None
    path = Path(experiment.start.save_path).expanduser()
    if path.is_dir():
        raise UserError(f"start.save_path {path} is a folder; give a file's name")
    if path.suffix != ".safetensors":
        path = path.with_name(path.name + ".safetensors")
    if path.is_dir():
        raise UserError(f"start.save_path {path} is a folder; give a file's name")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError(f"start.save_path {path}: the folder {folder} does not exist")
    if not os.access(folder, os.W_OK):
        raise UserError(f"start.save_path {path}: the folder {folder} cannot be written to")
    return path
