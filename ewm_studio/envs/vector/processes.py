"""Processes that step environments: how they are started, what they are told, how they end."""

from __future__ import annotations

import multiprocessing as mp
import os
import sys
import threading
from functools import cache
from typing import Any

from gymnasium.envs.registration import EnvSpec

from ewm_studio.envs.factory import find_spec
from ewm_studio.envs.trust import TRUST_ALL
from ewm_studio.errors import UserError
from ewm_studio.processes.context import forking


def become_worker() -> None:
    """What every worker process does first: draw without a display, and end with the run, which alone obeys signals."""
    os.environ["SDL_VIDEODRIVER"] = "dummy"
    os.environ[TRUST_ALL] = "1"  # the run made this very environment before, and asked then
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """End this process when the run's is gone, even in the middle of a step that never ends."""
    parent = mp.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def portable_spec(id: str) -> EnvSpec | None:
    """The spec of an id in a form that another process understands; None if there is none.

    What a script or notebook registers from its own classes exists only there.

    Raises:
        UserError: there is no such id.
    """
    spec = find_spec(id)
    creator = spec.entry_point
    if creator is None:
        return None
    if isinstance(creator, str):
        return None if creator.startswith("__main__:") else spec
    module, name = getattr(creator, "__module__", None), getattr(creator, "__qualname__", "")
    known = module not in (None, "__main__") and name.isidentifier() and hasattr(sys.modules.get(module), name)
    return spec if known else None


def require_portable_spec(id: str) -> EnvSpec:
    """`portable_spec`, where it is needed.

    Raises:
        UserError: there is none.
    """
    spec = portable_spec(id)
    if spec is None:
        raise UserError(
            f"env.workers: {id} is registered by the running script, so that worker processes cannot make it; set "
            "workers to 0 or register it in a module of its own (module:Id-v0)"
        )
    return spec


@cache
def process_context() -> Any:
    """How processes with environments are started: all by one fork server, where there are such."""
    return forking("ewm_studio.envs.vector.workers")  # imported once, not once a worker
