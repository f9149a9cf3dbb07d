"""The environments of a run, where its settings want them."""

from __future__ import annotations

from ewm_studio.envs.vector.base import VectorEnvs
from ewm_studio.envs.vector.local import LocalVectorEnvs
from ewm_studio.envs.vector.sizing import choose_batch_size, worker_count
from ewm_studio.settings import EnvSettings


def make_vector(settings: EnvSettings, seed: int) -> VectorEnvs:
    """The environments of a run.

    `settings.workers` decides where they run, never what they do: the trajectory is the same for any number.

    Raises:
        UserError: the environment cannot be used.
        JobError: a worker process did not start.
    """
    num_envs = settings.batch_size
    if num_envs == "auto":
        num_envs, _ = choose_batch_size(settings)
    workers = min(worker_count(settings, num_envs), num_envs)
    if workers == 0:
        return LocalVectorEnvs(settings, seed, num_envs)
    from ewm_studio.envs.vector.workers import WorkerVectorEnvs

    return WorkerVectorEnvs(settings, seed, num_envs, workers)
