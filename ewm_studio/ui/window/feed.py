"""A job's events, turned into what the window shows."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from ewm_studio import formatting as format
from ewm_studio.events import (
    CheckpointSaved,
    EpisodeFinished,
    EvaluationKept,
    Event,
    Finished,
    Images,
    Message,
    Metrics,
    Progress,
    RunStarted,
)
from ewm_studio.ui.kit.images import difference
from ewm_studio.ui.window.main_window import MainWindow
from ewm_studio.ui.window.run_view import RunView
from ewm_studio.workspace import Workspace


class Feed(QObject):
    """Shows the events of one job after another."""

    evaluation_kept = Signal(str)  # its folder; told when the job is done

    def __init__(self, window: MainWindow, view: RunView, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._view = window, view
        self._kind = ""
        self._epoch = 0
        self._kept = ""  # folder of the evaluation that goes on
        self.last_result = ""  # what the last job came to, in a few words

    def begin(self, kind: str) -> None:
        """Another job's events follow."""
        self._kind, self._epoch, self._kept, self.last_result = kind, 0, "", ""

    def take(self, events: list[Event], workspace: Workspace) -> None:
        """Show what came, in order; of progress and pictures only the latest."""
        changed: set[str] = set()
        latest: dict[type, Event] = {}
        for event in events:
            if isinstance(event, Progress | Images):
                latest[type(event)] = event
            else:
                changed.update(self._take(event, workspace))
        progress, images = latest.get(Progress), latest.get(Images)
        if isinstance(progress, Progress):
            self._window.bar.show_progress(progress, self._epoch)
        if isinstance(images, Images):
            self._show_images(images)
        if changed:
            self._view.mark(tuple(changed))

    def _take(self, event: Event, workspace: Workspace) -> tuple[str, ...]:
        """One event that must not be skipped; gives the tags that changed."""
        log = self._window.train_page.log
        if isinstance(event, EpisodeFinished):
            if self._kind != "infer":
                return self._view.history.add_episode(event)
            words = f"seed {event.seed}: reward {format.significant(event.reward)}, {format.count(event.length)} steps"
            log.add(words)
        elif isinstance(event, Metrics):
            self._epoch = event.epoch
            return self._view.history.add_metrics(event)
        elif isinstance(event, RunStarted):
            log.add(f"{event.job} started: {event.summary}", good=True)
            self._window.bar.show_stages(event.stages)
            if event.run:
                self._view.begin(workspace.run(event.run), event.job)
        elif isinstance(event, CheckpointSaved):
            self._view.inspector.show_model(event.path)
            mean = f" (best mean {format.significant(event.mean_reward)})" if event.best and event.mean_reward else ""
            log.add(f"checkpoint at {format.count(event.step)} steps saved{mean}", good=True)
        elif isinstance(event, EvaluationKept):
            self._kept = event.folder
        elif isinstance(event, Message):
            log.add(event.text, event.level)
        elif isinstance(event, Finished):
            self._show_finished(event)
        return ()

    def _show_images(self, event: Images) -> None:
        original, made = event.pictures.get("original"), event.pictures.get("reconstruction")
        apart = difference(original[0], made[0]) if original is not None and made is not None else None
        self._window.side.show_pictures(event.pictures, apart)
        self._window.vision_page.show_pictures(event.pictures, event.step)
        self._view.inspector.frames_changed()

    def _show_finished(self, event: Finished) -> None:
        result = event.result
        if self._kind == "infer":
            count = len(result.get("episodes", []))
            title = f"{format.significant(result.get('mean'))} ± {format.significant(result.get('std'))}"
            low, high = format.significant(result.get("min")), format.significant(result.get("max"))
            median = format.significant(result.get("median"))
            words = f"evaluation over {count} episodes, from {low} to {high}, median {median}"
            if "laps_finished" in result:
                words += f", {result['laps_finished']:.0%} of laps finished"
            self.last_result = f"Evaluated: {title} over {count} episodes"
            if "worst" in result:
                found = (f"seed {seed} ({format.significant(reward)})" for seed, reward in result["worst"].items())
                self._window.train_page.log.add(f"worst: {', '.join(found)}")
            self._window.side.show_result(title, words, watchable=bool(self._kept))
            if self._kept:
                self.evaluation_kept.emit(self._kept)
        else:
            seconds = format.duration(result.get("seconds"))
            mean = result.get("mean_reward")
            reward = f", mean reward {format.significant(mean)}" if mean is not None else ""
            how = "Stopped" if event.stopped_by == "stop" else "Finished"
            self.last_result = f"{how} after {seconds}{reward}"
        self._window.train_page.log.add(self.last_result, good=True)
