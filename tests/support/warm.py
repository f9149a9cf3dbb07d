"""Processes that begin at once, with torch imported and never used: what has computed with it may not be forked."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ewm_studio import cli
from ewm_studio.processes.context import forking_with_torch

# What a training of CartPole by the command line imports.
_TRAINING = (
    "ewm_studio.cli",
    "ewm_studio.terminal.jobs",
    "ewm_studio.jobs.launch",
    "ewm_studio.jobs.runners.engine",
    "ewm_studio.models.actor_critic",
    "gymnasium.envs.classic_control",
    "rich.progress",
)


class WarmProcesses:
    """Starts functions in processes of their own, forked by a server that only imports; never by the tests' process."""

    def __init__(self) -> None:
        self._context = forking_with_torch(*_TRAINING)

    def start(self, function: Callable[..., object], *args: Any) -> Any:
        """Begin a function of a module, in this process's environment; gives the process, of the standard library's
        kind. It is silent, and its exit code is 0 where the function returned."""
        process = self._context.Process(target=_call, args=(dict(os.environ), function, args))
        process.start()
        return process

    def command(self, *argv: str) -> Any:
        """Begin a command of the studio on one thread; the process's exit code is the command's."""
        return self.start(_command, argv)

    def close(self) -> None:
        """End."""
        self._context.close()


def _call(environment: dict[str, str], function: Callable[..., object], args: tuple[Any, ...]) -> None:
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    os.environ.clear()
    os.environ.update(environment)
    function(*args)


def _command(argv: tuple[str, ...]) -> None:
    import torch

    torch.set_num_threads(1)
    raise SystemExit(cli.main(list(argv)))
