"""EWM Studio: a training studio for agents made of a vision, a memory and a controller model.

Names resolve when they are first used, so that `import ewm_studio` costs nothing and needs neither torch nor Qt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ewm_studio.machine import let_threads_sleep

let_threads_sleep()

if TYPE_CHECKING:
    from ewm_studio.acting.agent import Agent
    from ewm_studio.acting.agent import load_agent as load
    from ewm_studio.envs.factory import make_env
    from ewm_studio.errors import JobError, UserError
    from ewm_studio.events import JobControl
    from ewm_studio.jobs import assess, infer, pretrain, record, train
    from ewm_studio.settings import Experiment
    from ewm_studio.workspace import Workspace

__all__ = [
    "Agent",
    "Experiment",
    "JobControl",
    "JobError",
    "UserError",
    "Workspace",
    "assess",
    "infer",
    "load",
    "make_env",
    "pretrain",
    "record",
    "train",
]

_HOMES = {
    "Agent": ("ewm_studio.acting.agent", "Agent"),
    "Experiment": ("ewm_studio.settings", "Experiment"),
    "JobControl": ("ewm_studio.events", "JobControl"),
    "JobError": ("ewm_studio.errors", "JobError"),
    "UserError": ("ewm_studio.errors", "UserError"),
    "Workspace": ("ewm_studio.workspace", "Workspace"),
    "assess": ("ewm_studio.jobs", "assess"),
    "infer": ("ewm_studio.jobs", "infer"),
    "load": ("ewm_studio.acting.agent", "load_agent"),
    "make_env": ("ewm_studio.envs.factory", "make_env"),
    "pretrain": ("ewm_studio.jobs", "pretrain"),
    "record": ("ewm_studio.jobs", "record"),
    "train": ("ewm_studio.jobs", "train"),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'ewm_studio' has no attribute '{name}'")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
