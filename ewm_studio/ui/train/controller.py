"""Joins the Train page to the run that is shown: its plots and figures, other runs laid over it, exports, the log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QFileDialog

from ewm_studio import formatting as format
from ewm_studio.analysis.inspection import EnvironmentInfo
from ewm_studio.envs.factory import reward_threshold
from ewm_studio.errors import UserError
from ewm_studio.events import EvaluationKept, Event, Finished, Images, RunStarted
from ewm_studio.ui.jobs.event_words import evaluation_words
from ewm_studio.ui.kit.images import difference
from ewm_studio.ui.kit.theme import theme
from ewm_studio.ui.page import Page, PageAction, PageController, PlaceGroup
from ewm_studio.ui.services import Services
from ewm_studio.ui.train.page import TrainPage
from ewm_studio.ui.train.side_panel import SidePanel

FIGURES_SECONDS = 0.5  # between two looks at the figures while plots keep being drawn
_EXPORTS = {"png": "Pictures (*.png)", "svg": "Drawings (*.svg)", "csv": "Tables (*.csv)"}


class TrainController(PageController):
    """Keeps plots and figures up to date."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._services = services
        self.page, self.side = TrainPage(services.shown.plots), SidePanel()
        self._stale = True  # the figures are older than the curves
        self._drawn = 0.0  # when the figures were brought up to date
        self._kept = False  # the episodes of the evaluation that goes on can be watched
        self._connect_page()
        self._connect_services()

    def _connect_page(self) -> None:
        page = self.page
        page.train_asked.connect(lambda: self._services.start("train"))
        page.compare_wanted.connect(self._fill_compare)
        page.export_asked.connect(self._export)
        page.empty.asked.connect(self.place_asked)
        self.side.watch_asked.connect(lambda: self._services.turn_to("replay"))

    def _connect_services(self) -> None:
        services, shown = self._services, self._services.shown
        shown.replaced.connect(self._on_replaced)
        shown.emptied.connect(self.side.clear)
        shown.grew.connect(self._on_grown)
        shown.read_again.connect(self._on_read_again)
        shown.compared.connect(self._on_compared)
        shown.named.connect(lambda _: self.page.show_legend())
        self.page.legend.grouping_asked.connect(shown.group_seeds)
        theme().changed.connect(self.page.show_legend)
        services.jobs.events.connect(self._on_events)
        services.jobs.ended.connect(lambda *_: self.side.show_ended())
        services.fitting.described.connect(self._on_environment)
        services.notices.said.connect(self.page.log.add)

    def redraw_one(self) -> bool:
        """Redraw a plot that changed, and the figures when there is none, or they have waited for long."""
        drawn, now = self.page.redraw_one(), time.monotonic()
        if self._stale and (not drawn or now - self._drawn > FIGURES_SECONDS):
            self._stale, self._drawn = False, now
            self.side.show_history(self._services.shown.history)
        return drawn

    def show_places(self, agents: PlaceGroup, workspaces: Sequence[PlaceGroup]) -> None:
        """Offer all of them."""
        self.page.empty.show_places((agents, *workspaces))

    def reset_plots(self) -> None:
        """Show everything on every plot again."""
        for card in self.page.cards:
            card.canvas.reset_view()

    def toggle_log(self) -> None:
        """Show or hide the log."""
        self.page.log.setVisible(self.page.log.isHidden())

    # The run that is shown

    def _on_replaced(self) -> None:
        self._stale = True
        self.page.show_history(self._services.shown.history)
        self.page.show_legend()
        if (about := self._services.shown.history.about) is not None:
            self.page.set_threshold(reward_threshold(about.env))

    def _on_grown(self, tags: tuple[str, ...]) -> None:
        self._stale = True
        self.page.mark(tags)

    def _on_read_again(self) -> None:
        self._stale = True
        self.page.refresh(self._services.shown.history)

    def _on_compared(self) -> None:
        self.page.show_legend()
        self.page.mark_all()

    def _on_environment(self, info: EnvironmentInfo) -> None:
        """Environments are known from now on, if they were not: also that of the run that is shown."""
        about = self.page.history.about
        self.page.set_threshold(info.reward_threshold if about is None else reward_threshold(about.env))

    # What a job says

    def _on_events(self, events: list[Event]) -> None:
        latest: Images | None = None
        for event in events:
            if isinstance(event, Images):
                latest = event
            elif isinstance(event, RunStarted):
                self._kept = False
            elif isinstance(event, EvaluationKept):
                self._kept = True
            elif isinstance(event, Finished) and self._services.jobs.kind == "infer":
                self.side.show_result(*evaluation_words(event.result), watchable=self._kept)
        if latest is not None:
            self._show_pictures(latest)

    def _show_pictures(self, event: Images) -> None:
        original, made = event.pictures.get("original"), event.pictures.get("reconstruction")
        apart = difference(original[0], made[0]) if original is not None and made is not None else None
        self.side.show_pictures(event.pictures, apart)

    # Comparing and exporting

    def _fill_compare(self) -> None:
        menu, shown = self.page.compare_menu, self._services.shown
        menu.clear()
        laid = [history.name for history in shown.plots.compared]
        for info in self._services.workspace.runs()[:20]:
            if info.name == shown.history.name:
                continue
            reward = f"   {format.significant(info.best_reward)}" if info.best_reward is not None else ""
            action = menu.addAction(f"{info.title or info.name}{reward}")
            action.setCheckable(True)
            action.setChecked(info.name in laid)
            action.triggered.connect(partial(self._compare, info.name))
        if menu.isEmpty():
            menu.addAction("No other runs yet").setEnabled(False)

    def _compare(self, name: str, _: bool = False) -> None:
        self._services.shown.toggle_compared(self._services.workspace.run(name))

    def _export(self, kind: str) -> None:
        """Write the plots to files that the user names."""
        services = self._services
        start = str(services.workspace.path / f"{services.shown.history.name or 'plots'}.{kind}")
        path, _ = QFileDialog.getSaveFileName(self.page.window(), "Export", start, _EXPORTS[kind])
        if not path:
            return
        try:
            files = self.page.export(kind, Path(path))
        except OSError as error:
            services.notices.fail(UserError(f"{path}: cannot be written ({error.strerror}); choose another place"))
            return
        services.notices.say(f"exported {', '.join(str(file) for file in files)}", good=True)


def make_page(services: Services) -> Page:
    """The page of the run that is trained, or was."""
    controller = TrainController(services)
    actions = (
        PageAction("log", "Log", "View", "Ctrl+L", controller.toggle_log),
        PageAction("reset_plots", "Show whole plots", "View", "Ctrl+0", controller.reset_plots),
    )
    return Page("train", "Train", "train", controller.page, controller, controller.side, actions=actions)
