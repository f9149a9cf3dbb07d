"""Studies that run beside the window: made by a newcomer's clicks, and alive whatever is killed."""

import os
import re
import signal
import subprocess
import sys

import pytest
from PySide6.QtCore import Qt

from ewm_studio.settings.study_file import read_study
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import StudyFolder
from tests.support import ROOT
from tests.support.studies import SMALL, end_study
from tests.ui.study.steps import choose, controller, settled, tick, type_into

LEFT = Qt.MouseButton.LeftButton
PATIENCE = 500_000  # milliseconds; a study of twelve runs on a busy machine
STUDY = (
    SMALL
    + """
[seeds]
reported = [0]
[budget]
frames = 1600
[judge]
episodes = 2
[place]
parallel = 1
"""
)


@pytest.fixture
def ended():
    """Studios whose studies end with the test."""
    studios = []
    yield studios
    for studio in studios:
        if (beside := controller(studio).watching._beside) is not None:
            end_study(beside)


def counts(studio):
    """How many runs are in which state, as the page shows it."""
    boxes = [box for line in controller(studio).page.results.grid.runs.boxes for box in line]
    return {state: sum(box.state == state for box in boxes) for state in {box.state for box in boxes}}


@pytest.mark.timeout(600)
def test_a_newcomer_makes_a_study_of_two_by_two_by_three_and_reads_its_report(qtbot, making, opened, ended):
    ended.append(making)
    page = controller(making).page
    tick(qtbot, page.form.pickers["memory"], "NoMemory")
    tick(qtbot, page.form.pickers["memory"], "History")
    tick(qtbot, page.form.pickers["controller"], "DeepDiscreteController")
    tick(qtbot, page.form.pickers["controller"], "LinearController")
    type_into(qtbot, page.form.numbers["seeds"].edit, "3")
    type_into(qtbot, page.form.numbers["frames"].edit, "300")
    settled(qtbot, making)
    assert page._runs.text() == "2 M × 2 C × 3 seeds = 12 runs"
    qtbot.mouseClick(page.start, LEFT)
    assert not page.making
    name = controller(making).watching.file.name
    qtbot.waitUntil(lambda: counts(making).get("finished", 0) > 0, timeout=PATIENCE)
    assert page.stop.isVisible()
    qtbot.waitUntil(lambda: counts(making) == {"finished": 12}, timeout=PATIENCE)
    qtbot.waitUntil(lambda: not controller(making).watching.running, timeout=PATIENCE)
    assert page._time.text() == "done"
    assert len(page.results.matrix.shown.rows) == 2
    assert not page.stop.isVisible()
    assert not page.go_on.isVisible()
    choose(qtbot, page.report, page.report.menu(), "Open the report")
    qtbot.waitUntil(lambda: len(opened) == 1, timeout=PATIENCE)
    folder = StudyFolder(making.services.workspace.path, name)
    assert opened == [str(folder.path.resolve() / "report.html")]
    assert "4 cells × 3 seeds = 12 runs" in (folder.path / "report.html").read_text()
    notes = {info.title: info.note for info in making.services.workspace.runs()}
    assert re.fullmatch(rf"judged \S+ greedy, \S+ sampled #{name}", notes["History + LinearController, seed 2"])


@pytest.mark.timeout(600)
def test_a_killed_study_loses_nothing_finished_and_goes_on(qtbot, open_studio, tmp_path, ended):
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "small.study.toml").write_text(STUDY)
    studio = open_studio(begin=False)
    ended.append(studio)
    studio.window.show_page("study")
    watching, page = controller(studio).watching, controller(studio).page
    watching.run(read_study(workspace / "small.study.toml"))
    folder = StudyFolder(workspace, "small")
    qtbot.waitUntil(lambda: counts(studio) == {"finished": 1, "running": 1}, timeout=PATIENCE)
    os.kill(watching._beside.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: page._problem.isVisible(), timeout=PATIENCE)
    assert "Nothing finished is lost" in page._problem.text()
    assert counts(studio) == {"finished": 1, "waiting": 1}
    before = folder.read("none-seed-0")
    qtbot.mouseClick(page.go_on, LEFT)
    assert not page._problem.isVisible()
    qtbot.waitUntil(lambda: counts(studio) == {"finished": 2}, timeout=PATIENCE)
    assert folder.read("none-seed-0") == before
    assert folder.read("last-two-seed-0").failures == []


@pytest.mark.timeout(600)
def test_a_study_that_cannot_run_says_why(qtbot, open_studio, tmp_path, ended):
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    wrong = STUDY.replace("memory.steps = 2", "memory.stepz = 2")
    (workspace / "wrong.study.toml").write_text(wrong)
    studio = open_studio(begin=False)
    ended.append(studio)
    studio.window.show_page("study")
    page = controller(studio).page
    controller(studio).watching.run(read_study(workspace / "wrong.study.toml"))
    qtbot.waitUntil(lambda: page._problem.isVisible(), timeout=PATIENCE)
    assert "cell 'last two': memory History has no setting 'stepz'" in page._problem.text()
    assert page.go_on.isVisible()


WINDOW = """
import sys
from ewm_studio.settings.study_file import read_study
from ewm_studio.ui.window.app import make_app
from ewm_studio.ui.window.studio import Studio
from ewm_studio.workspace import Workspace
app = make_app()
studio = Studio(Workspace(sys.argv[1]))
studio.window.show()
studio.window.show_page("study")
watching = studio.window.pages["study"].controller.watching
watching.run(read_study(sys.argv[1] + "/small.study.toml"))
print(watching._beside.pid, flush=True)
app.exec()
"""


@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_window_leaves_its_study_running_and_the_next_one_shows_it(qtbot, open_studio, tmp_path):
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "small.study.toml").write_text(STUDY.replace("1600", "320"))
    line = [sys.executable, "-c", WINDOW, str(workspace)]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True) as window:
        pid = int(window.stdout.readline())
        window.kill()
    try:
        os.kill(pid, 0)  # the study lives
        folder = StudyFolder(workspace, "small")
        qtbot.waitUntil(lambda: folder.begun, timeout=PATIENCE)
        studio = open_studio(begin=False)
        studio.window.show_page("study")
        assert controller(studio).watching.file.name == "small"
        qtbot.waitUntil(lambda: counts(studio) == {"finished": 2}, timeout=PATIENCE)
        assert len(Workspace(workspace).runs()) == 2
    finally:
        if StudyFolder(workspace, "small").running:
            os.killpg(pid, signal.SIGKILL)
