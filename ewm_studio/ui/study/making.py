"""Joins the form of a study to what can be chosen, to what it would come to, and to its file."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer

from ewm_studio.analysis.inspection import Catalog, Inspection
from ewm_studio.errors import UserError
from ewm_studio.jobs.studies.found import studies_of
from ewm_studio.jobs.studies.plan import StudyPlan, plan_of
from ewm_studio.resources import resource
from ewm_studio.settings import Experiment
from ewm_studio.settings.study import SeedSettings, Study
from ewm_studio.settings.study_file import ENDING, StudyFile, read_study
from ewm_studio.ui.kit import drafts
from ewm_studio.ui.services import Services
from ewm_studio.ui.study.form import FILE, FORM, PRESET
from ewm_studio.ui.study.offers import base_name, choices
from ewm_studio.ui.study.page import StudyPage
from ewm_studio.workspace.files import write_text
from ewm_studio.workspace.workspace import name_problem, safe_name

SETTLE_MILLISECONDS = 200  # after a change, before it is looked into
_NEW = Study(seeds=SeedSettings(reported=[0, 1, 2, 3, 4]))


class MakingController(QObject):
    """One study at a time is made."""

    def __init__(self, page: StudyPage, services: Services, parent: QObject) -> None:
        super().__init__(parent)
        self._page, self._form, self._services = page, page.form, services
        self._catalog: Catalog | None = None
        self._study, self._of_file = _NEW, ""  # what the form began with, and the file it stands in
        self._editing = ""  # the study whose file may be written over
        self._began = _said(self._form.state())  # what the form said then
        self._place: Path | None = None  # the workspace that it was made in
        self._inspected: Experiment | None = None
        self._asked: StudyFile | None = None  # of which the plan is awaited
        self.plan: StudyPlan | None = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(SETTLE_MILLISECONDS)
        self._later.timeout.connect(self._settle)
        self._form.changed.connect(self._later.start)
        services.fitting.ready.connect(self._on_catalog)
        services.document.subscribe(lambda _: self._on_document())

    # Which study

    def begin(self, study: Study = _NEW, name: str = "", file: str = "", editing: str = "") -> None:
        """Make another study from here.

        Args:
            study: what it begins with.
            name: that it has, or whose next free one it gets.
            file: the file's name that `study` stands in; empty where it is new.
            editing: the study whose file may be written over.

        Raises:
            UserError: what varies in it is not understood.
        """
        self._form.show_experiment(self._services.experiment)
        self._form.show_study(study, editing or self._free_name(name), file)
        self._study, self._of_file, self._editing = study, file, editing
        self._began, self._place = _said(self._form.state()), self._services.workspace.path
        self._inspected = None
        self._page.show_making()
        self.keep()
        self.refresh()

    @property
    def edited(self) -> bool:
        """Whether the form says something that is in no file."""
        return self._page.making and _said(self._form.state()) != self._began

    def keep(self) -> None:
        """Keep what is in no file for the next start."""
        if self._place is None:
            return
        begun = {"study": self._study.model_dump(mode="json"), "file": self._of_file, "editing": self._editing}
        text = json.dumps({**begun, "form": self._form.state()}, default=str) if self.edited else ""
        drafts.keep_draft(drafts.STUDY, self._place, text)

    def take_up(self) -> bool:
        """Make the study on that was not saved last time, where there is one; whether there is."""
        try:
            kept = json.loads(drafts.draft(drafts.STUDY, self._services.workspace.path))
            self.begin(Study.model_validate(kept["study"]), "", kept["file"], kept["editing"])
            self._form.fill_in(kept["form"])
        except (UserError, ValueError, LookupError, TypeError):  # none, or of another version
            return False
        self.keep()
        return True

    def refresh(self) -> None:
        """The page is turned to, or something changed that the form goes by."""
        if self._page.making and self._page.isVisible():
            self._form.show_experiment(self._services.experiment)
            self._later.start()

    def end(self) -> None:
        """Look into nothing more."""
        self._later.stop()
        self.keep()

    @property
    def by_the_form(self) -> bool:
        """Whether what does not vary is as the experiment panel says."""
        return self._form.chosen_base[0] == FORM

    def draft(self) -> StudyFile:
        """The study as the form says, with the file that it would be.

        Raises:
            UserError: something in it is wrong.
        """
        name = self._form.name.text().strip()
        workspace = self._services.workspace.path
        problem = name_problem(name, taken=set(studies_of(workspace)) - {self._editing})
        if problem:
            raise UserError(f"Name: {problem}")
        return StudyFile(name, workspace / f"{name}{ENDING}", self._form.read())

    def save(self) -> StudyFile:
        """Write the study's file.

        Raises:
            UserError or JobError: something in it is wrong, or it cannot be written.
        """
        file = self.draft()
        try:
            file.check()
        except UserError as error:
            raise _plain(error, file) from None
        self._services.workspace.make()
        write_text(file.path, file.study.to_toml())
        self._editing, self._began = file.name, _said(self._form.state())
        self.keep()
        return read_study(file.path)

    def _free_name(self, name: str) -> str:
        """This name, or with the next number where there is such a study."""
        id = self._services.experiment.env.id
        world = safe_name(id.rpartition(":")[2].rpartition("/")[2].partition("-v")[0]).lower()
        stem = name or f"{world[:40]}-study"
        taken = set(studies_of(self._services.workspace.path))
        start, _, number = stem.rpartition("-")
        start, first = (start, int(number)) if number.isdecimal() and start else (stem, 1)
        names = [stem, *(f"{start}-{n}" for n in range(first + 1, first + len(taken) + 3))]
        return next(candidate for candidate in names if candidate not in taken)

    # What can be chosen, and what it comes to

    def _on_catalog(self, catalog: Catalog) -> None:
        self._catalog, self._inspected = catalog, None
        self.refresh()

    def _on_document(self) -> None:
        if self.by_the_form:
            self.refresh()

    def _settle(self) -> None:
        self.keep()
        if not self._page.making:
            return
        self._offer()
        try:
            file = self.draft()
        except UserError as error:
            self._asked = None
            self._show(None, None, str(error))
            return
        self._asked = file
        workspace = self._services.workspace
        show, refuse = partial(self._on_plan, file), partial(self._on_refused, file)
        self._services.background(lambda: plan_of(file, workspace), show, refuse)

    def _on_plan(self, file: StudyFile, plan: StudyPlan) -> None:
        if file is self._asked:
            self._show(file, plan, "")

    def _on_refused(self, file: StudyFile, error: BaseException) -> None:
        if file is self._asked:
            self._show(None, None, str(_plain(error, file)))

    def _show(self, file: StudyFile | None, plan: StudyPlan | None, problem: str) -> None:
        self.plan = plan
        self._page.show_plan(file, plan, problem)

    def _offer(self) -> None:
        """Offer the parts that fit the base's world."""
        try:
            experiment = self._base()
        except UserError:
            return  # what is wrong with it is said where the plan would stand
        if self._catalog is None or experiment == self._inspected:
            return
        self._inspected = experiment

        def show(found: Inspection) -> None:
            if experiment == self._inspected and self._catalog is not None:
                for kind, picker in self._form.pickers.items():
                    offered = choices(kind, self._catalog, experiment, found)
                    picker.show_choices(offered, base_name(kind, experiment, found))

        self._services.background(lambda: _inspect(experiment), show)

    def _base(self) -> Experiment:
        """The experiment that all runs share what does not vary of.

        Raises:
            UserError: it is none.
        """
        where, preset = self._form.chosen_base
        if where == PRESET:
            return Experiment.from_toml(resource("presets", f"{preset}.toml"))
        if where == FILE:
            path = self._services.workspace.path / self._of_file
            return Experiment.from_dict(StudyFile("", path, self._study).base).as_of_file()
        return self._services.experiment


def _said(state: dict[str, Any]) -> dict[str, Any]:
    """A form's state to be compared: of parts their names, for what they are is looked up anew in every world."""
    return {**state, "parts": {kind: sorted(options) for kind, options in state["parts"].items()}}


def _inspect(experiment: Experiment) -> Inspection:
    from ewm_studio.analysis.inspection import inspect

    return inspect(experiment)


def _plain(error: BaseException, file: StudyFile) -> UserError:
    """What is wrong, without the path of a file that is not there yet."""
    return UserError(str(error).removeprefix(f"{file.path}: "))
