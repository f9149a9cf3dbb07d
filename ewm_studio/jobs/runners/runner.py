"""What runs a job, wherever that is."""

from __future__ import annotations

from collections.abc import Generator
from typing import Literal, Protocol

from ewm_studio.errors import JobError, Misfortune
from ewm_studio.events import Event

Command = Literal["pause", "resume", "stop"]
Events = list[tuple[str, Event]]  # each with the id of its job


class PlaceLost(JobError, Misfortune):
    """Where jobs are computed is out of reach: no fault of any job."""


class Runner(Protocol):
    """One job, from its start to its end; `tell` and `kill` may be called from any thread."""

    @property
    def pid(self) -> int:
        """The job's own process; 0 where it has none."""

    def events(self) -> Generator[Events, None, None]:
        """Run the job and give its events as they come, in order. Closing the generator ends the job.

        Raises:
            JobFailed: it failed in another process, or that process died.
            UserError: bad input, where the job runs in this process. JobError: it could not go on there.
        """

    def tell(self, command: Command) -> None:
        """Pause, resume or stop; returns at once. A job that has not begun will obey when it does."""

    def kill(self) -> None:
        """End it at once, where that can be done; it saves nothing."""
