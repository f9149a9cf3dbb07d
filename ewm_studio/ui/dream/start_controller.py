"""Joins the choice of a dream's start to what there is: models, replays, recordings; makes the previews."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QObject, QTimer

from ewm_studio import formatting as format
from ewm_studio.data.library import Library, RecordingInfo
from ewm_studio.data.recordings import EpisodeInfo
from ewm_studio.driving.dream_beginning import FromRecording, FromReplay, Source
from ewm_studio.errors import JobError, Untrusted, UserError
from ewm_studio.jobs.kept_assessment import kept_assessment
from ewm_studio.ui.dream.page import DreamPage
from ewm_studio.ui.kit import store
from ewm_studio.ui.services import Services
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.replays import Evaluation, ReplayInfo

if TYPE_CHECKING:
    from ewm_studio.acting.agent import Agent
    from ewm_studio.dreams.dream_models import DreamModel

PREVIEW_MILLISECONDS = 250  # after the last change of the source
_MODEL = "dream/model"


class StartController(QObject):
    """Knows the models that can dream and the source that is chosen; all work is off the GUI thread."""

    def __init__(self, page: DreamPage, services: Services, parent: QObject) -> None:
        super().__init__(parent)
        self.page, self._services, self._background = page, services, services.background
        self.models: list[DreamModel] = []
        self.model: DreamModel | None = None
        self.measure: dict[str, float] | None = None  # of the trust meter
        self._agent: tuple[Path, Agent] | None = None  # the last that was loaded
        self._turn = 0  # counts previews that were asked for; of several only the latest counts
        self._previewing = self._listing = False
        self._followed: str | None = None  # what the experiment started from when it was last looked
        self._asked = ""  # the model that is to dream from a source chosen elsewhere
        self._wanted: Source | None = None  # to be chosen once its list is there
        self._evaluations: list[Evaluation] = []
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(PREVIEW_MILLISECONDS)
        self._soon.timeout.connect(self._preview)
        start = page.start
        start.changed.connect(self._on_changed)
        start.evaluation_chosen.connect(self._open_evaluation)
        start.recording_chosen.connect(self._open_recording)
        page.strip.model_chosen.connect(self.choose_model)

    @property
    def idle(self) -> bool:
        """Whether everything that was asked for is shown."""
        return not (self._previewing or self._listing or self._soon.isActive())

    # What there is

    def refresh(self) -> None:
        """Look what there is, if the page is seen."""
        if not self.page.isVisible() or self._listing:
            return
        self._listing = True
        workspace = self._services.workspace

        def look() -> tuple[Any, ...]:
            from ewm_studio.dreams.dream_models import dream_models  # brings torch

            return workspace, dream_models(workspace), workspace.evaluations(), Library(workspace).recordings()

        self._background(look, self._on_listed, self._on_not_listed)

    def forget(self) -> None:
        """Another workspace: nothing that is shown is in it."""
        self._turn += 1
        self.models, self.model, self.measure, self._evaluations = [], None, None, []
        self.page.start.replay.show_groups([], None)
        self.page.start.recording.show_groups([], None)
        self.page.start.show_preview(None, None, "")
        self.page.show_preview()
        self.refresh()

    def _on_listed(self, found: tuple[Any, ...]) -> None:
        self._listing = False
        workspace, models, evaluations, recordings = found
        if workspace is not self._services.workspace:
            self.refresh()
            return
        self.models, self._evaluations = models, evaluations
        by_name = {model.name: model for model in reversed(models)}
        shown = self.model.name if self.model is not None else ""
        wanted = (self._asked, self._loaded(workspace), shown, store.text(_MODEL))
        self._asked = ""
        self._take_model(next((by_name[name] for name in wanted if name in by_name), next(iter(models), None)))
        self._show_evaluations(evaluations)
        self._show_recordings(recordings)
        self.page.show_models_there(bool(models))
        self._soon.start()

    def _loaded(self, workspace: Workspace) -> str:
        """The name of the model that the experiment starts from since the last look, where one can dream in it."""
        name = self._services.experiment.start.load_path
        if name == self._followed or self.page.dreaming:
            return ""
        self._followed = name
        if not name:
            return ""
        try:
            path = workspace.resolve_model(name)
        except UserError:  # said where it is chosen
            return ""
        return next((model.name for model in self.models if model.path == path or model.folder in path.parents), "")

    def _on_not_listed(self, error: BaseException) -> None:
        self._listing = False
        self._services.notices.fail(error, "list what can be dreamt in")

    # The model

    def choose_model(self, name: str) -> None:
        """Dream in another model; the page's session takes it up where a dream goes on."""
        found = next((model for model in self.models if model.name == name), None)
        if found is not None and found != self.model:
            store.store().setValue(_MODEL, name)
            self._take_model(found)
            if not self.page.dreaming:
                self._soon.start()

    def _take_model(self, model: DreamModel | None) -> None:
        self.model = model
        self.page.strip.show_models(self.models, model.name if model is not None else "")
        self.read_assessment()

    def read_assessment(self) -> None:
        """Show what is known of the model's dreams, and measure trust by it."""
        found: dict[str, Any] | None = None
        if self.model is not None:
            try:
                found = kept_assessment(self.model.folder)
            except UserError as error:
                self.page.say(str(error))
        usual = (found or {}).get("trust", {}).get("usual")
        self.measure = usual if isinstance(usual, dict) else None
        self.page.trust.show_assessment(found)

    # Sources

    def choose(self, source: Source, model: str = "") -> None:
        """Choose a source from elsewhere, and the model of that name where it can dream."""
        if model:
            self.choose_model(model)
            self._asked = model  # also where it is not listed yet
        self._wanted = source
        self.page.start.choose("replay" if isinstance(source, FromReplay) else "recording")
        self._show_evaluations(self._evaluations)
        self.refresh()

    def _show_evaluations(self, evaluations: list[Evaluation]) -> None:
        choice = self.page.start.replay
        folder = self._wanted.path.parent if isinstance(self._wanted, FromReplay) else choice.group.currentData()
        groups = [(f"{e.run or e.model.name} · {format.date(e.created)}", e.folder) for e in evaluations]
        choice.show_groups(groups, folder)
        if groups:
            self._open_evaluation(choice.group.currentData())

    def _open_evaluation(self, folder: object) -> None:
        evaluation = next((found for found in self._evaluations if found.folder == folder), None)
        if evaluation is not None:
            self._background(evaluation.episodes, partial(self._on_replays, evaluation))

    def _on_replays(self, evaluation: Evaluation, replays: list[ReplayInfo]) -> None:
        choice, wanted = self.page.start.replay, self._wanted
        if choice.group.currentData() != evaluation.folder:
            return
        episodes = [
            (f"seed {info.seed} · {format.significant(info.reward)}", info.path, info.frames) for info in replays
        ]
        if isinstance(wanted, FromReplay) and wanted.path.parent == evaluation.folder:
            self._wanted = None
            choice.show_episodes(episodes, wanted.path, wanted.frame)
        elif choice.chosen is None or choice.chosen[0] not in [info.path for info in replays]:
            choice.show_episodes(episodes)

    def _show_recordings(self, recordings: list[RecordingInfo]) -> None:
        choice = self.page.start.recording
        wanted = (
            self._wanted.path.parent.name if isinstance(self._wanted, FromRecording) else choice.group.currentData()
        )
        choice.show_groups([(f"{info.name} · {info.episodes} episodes", info.name) for info in recordings], wanted)
        if recordings:
            self._open_recording(str(choice.group.currentData()))

    def _open_recording(self, name: str) -> None:
        library = Library(self._services.workspace)
        self._background(lambda: library.find(name).episodes, partial(self._on_episodes, name))

    def _on_episodes(self, name: str, found: list[EpisodeInfo]) -> None:
        choice, wanted = self.page.start.recording, self._wanted
        if choice.group.currentData() != name:
            return
        episodes = [(f"episode {i.path.stem} · {format.significant(i.total_reward)}", i.path, i.length) for i in found]
        if isinstance(wanted, FromRecording) and wanted.path.parent.name == name:
            self._wanted = None
            choice.show_episodes(episodes, wanted.path, wanted.frame)
        elif choice.chosen is None or choice.chosen[0] not in [info.path for info in found]:
            choice.show_episodes(episodes)

    # Previews

    def _on_changed(self) -> None:
        self._soon.start()

    def _preview(self) -> None:
        """Show what is really at the source and what vision sees of it."""
        model, source = self.model, self.page.start.source
        if model is None or not self.page.isVisible() or self._previewing:
            return
        self._turn += 1
        if source is None:
            self.page.start.show_preview(None, None, "")
            self.page.show_preview()
            return
        self._previewing = True
        known, turn = self._agent, self._turn
        self._background(
            lambda: _look(model.path, known, source),
            partial(self._on_previewed, turn, model, source),
            partial(self._on_not_previewed, turn, model, source),
        )

    def _on_previewed(self, turn: int, model: DreamModel, source: Source, found: tuple[Any, ...]) -> None:
        self._previewing = False
        agent, real, seen, words = found
        self._agent = model.path, agent
        if self._again(turn, model, source):
            return
        self.page.start.show_preview(real, seen, words)
        self.page.show_preview()

    def _on_not_previewed(self, turn: int, model: DreamModel, source: Source, error: BaseException) -> None:
        self._previewing = False
        if self._again(turn, model, source):
            return
        self.page.start.show_preview(None, None, "")
        known = isinstance(error, UserError | JobError)
        words = str(error) if known else f"{type(error).__name__}: {error}"
        self.page.start.say(words)
        self.page.show_preview(words)
        if isinstance(error, Untrusted):
            self._services.notices.fail(error)

    def _again(self, turn: int, model: DreamModel, source: Source) -> bool:
        """Whether something else is to be seen by now."""
        if turn == self._turn and model == self.model and source == self.page.start.source:
            return False
        self._soon.start()
        return True

    def end(self) -> None:
        """Look at nothing more."""
        self._soon.stop()
        self._turn += 1


def _look(path: Path, known: Any, source: Source) -> tuple[Any, np.ndarray | None, np.ndarray | None, str]:
    """The agent of a model file, and of a source what is really there, what vision sees, and words."""
    from ewm_studio.acting.agent import load_agent
    from ewm_studio.dreams.fan import pictures_of
    from ewm_studio.driving.dream_beginning import load_start

    agent = known[1] if known is not None and known[0] == path else load_agent(path)
    start = load_start(agent, source)
    seen = pictures_of(agent.model, start.z[-1:])
    return agent, start.picture, None if seen is None else seen[0], start.words
