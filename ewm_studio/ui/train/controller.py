"""Joins the Plots page to the run that is shown: its plots and figures, other runs laid over it, exports, the log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from ewm_studio import formatting as format
from ewm_studio.analysis.figures import evaluation_result
from ewm_studio.analysis.inspection import EnvironmentInfo
from ewm_studio.analysis.settings_diff import differences
from ewm_studio.errors import UserError
from ewm_studio.events import CheckpointSaved, EvaluationKept, Event, Finished, Images
from ewm_studio.settings import Experiment
from ewm_studio.ui.jobs.event_words import evaluation_words
from ewm_studio.ui.kit.files import ask_save
from ewm_studio.ui.kit.images import difference
from ewm_studio.ui.kit.log_file import LogFile
from ewm_studio.ui.kit.theme import theme
from ewm_studio.ui.page import Page, PageAction, PageController, PlaceGroup
from ewm_studio.ui.plots.making import PlotMaking
from ewm_studio.ui.services import Services
from ewm_studio.ui.train.differences_dialog import DifferencesDialog
from ewm_studio.ui.train.looking import Looking
from ewm_studio.ui.train.page import TrainPage
from ewm_studio.ui.train.side_panel import SidePanel
from ewm_studio.workspace import Run

FIGURES_SECONDS = 0.5  # between two looks at the figures while plots keep being drawn
OFFERED = 20  # of the newest runs, to compare with
_EXPORTS = {"png": "Pictures (*.png)", "svg": "Drawings (*.svg)", "csv": "Tables (*.csv)"}


class TrainController(PageController):
    """Keeps plots and figures up to date."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._services = services
        self.page, self.side = TrainPage(services.shown.plots), SidePanel()
        self._stale = True  # the figures are older than the curves
        self._drawn = 0.0  # when the figures were brought up to date
        self._kept = ""  # folder of the evaluation that goes on, where its episodes can be watched
        self._finished = False  # it has said what it came to
        self._result = ""  # folder of the one whose result is shown
        self._log, self._looking = LogFile(services.workspace.path), Looking(services)
        self._making = PlotMaking(services.background, self.page.make_one, self._on_made, self)
        self._connect_page()
        self._connect_services()

    def _connect_page(self) -> None:
        page = self.page
        page.train_asked.connect(lambda: self._services.start("train"))
        page.compare_wanted.connect(self._fill_compare)
        page.export_asked.connect(self._export)
        page.empty.asked.connect(self.place_asked)
        self.side.look_asked.connect(lambda: self._looking.look(self.page))
        self.side.play_asked.connect(self._services.newest_asked)
        self.side.watch_asked.connect(self._watch)

    def _connect_services(self) -> None:
        services, shown = self._services, self._services.shown
        shown.replaced.connect(self._on_replaced)
        shown.emptied.connect(self.side.clear)
        shown.grew.connect(self._on_grown)
        shown.read_again.connect(self._on_read_again)
        shown.compared.connect(self._on_compared)
        shown.named.connect(lambda _: self.page.show_legend())
        self.page.legend.differences_asked.connect(services.notices.guarded(self._show_differences, "compare the runs"))
        self.page.legend.grouping_asked.connect(shown.group_seeds)
        theme().changed.connect(self.page.show_legend)
        services.jobs.events.connect(self._on_events)
        services.jobs.started.connect(self._on_started)
        services.jobs.ended.connect(self._on_ended)
        services.fitting.described.connect(self._on_environment)
        services.notices.said.connect(self._on_said)

    def begin(self) -> None:
        """Make the plots bit by bit: at once they would hold the window up."""
        self._making.begin()

    def end(self) -> None:
        """Make no more plots."""
        self._making.end()

    def _on_made(self) -> None:
        if self._services.shown.history.name:
            self._on_replaced()

    def shown(self) -> None:
        """Say, where no run is shown, whether there are any."""
        self._show_nothing()

    def _show_nothing(self) -> None:
        if self._services.shown.history.name:
            return
        self.page.show_nothing(bool(self._services.workspace.runs()))
        if self._services.shown.loading:
            self.page.show_loading()

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

    def show_workspace(self) -> None:
        """Show what the log of this workspace holds, and whether there are runs; the newest is read when it can be."""
        self._show_nothing()
        self._log = LogFile(self._services.workspace.path)
        self.page.log.show_kept(self._log.lines())

    def _on_said(self, text: str, level: str, good: bool) -> None:
        self.page.log.add(text, level, good)
        self._log.add(text, level, good)

    def reset_plots(self) -> None:
        """Show everything on every plot again."""
        self.page.reset_views()

    def toggle_log(self) -> None:
        """Show or hide the log."""
        self.page.toggle_log()

    # The run that is shown

    def _on_replaced(self) -> None:
        self._stale = True
        if not self._services.shown.history.name:
            self.page.history = self._services.shown.history
            self._show_nothing()
        elif self._making.going_on:
            self.page.show_loading()
        else:
            self.page.show_history(self._services.shown.history)
        self.page.show_legend()
        self._find_goal()
        self._find_evaluation(self._services.shown.run)

    def _find_goal(self) -> None:
        """The reward at which the environment of the run that is shown counts as solved."""
        about = self._services.shown.history.about
        self.page.set_threshold(None)
        if about is None:
            return

        def show(reward: float | None) -> None:
            if self._services.shown.history.about is about:
                self.page.set_threshold(reward)

        self._services.background(partial(_threshold, about.env), show)

    def _find_evaluation(self, run: Run | None) -> None:
        """What the newest evaluation of the run that is shown came to; it may be from before this start.

        Of one that goes on nothing is read: what it came to is said when it has ended.
        """
        self.side.clear()
        self.side.show_model(
            run is not None and self._services.shown.history.job == "train" and run.newest_model() is not None
        )
        if run is None or self._services.evaluates_shown:
            return

        def read() -> tuple[dict[str, Any], str]:
            newest = next(iter(run.evaluations()), None)
            return (evaluation_result(newest.episodes()), str(newest.folder)) if newest is not None else ({}, "")

        def show(found: tuple[dict[str, Any], str]) -> None:
            if found[0] and self._services.shown.run is run and not self._services.evaluates_shown:
                self._show_result(*found)

        self._services.background(read, show)

    def _show_result(self, result: dict[str, Any], folder: str) -> None:
        self._result = folder
        self.side.show_result(*evaluation_words(result), watchable=bool(folder))

    def _watch(self) -> None:
        """Turn to the evaluation whose result is shown, whichever was watched before."""
        self._services.turn_to("replay")
        self._services.evaluation_asked.emit(self._result)

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
        """The chosen environment is known: its goal is shown, unless a run has one of its own."""
        if self.page.history.about is None and info.id == self._services.experiment.env.id:
            self.page.set_threshold(info.reward_threshold)

    # What a job says

    def _on_events(self, events: list[Event]) -> None:
        """Show what the job says of the run that is shown."""
        latest: Images | None = None
        for event in events:
            if isinstance(event, Images):
                latest = event
            elif isinstance(event, EvaluationKept):
                self._kept = event.folder
            elif isinstance(event, CheckpointSaved) and self._services.shown.live:
                self.side.show_model(self._services.jobs.kind == "train")
            elif isinstance(event, Finished):
                self._finished = True
                if self._services.evaluates_shown:
                    self._show_result(event.result, self._kept)
        if latest is not None and self._services.shown.live:
            self._show_pictures(latest)

    def _on_started(self, _: str) -> None:
        self._kept, self._finished = "", False

    def _on_ended(self, kind: str, _: object) -> None:
        self.side.show_ended()
        if kind == "infer" and not self._finished:  # it failed: what is kept of it, or of an earlier one, stands
            self._find_evaluation(self._services.shown.run)

    def _show_pictures(self, event: Images) -> None:
        original, made = event.pictures.get("original"), event.pictures.get("reconstruction")
        apart = difference(original[0], made[0]) if original is not None and made is not None else None
        self.side.show_pictures(event.pictures, apart)

    # Comparing and exporting

    def _show_differences(self) -> None:
        """In which settings the runs on the plots differ.

        Raises:
            UserError: one of them has none that can be read.
        """
        shown, workspace = self._services.shown, self._services.workspace
        names = [history.name for history in (shown.history, *shown.plots.compared) if history.name]
        found = differences([Experiment.from_toml(workspace.run(name).folder / "experiment.toml") for name in names])
        DifferencesDialog(names, found, self.page.window()).open()

    def _fill_compare(self) -> None:
        menu, shown = self.page.compare_menu, self._services.shown
        menu.clear()
        laid = [history.name for history in shown.plots.compared]
        runs = self._services.workspace.runs()
        for info in runs[:OFFERED]:
            if info.name == shown.history.name:
                continue
            reward = f"   {format.significant(info.best_reward)}" if info.best_reward is not None else ""
            action = menu.addAction(f"{info.title or info.name}{reward}")
            action.setCheckable(True)
            action.setChecked(info.name in laid)
            action.triggered.connect(partial(self._compare, info.name))
        if menu.isEmpty():
            menu.addAction("No other runs yet").setEnabled(False)
        if len(runs) > OFFERED:
            menu.addSeparator()
            menu.addAction("All in Runs…").triggered.connect(lambda: self._services.turn_to("runs"))

    def _compare(self, name: str, _: bool = False) -> None:
        self._services.shown.toggle_compared(self._services.workspace.run(name))

    def _export(self, kind: str) -> None:
        """Write the plots to files that the user names."""
        services = self._services
        start = services.workspace.path / f"{services.shown.history.name or 'plots'}.{kind}"
        path = ask_save(self.page.window(), "Export", "plots", start, _EXPORTS[kind])
        if path is None:
            return
        try:
            files = self.page.export(kind, path)
        except OSError as error:
            where = UserError(f"{path}: cannot be written ({error.strerror}); choose another place")
            services.notices.fail(where, "export the plots")
            return
        services.notices.tell(f"exported {', '.join(str(file) for file in files)}")


def _threshold(env: str) -> float | None:
    from ewm_studio.envs.factory import reward_threshold  # imports gymnasium

    return reward_threshold(env)


def make_page(services: Services) -> Page:
    """The page of the run that is trained, or was."""
    controller = TrainController(services)
    actions = (
        PageAction("log", "Log", "View", "Ctrl+L", controller.toggle_log),
        PageAction("reset_plots", "Show whole plots", "View", "Ctrl+0", controller.reset_plots),
    )
    return Page("train", "Plots", "train", controller.page, controller, controller.side, actions=actions)
