"""The Study page: one is made, or one is watched and read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QMenu, QVBoxLayout, QWidget

from ewm_studio.formatting import printable
from ewm_studio.jobs.studies.plan import StudyPlan
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.ui.kit.widgets import Elided, button, label, row, stacked
from ewm_studio.ui.study.form import StudyForm
from ewm_studio.ui.study.results import StudyResults
from ewm_studio.ui.study.side import StudySide, runs_words, time_words

MARGIN = 12
LEAST_WIDTH = 680
MAKE, WATCH = range(2)
WORDS = (
    "Tick several parts, and say over how many seeds: every combination is trained, and judged by the same unseen "
    "episodes. What comes out is a table with its doubt, not a feeling."
)


class StudyPage(QWidget):
    """A head with what can be done, and below it the form or what was found."""

    start_asked = Signal()  # begin what the form says
    save_asked = Signal()
    resume_asked = Signal()
    stop_asked = Signal()
    report_asked = Signal(str)  # open, pdf, html or files
    another_asked = Signal()  # make another one like it

    def __init__(self) -> None:
        super().__init__()
        self.form, self.results, self.side = StudyForm(), StudyResults(), StudySide()
        self._title = label("New study", "title")
        self._name = Elided("", "title")
        self._name.grow_to_text()
        self._runs, self._time = Elided("", "secondary"), Elided("", "secondary")
        for words in (self._runs, self._time):
            words.grow_to_text()
        self.open = button("Open", "", "Studies of this workspace, ready-made ones, and a new one")
        self.open_menu = QMenu(self.open)
        self.open.setMenu(self.open_menu)
        self.save = button("Save", "", "Write the study to its file", self.save_asked.emit)
        self.start = button("Start", "primary", "Save it and run it, beside this window", self.start_asked.emit)
        self.go_on = button("Go on", "primary", "Run what is not finished yet", self.resume_asked.emit)
        self.stop = button("Stop", "", "Every run saves first; it can be gone on with", self.stop_asked.emit)
        self.another = button("Make another", "", "A new study that begins with what this one says")
        self.another.clicked.connect(self.another_asked)
        self.report = button("Report", "", "What it comes to, as a file")
        self._report_menu = QMenu(self.report)
        self.report_actions = {
            what: self._report_menu.addAction(text)
            for what, text in (
                ("open", "Open the report"),
                ("pdf", "Save as PDF…"),
                ("files", "Show the files"),
            )
        }
        for what, action in self.report_actions.items():
            action.triggered.connect(lambda _=False, what=what: self.report_asked.emit(what))
        self.report.setMenu(self._report_menu)
        head = row(self._title, self._name, None, spacing=12)
        for made in (self.open, self.another, self.save, self.start, self.report, self.stop, self.go_on):
            head.addWidget(made)
        self._words = label(WORDS, "secondary", wrap=True)
        self._problem = label("", "error", wrap=True)
        self._problem.hide()
        self._stack = stacked(self.form, self.results)
        body = QVBoxLayout(self)
        body.setContentsMargins(MARGIN, MARGIN, 2, MARGIN)
        body.setSpacing(10)
        head.setContentsMargins(0, 0, 10, 0)
        body.addLayout(head)
        body.addLayout(row(self._runs, self._time, None, spacing=16))
        body.addWidget(self._words)
        body.addWidget(self._problem)
        body.addWidget(self._stack, 1)
        self.show_making()

    def minimumSizeHint(self) -> QSize:
        """The form scrolls, and so does what was found."""
        return QSize(LEAST_WIDTH, 240)

    @property
    def making(self) -> bool:
        """Whether a study is being made."""
        return self._stack.currentIndex() == MAKE

    def show_making(self) -> None:
        """Show the form."""
        self._turn(MAKE)

    def show_plan(self, file: StudyFile | None, plan: StudyPlan | None, problem: str) -> None:
        """Say what the form comes to, or what is wrong with it."""
        if not self.making:
            return
        self._runs.setText(runs_words(file, plan.axes, plan.runs) if file is not None and plan is not None else "")
        self._time.setText(time_words(plan) if plan is not None else "")
        self._problem.setText(problem)
        self._problem.setVisible(bool(problem))
        self.start.setEnabled(plan is not None)
        self.save.setEnabled(plan is not None)
        self.side.show_plan(file, plan, "")

    def show_study(self, file: StudyFile, axes: dict[str, int], standing_words: str) -> None:
        """Show what there is of a study."""
        if self.making:
            self._turn(WATCH)
        self._name.setText(file.name)
        self._runs.setText(runs_words(file, axes, len(file.named_runs())) if axes else "")
        self._time.setText(standing_words)

    def show_state(self, running: bool, done: bool, figures: bool, stopping: bool = False) -> None:
        """Say what can be done with the study that is shown."""
        watched = not self.making
        self.stop.setVisible(watched and running)
        self.stop.setEnabled(not stopping)
        self.go_on.setVisible(watched and not running and not done)
        self.report.setVisible(watched)
        self.report.setEnabled(figures)

    def say(self, problem: str) -> None:
        """Say what went wrong with the study that is shown."""
        self._problem.setText(problem)
        self._problem.setVisible(bool(problem))

    def fill_open(self, studies: list[str], ready: list[Path], ask: Callable[[str, str], None]) -> None:
        """Offer studies: a new one, those of the workspace, the ready-made ones, and any file.

        Args:
            studies: by name.
            ready: files of those that come with the program.
            ask: is given what is asked for, "new", "study", "ready" or "file", and its name.
        """
        menu = self.open_menu
        menu.clear()
        menu.addAction("New study").triggered.connect(lambda: ask("new", ""))
        menu.addAction("A file…").triggered.connect(lambda: ask("file", ""))
        for kind, names in (
            ("study", studies),
            ("ready", [path.name.removesuffix(".study.toml") for path in ready]),
        ):
            if names:
                menu.addSeparator()
            for name in names:
                text = printable(name) if kind == "study" else f"Ready-made: {name}"
                menu.addAction(text).triggered.connect(lambda _=False, kind=kind, name=name: ask(kind, name))

    def _turn(self, face: int) -> None:
        making = face == MAKE
        self._stack.setCurrentIndex(face)
        self._title.setVisible(making)
        self._name.setVisible(not making)
        self._words.setVisible(making)
        self._problem.hide()
        for made in (self.save, self.start):
            made.setVisible(making)
        self.another.setVisible(not making)
        for made in (self.stop, self.go_on, self.report):
            made.setVisible(False)
