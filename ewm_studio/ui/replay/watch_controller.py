"""Joins the Replay page to what is kept: lists, makes and compares episodes off the GUI thread, and exports them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, Signal

from ewm_studio import formatting as format
from ewm_studio.analysis.latent_space import LatentPath
from ewm_studio.analysis.replay_loader import ReplayLoader, Watched
from ewm_studio.errors import JobError, Untrusted, UserError
from ewm_studio.ui.kit.files import ask_save
from ewm_studio.ui.replay.export_queue import ExportQueue
from ewm_studio.ui.replay.page import ReplayPage
from ewm_studio.ui.services import Services
from ewm_studio.workspace.pretrained import pretrained_models
from ewm_studio.workspace.replays import Evaluation, ReplayInfo

if TYPE_CHECKING:
    from ewm_studio.analysis.trace import OnProgress

_FILTERS = {"mp4": "Films (*.mp4)", "gif": "Moving pictures (*.gif)", "png": "Pictures (*.png)"}
_STEP = 0.01  # least share between two words on progress


class _Abandoned(Exception):
    """What was being made is not wanted any more."""


class WatchController(QObject):
    """Makes one thing at a time; of what is asked for meanwhile only the latest counts."""

    _progressed = Signal(int, float)  # which request, share done; from the thread that works

    def __init__(self, page: ReplayPage, services: Services, parent: QObject) -> None:
        super().__init__(parent)
        self._page, self._services, self._background = page, services, services.background
        self._loader = ReplayLoader()
        self.exports = ExportQueue(services.background, services.notices, self)
        self.exports.said.connect(page.show_export)
        self._plays = False  # the next episode that is shown begins to play by itself
        self._evaluation: Evaluation | None = None  # the one that is watched
        self._wanted: Path | None = None  # the folder of the one to be watched next
        self._turn = 0  # counts requests; what was made for an older one is dropped
        self._working = False
        self._next: Callable[[], None] | None = None  # begins the latest request
        self._words = ""
        self._listing = False
        page.evaluation_chosen.connect(self._open)
        page.episode_picked.connect(self._watch)
        page.compare_wanted.connect(self._fill_compare)
        page.export_asked.connect(self._export)
        services.notices.agreed.connect(self._on_agreed)
        self._progressed.connect(self._on_progress, Qt.ConnectionType.QueuedConnection)

    @property
    def idle(self) -> bool:
        """Whether everything that was asked for is shown."""
        return self.exports.idle and not (self._working or self._listing or self._next)

    def show(self, folder: str | Path) -> None:
        """Watch an evaluation as soon as the page is seen; its first episode plays by itself."""
        self._wanted, self._plays = Path(folder), True
        self.refresh()

    def refresh(self) -> None:
        """Look which evaluations there are, if the page is seen."""
        if self._page.isVisible() and not self._listing:
            self._listing = True
            self._background(self._services.workspace.evaluations, self._on_listed, self._on_not_listed)

    def forget(self) -> None:
        """Another workspace: what is watched is not in it."""
        self._abandon()
        self._evaluation = self._wanted = None
        self._page.show_watched(None)
        self._page.show_evaluations([], None)
        self.refresh()

    def end(self) -> None:
        """Stop playing, and what is being made, at its next frame."""
        self._abandon()
        self.exports.end()
        self._page.player.pause()

    # Evaluations

    def _on_listed(self, evaluations: list[Evaluation]) -> None:
        self._listing = False
        by_folder = {evaluation.folder: evaluation for evaluation in evaluations}
        shown = self._evaluation.folder if self._evaluation else None
        wanted = self._wanted if self._wanted in by_folder else shown if shown in by_folder else None
        chosen = by_folder[wanted] if wanted else next(iter(evaluations), None)
        self._page.show_evaluations(evaluations, chosen)
        self._wanted = None
        if chosen is None:
            self._evaluation = None
            self._page.show_watched(None)
        elif chosen.folder != shown:
            self._open(chosen)
        elif self._page.watched is not None and not self._working:
            self._play()

    def _on_not_listed(self, error: BaseException) -> None:
        self._listing = False
        self._services.notices.fail(error, "list the evaluations")

    def _open(self, evaluation: Evaluation) -> None:
        """List the episodes; the page picks the first."""
        self._evaluation = evaluation
        self._request(lambda _: evaluation.episodes(), partial(self._on_episodes, evaluation), "")

    def _on_episodes(self, evaluation: Evaluation, episodes: list[ReplayInfo]) -> None:
        if episodes:
            self._page.show_episodes(evaluation, episodes)
        else:
            self._page.say(f"{evaluation.folder}: no episode in it can be read any more")

    # Episodes

    def _on_agreed(self, _: str) -> None:
        """What could not be made because nobody had agreed to its environment's module may be made now."""
        if self._evaluation is not None and self._page.watched is None:
            self._open(self._evaluation)

    def _watch(self, episode: ReplayInfo) -> None:
        evaluation = self._evaluation
        if evaluation is None:
            return
        words = f"Playing seed {episode.seed} again"
        self._request(lambda progress: self._loader.watch(evaluation, episode, progress), self._on_watched, words)

    def _on_watched(self, watched: Watched) -> None:
        self._page.show_watched(watched)
        self._play()

    def _play(self) -> None:
        """Play what is shown, where that was asked for; on a page that nobody sees it waits."""
        if self._plays and self._page.isVisible():
            self._plays = False
            if not self._page.player.playing:
                self._page.player.toggle()

    def _fill_compare(self) -> None:
        menu, watched = self._page.compare_menu, self._page.watched
        menu.clear()
        if watched is None:
            return
        if self._page.rival is not None:
            menu.addAction("Stop comparing").triggered.connect(lambda: self._page.show_watched(watched))
            menu.addSeparator()
        for info in self._services.workspace.runs():
            if info.checkpoint and info.env == watched.replay.env.id and info.name != watched.name:
                best = f"   {format.significant(info.best_reward)}" if info.best_reward is not None else ""
                action = menu.addAction(f"{info.title or info.name}{best}")
                action.triggered.connect(partial(self.compare, info.name))
        for model in pretrained_models():
            if model.env == watched.replay.env.id and model.name != watched.name:
                action = menu.addAction(f"{model.name} (comes with the studio)   {format.significant(model.score)}")
                action.triggered.connect(partial(self.compare, model.name))
        if menu.isEmpty():
            menu.addAction(f"Nothing else has a model for {watched.replay.env.id}").setEnabled(False)

    def compare(self, run: str) -> None:
        """Have the best model of a run, or one that comes with the studio, play the seed that is watched."""
        watched = self._page.watched
        if watched is None:
            return
        model, replay = self._services.workspace.model_named(run), watched.replay
        words = f"{run} plays seed {replay.seed}"
        self._request(
            lambda progress: self._loader.rival(run, model, replay, progress),
            lambda rival: self._page.show_watched(watched, rival),
            words,
            keeps=True,
        )

    # Latent space

    @property
    def evaluation(self) -> Evaluation | None:
        """The one that is watched."""
        return self._evaluation

    def latent_paths(self, most: int, then: Callable[[list[LatentPath]], None]) -> None:
        """Bring the first episodes of the evaluation as paths in latent space."""
        evaluation, episodes = self._evaluation, self._page.table.episodes.episodes[:most]
        if evaluation is not None:
            words = f"Playing {len(episodes)} episodes again"
            self._request(
                lambda progress: self._loader.latent_paths(evaluation, episodes, progress), then, words, keeps=True
            )

    # Export

    def _export(self, kind: str) -> None:
        watched = self._page.watched
        if watched is None:
            return
        start = self._services.workspace.path / f"{watched.name}-seed-{watched.replay.seed}.{kind}"
        path = ask_save(self._page.window(), "Export", "films", start, _FILTERS[kind])
        if path is not None:
            self.export(path if path.suffix else Path(f"{path}.{kind}"))

    def export(self, path: Path) -> None:
        """Write what is shown, after what was asked for before: the whole replay, or as .png the frame."""
        watched = self._page.watched
        if watched is not None:
            self.exports.add(path, self._page.panes, watched.trace.fps, self._page.player.frame)

    # One request at a time

    def _request(
        self, work: Callable[[OnProgress], Any], then: Callable[[Any], None], words: str, keeps: bool = False
    ) -> None:
        """Have something made, in place of what is being made.

        Args:
            work: makes it in another thread, given whom to tell how far it is.
            then: gets it.
            words: what it is.
            keeps: whether a failure leaves the page as it is, and is told in a dialog.
        """
        self._abandon()
        turn = self._turn

        def begin() -> None:
            self._working, self._next, self._words = True, None, words
            if words:
                self._page.show_progress(0.0, words)
            self._background(
                lambda: work(self._teller(turn)),
                partial(self._on_made, turn, then),
                partial(self._on_not_made, turn, keeps),
            )

        self._next = begin
        self._go_on()

    def _abandon(self) -> None:
        self._turn += 1
        self._next = None

    def _go_on(self) -> None:
        if not self._working and self._next is not None:
            self._next()

    def _teller(self, turn: int) -> OnProgress:
        """Tells this thread how far the other is, and ends it when it is not wanted any more."""
        told = 0.0

        def tell(share: float) -> None:
            nonlocal told
            if turn != self._turn:
                raise _Abandoned
            if share - told >= _STEP:
                told = share
                self._progressed.emit(turn, share)

        return tell

    def _on_progress(self, turn: int, share: float) -> None:
        if turn == self._turn and self._working:
            self._page.show_progress(share, f"{self._words}, {share:.0%}")

    def _on_made(self, turn: int, then: Callable[[Any], None], made: Any) -> None:
        self._working = False
        if turn == self._turn:
            self._page.show_progress(None)
            then(made)
        self._go_on()

    def _on_not_made(self, turn: int, keeps: bool, error: BaseException) -> None:
        self._working = False
        if turn == self._turn:
            self._page.show_progress(None)
            if keeps or isinstance(error, Untrusted):
                self._services.notices.fail(error, "play the episode again")
            else:
                known = isinstance(error, UserError | JobError)
                self._page.say(str(error) if known else f"{type(error).__name__}: {error}")
        self._go_on()
