"""Short work off the GUI thread, for whoever joins the window to the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Qt, QThread, Signal, Slot

Failed = Callable[[BaseException], None]


class Background(QObject):
    """Runs functions in threads of their own and brings their results to the GUI thread.

    Args:
        failed: gets an exception that nobody else was named for.
    """

    def __init__(self, failed: Failed, parent: QObject) -> None:
        super().__init__(parent)
        self._failed = failed
        self._tasks: set[Task] = set()
        self._ended = False

    def __call__(self, work: Callable[[], Any], then: Callable[[Any], None], failed: Failed | None = None) -> None:
        """Run `work` off the GUI thread; on this one `then` gets its result, or `failed` its exception."""

        def deliver(result: Any) -> None:
            if not self._ended:
                then(result)

        def fail(error: BaseException) -> None:
            if not self._ended:
                (failed or self._failed)(error)

        task = Task(work, deliver, fail, self)
        self._tasks.add(task)
        task.finished.connect(self._on_finished)
        task.start()

    @Slot()
    def _on_finished(self) -> None:
        """A thread has told all it had to; it may still be ending, and must not be destroyed before that."""
        task = self.sender()
        if isinstance(task, Task):
            task.wait()
            self._tasks.discard(task)
            task.deleteLater()

    @property
    def busy(self) -> bool:
        """Whether something is still being worked on."""
        return bool(self._tasks)

    def silence(self) -> None:
        """Deliver nothing any more."""
        self._ended = True

    def end(self) -> None:
        """Wait for what runs; nothing of it is delivered."""
        self.silence()
        for task in list(self._tasks):
            task.wait()


class Task(QThread):
    """A function run off the GUI thread; on it `then` gets the result, or `failed` the exception."""

    _done = Signal(object)
    _failed = Signal(object)

    def __init__(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], None],
        failed: Callable[[BaseException], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._work, self._then, self._on_error = work, then, failed
        # Slots of this object, which lives in the GUI thread: a plain function might be called in the other one.
        self._done.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._failed.connect(self._deliver_failure, Qt.ConnectionType.QueuedConnection)

    def run(self) -> None:
        """Do the work."""
        try:
            result = self._work()
        except BaseException as error:
            self._failed.emit(error)
        else:
            self._done.emit(result)

    @Slot(object)
    def _deliver(self, result: Any) -> None:
        self._then(result)

    @Slot(object)
    def _deliver_failure(self, error: BaseException) -> None:
        self._on_error(error)
