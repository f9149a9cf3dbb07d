"""A job in a process of its own: what is told to that process, and what it does. Qt is not imported here.

Python's lock lets one thread of a process run at a time. A job beside the window in one process makes the window late
and is itself slowed down; a process of its own also keeps the window alive when the job is killed or crashes.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from ewm_studio.events import Event, JobControl
from ewm_studio.jobs.failure import failure_of
from ewm_studio.jobs.live_feed import Decision, LiveFeed
from ewm_studio.jobs.spec import Job

FLUSH_SECONDS = 0.05  # events are sent together, this long after the first of them
MOST_WAITING = 20_000  # events; with more on their way the job waits for the window
GRACE_SECONDS = 20.0  # for saving, once the window is gone
BESIDE_A_DRIVER = 10  # how much less urgent a job is that runs while somebody drives, as `nice` counts

Command = Literal["pause", "resume", "stop"]


Said = Job | Command | list[Decision]


class Desk:
    """Takes what the window says, on a thread of its own; when the window is gone, the job saves and all ends."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._working = False
        self.control = JobControl()
        self.feed = LiveFeed()
        self.go = threading.Event()
        self.go.set()
        threading.Thread(target=self._listen, daemon=True, name="desk").start()

    def job(self) -> Job:
        """The job, once the window has one."""
        job = self._jobs.get()
        self._working = True
        return job

    def _listen(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._obey(self._pipe.recv())
        self._stop()
        if self._working:
            time.sleep(GRACE_SECONDS)
        os._exit(1)

    def _obey(self, said: Said) -> None:
        if isinstance(said, Job):
            self._jobs.put(said)
        elif isinstance(said, list):
            for decision in said:
                self.feed.put(decision)
        elif said == "pause":
            self.go.clear()
        elif said == "resume":
            self.go.set()
        else:
            self._stop()

    def _stop(self) -> None:
        self.control.stop()
        self.go.set()


class Outbox:
    """Sends events on a thread of its own, many at a time, so that neither the job nor the window is kept busy."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._deliver, daemon=True, name="outbox")
        self._thread.start()

    def put(self, event: Event) -> None:
        """Send soon."""
        while self._events.qsize() > MOST_WAITING:
            time.sleep(FLUSH_SECONDS)
        self._events.put(event)

    def close(self, last: tuple[str, Any]) -> None:
        """Send what waits, and then the last word."""
        self._events.put(None)
        self._thread.join()
        with contextlib.suppress(OSError):  # the window is gone
            self._pipe.send(last)

    def _deliver(self) -> None:
        open_ = True
        while open_:
            batch = [self._events.get()]
            if batch[0] is not None:
                time.sleep(FLUSH_SECONDS)
            with contextlib.suppress(queue.Empty):
                while True:
                    batch.append(self._events.get_nowait())
            open_ = None not in batch
            events = [event for event in batch if event is not None]
            if events:
                with contextlib.suppress(OSError):
                    self._pipe.send(("events", events))


def serve(pipe: Connection, last_words: str) -> None:
    """The life of a job's process: get ready, wait for a job, run it, end.

    Args:
        pipe: to the window.
        last_words: a file for the stack of a crash.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches all; the window decides
    desk = Desk(pipe)
    with open(Path(last_words), "w") as file:
        faulthandler.enable(file)
        _import_engine()
        job = desk.job()
        outbox = Outbox(pipe)
        outbox.close(_run(job, desk, outbox))
        faulthandler.disable()


def _run(job: Job, desk: Desk, outbox: Outbox) -> tuple[str, Any]:
    """All events of the job; gives the last word."""
    if job.kind == "live" and hasattr(os, "nice"):
        os.nice(BESIDE_A_DRIVER)
    try:
        with contextlib.closing(job.events(desk.control, desk.feed)) as events:
            for event in events:
                outbox.put(event)
                desk.go.wait()
    except BaseException as error:
        return "failed", failure_of(error)
    return "done", None


def _import_engine() -> None:
    """Import what takes seconds, so that a job given later starts at once."""
    from ewm_studio import jobs as training

    for job in training.__all__:
        getattr(training, job)
