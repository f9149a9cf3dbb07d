"""Starts one job at a time, drains its events into signals, and ends it cleanly."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from ewm_studio.training.events import Event
from ewm_studio.ui.failure import Failure
from ewm_studio.ui.job_child import Job
from ewm_studio.ui.job_process import ProcessJob, Spares
from ewm_studio.ui.worker import JobThread, Start, ThreadJob

DRAIN_MILLISECONDS = 60


class JobRunner(QObject):
    """The running job, seen from the GUI thread. Several may wait; they run one after another."""

    started = Signal(str)  # the job's kind: train, pretrain, infer
    events = Signal(list)  # list[Event], in order
    paused = Signal(bool)
    stopping = Signal()
    ended = Signal(str, object)  # kind, Failure or None

    def __init__(self, spares: Spares, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._spares = spares
        self._thread: JobThread | None = None
        self._kind = ""
        self._waiting: list[tuple[str, Job | Start]] = []
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
        return self._kind if self.running else ""

    @property
    def waiting(self) -> int:
        """Jobs that will follow."""
        return len(self._waiting)

    @property
    def pid(self) -> int:
        """The running job's own process; 0 where it has none."""
        return self._thread.pid if self._thread is not None else 0

    def submit(self, kind: str, job: Job | Start) -> None:
        """Run a job now, or after the ones before it: in a process of its own, or a function in a thread."""
        self._waiting.append((kind, job))
        if not self.running:
            self._next()

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
        """Ask the job to save and end; those that wait do not follow."""
        self._waiting.clear()
        if self._thread is not None and not self._thread.stopping:
            self._thread.stop()
            self.stopping.emit()

    def end(self) -> bool:
        """Stop and wait until nothing runs; whether that came about in time."""
        self._waiting.clear()
        return self._thread is None or self._thread.end()

    def _next(self) -> None:
        if not self._waiting:
            return
        self._kind, job = self._waiting.pop(0)
        source = ProcessJob(job, self._spares) if isinstance(job, Job) else ThreadJob(job)
        self._thread = JobThread(source, self)
        self._thread.finished.connect(self._on_finished)
        self.started.emit(self._kind)
        self._thread.start()
        self._timer.start()

    def _drain(self) -> None:
        events: list[Event] = self._thread.drain() if self._thread is not None else []
        if events:
            self.events.emit(events)

    def _on_finished(self) -> None:
        thread = self._thread
        if thread is None:
            return
        self._timer.stop()
        self._drain()
        thread.wait()
        failure: Failure | None = thread.failure
        self._thread = None
        thread.deleteLater()
        self.ended.emit(self._kind, failure)
        self._next()
