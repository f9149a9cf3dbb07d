"""Where a job works: a workspace that is open, or the path of one."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol

from ewm_studio.events import Event
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace

P = ParamSpec("P")


class Job(Protocol[P]):
    """A job as scripts call it."""

    def __call__(
        self, experiment: Experiment, workspace: Workspace | str | Path, *args: P.args, **kwargs: P.kwargs
    ) -> Generator[Event, None, None]:
        """Its events."""


def opens_workspace(job: Callable[Concatenate[Experiment, Workspace, P], Generator[Event, None, None]]) -> Job[P]:
    """Let a job take the path of a workspace, which is opened and closed with it."""

    @functools.wraps(job)
    def events(
        experiment: Experiment, workspace: Workspace | str | Path, *args: P.args, **kwargs: P.kwargs
    ) -> Generator[Event, None, None]:
        with contextlib.ExitStack() as stack:
            if not isinstance(workspace, Workspace):
                workspace = stack.enter_context(contextlib.closing(Workspace(workspace)))
            yield from job(experiment, workspace, *args, **kwargs)

    return events
