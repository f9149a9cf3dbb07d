"""Jobs: generators of typed events that the window, the command line and the tests consume alike.

The events themselves are light; a job, and torch with it, is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ewm_studio.jobs.card import write_card
    from ewm_studio.jobs.infer_job import infer
    from ewm_studio.jobs.live_job import live
    from ewm_studio.jobs.pretrain_job import pretrain
    from ewm_studio.jobs.record_job import record
    from ewm_studio.jobs.train_job import train

__all__ = ["infer", "live", "pretrain", "record", "train", "write_card"]

# No module is called like its job: importing it would put the module where the job belongs.
_HOMES = {
    "infer": "ewm_studio.jobs.infer_job",
    "live": "ewm_studio.jobs.live_job",
    "pretrain": "ewm_studio.jobs.pretrain_job",
    "record": "ewm_studio.jobs.record_job",
    "train": "ewm_studio.jobs.train_job",
    "write_card": "ewm_studio.jobs.card",
}


def __getattr__(name: str) -> Any:
    """Import a job when it is first used."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'ewm_studio.jobs' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
