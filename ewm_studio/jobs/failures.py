"""A running job's misfortunes as one clear line: memory, disk, environments, losses that are not finite."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from pathlib import Path
from typing import ParamSpec

from ewm_studio.envs.trust import import_named
from ewm_studio.errors import NoRoom
from ewm_studio.events import Event
from ewm_studio.settings import Experiment
from ewm_studio.workspace.files import is_full, write_error

P = ParamSpec("P")
JobFunction = Callable[P, Generator[Event, None, None]]

_NO_GPU_MEMORY = (
    "out of GPU memory; the last checkpoint stands. Lower ppo.batch_size (--ppo-batch-size), env.batch_size "
    "(--batch-size), world_model.vision_batch_size or world_model.memory_batch_size, or use --device cpu"
)
_NO_MEMORY = (
    "out of memory; the last checkpoint stands. Lower env.batch_size (--batch-size), ppo.rollout_steps "
    "(--rollout-steps), ppo.batch_size (--ppo-batch-size), data.frames (--frames), data.memory_limit or the "
    "sizes of the components"
)


def explained(error: BaseException) -> BaseException:
    """The error as a `JobError` of one line where its cause is known: no memory, no disk; any other as it is."""
    import torch  # only now: environments are driven without it

    if isinstance(error, torch.OutOfMemoryError):
        return NoRoom(_NO_GPU_MEMORY)
    # PyTorch's allocator on the CPU has no exception of its own.
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)):
        return NoRoom(_NO_MEMORY)
    if isinstance(error, OSError) and is_full(error):
        return write_error(Path(error.filename or "the workspace"), error)
    return error


def explains_failures(job: JobFunction[P]) -> JobFunction[P]:
    """Make a job raise what `explained` gives, so that every consumer has one clear line.

    Settings that a program made itself are taken at their word: the module that their environment names is imported.
    """

    @functools.wraps(job)
    def events(*args: P.args, **kwargs: P.kwargs) -> Generator[Event, None, None]:
        try:
            given = kwargs.get("experiment", args[0] if args else None)
            if isinstance(given, Experiment) and not given.of_file:
                import_named(given.env.id)
            yield from job(*args, **kwargs)
        except Exception as error:
            clear = explained(error)
            if clear is error:
                raise
            raise clear from error

    return events
