"""A page from outside the package: a widget, a controller, and one line where the window is made."""

from importlib import import_module

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from ewm_studio.analysis.history import REWARD
from ewm_studio.events import EpisodeFinished, Finished, Message
from ewm_studio.ui.page import Activity, Page, PageAction, PageController
from ewm_studio.ui.window.pages import PAGES
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.pretrained import pretrained_models
from tests.support.installed import installed
from tests.ui.conftest import WAIT

LEFT = Qt.MouseButton.LeftButton


class CountPage(QWidget):
    """Says how many episodes were played."""

    train_asked = Signal()

    def __init__(self):
        super().__init__()
        self.words, self.train = QLabel("0 episodes"), QPushButton("Train and count")
        self.train.clicked.connect(self.train_asked)
        layout = QVBoxLayout(self)
        layout.addWidget(self.words)
        layout.addWidget(self.train)


class CountController(PageController):
    """Counts the episodes of whatever trains, and notes what the window tells it."""

    def __init__(self, services):
        super().__init__(services)
        self.services, self.page, self.heard = services, CountPage(), []
        self.episodes = self.drawn = 0
        self.page.train_asked.connect(lambda: services.start("train"))
        services.jobs.events.connect(self.count)

    def count(self, events):
        self.episodes += sum(isinstance(event, EpisodeFinished) for event in events)

    def forget(self):
        self.episodes = 0

    def begin(self):
        self.heard.append("begin")

    def shown(self):
        self.heard.append("shown")

    def watch(self):
        self.heard.append("watch")

    def show_workspace(self):
        self.heard.append(self.services.workspace.path.name)

    def show_places(self, agents, workspaces):
        self.heard.append(len(agents[1]))

    def redraw_one(self):
        if self.drawn == self.episodes:
            return False
        self.drawn = self.episodes
        self.page.words.setText(f"{self.drawn} episodes")
        return True

    def end(self):
        self.heard.append("end")


def count(services):
    """The page."""
    controller = CountController(services)
    return Page(
        "count",
        "Count",
        "runs",
        controller.page,
        controller,
        side=QLabel("beside it"),
        beside_panel=False,
        actions=(
            PageAction("forget", "Forget what was counted", "View", "Ctrl+Alt+0", controller.forget),
            PageAction("counted", "Counted", "Run", fill=lambda menu: menu.addAction(str(controller.episodes))),
        ),
        shortcuts=(("C", "Count"),),
    )


def test_a_page_from_outside_is_turned_to_and_works(qtbot, open_studio, tmp_path):
    studio = open_studio(pages=(*PAGES, count))
    window, controller = studio.window, studio.window.pages["count"].controller
    assert controller.heard == ["workspace", len(pretrained_models()), "begin"]
    qtbot.keyClick(window, Qt.Key.Key_8, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: window.page == "count", timeout=WAIT)
    assert controller.heard[3] == "shown"
    assert controller.page.isVisible()
    assert window.pages["count"].side.isVisible()
    assert not window.panel.isVisible()

    studio.services.document.set("train.total_steps", 512)
    qtbot.mouseClick(controller.page.train, LEFT)
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    (run,) = studio.services.workspace.runs()
    assert (run.state, run.episodes) == ("finished", controller.episodes)
    qtbot.waitUntil(lambda: controller.page.words.text() == f"{run.episodes} episodes", timeout=WAIT)
    assert "watch" in controller.heard

    (counted,) = (a.menu() for a in window.menus["Run"].actions() if a.text() == "Counted")
    for _ in range(2):  # it is filled anew whenever it opens
        counted.aboutToShow.emit()
        assert [a.text() for a in counted.actions()] == [str(run.episodes)]
    window.actions_by_name["forget"].trigger()
    assert controller.episodes == 0
    assert {("C", "Count"), ("Ctrl+Alt+0", "Forget what was counted"), ("Ctrl+8", "Count page")} <= set(
        window.shortcuts()
    )
    studio.workspaces.open(tmp_path / "other")
    assert "other" in controller.heard
    window.close()
    assert controller.heard[-1] == "end"


def test_a_page_says_what_goes_on_and_takes_the_panels_room(qtbot, open_studio):
    studio = open_studio(begin=False, pages=(*PAGES, count))
    window, controller = studio.window, studio.window.pages["count"].controller
    window.show_page("train")
    controller.room_wanted.emit(True)
    assert not window.panel.isVisible()
    controller.activity.emit(Activity("Counting", "3 of 6", 0.5, False, "one at a time"))
    assert window.bar._stage.text() == "Counting"
    assert window.bar.progress.value() * 2 == window.bar.progress.maximum()
    assert window.activity_label.text() == "one at a time"
    controller.room_wanted.emit(False)
    controller.activity.emit(None)
    assert window.panel.isVisible()
    assert window.bar._stage.text() == window.activity_label.text() == ""


