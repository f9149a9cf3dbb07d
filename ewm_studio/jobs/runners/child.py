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
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ewm_studio.events import Event, JobControl
from ewm_studio.jobs.failure import failure_of
from ewm_studio.jobs.kinds import job_kind
from ewm_studio.jobs.live_feed import Decision, LiveFeed
from ewm_studio.jobs.runners.runner import Command
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.processes.endings import ENDINGS, Calls

FLUSH_SECONDS = 0.05  # events are sent together, this long after the first of them
MOST_WAITING = 20_000  # events; with more on their way the job waits for the window
GRACE_SECONDS = 20.0  # for saving, once the window is gone
BESIDE_A_DRIVER = 10  # how much less urgent a job is that runs while somebody drives, as `nice` counts

Order = JobSpec | Command | list[Decision]


class OrderReceiver:
    """Takes what the window says, on a thread of its own; when the window is gone, the job saves and all ends."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._jobs: queue.SimpleQueue[JobSpec] = queue.SimpleQueue()
        self._working = False
        self.control = JobControl()
        self.feed = LiveFeed()
        self._go = threading.Event()
        self._go.set()
        threading.Thread(target=self._listen, daemon=True, name="orders").start()

    def job(self) -> JobSpec:
        """The job, once the window has one."""
        job = self._jobs.get()
        self._working = True
        return job

    def wait_while_paused(self) -> None:
        """Return when the job may go on."""
        self._go.wait()

    def stop(self) -> None:
        """Have the job save and end; where there is none yet, the process ends."""
        if not self._working:
            os._exit(1)
        self.control.stop()
        self._go.set()

    def _listen(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._obey(self._pipe.recv())
        self.stop()
        time.sleep(GRACE_SECONDS)
        os._exit(1)

    def _obey(self, order: Order) -> None:
        if isinstance(order, JobSpec):
            self._jobs.put(order)
        elif isinstance(order, list):
            for decision in order:
                self.feed.put(decision)
        elif order == "pause":
            self._go.clear()
        elif order == "resume":
            self._go.set()
        else:
            self.control.stop()
            self._go.set()


class EventSender:
    """Sends events on a thread of its own, many at a time, so that neither the job nor the window is kept busy."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._deliver, daemon=True, name="events")
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
    receiver = OrderReceiver(pipe)
    _obey_signals(receiver)
    with open(Path(last_words), "w") as file:
        faulthandler.enable(file)
        import ewm_studio.jobs.runners.engine  # noqa: F401  now, so that a job given later starts at once

        job = receiver.job()
        sender = EventSender(pipe)
        sender.close(_run(job, receiver, sender))
        faulthandler.disable()


def _obey_signals(receiver: OrderReceiver) -> None:
    """Leave Ctrl-C to the window; whatever else asks a process to end has the job saved first."""
    calls = Calls(lambda _: receiver.stop())
    for number in ENDINGS:
        if number != signal.SIGINT:  # it reaches every process of a terminal
            signal.signal(number, lambda given, _: calls.ask(given))


def _run(job: JobSpec, receiver: OrderReceiver, sender: EventSender) -> tuple[str, Any]:
    """All events of the job; gives the last word."""
    try:
        if job_kind(job.kind).fed and sys.platform != "win32":
            os.nice(BESIDE_A_DRIVER)
        with contextlib.closing(job.events(receiver.control, receiver.feed)) as events:
            for event in events:
                sender.put(event)
                receiver.wait_while_paused()
    except BaseException as error:
        return "failed", failure_of(error)
    return "done", None
