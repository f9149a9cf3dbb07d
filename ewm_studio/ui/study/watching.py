"""Joins what is shown of a study to its folder: it is looked at again and again while its own process runs it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from ewm_studio import formatting as format
from ewm_studio.errors import UserError
from ewm_studio.jobs.studies.beside import StudyBeside
from ewm_studio.jobs.studies.figures import StudyFigures, study_figures
from ewm_studio.jobs.studies.found import with_file
from ewm_studio.jobs.studies.plan import axes_of_cells
from ewm_studio.jobs.studies.standing import standing
from ewm_studio.jobs.studies.tuned import searched
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.ui.page import Activity
from ewm_studio.ui.services import Services
from ewm_studio.ui.study.page import StudyPage
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import StudyFolder

LOOK_MILLISECONDS = 1000
_STOPPED = (0, 130)  # exit codes of a study that is done, or was asked to stop
_KILLED = "The process of the study was ended from outside. Nothing finished is lost: Go on takes it up."


@dataclass(frozen=True)
class _Look:
    """What was seen of a study."""

    file: StudyFile  # what is reported: where it searches, the base and what was found by now
    standing: dict[str, Any]
    done: int
    figures: StudyFigures | None  # None where they are as they were
    stopping: bool
    complaint: str  # why there are no figures


class WatchingController(QObject):
    """One study at a time is watched; whatever runs is the study's own process."""

    activity = Signal(object)

    def __init__(self, page: StudyPage, services: Services, parent: QObject) -> None:
        super().__init__(parent)
        self._page, self._services = page, services
        self.file: StudyFile | None = None
        self._known = -1  # runs that were done when the figures were made
        self._looking = False
        self._told = False  # the run bar shows the study
        self._stop_wanted = False
        self._beside: StudyBeside | None = None
        self._waiting: StudyFile | None = None  # for the person's word about its environment
        self._again = QTimer(self)
        self._again.setInterval(LOOK_MILLISECONDS)
        self._again.timeout.connect(self.look)
        services.notices.agreed.connect(lambda _: self._on_agreed())

    @property
    def running(self) -> bool:
        """Whether the study that is shown is being run, as it was seen last."""
        return self._again.isActive()

    @property
    def idle(self) -> bool:
        """Whether nothing is being looked at."""
        return not self._looking

    def watch(self, file: StudyFile) -> None:
        """Show a study from now on."""
        self.file, self._known = file, -1
        self._stop_wanted = False
        self._page.results.clear()
        self._page.say("")
        self._page.show_study(file, {}, "")
        self.look()

    def leave(self) -> None:
        """Show no study any more; its process goes on."""
        self.file = None
        self._rest()

    def end(self) -> None:
        """Look no more."""
        self._again.stop()

    # Running it

    def run(self, file: StudyFile) -> None:
        """Have a process run a study, and watch it.

        Raises:
            Untrusted: nobody agreed to its environment's module. UserError: its folder cannot be written.
        """
        self._check_trusted(file)
        file = with_file(file, self._services.workspace.path)
        if StudyFolder(self._services.workspace.path, file.name).running:
            self.watch(file)
            return
        self._beside = StudyBeside(file.path, self._services.workspace.path, file.name)
        self._services.notices.tell(f"study {file.name} runs beside this window; it goes on when this is closed")
        self.watch(file)
        self._again.start()

    def stop(self) -> None:
        """Have every run save and stop.

        Raises:
            UserError or JobError: it cannot be asked.
        """
        if self.file is None:
            return
        folder = StudyFolder(self._services.workspace.path, self.file.name)
        self._stop_wanted = True
        if folder.running:
            folder.ask_to_stop()
        self._page.show_state(running=True, done=False, figures=self._known > 0, stopping=True)

    def _check_trusted(self, file: StudyFile) -> None:
        from ewm_studio.envs.trust import check_trusted

        for id in dict.fromkeys(plan.experiment.env.id for plan in file.check()):
            if ":" in id:
                self._waiting = file
                check_trusted(id)
        self._waiting = None

    def _on_agreed(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._services.notices.guarded(partial(self.run, waiting), "run the study")()

    # Looking

    def look(self) -> None:
        """See how it stands, off this thread."""
        if self.file is None or self._looking:
            return
        self._looking = True
        see = partial(_look, self.file, self._services.workspace, self._known)
        self._services.background(see, partial(self._on_look, self.file), partial(self._on_blind, self.file))

    def _on_look(self, file: StudyFile, seen: _Look) -> None:
        self._looking = False
        if file is not self.file:
            self.look()
            return
        beside = self._beside if self._beside is not None and self._beside.name == file.name else None
        going = seen.standing["state"] == "is being run"
        starting = beside is not None and beside.ended is None and not going
        if going and self._stop_wanted and not seen.stopping:
            StudyFolder(self._services.workspace.path, file.name).ask_to_stop()
        self._known = seen.done
        page, results, found = self._page, self._page.results, seen.standing
        total = len(found["runs"])
        page.show_study(seen.file, axes_of_cells(seen.file.cells), _words(found, starting, self._stop_wanted))
        results.show_runs(seen.file, found)
        if seen.figures is not None:
            results.show_figures(seen.file, seen.figures)
        if seen.complaint:
            page.say(seen.complaint)
        page.side.show_standing(seen.file, found)
        running = going or starting
        done = seen.done == total
        page.show_state(running, done, seen.done > 0, self._stop_wanted)
        if running:
            self._again.start()
            self._tell(found, starting)
        else:
            self._stop_wanted = False
            self._rest()
            self._explain(beside)

    def _on_blind(self, file: StudyFile, error: BaseException) -> None:
        self._looking = False
        if file is self.file:
            self._rest()
            self._page.say(str(error))

    def _rest(self) -> None:
        self._again.stop()
        if self._told:
            self._told = False
            self.activity.emit(None)

    def _tell(self, found: dict[str, Any], starting: bool) -> None:
        """Say in the run bar what goes on."""
        total, done = len(found["runs"]), found["finished"] + found["failed"]
        going = [f"{run['cell']}, seed {run['seed']}" for run in found["runs"] if run["state"] == "running"]
        more = f" and {len(going) - 1} more" if len(going) > 1 else ""
        words = [f"{going[0]}{more}"] if going else ["starts"] if starting else []
        words += [f"about {format.about(found['seconds_left'])} left"] if found["seconds_left"] is not None else []
        share = sum(run["share"] for run in found["runs"]) / max(total, 1)
        line = f"Study · {format.count(done)} of {format.count(total)} runs done"
        self._told = True
        self.activity.emit(Activity(line, " · ".join(words), share, False, f"study {found['study']}"))

    def _explain(self, beside: StudyBeside | None) -> None:
        """Say why its process ended, where that is no stop and no end."""
        if beside is None or beside.ended is None:
            return
        self._beside = None
        if beside.ended not in _STOPPED:
            self._page.say(_KILLED if beside.ended < 0 else beside.complaint() or _KILLED)


def _look(file: StudyFile, workspace: Workspace, known: int) -> _Look:
    folder = StudyFolder(workspace.path, file.name)
    found = standing(file, folder)
    done = found["finished"] + found["failed"]
    file = searched(file, folder)
    figures, complaint = None, ""
    if done and done != known:
        try:
            figures = study_figures(file, folder, workspace)
        except UserError as error:  # how the runs stand can be watched all the same
            complaint = str(error)
    return _Look(file, found, done, figures, folder.stop_asked, complaint)


def _words(found: dict[str, Any], starting: bool, stopping: bool) -> str:
    """How a study stands, in few words."""
    total, done = len(found["runs"]), found["finished"] + found["failed"]
    if starting:
        return "starts"
    if found["state"] == "is being run":
        left = found["seconds_left"]
        rest = f", about {format.about(left)} left" if left is not None else ""
        return "saves and stops" if stopping else f"{done} of {total} done{rest}"
    return (
        "done"
        if done == total
        else f"{done} of {total} done, stopped"
        if done or found["state"] == "is stopped"
        else ""
    )
