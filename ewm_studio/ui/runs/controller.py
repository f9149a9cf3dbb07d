"""Joins the Runs page to the workspace: lists its runs, and does what is asked with one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QMenu

from ewm_studio.analysis.run_tags import retagged, tags_of, with_tags
from ewm_studio.errors import UserError
from ewm_studio.jobs.kinds import job_kind
from ewm_studio.jobs.launch import model_values
from ewm_studio.settings import ComponentChoice, Experiment
from ewm_studio.settings.typed_path import expanded
from ewm_studio.ui.kit.dialogs import Question, TextQuestion
from ewm_studio.ui.page import Page, PageAction, PageController, PlaceGroup
from ewm_studio.ui.replacing import replace_settings
from ewm_studio.ui.runs.assessing import Assessing
from ewm_studio.ui.runs.detail import RunPane
from ewm_studio.ui.runs.detail_controller import DetailController
from ewm_studio.ui.runs.page import ACTIONS, PARTS, RunsPage
from ewm_studio.ui.services import Services
from ewm_studio.workspace.pretrained import pretrained_models
from ewm_studio.workspace.workspace import name_problem

DOING = {
    "show": "show the run",
    "compare": "compare the runs",
    "load": "load the model",
    "patch_v": "take the vision",
    "patch_m": "take the memory",
    "patch_c": "take the controller",
    "settings": "use the run's settings",
    "assess": "show the assessment",
    "rename": "rename the run",
    "note": "write the note",
    "tags": "write the tags",
    "delete": "delete the run",
}  # what failed, for its dialog; whatever else is asked starts a job
DOING_TO_SEVERAL = {"compare": "compare the runs", "tags": "write the tags", "delete": "delete the runs"}
FROM_MODELS = ("load", *PARTS)
NAME_MODELS = ("start.load_path", "start.patch_load_path")


class RunsController(PageController):
    """Everything that can be done with a run."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._services = services
        self.page = RunsPage()
        self.assessing = Assessing(self.page, services, self)
        self.pane = RunPane()
        self.detail = DetailController(self.page, self.pane, services, self)
        self._answers: dict[str, Callable[[str], None]] = {
            "show": services.show_run,
            "resume": services.resume,
            "compare": self._compare,
            "continue": lambda name: self._replace("Continue from here", lambda: self._continue(name)),
            "load": self._load_model,
            "patch_v": partial(self._patch, "vision"),
            "patch_m": partial(self._patch, "memory"),
            "patch_c": partial(self._patch, "controller"),
            "assess": self.assessing.open,
            "settings": lambda name: self._replace("Use its settings", lambda: self._use_settings(name)),
            "rename": self._rename,
            "note": self._note,
            "tags": lambda name: self._tags([name]),
            "delete": lambda name: self._delete([name]),
        }
        self._answers_of_several: dict[str, Callable[[list[str]], None]] = {
            "compare": self._compare_all,
            "tags": self._tags,
            "delete": self._delete,
        }
        self.page.others.aboutToShow.connect(self._fill_others)
        self.page.several_asked.connect(self._on_several_asked)
        self.page.asked.connect(self._on_asked)
        self.page.train_asked.connect(lambda: services.start("train"))
        self.page.empty.asked.connect(self.place_asked)
        services.jobs.started.connect(self._on_started)
        services.run_asked.connect(self._on_run_asked)

    def show_workspace(self) -> None:
        """List its runs."""
        self._list()
        self.page.show_table()

    def _list(self) -> None:
        self.page.show_runs(self._services.workspace.runs())

    def shown(self) -> None:
        """List the runs as they are now."""
        self._list()

    def _on_run_asked(self, name: str) -> None:
        """Another page names a run to look at."""
        self._services.turn_to("runs")
        self.page.show_table()
        self.page.search.clear()
        self.page.choose(name)

    def watch(self) -> None:
        """Another process may have written."""
        self._list()

    def show_places(self, agents: PlaceGroup, workspaces: Sequence[PlaceGroup]) -> None:
        """Offer the trained agents."""
        self.page.empty.show_places((agents,))

    def _fill_others(self) -> None:
        self.page.others.clear()
        self.fill_models(self.page.others)

    def fill_binned(self, menu: QMenu) -> None:
        """Offer the runs that were deleted, the latest first."""
        for name in self._services.workspace.binned_runs():
            restore = self._services.notices.guarded(partial(self._restore, name), "restore the run")
            menu.addAction(name).triggered.connect(restore)
        if menu.isEmpty():
            menu.addAction("The bin is empty").setEnabled(False)

    def fill_models(self, menu: QMenu) -> None:
        """Offer the models that are of no run: those that come with the studio, and those that were pulled."""
        shipped = {model.name: model.model for model in pretrained_models()}
        for name in {**shipped, **self._services.workspace.pulled_models()}:
            uses = menu.addMenu(name)
            for what in FROM_MODELS:
                uses.addAction(ACTIONS[what][0]).triggered.connect(partial(self._on_asked, what, name))
        if menu.isEmpty():
            menu.addAction("There are none").setEnabled(False)

    def _on_asked(self, what: str, name: str) -> None:
        self._services.notices.guarded(lambda: self._answers[what](name), DOING.get(what, ""))()

    def _on_several_asked(self, what: str, names: list[str]) -> None:
        self._services.notices.guarded(lambda: self._answers_of_several[what](names), DOING_TO_SEVERAL[what])()

    def end(self) -> None:
        """Read nothing more."""
        self.detail.end()

    def _on_started(self, kind: str) -> None:
        """A run that was asked for begins: its curves are what is looked for next. One that waited turns no page."""
        if job_kind(kind).makes_run and self.page.isVisible() and self._services.jobs.at_once:
            self._services.turn_to("train")

    # Looking at it

    def _compare(self, name: str) -> None:
        shown = self._services.shown
        if name == shown.history.name:
            raise UserError(f"{name} is the run on the plots already: choose another one to compare it with.")
        if not shown.history.name:
            self._services.show_run(name)
            return
        shown.toggle_compared(self._services.workspace.run(name))
        self._services.turn_to("train")

    def _compare_all(self, names: list[str]) -> None:
        """Lay all of them over each other, the first on the plots where none of them is there yet."""
        shown = self._services.shown
        if shown.history.name not in names:
            self._services.show_run(names[0])
        there = {shown.history.name, *(history.name for history in shown.plots.compared)}
        for name in names:
            if name not in there:
                shown.toggle_compared(self._services.workspace.run(name))
        self._services.turn_to("train")

    # Going on from it

    def _experiment_of(self, name: str) -> Experiment:
        """A run's settings, its parts named in full."""
        return Experiment.from_toml(self._services.workspace.run(name).folder / "experiment.toml")

    def _replace(self, title: str, then: Callable[[], None]) -> None:
        replace_settings(self._services, self.page.window(), title, then)

    def _continue(self, name: str) -> None:
        settings = self._experiment_of(name)
        start = settings.start.model_copy(update={"load_path": name, "patch_load_path": None, "patch": None})
        self._services.document.replace(settings.model_copy(update={"start": start}))
        self._services.enqueue("train")

    def _load_model(self, name: str) -> None:
        """Start from a model: its environment and parts come with it, everything else stays as it is."""
        self._services.document.start_from(name, model_values(self._services.workspace, name))
        self._services.notices.tell(f"the next run starts from the best model of {name}")
        if not self._services.shown.live and name in {info.name for info in self._services.workspace.runs()}:
            self._services.shown.look_into(self._services.workspace.run(name))

    def _patch(self, kind: str, name: str) -> None:
        """Take one part from a model. There is one giver at a time: parts of another one are forgotten."""
        there, here = model_values(self._services.workspace, name), self._services.experiment
        taken = (here.start.patch or "") if here.start.patch_load_path == name else ""
        letters = "".join(letter for letter in "vmc" if letter in taken or letter == kind[0])
        start = here.start.model_copy(update={"patch_load_path": name, "patch": letters})
        self._services.document.edit(here.model_copy(update={"start": start, kind: ComponentChoice(**there[kind])}))
        self._services.notices.tell(f"the next run takes its {kind} from {name}")

    def _use_settings(self, name: str) -> None:
        self._services.document.replace(self._experiment_of(name))

    # Its name, its note, and its end

    def _rename(self, name: str) -> None:
        def rename(new: str) -> None:
            self._services.notices.guarded(lambda: self._renamed(name, new), DOING["rename"])()

        def retitle(new: str) -> None:
            self._services.notices.guarded(lambda: self._titled(name, new), DOING["rename"])()

        title = self._services.workspace.info(name).title
        if title:  # that is what the table shows: another name would be seen nowhere
            words = f"Its title; without one it is {name}"
            TextQuestion("Rename the run", words, title, self.page.window(), retitle).open()
            return
        taken = {info.name for info in self._services.workspace.runs()} - {name}
        problem = partial(name_problem, taken=taken)
        TextQuestion("Rename the run", "Its new name", name, self.page.window(), rename, problem).open()

    def _renamed(self, name: str, new: str) -> None:
        if new == name:
            return
        renamed = self._services.workspace.rename_run(name, new)
        self._services.shown.follow(name, renamed)
        moved = partial(_moved, self._services.workspace.runs_folder / name, renamed.folder)
        self._services.document.follow_rename(moved, *NAME_MODELS)
        self._services.models_changed.emit()
        self._list()
        self.page.choose(renamed.name)

    def _titled(self, name: str, title: str) -> None:
        self._services.workspace.describe_run(name, title=title)
        self._list()

    def _note(self, name: str) -> None:
        def note(text: str) -> None:
            self._services.notices.guarded(lambda: self._noted(name, text), DOING["note"])()

        note_now = self._services.workspace.info(name).note
        TextQuestion("Note", f"About {name}", note_now, self.page.window(), note).open()

    def _noted(self, name: str, text: str) -> None:
        self._services.workspace.describe_run(name, note=text)
        self._list()

    def _tags(self, names: list[str]) -> None:
        def tag(text: str) -> None:
            self._services.notices.guarded(lambda: self._tagged(names, text), DOING["tags"])()

        words = "Words to mark with; -word takes one away" if len(names) > 1 else "Words, such as: baseline wide"
        now = " ".join(tags_of(self._services.workspace.info(names[0]).note)) if len(names) == 1 else ""
        TextQuestion(f"Tags of {_runs(names)}", words, now, self.page.window(), tag).open()

    def _tagged(self, names: list[str], text: str) -> None:
        workspace = self._services.workspace
        for name in names:
            note = workspace.info(name).note
            changed = retagged(note, text) if len(names) > 1 else with_tags(note, text.replace(",", " ").split())
            workspace.describe_run(name, note=changed)
        self._list()

    def _delete(self, names: list[str]) -> None:
        def delete() -> None:
            doing = DOING["delete"] if one else DOING_TO_SEVERAL["delete"]
            self._services.notices.guarded(lambda: self._deleted(*names), doing)()

        one = len(names) == 1
        title = "Delete the run?" if one else f"Delete {len(names)} runs?"
        moves = f"{names[0]} moves" if one else f"{', '.join(names[:4])}{' and others' if len(names) > 4 else ''} move"
        words = f"{moves} to the bin of this workspace. The menu brings back: Workspace, Restore a deleted run."
        Question(title, words, "Delete", "Keep it" if one else "Keep them", self.page.window(), delete).open()

    def _deleted(self, *names: str) -> None:
        """To the bin with them; plots show the newest run that is left where one of these was on them."""
        shown = self._services.shown
        for name in names:
            self._services.workspace.delete_run(name)
            shown.follow(name, None)
        if shown.history.name in names:
            shown.clear()
        if not shown.history.name:
            self._services.show_last_run()
        self._services.models_changed.emit()
        self._list()

    def _restore(self, name: str) -> None:
        self._services.workspace.restore_run(name)
        self._services.models_changed.emit()
        self._list()
        self.page.choose(name)


def _moved(old: Path, new: Path, text: str) -> str:
    """How a model is named now that was named by a run, or by a path into its folder, which is another."""
    if text == old.name:
        return new.name
    with contextlib.suppress(ValueError, OSError):
        return str(new / expanded(text).resolve().relative_to(old.resolve()))
    return text


def _runs(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} runs"


def make_page(services: Services) -> Page:
    """The page of all runs."""
    controller = RunsController(services)
    binned = PageAction("restore", "Restore a deleted run", "Workspace", fill=controller.fill_binned)
    dreams = services.notices.guarded(controller.assessing.open_chosen, DOING["assess"])
    models = PageAction("models", "Start from another model", "Run", fill=controller.fill_models)
    assess = PageAction("dreams", "How far dreams can be trusted", "Run", run=dreams)
    return Page(
        "runs",
        "Runs",
        "runs",
        controller.page,
        controller,
        side=controller.pane,
        beside_panel=False,  # table and pane need the room
        actions=(binned, assess, models),
    )
