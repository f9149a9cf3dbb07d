"""Jobs in processes of their own, seen from the window. One process waits ready.

None is forked from the window, which has threads: they are forked from a process without any, or spawned.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from ewm_studio.events import Event
from ewm_studio.jobs.failure import JobFailed, death_of
from ewm_studio.jobs.live_feed import LiveFeed
from ewm_studio.jobs.runners.child import Order, serve
from ewm_studio.jobs.runners.runner import Command, Events
from ewm_studio.jobs.spec import JobSpec, new_job_id
from ewm_studio.processes.context import forking_with_torch
from ewm_studio.processes.living import owner

END_SECONDS = 5.0  # from a job's last word to the end of its process
FEED_SECONDS = 0.1  # between two looks at whether a job that is fed is still there
_PRELOAD = ("ewm_studio.jobs.runners.engine", "ewm_studio.jobs.runners.child")


class JobProcess:
    """A process that waits for one job, runs it and ends.

    Raises:
        OSError: the system gives no process.
    """

    def __init__(self, context: Any) -> None:
        handle, path = tempfile.mkstemp(prefix="ewm-studio-", suffix=f"-{owner()}.txt")
        os.close(handle)
        self._last_words = Path(path)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, path), name="ewm-studio-job")
        try:
            self._process.start()
        except EOFError:
            raise OSError("the process that makes the others has ended") from None
        finally:
            theirs.close()  # else its end would not be seen

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid or 0

    @property
    def alive(self) -> bool:
        """Whether the process lives."""
        return self._process.is_alive()

    def tell(self, order: Order) -> None:
        """Say something; a process that is gone does not hear it."""
        with contextlib.suppress(OSError):
            self._pipe.send(order)

    def batches(self) -> Iterator[list[Event]]:
        """The job's events as they come.

        Raises:
            JobFailed: the job failed, or its process died.
        """
        while True:
            try:
                kind, content = self._pipe.recv()
            except (EOFError, OSError):
                self._process.join(END_SECONDS)
                raise JobFailed(death_of(self._process.exitcode, self._last_words.read_text("utf-8"))) from None
            if kind == "failed":
                raise JobFailed(content)
            if kind == "done":
                return
            yield content

    def kill(self) -> None:
        """End the process at once; it saves nothing."""
        self._process.kill()

    def end(self, seconds: float) -> None:
        """Wait for the process to end by itself, then end it."""
        self._process.join(seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._pipe.close()
        with contextlib.suppress(OSError):
            self._last_words.unlink()


class JobProcesses:
    """Gives jobs their processes, and keeps one ready.

    Where torch can be imported before a fork, one process imports it and all others are forked from that.
    """

    def __init__(self) -> None:
        self._context = forking_with_torch(*_PRELOAD)
        self._lock = threading.Lock()
        self._ready: JobProcess | None = None
        self._ended = False

    def prepare(self) -> None:
        """Start a process in the background, if none is ready; returns at once."""
        threading.Thread(target=self._fill, daemon=True, name="job-processes").start()

    def take(self) -> JobProcess:
        """A process for a job; another is made ready in its place.

        Raises:
            OSError: the system gives no process.
        """
        with self._lock:
            process, self._ready = self._ready, None
        if process is not None and not process.alive:
            process.end(0)
            process = None
        process = process or JobProcess(self._context)
        self.prepare()
        return process

    def end(self) -> None:
        """End what waits; nothing is made ready any more. The jobs have ended before."""
        with self._lock:
            self._ended = True
            process, self._ready = self._ready, None
        if process is not None:
            _end_at_once(process)
        self._context.close()

    def _fill(self) -> None:
        if self._ready is not None or self._ended:
            return
        try:
            process = JobProcess(self._context)
        except OSError:
            return  # a system that gives no process now is asked again, and heard, when one is needed
        with self._lock:
            if self._ready is None and not self._ended:
                self._ready = process
                return
        _end_at_once(process)


def _end_at_once(process: JobProcess) -> None:
    process.kill()
    process.end(END_SECONDS)


class ProcessRunner:
    """Runs a job in a process of its own; what comes through `feed`, where there is one, is passed on to it."""

    def __init__(self, job: JobSpec, processes: JobProcesses, feed: LiveFeed | None = None, job_id: str = "") -> None:
        self._job, self._processes, self._feed = job, processes, feed
        self._job_id = job_id or new_job_id()
        self._lock = threading.Lock()
        self._process: JobProcess | None = None
        self._commands: list[Command] = []  # so far
        self._killed = False

    @property
    def pid(self) -> int:
        """The process's id; 0 while there is none."""
        process = self._process
        return process.pid if process is not None else 0

    def events(self) -> Generator[Events, None, None]:
        """Run it and give its events as they come.

        Raises:
            JobFailed: the job failed, or its process died. OSError: the system gives no process.
        """
        process = self._processes.take()
        try:
            self._begin(process)
            for batch in process.batches():
                yield [(self._job_id, event) for event in batch]
        finally:
            with self._lock:
                self._process = None
            process.end(END_SECONDS)

    def _begin(self, process: JobProcess) -> None:
        """Give the process its job, and what was said about it before."""
        with self._lock:
            self._process = process
            for order in (self._job, *self._commands):
                process.tell(order)
            if self._killed:
                process.kill()
        if self._feed is not None:
            threading.Thread(target=self._pass_on, args=(self._feed,), daemon=True, name="feed").start()

    def _pass_on(self, feed: LiveFeed) -> None:
        """Send decisions as they come, as long as the process is there."""
        while True:
            decisions = feed.take(FEED_SECONDS)
            with self._lock:
                if self._process is None:
                    return
                if decisions:
                    self._process.tell(decisions)

    def tell(self, command: Command) -> None:
        """Pause, resume or stop; returns at once."""
        with self._lock:
            self._commands.append(command)
            if self._process is not None:
                self._process.tell(command)

    def kill(self) -> None:
        """End the process at once; it saves nothing."""
        with self._lock:
            self._killed = True
            if self._process is not None:
                self._process.kill()
