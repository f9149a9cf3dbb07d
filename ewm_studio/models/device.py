"""Where a model computes: the device, and how many threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import gymnasium as gym
import torch

from ewm_studio.errors import UserError
from ewm_studio.machine import THREADS_SPIN, cores

_SPINNING = (
    "PyTorch was imported before ewm_studio, so that its threads would take the cores from the environments while they "
    "wait: 1 thread is used. Import ewm_studio first, or set OMP_WAIT_POLICY=PASSIVE, or set run.threads"
)


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


def set_threads(setting: int | str, observation: gym.spaces.Box) -> tuple[int, list[str]]:
    """CPU threads for PyTorch: small models lose time on the second thread, pictures gain.

    Gives their number, and lines for the log where `auto` means fewer than it could.
    """
    count, notes = _thread_count(setting, len(observation.shape) == 3)
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    return count, notes


def _thread_count(setting: int | str, pictures: bool) -> tuple[int, list[str]]:
    if setting != "auto":
        return int(setting), []
    if not pictures or cores() == 1:
        return 1, []
    return (1, [_SPINNING]) if THREADS_SPIN else (cores(), [])


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many CPU threads within the block.

    PyTorch holds the number for each thread of the program apart; one that computes for the first time takes the
    number that was set last, by whichever. So a thread that must have its own number asks for it here.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
