"""The environments of a run, where its settings want them."""

from __future__ import annotations

import contextlib

from ewm_studio.envs.probe import EnvProbe
from ewm_studio.envs.vector.base import VectorEnvs
from ewm_studio.envs.vector.local import LocalVectorEnvs
from ewm_studio.envs.vector.sizing import choose_batch_size, worker_count
from ewm_studio.settings import EnvSettings


def make_vector(settings: EnvSettings, seed: int, probe: EnvProbe | None = None) -> VectorEnvs:
    """The environments of a run.

    `settings.workers` decides where they run, never what they do: the trajectory is the same for any number.

    Args:
        settings: what to make, how many, and where.
        seed: the run's.
        probe: of the same environment, where one is at hand; closed here.

    Raises:
        UserError: the environment cannot be used.
        JobError: it failed while it was measured, or a worker process did not start.
    """
    probe = probe or EnvProbe(settings)
    with contextlib.closing(probe):
        num_envs = choose_batch_size(probe)[0] if settings.batch_size == "auto" else settings.batch_size
        workers = min(worker_count(settings, num_envs, probe), num_envs)
        spaces = probe.spaces if workers else None  # where they are made elsewhere, bad settings are refused here
    if spaces is None:
        return LocalVectorEnvs(settings, seed, num_envs)
    from ewm_studio.envs.vector.workers import WorkerVectorEnvs

    return WorkerVectorEnvs(settings, seed, num_envs, workers, spaces)