def test_what_goes_on_on_a_page_is_shown_again_once_a_job_has_ended(qtbot, open_studio):
    """Also where it rests and says nothing new; Pause and Stop of the job are gone."""
    studio = open_studio(begin=False, pages=(*PAGES, count))
    window, controller = studio.window, studio.window.pages["count"].controller
    studio.services.document.set("train.total_steps", 256)
    controller.activity.emit(Activity("Counting", "3 of 6", 0.5, False, "one at a time"))
    qtbot.mouseClick(window.bar.train, LEFT)
    qtbot.waitUntil(lambda: studio.jobs.running, timeout=WAIT)
    assert window.bar._stage.text() != "Counting"
    qtbot.waitUntil(lambda: not studio.jobs.running and window.bar._stage.text() == "Counting", timeout=WAIT)
    assert not window.bar.progress.isHidden()
    assert window.bar.stop.isHidden()
    controller.activity.emit(None)
    assert window.bar._stage.text() == ""


def test_what_ends_on_one_page_takes_nothing_from_another(qtbot, open_studio):
    window = open_studio(begin=False, pages=(*PAGES, count)).window
    count_, study = (window.pages[key].controller.activity for key in ("count", "study"))
    study.emit(Activity("Studying", "", 0.5, False, "a study"))
    count_.emit(Activity("Counting", "", None, True, "recording"))
    study.emit(Activity("Studying on", "", 0.6, False, "a study"))
    assert (window.bar._stage.text(), window.activity_label.text()) == ("Counting", "recording")
    study.emit(None)
    assert (window.bar._stage.text(), window.activity_label.text()) == ("Counting", "recording")
    study.emit(Activity("Studying", "", 0.7, False, "a study"))
    count_.emit(None)
    assert (window.bar._stage.text(), window.activity_label.text()) == ("Studying", "a study")
    study.emit(None)
    assert window.bar._stage.text() == window.activity_label.text() == ""


def test_a_way_out_of_an_empty_page_is_answered_wherever_it_is_asked(qtbot, open_studio, tmp_path):
    studio = open_studio(begin=False, pages=(*PAGES, count))
    Workspace(tmp_path / "ready").make()
    studio.window.pages["count"].controller.place_asked.emit(str(tmp_path / "ready"))
    assert studio.services.workspace.path == tmp_path / "ready"


def test_a_window_of_one_page_needs_no_other(qtbot, open_studio):
    studio = open_studio(begin=False, pages=(count,))
    studio.services.turn_to("train")  # there is none
    assert studio.window.page == "count"
    run = studio.services.workspace.create_run("CartPole-v1", "train", studio.services.experiment.to_toml())
    run.finish("finished")
    studio.services.show_run(run.name)
    assert studio.window.page == "count"
    assert studio.services.shown.history.name == run.name


FOLDER = {
    "runcount/__init__.py": "",
    "runcount/page.py": """
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget


class RunCountPage(QWidget):
    asked = Signal()

    def __init__(self):
        super().__init__()
        self.button = QPushButton("Count the runs")
        self.button.clicked.connect(self.asked)
        QVBoxLayout(self).addWidget(self.button)
""",
    "runcount/tally.py": """
from ewm_studio.events import EpisodeFinished, Finished, Message
from ewm_studio.jobs.kinds import JobKind


def tally(experiment, workspace, control):
    yield EpisodeFinished(1, 5.0, 1, experiment.run.seed)
    yield Message(f"seed {experiment.run.seed}")
    yield Finished("done", {"runs": len(workspace.runs())})


KIND = JobKind("tally", "Tally", "runcount.tally:tally")
""",
    "runcount/controller.py": """
from ewm_studio.ui.page import Page, PageController
from runcount.page import RunCountPage


class RunCountController(PageController):
    def __init__(self, services):
        super().__init__(services)
        self.services, self.page, self.heard = services, RunCountPage(), []
        self.page.asked.connect(self.count)
        services.jobs.events.connect(lambda events: self.heard.extend(events))

    def count(self):
        self.services.start("tally")
        workspace = self.services.workspace
        self.services.background(lambda: len(workspace.runs()), self.show)

    def show(self, runs):
        self.page.button.setText(f"{runs} runs")


def make_page(services):
    controller = RunCountController(services)
    return Page("runcount", "Count", "runs", controller.page, controller)
""",
}


def test_a_folder_of_another_package_is_a_page_by_one_line(qtbot, open_studio, tmp_path, monkeypatch):
    entries = "[ewm_studio.jobs]\ntally = runcount.tally:KIND\n"
    with installed(tmp_path / "site", monkeypatch, "runcount", FOLDER, entries):
        make_page = import_module("runcount.controller").make_page
        studio = open_studio(begin=False, pages=[*PAGES, make_page], processes=None)  # those of others came before
        window, page = studio.window, studio.window.pages["runcount"].widget
        for _ in range(2):
            studio.services.workspace.create_run("CartPole-v1", "train", studio.services.experiment.to_toml())
        assert not page.isVisible()
        (place,) = (button for button in window.rail.findChildren(QToolButton) if button.text() == "Count")
        qtbot.mouseClick(place, LEFT)
        assert window.page == "runcount"
        assert page.isVisible()
        qtbot.mouseClick(page.button, LEFT)
        qtbot.waitUntil(lambda: page.button.text() == "2 runs", timeout=WAIT)
        qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
        heard = window.pages["runcount"].controller.heard
        assert heard[1:] == [Message("seed 0"), Finished("done", {"runs": 2})]
        assert studio.services.shown.history.latest(REWARD) is None  # its kind writes no run
