"""Runs one job at a time, the others waiting in a queue; drains its events into signals, and ends it cleanly."""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtCore import QObject, QTimer, Signal

from ewm_studio.events import Event
from ewm_studio.jobs.failure import Failure
from ewm_studio.jobs.live_feed import LiveFeed
from ewm_studio.jobs.runners.process import JobProcesses, ProcessRunner
from ewm_studio.jobs.spec import JobSpec, new_job_id
from ewm_studio.ui.jobs.thread import JobThread

DRAIN_MILLISECONDS = 60


@dataclass(frozen=True, eq=False)
class Queued:
    """A job that waits for its turn, or runs."""

    job: JobSpec
    words: str = ""  # what it is, for the queue's list
    feed: LiveFeed | None = None  # what is passed on to its process while it runs
    id: str = field(default_factory=new_job_id)  # that its events come with


class JobRunner(QObject):
    """The running job, seen from the GUI thread. Several may wait; they run one after another."""

    started = Signal(str)  # the job's kind: train, pretrain, infer, live
    events = Signal(list)  # list[Event], in order
    paused = Signal(bool)
    stopping = Signal()
    killing = Signal()
    ended = Signal(str, object)  # kind, Failure or None
    queue_changed = Signal()

    def __init__(self, processes: JobProcesses, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._processes = processes
        self._thread: JobThread | None = None
        self._present: Queued | None = None
        self._waiting: list[Queued] = []
        self.at_once = False  # what starts now was asked for now, and did not wait for its turn
        self._timer = QTimer(self)
        self._timer.setInterval(DRAIN_MILLISECONDS)
        self._timer.timeout.connect(self._drain)

    @property
    def running(self) -> bool:
        """Whether a job goes on."""
        return self._thread is not None

    @property
    def kind(self) -> str:
        """The running job's kind."""
        return self._present.job.kind if self._present is not None else ""

    @property
    def resumes(self) -> str:
        """The run that the running job goes on with; empty where it begins one."""
        return self._present.job.resume if self._present is not None else ""

    @property
    def model(self) -> str:
        """The model that the running job plays; empty where it plays none."""
        return self._present.job.model if self._present is not None else ""

    @property
    def waiting(self) -> tuple[Queued, ...]:
        """The jobs that will follow, in order."""
        return tuple(self._waiting)

    @property
    def pid(self) -> int:
        """The running job's own process; 0 where it has none."""
        return self._thread.pid if self._thread is not None else 0

    def beside(self, parent: QObject) -> JobRunner:
        """Another one, that takes processes from where this one does."""
        return JobRunner(self._processes, parent)

    def submit(self, job: JobSpec, words: str = "", feed: LiveFeed | None = None) -> Queued:
        """Run a job in a process of its own, now or after the ones before it; the process is given the feed."""
        queued = Queued(job, words, feed)
        self._waiting.append(queued)
        if not self.running:
            self.at_once = True
            self._next()
            self.at_once = False
        self.queue_changed.emit()
        return queued

    def remove(self, queued: Queued) -> None:
        """Take a job out of the queue; one whose turn has come goes on."""
        if queued in self._waiting:
            self._waiting.remove(queued)
            self.queue_changed.emit()

    def clear(self) -> None:
        """Let nothing follow what runs."""
        self._waiting.clear()
        self.queue_changed.emit()

    def toggle_pause(self) -> None:
        """Rest, or go on."""
        if self._thread is None or self._thread.stopping:
            return
        if self._thread.paused:
            self._thread.resume()
        else:
            self._thread.pause()
        self.paused.emit(self._thread.paused)

    def stop(self) -> None:
        """Ask the job to save and end; the next that waits follows."""
        if self._thread is not None and not self._thread.stopping:
            self._thread.stop()
            self.stopping.emit()

    def kill(self) -> None:
        """End the job at once, whatever it has not saved; the next that waits follows."""
        if self._thread is not None:
            self.killing.emit()
            self._thread.kill()

    def end(self) -> bool:
        """Stop and wait until nothing runs; whether that came about in time."""
        self._waiting.clear()
        return self._thread is None or self._thread.end()

    def _next(self) -> None:
        if not self._waiting:
            return
        self._present = self._waiting.pop(0)
        job = self._present.job
        runner = ProcessRunner(job, self._processes, self._present.feed, self._present.id)
        self._thread = JobThread(runner, self)
        self._thread.finished.connect(self._on_finished)
        self.started.emit(job.kind)
        self._thread.start()
        self._timer.start()

    def _drain(self) -> None:
        if self._thread is None or self._present is None:
            return
        events: list[Event] = [event for job, event in self._thread.drain() if job == self._present.id]
        if events:
            self.events.emit(events)

    def _on_finished(self) -> None:
        thread, present = self._thread, self._present
        if thread is None or present is None:
            return
        self._timer.stop()
        self._drain()
        thread.wait()
        failure: Failure | None = thread.failure
        self._thread = self._present = None
        thread.deleteLater()
        self.ended.emit(present.job.kind, failure)
        self._next()
        self.queue_changed.emit()
