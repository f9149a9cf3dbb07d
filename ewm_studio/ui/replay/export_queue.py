"""Exports of replays, one after the other: another one waits for those that were asked for before."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal

from ewm_studio.ui.kit.background import Background
from ewm_studio.ui.notices import Notices

if TYPE_CHECKING:
    from ewm_studio.analysis.film import Pane

_STEP = 0.05  # least share between two words on progress


class _Ended(Exception):
    """The window is closed: nobody waits for the film."""


@dataclass(frozen=True)
class _Export:
    """What is to be written: the whole replay, or the frame where it is a picture."""

    path: Path
    panes: Sequence[Pane]
    fps: float
    frame: int


class ExportQueue(QObject):
    """Writes films and pictures off the GUI thread, while other episodes are watched."""

    said = Signal(str)  # one line: what is written and how far, or where the last file is
    _progressed = Signal(float)  # share done, from the thread that works

    def __init__(self, background: Background, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._background, self._notices = background, notices
        self._waiting: deque[_Export] = deque()
        self._writing: _Export | None = None
        self._ended = False
        self._progressed.connect(self._on_progress, Qt.ConnectionType.QueuedConnection)

    @property
    def idle(self) -> bool:
        """Whether everything that was asked for is on disk."""
        return self._writing is None

    def add(self, path: Path, panes: Sequence[Pane], fps: float, frame: int) -> None:
        """Write panes to a file, after those that were asked for before."""
        self._waiting.append(_Export(path, panes, fps, frame))
        if self._writing is None:
            self._next()
        else:
            self._on_progress(0.0)

    def end(self) -> None:
        """Write nothing more; what is being written ends at its next frame and leaves no file."""
        self._ended = True
        self._waiting.clear()

    def _next(self) -> None:
        self._writing = self._waiting.popleft() if self._waiting else None
        if self._writing is None:
            return
        writing = self._writing
        self._on_progress(0.0)

        def work() -> None:
            from ewm_studio.analysis.film import export

            told = 0.0

            def tell(share: float) -> None:
                nonlocal told
                if self._ended:
                    raise _Ended
                if share - told >= _STEP:
                    told = share
                    self._progressed.emit(share)

            export(writing.path, writing.panes, writing.fps, writing.frame, tell)

        self._background(work, lambda _: self._on_written(writing), self._on_failed)

    def _on_progress(self, share: float) -> None:
        if self._writing is not None:
            more = f"; {len(self._waiting)} more to come" if self._waiting else ""
            self.said.emit(f"Writing {self._writing.path.name}, {share:.0%}{more}")

    def _on_written(self, written: _Export) -> None:
        words = f"exported {written.path}"
        self._notices.tell(words)
        self._next()
        if self._writing is None:
            self.said.emit(words)

    def _on_failed(self, error: BaseException) -> None:
        self._next()
        if self._writing is None:
            self.said.emit("")
        self._notices.fail(error, "export the replay")
