"""Threads that bring the runs of a study to their ends, so many side by side."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from typing import Protocol

from ewm_studio.events import Event, JobControl, Message, Progress, StudyRunMoved
from ewm_studio.jobs.studies.one_run import Say
from ewm_studio.jobs.studies.time_left import TimeLeft
from ewm_studio.workspace.studies import Pace, StudyFolder

LOOK_SECONDS = 0.2  # how soon a request to stop is noticed
PACE_SECONDS = 1.0  # between two notes of how far the runs are


class Work(Protocol):
    """A run, or several that belong together, as a crew sees it."""

    say: Say

    @property
    def key(self) -> str:
        """Its name in the study."""

    @property
    def cell(self) -> str:
        """What it shares with those that take about as long."""

    @property
    def took(self) -> float | None:
        """Seconds that all of it took, where it is done and that is known."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""

    def go(self) -> None:
        """Do it."""

    def stop(self) -> None:
        """Have it save and stop; returns at once."""

    def kill(self) -> None:
        """End it at once."""


class Crew:
    """Threads that each bring one run after the other to its end."""

    def __init__(self, runs: Sequence[Work], slots: int) -> None:
        self._runs = list(runs)
        self._waiting = deque(run for run in self._runs if not run.done)
        self._events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
        self._shares = {run.key: float(run.done) for run in self._runs}
        self._doing: dict[str, str] = {}
        self._began, self._slots = time.monotonic(), max(1, slots)
        self._time_left, self._cells = TimeLeft(), {run.key: run.cell for run in self._runs}
        for run in self._runs:
            if run.took is not None:
                self._time_left.known(run.cell, run.took)
        self._stopping = False
        self._fatal: BaseException | None = None  # the first that ended a thread
        self._noted = float("-inf")
        count = min(slots, len(self._waiting))
        self._threads = [threading.Thread(target=self._serve, name=f"study-{n}", daemon=True) for n in range(count)]

    def work(self, folder: StudyFolder, control: JobControl) -> Generator[Event, None, None]:
        """All runs to their ends, or until asked to stop. Closing the generator ends them at once.

        Raises:
            UserError or JobError: one run met what stops all of them; the others have saved before.
        """
        for run in self._waiting:
            run.say = self._events.put
        for thread in self._threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in self._threads) or not self._events.empty():
                yield from self._told()
                self._note_pace(folder)
                if not self._stopping and (control.stop_requested or folder.stop_asked):
                    self._stop()
                    yield Message("stopping: every run saves first")
            if self._fatal is not None:
                raise self._fatal
        finally:
            self._end()

    def _told(self) -> Generator[Event, None, None]:
        """What happened, if anything does soon."""
        try:
            event = self._events.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            return
        if isinstance(event, BaseException):
            if self._fatal is None:
                self._fatal = event
                yield Message("a run cannot go on; stopping: every other run saves first", "warning")
            return
        yield event
        if isinstance(event, StudyRunMoved):
            self._shares[event.key], self._doing[event.key] = event.share, event.doing
            self._time_left.moved(event.key, self._cells[event.key], event.share, time.monotonic())
            if event.reason:
                again = "it is counted as failed" if event.state == "failed" else "it is tried once more"
                yield Message(f"{event.cell}, seed {event.seed}: {event.reason}; {again}", "warning")
            elif event.state == "finished":
                yield Message(f"{event.cell}, seed {event.seed}: {event.score:.4g}")
            yield self._progress()

    def _progress(self) -> Progress:
        done = sum(run.done for run in self._runs)
        speed = max(0.0, self._time_left.gained) / max(time.monotonic() - self._began, 1e-9)
        return Progress("study", done, len(self._runs), "runs", speed, self._left())

    def _left(self) -> float | None:
        """Seconds until all are done, as it looks; what is done counts whole, as a trial that ended early."""
        ahead = [(run.key, run.cell, self._shares[run.key]) for run in self._runs if not run.done]
        return self._time_left.left(ahead, self._slots)

    def _note_pace(self, folder: StudyFolder) -> None:
        if time.monotonic() - self._noted >= PACE_SECONDS:
            self._noted = time.monotonic()
            folder.keep_pace(Pace(dict(self._shares), self._left(), time.time(), dict(self._doing)))

    def _serve(self) -> None:
        """The life of a thread."""
        try:
            while not self._stopping:
                try:
                    run = self._waiting.popleft()
                except IndexError:
                    return
                run.go()
        except BaseException as error:
            self._events.put(error)
            self._stop()

    def _stop(self) -> None:
        self._stopping = True
        for run in self._runs:
            run.stop()

    def _end(self) -> None:
        """Wait for all threads; where runs are under way still, they are ended at once."""
        if any(thread.is_alive() for thread in self._threads):
            self._stopping = True
            for run in self._runs:
                run.kill()
        for thread in self._threads:
            thread.join()
