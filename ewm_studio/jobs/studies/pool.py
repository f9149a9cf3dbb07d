"""Where the runs of a study are computed: so many at once, each by a runner of its own."""

from __future__ import annotations

from typing import Protocol

from ewm_studio.jobs.runners.process import JobProcesses, ProcessRunner
from ewm_studio.jobs.runners.runner import Runner
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.machine import cores
from ewm_studio.settings.study import PlaceSettings


class Pool(Protocol):
    """Computes jobs somewhere: on this computer, or on the machines of a cluster."""

    @property
    def machines(self) -> str:
        """What computes them, where that is not this computer; else empty."""

    @property
    def slots(self) -> int:
        """How many jobs run side by side."""

    def runner(self, job: JobSpec) -> Runner:
        """What runs one job there; its files come to the job's workspace."""

    def close(self) -> None:
        """End what is kept ready; all jobs have ended before."""


def slots_of(place: PlaceSettings) -> int:
    """How many runs this computer takes side by side."""
    return max(1, cores() // place.threads) if place.parallel == "auto" else place.parallel


class LocalPool:
    """Processes of this computer, which share its cores fairly: each run has threads of its own, and no more."""

    machines = ""

    def __init__(self, place: PlaceSettings) -> None:
        self.slots = slots_of(place)
        self._processes = JobProcesses()

    def runner(self, job: JobSpec) -> Runner:
        """A process for one job."""
        return ProcessRunner(job, self._processes)

    def close(self) -> None:
        """End the process that waits for a job."""
        self._processes.end()


def pool_of(place: PlaceSettings) -> Pool:
    """Where a study says that its runs are computed.

    Raises:
        UserError: no cluster answers there, or it is no place.
    """
    if not place.on:
        return LocalPool(place)
    from ewm_studio.jobs.cluster.pool import RayPool

    return RayPool(place)
