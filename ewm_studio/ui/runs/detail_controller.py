"""Fills the pane beside the table of runs, off the GUI thread; of what was asked for only the latest counts."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject, QTimer

from ewm_studio.analysis.run_detail import Compared, RunDetail, compared, run_detail, settings_of
from ewm_studio.errors import UserError
from ewm_studio.ui.runs.detail import RunPane
from ewm_studio.ui.runs.page import RunsPage
from ewm_studio.ui.services import Services
from ewm_studio.workspace import RunInfo
from ewm_studio.workspace.replays import Evaluation

SETTLE_MILLISECONDS = 120  # walking the table by keys reads no run on the way
Found = tuple[RunDetail, Compared, str]


class DetailController(QObject):
    """Joins the pane to the run that is selected."""

    def __init__(self, page: RunsPage, pane: RunPane, services: Services, parent: QObject) -> None:
        super().__init__(parent)
        self._page, self._pane, self._services = page, pane, services
        self._rival = ""  # the run that settings are compared with, where one was chosen
        self._shown: tuple[str, ...] = ()  # what the pane tells of
        self._turn = 0
        self._reading = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(SETTLE_MILLISECONDS)
        self._later.timeout.connect(self._read)
        page.selected.connect(self.refresh)
        pane.rival_chosen.connect(self._choose_rival)
        pane.log_asked.connect(lambda: self._act("show"))
        pane.note_asked.connect(lambda: self._act("note"))
        pane.tags_asked.connect(lambda: self._act("tags"))
        pane.watch_asked.connect(self._watch)

    @property
    def idle(self) -> bool:
        """Whether the pane shows what is selected."""
        return not (self._reading or self._later.isActive())

    def end(self) -> None:
        """Read nothing more."""
        self._later.stop()

    def refresh(self) -> None:
        """Another run is selected, or something about it changed."""
        chosen = self._page.chosen_all
        self._pane.show_run(chosen[0] if chosen else None, len(chosen) - 1)
        names = tuple(info.name for info in chosen[:2])
        if names != self._shown:
            self._shown = names
            self._pane.show_detail(None)
            self._pane.show_settings(Compared(), "Reading…")
        if chosen:
            self._offer_rivals(chosen)
            self._later.start()

    def _offer_rivals(self, chosen: list[RunInfo]) -> None:
        """Of two that are selected each is the other's; else the one that was chosen last, or the defaults."""
        others = [info for info in self._page.table.runs if info.name != chosen[0].name]
        rival = chosen[1].name if len(chosen) > 1 else self._rival
        self._pane.show_rivals([(info.name, info.title or info.name) for info in others], rival)

    def _choose_rival(self, name: str) -> None:
        self._rival = name
        self._later.start()

    def _read(self) -> None:
        chosen = self._page.chosen_all
        if not chosen or not self._page.isVisible():
            return
        workspace = self._services.workspace
        try:
            run = workspace.run(chosen[0].name)
            name = str(self._pane.rival.currentData() or "")
            rival = workspace.run(name).folder if name else None
        except UserError:
            return  # gone since it was listed
        self._turn += 1

        def work() -> Found:
            detail = run_detail(run)
            if rival is None:
                return detail, detail.settings, detail.problem
            try:
                return detail, compared(settings_of(run.folder), settings_of(rival)), ""
            except UserError as error:
                return detail, Compared(), str(error)

        self._reading = True
        self._services.background(work, partial(self._on_read, self._turn), self._on_failed)

    def _on_read(self, turn: int, found: Found) -> None:
        if turn != self._turn:
            return
        self._reading = False
        detail, settings, problem = found
        self._pane.show_detail(detail)
        self._pane.show_settings(settings, problem)

    def _on_failed(self, _: BaseException) -> None:
        """The run was deleted while it was read, say: the table will tell."""
        self._reading = False

    def _act(self, what: str) -> None:
        self._page.ask(what)

    def _watch(self, evaluation: Evaluation) -> None:
        self._services.turn_to("replay")
        self._services.evaluation_asked.emit(evaluation.folder)
