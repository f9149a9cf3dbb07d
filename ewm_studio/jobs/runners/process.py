"""Jobs in processes of their own, seen from the window. One process waits ready, since importing PyTorch takes seconds.

Processes are spawned, never forked: the window has threads.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from ewm_studio.events import Event
from ewm_studio.jobs.failure import Failure, death_of
from ewm_studio.jobs.live_feed import LiveFeed
from ewm_studio.jobs.runners.child import Command, Said, serve
from ewm_studio.jobs.spec import Job

END_SECONDS = 5.0  # from a job's last word to the end of its process
FEED_SECONDS = 0.1  # between two looks at whether a job that is fed is still there


class JobFailed(Exception):
    """A job ended early, in its process or with it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.what)
        self.failure = failure


class Child:
    """A process that waits for one job, runs it and ends."""

    def __init__(self) -> None:
        from ewm_studio.envs.vector.processes import hidden_main

        context = mp.get_context("spawn")
        handle, path = tempfile.mkstemp(prefix="ewm-studio-", suffix=".txt")
        os.close(handle)
        self._last_words = Path(path)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, path), name="ewm-studio-job")
        with hidden_main():
            self._process.start()
        theirs.close()  # else its end would not be seen

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid or 0

    @property
    def alive(self) -> bool:
        """Whether the process lives."""
        return self._process.is_alive()

    def tell(self, said: Said) -> None:
        """Say something; a process that is gone does not hear it."""
        with contextlib.suppress(OSError):
            self._pipe.send(said)

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


class Spares:
    """Keeps one process ready."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spare: Child | None = None
        self._ended = False

    def prepare(self) -> None:
        """Start a process in the background, if none is ready; returns at once."""
        threading.Thread(target=self._fill, daemon=True, name="spare").start()

    def take(self) -> Child:
        """A process for a job; another is made ready in its place.

        Raises:
            OSError: the system gives no process.
        """
        with self._lock:
            child, self._spare = self._spare, None
        if child is not None and not child.alive:
            child.end(0)
            child = None
        child = child or Child()
        self.prepare()
        return child

    def end(self) -> None:
        """End what waits; nothing is made ready any more."""
        with self._lock:
            self._ended = True
            if self._spare is not None:
                self._spare.kill()
                self._spare.end(END_SECONDS)
            self._spare = None

    def _fill(self) -> None:
        # A system that gives no process now is asked again, and heard, when one is needed.
        with self._lock, contextlib.suppress(OSError):
            if self._spare is None and not self._ended:
                self._spare = Child()


class ProcessJob:
    """A job run in a process of its own; what comes through `feed`, where there is one, is passed on to it."""

    def __init__(self, job: Job, spares: Spares, feed: LiveFeed | None = None) -> None:
        self._job, self._spares, self._feed = job, spares, feed
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._said: list[Command] = []
        self._killed = False

    @property
    def pid(self) -> int:
        """The process's id; 0 while there is none."""
        child = self._child
        return child.pid if child is not None else 0

    def batches(self) -> Iterator[list[Event]]:
        """Run it and give its events as they come.

        Raises:
            JobFailed: the job failed, or its process died.
        """
        child = self._spares.take()
        try:
            with self._lock:
                self._child = child
                for said in (self._job, *self._said):
                    child.tell(said)
                if self._killed:
                    child.kill()
            if self._feed is not None:
                threading.Thread(target=self._pass_on, args=(self._feed,), daemon=True, name="feed").start()
            yield from child.batches()
        finally:
            with self._lock:
                self._child = None
            child.end(END_SECONDS)

    def _pass_on(self, feed: LiveFeed) -> None:
        """Send decisions as they come, as long as the process is there."""
        while True:
            decisions = feed.take(FEED_SECONDS)
            with self._lock:
                if self._child is None:
                    return
                if decisions:
                    self._child.tell(decisions)

    def tell(self, said: Command) -> None:
        """Pause, resume or stop; returns at once."""
        with self._lock:
            self._said.append(said)
            if self._child is not None:
                self._child.tell(said)

    def kill(self) -> None:
        """End the process at once; it saves nothing."""
        with self._lock:
            self._killed = True
            if self._child is not None:
                self._child.kill()
