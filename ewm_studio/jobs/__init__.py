"""Jobs: generators of typed events that the window, the command line and the tests consume alike.

The events themselves are light; a job, and torch with it, is imported when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ewm_studio.jobs.assess_job import assess
    from ewm_studio.jobs.infer_job import infer
    from ewm_studio.jobs.live_job import live
    from ewm_studio.jobs.pretrain_job import pretrain
    from ewm_studio.jobs.record_job import record
    from ewm_studio.jobs.train_job import train

__all__ = ["assess", "infer", "live", "pretrain", "record", "train"]


def __getattr__(name: str) -> Callable[..., Any]:
    """The job of a kind, imported when it is first used. No module is called like its job."""
    from ewm_studio.jobs.kinds import KINDS

    if name not in KINDS:
        raise AttributeError(f"module 'ewm_studio.jobs' has no attribute '{name}'")
    return KINDS[name].load()
