"""Joins the Study page to the workspace: which study is shown, making one, running it, and its report."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ewm_studio.errors import UserError
from ewm_studio.jobs.studies.found import named_study, studies_of, study_of
from ewm_studio.jobs.studies.outcome import write_outcome
from ewm_studio.resources import study_presets
from ewm_studio.settings.study_file import ENDING, StudyFile
from ewm_studio.ui.kit.files import ask_open, ask_save, show_outside
from ewm_studio.ui.page import Page, PageController
from ewm_studio.ui.replacing import replace_study
from ewm_studio.ui.services import Services
from ewm_studio.ui.study.making import MakingController
from ewm_studio.ui.study.page import StudyPage
from ewm_studio.ui.study.pdf import write_pdf
from ewm_studio.ui.study.watching import WatchingController
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import StudyFolder

_FILES = f"Studies (*{ENDING})"


class StudyController(PageController):
    """One study is made, or one is shown."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._services = services
        self.page = StudyPage()
        self.making = MakingController(self.page, services, self)
        self.watching = WatchingController(self.page, services, self)
        guarded = services.notices.guarded
        page = self.page
        page.start_asked.connect(guarded(self._start, "run the study"))
        page.save_asked.connect(guarded(self._save, "save the study"))
        page.resume_asked.connect(guarded(self._go_on, "go on with the study"))
        page.stop_asked.connect(guarded(self.watching.stop, "stop the study"))
        page.another_asked.connect(guarded(self._make_another, "make another study"))
        page.report_asked.connect(lambda what: guarded(partial(self._report, what), "write the report")())
        page.results.run_asked.connect(services.run_asked)
        page.open_menu.aboutToShow.connect(self._fill_open)
        self.watching.activity.connect(self.activity)

    def shown(self) -> None:
        """Look at what the study came to since."""
        self.making.refresh()
        self.watching.look()

    def watch(self) -> None:
        """Another process may run it."""
        if not self.watching.running:
            self.watching.look()

    def show_workspace(self) -> None:
        """Show the form that was not saved, or else the study that is run here, or was last, or else an empty form."""
        self.making.keep()  # of the workspace before
        self.watching.leave()
        if self.making.take_up():
            return
        path = self._services.workspace.path
        begun = [name for name in studies_of(path) if StudyFolder(path, name).begun]
        name = next((name for name in begun if StudyFolder(path, name).running), next(iter(begun), ""))
        if not name or not self._try_to_show(name):
            self.making.begin()

    def end(self) -> None:
        """Look at nothing more; a study that runs goes on."""
        self.making.end()
        self.watching.end()

    def _try_to_show(self, name: str) -> bool:
        """Show a study of the workspace; False where its file cannot be read, which is said."""
        try:
            self._show(name)
        except UserError as error:
            self._services.notices.tell(str(error), "error")
            return False
        return True

    def _show(self, name: str) -> None:
        path = self._services.workspace.path
        file = study_of(path, name)
        if StudyFolder(path, name).begun:
            self.watching.watch(file)
        else:
            self.watching.leave()
            self.making.begin(file.study, name, file.path.name, editing=name)

    # Which study

    def _fill_open(self) -> None:
        def ask(what: str, name: str) -> None:
            self._services.notices.guarded(partial(self._open, what, name), "open the study")()

        self.page.fill_open(studies_of(self._services.workspace.path), study_presets(), ask)

    def _open(self, what: str, name: str) -> None:
        if what == "file":
            chosen = ask_open(self.page.window(), "Open study", "study", self._services.workspace.path, _FILES)
            if chosen is not None:
                self._replace("Open another study", lambda: self._take(named_study(chosen)))
        elif what == "study":
            self._replace("Open another study", lambda: self._show(name))
        elif what == "ready":
            self._replace("Open another study", lambda: self._take(named_study(name)))
        else:
            self._replace("New study", self._make_new)

    def _replace(self, title: str, then: Callable[[], None]) -> None:
        """Do what puts something in the form's place, once it is sure that this may go."""

        def go_on() -> None:
            then()
            self.making.keep()

        replace_study(self._services, self.page.window(), title, go_on, self.making.edited)

    def _make_new(self) -> None:
        self.watching.leave()
        self.making.begin()

    def _take(self, file: StudyFile) -> None:
        """Show a study from a file, or have it made here where it was never run."""
        path = self._services.workspace.path
        if StudyFolder(path, file.name).begun or file.path.parent.resolve() == path.resolve():
            self._show(file.name)
        else:
            self.watching.leave()
            self.making.begin(file.study, file.name, file.path.name)

    def _make_another(self) -> None:
        file = self.watching.file
        if file is None:
            self._make_new()
        else:
            self.watching.leave()
            self.making.begin(file.study, file.name, file.path.name)

    # Running it

    def _save(self) -> None:
        file = self.making.save()
        self._services.notices.tell(f"saved {file.path}")

    def _start(self) -> None:
        if self.making.by_the_form and not self._services.all_taken():
            return
        self.watching.run(self.making.save())

    def _go_on(self) -> None:
        if self.watching.file is not None:
            self.watching.run(self.watching.file)

    # Its report

    def _report(self, what: str) -> None:
        file = self.watching.file
        if file is None:
            return
        workspace = self._services.workspace
        if what == "files":
            self._show_outside(StudyFolder(workspace.path, file.name).path)
            return
        path: Path | None = None
        if what == "pdf":
            path = ask_save(
                self.page.window(), "Save as PDF", "report", workspace.path / f"{file.name}.pdf", "PDF (*.pdf)"
            )
            if path is None:
                return
            path = path if path.suffix.lower() == ".pdf" else path.with_name(f"{path.name}.pdf")
        self._services.notices.told.emit("writing the report…")  # for the log it is nothing yet
        self._services.background(
            lambda: _written(file, workspace), partial(self._on_written, path), self._on_unwritten
        )

    def _on_written(self, pdf: Path | None, report: Path) -> None:
        """The report is there: print it, or show it."""
        if pdf is None:
            self._show_outside(report)
        else:
            self._services.notices.guarded(partial(self._print, report, pdf), "save the report")()

    def _print(self, report: Path, pdf: Path) -> None:
        write_pdf(report, pdf)
        self._services.notices.tell(f"saved {pdf}")

    def _show_outside(self, path: Path) -> None:
        if show_outside(path):
            self._services.notices.tell(f"opened {path}")
        else:
            self.page.say(f"This system opened nothing to show it. It is there: {path}")

    def _on_unwritten(self, error: BaseException) -> None:
        self._services.notices.fail(error, "write the report")


def _written(file: StudyFile, workspace: Workspace) -> Path:
    """Write the report in the study's folder; gives its path."""
    return Path(write_outcome(file, workspace)["report"])


def make_page(services: Services) -> Page:
    """The page of studies."""
    controller = StudyController(services)
    return Page(
        "study",
        "Study",
        "study",
        controller.page,
        controller,
        side=controller.page.side,
        beside_panel=False,  # tables and plots need the room
    )
