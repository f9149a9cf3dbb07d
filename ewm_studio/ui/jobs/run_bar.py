"""The bar along the top: what can be started, what runs, how far it is."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QProgressBar, QPushButton, QWidget

from ewm_studio import formatting as format
from ewm_studio.events import Progress
from ewm_studio.jobs.kinds import job_kind
from ewm_studio.ui.jobs.queue_menu import QueueMenu
from ewm_studio.ui.jobs.runner import Queued
from ewm_studio.ui.kit.focus import hand_on_focus
from ewm_studio.ui.kit.widgets import Elided, button, column, label, restyle, row

_STAGES = {
    "train": "Training",
    "vision": "Pretraining vision",
    "memory": "Pretraining memory",
    "together": "Pretraining vision and memory",
    "clone": "Copying the recorded driver",
    "collect": "Collecting frames",
    "dream": "Learning in dreams",
    "judge": "Playing for real",
    "encode": "Encoding frames",
    "infer": "Evaluating",
    "record": "Recording",
    "read": "Reading the recording",
    "play": "Playing",
    "measure": "Measuring dreams",
    "fork": "Trying actions",
}
TIPS = {
    "pretrain": "Train vision and memory beforehand (Ctrl+P)",
    "train": "Train the agent (Ctrl+R)",
    "infer": "Play the trained model (Ctrl+E)",
}
FOLLOWS = "Something runs: its Queue can have this follow"
STOP_TIP = "Save, then end (Ctrl+.)"
PATIENCE_MILLISECONDS = 10_000  # after which a job that was asked to stop can be ended without saving
_STOPPING = "Stopping: saving first"
PROGRESS_PARTS = 1000
ROOMY = 1100  # pixels of width from which on there is room for the name and the machine


class RunBar(QFrame):
    """Buttons and one line about the running job; only shows and tells."""

    asked = Signal(str)  # a job: pretrain, train or infer
    pause_toggled = Signal()
    stop_asked = Signal()
    end_asked = Signal()  # at once, for it was asked to stop and does not
    changed = Signal()  # other buttons can be pressed

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("runBar")
        self.setFixedHeight(52)
        self.brand = label("EWM Studio", "brand")
        self.pretrain = button(job_kind("pretrain").title, "", TIPS["pretrain"])
        self.train = button(job_kind("train").title, "primary", TIPS["train"])
        self.infer = button(job_kind("infer").title, "", TIPS["infer"])
        self._impossible: dict[str, str] = {}  # jobs that cannot be started with these settings, and why
        self._running = False
        self._paused = False
        self._stopping = False
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PATIENCE_MILLISECONDS)
        self._patience.timeout.connect(self._offer_to_end)
        self._stages: tuple[str, ...] = ()
        self._leading = True
        self._jobs: dict[str, QPushButton] = {"pretrain": self.pretrain, "train": self.train, "infer": self.infer}
        for job, made in self._jobs.items():
            made.clicked.connect(lambda _=False, job=job: self.asked.emit(job))
        self.pause = button("Pause", "", "Rest until resumed (Space)", self.pause_toggled.emit)
        self.stop = button("Stop", "", STOP_TIP)
        self.stop.clicked.connect(lambda: (self.end_asked if self._stopping else self.stop_asked).emit())
        self.buttons: dict[str, QPushButton] = {**self._jobs, "pause": self.pause, "stop": self.stop}
        self.queue = button("Queue", "", "Let another job follow this one")
        self.queue_menu = QueueMenu(self)
        self.queue.setMenu(self.queue_menu)
        self._stage = Elided("", "heading")
        self._stage.grow_to_text()
        self._figures = Elided("", "secondary")
        self._figures.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setRange(0, PROGRESS_PARTS)
        self.progress.setAccessibleName("Progress of the run")
        self._middle = QWidget()
        line = row(self._stage, spacing=12)
        line.addWidget(self._figures, 1)
        middle = column(spacing=6)
        middle.addStretch(1)
        middle.addLayout(line)
        middle.addWidget(self.progress)
        middle.addStretch(1)
        self._middle.setLayout(middle)
        self.chip = label("", "chip")
        self.chip.setFixedHeight(28)
        self.chip.hide()  # until there is something to say
        self.chip.setToolTip("Where the models compute, and the memory this program uses")
        layout = row(self.brand, self.pretrain, self.train, self.infer, spacing=10, margins=(12, 0, 14, 0))
        layout.insertSpacing(1, 8)
        layout.addSpacing(8)
        layout.addWidget(self.pause)
        layout.addWidget(self.stop)
        layout.addWidget(self.queue)
        layout.addSpacing(8)
        layout.addWidget(self._middle, 1)
        layout.addSpacing(8)
        layout.addWidget(self.chip)
        self.setLayout(layout)
        self.show_idle()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Where it is narrow, leave out what nobody needs to act."""
        super().resizeEvent(event)
        self._make_room()

    def _make_room(self) -> None:
        self.brand.setVisible(self.width() >= ROOMY)
        self.chip.setVisible(self.width() >= ROOMY and bool(self.chip.text()))

    def show_machine(self, words: str) -> None:
        """Say where models compute, and what memory is used."""
        self.chip.setText(words)
        self._make_room()

    def show_idle(self, line: str = "", figures: str = "") -> None:
        """Nothing runs: everything can be started. `line` says how the last job ended."""
        self._show_stoppable()
        self._running = False
        for job, made in self._jobs.items():
            restyle(made, role="primary" if job == "train" and self._leading else "")
        for over in (self.pause, self.stop, self.queue):
            hand_on_focus(over, self)
            over.hide()
        self.progress.hide()
        restyle(self.progress, role="")
        self._stage.setText(line)
        self.show_stages(())
        self._figures.setText(figures)
        self._middle.setVisible(True)
        self._show_startable()

    def show_leading(self, leading: bool) -> None:
        """Whether training is the first thing to do beside the page that is shown; else the page has its own."""
        self._leading = leading
        role = "primary" if leading else ""
        if self.pause.isHidden() and self.train.property("role") != role:  # else once nothing runs any more
            restyle(self.train, role=role)

    def show_possible(self, job: str, why_not: str) -> None:
        """Whether a job can be started with the settings as they are: `why_not` is empty, or says why it cannot."""
        self._impossible = {other: why for other, why in self._impossible.items() if other != job}
        if why_not:
            self._impossible[job] = why_not
        self.queue_menu.show_impossible(self._impossible)
        self._show_startable()

    def _show_startable(self) -> None:
        """Each job that can be started has a button for it; the others say why not."""
        for job, made in self._jobs.items():
            why_not = self._impossible.get(job, FOLLOWS if self._running else "")
            made.setEnabled(not (self._running or why_not))
            made.setToolTip(why_not or TIPS[job])
        self.changed.emit()

    def show_running(self, job: str) -> None:
        """A job runs: it can be paused and stopped."""
        self._running = True
        for name, made in self._jobs.items():
            hand_on_focus(made, self)
            restyle(made, role="active" if name == job else "")
        self.pause.setText("Pause")
        restyle(self.pause, role="")
        self._paused = False
        self.pause.setEnabled(True)
        self._show_stoppable()
        self.pause.show()
        self.stop.show()
        self.queue.show()
        self.progress.show()
        self.progress.setRange(0, 0)
        self._stage.setText("Starting")
        self._figures.setText("")
        self._show_startable()

    def show_stages(self, stages: tuple[str, ...]) -> None:
        """The stages of the job that begins, in order."""
        self._stages = stages
        self._stage.setToolTip("")

    def show_waiting(self, waiting: tuple[Queued, ...]) -> None:
        """What will follow the running job."""
        self.queue.setText(f"Queue · {len(waiting)}" if waiting else "Queue")
        self.queue.setAccessibleName(f"Queue, {len(waiting)} waiting")
        self.queue_menu.show_waiting(waiting)

    def show_activity(self, line: str, figures: str, share: float | None, role: str = "") -> None:
        """No job runs, and something else goes on: `share` of it is done; None where its end is not known.

        `role` is recording, dream, or nothing that has a color of its own.
        """
        self._stage.setText(line)
        self._figures.setText(figures)
        self.progress.setVisible(share is not None)
        self.progress.setRange(0, PROGRESS_PARTS)
        self.progress.setValue(round(PROGRESS_PARTS * (share or 0.0)))
        if self.progress.property("role") != role:
            restyle(self.progress, role=role)

    def show_paused(self, paused: bool) -> None:
        """The job rests, or goes on."""
        self._paused = paused
        self.pause.setText("Resume" if paused else "Pause")
        restyle(self.pause, role="primary" if paused else "")
        if paused:
            self._stage.setText("Paused")

    def show_stopping(self) -> None:
        """The job was asked to save and end."""
        self.pause.setEnabled(False)
        self.stop.setEnabled(False)
        self._paused, self._stopping = False, True
        self._patience.start()
        restyle(self.pause, role="")
        self._stage.setText(_STOPPING)
        self.changed.emit()

    def _show_stoppable(self) -> None:
        """Nothing was asked to stop."""
        self._stopping = False
        self._patience.stop()
        self.stop.setText("Stop")
        self.stop.setToolTip(STOP_TIP)
        self.stop.setEnabled(True)

    def _offer_to_end(self) -> None:
        """It takes long: whoever does not want to wait need not."""
        self.stop.setText("End now")
        self.stop.setToolTip("End without saving (Ctrl+.)")
        self.stop.setEnabled(True)
        self.changed.emit()

    def show_progress(self, event: Progress, epoch: int | None = None) -> None:
        """One line: stage, progress, speed, time left."""
        stage = _stage_name(event.stage)
        if epoch and event.stage == "train":
            stage += f" · epoch {format.count(epoch)}"
        if len(self._stages) > 1 and event.stage in self._stages:
            stage = f"{self._stages.index(event.stage) + 1}/{len(self._stages)} {stage}"
            self._stage.setToolTip(_stage_list(self._stages, event.stage))
        resting = _STOPPING if self._stopping else "Paused" if self._paused else ""
        self._stage.setText(resting or stage)
        unit = "" if event.per_second > 0 and not resting else f" {event.unit}"  # the speed names it
        parts = []
        if event.total:
            parts.append(f"{format.count(event.done)} of {format.count(event.total)}{unit}")
            self.progress.setRange(0, PROGRESS_PARTS)
            self.progress.setValue(round(PROGRESS_PARTS * min(1.0, event.done / event.total)))
        else:
            parts.append(f"{format.count(event.done)}{unit}")
            self.progress.setRange(0, 0)
        if resting:  # it goes on to where it can save, or this was on its way when it was asked to rest
            self._figures.setText(parts[0])
            return
        if event.per_second > 0:
            parts.append(f"{format.rate(event.per_second)} {event.unit}/s")
        if event.seconds_left is not None and event.seconds_left >= 0.5:
            parts.append(f"{format.duration(event.seconds_left)} left")
        self._figures.setText(" · ".join(parts))


def _stage_name(stage: str) -> str:
    return _STAGES.get(stage, stage.capitalize())


def _stage_list(stages: tuple[str, ...], present: str) -> str:
    """All stages, a line each, with what is over and what is going on marked."""
    place = stages.index(present)
    marks = ("✓" if i < place else "▸" if i == place else "·" for i in range(len(stages)))
    return "\n".join(f"{mark} {_stage_name(stage)}" for mark, stage in zip(marks, stages, strict=True))
