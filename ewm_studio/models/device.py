"""Where a model computes: the device, and how many threads."""

from __future__ import annotations

import gymnasium as gym
import torch

from ewm_studio.cores import cores
from ewm_studio.errors import UserError


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
        threads = cores()
        threads = threads if len(observation.shape) == 3 else 1
    else:
        threads = int(setting)
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
