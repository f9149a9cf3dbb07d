"""A workspace in the window: a file dialog in its folder harms nothing, and a damaged list of runs is made again."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from PySide6.QtWidgets import QApplication, QDialog, QFileDialog, QFileSystemModel

from ewm_studio.errors import UserError
from ewm_studio.settings import Experiment
from ewm_studio.ui.kit.dialogs import Question
from ewm_studio.ui.window import app
from ewm_studio.ui.window.rebuilding import readable
from ewm_studio.workspace import Workspace

WRITER = """
import sys
from ewm_studio.workspace import Workspace
run = Workspace(sys.argv[1]).create_run("CartPole-v1", "train", "", {}, 0)
for i in range(30):
    run.log_metrics(i, i, 0.0, {"a": float(i)})
    run.flush()
run.finish("finished", steps=30)
print(run.name)
"""


@pytest.fixture
def damaged(tmp_path):
    """The folder of a workspace of one run whose database is noise."""
    workspace = Workspace(tmp_path / "damaged")
    workspace.create_run("CartPole-v1", "train", Experiment().to_toml()).finish("finished")
    workspace.describe_run(workspace.runs()[0].name, title="still here")
    (workspace.path / "workspace.sqlite").write_bytes(b"noise " * 1000)
    return workspace.path


def question():
    return next(w for w in QApplication.topLevelWidgets() if isinstance(w, Question) and w.isVisible())


def test_a_file_dialog_in_the_workspace_harms_nothing(studio, qtbot):
    """It looks into every file for its type, and closes it: train, stop, train, stop with the dialog in between."""
    home = studio.services.workspace
    first = home.create_run("CartPole-v1", "train", "")
    first.finish("stopped")
    for number in range(2):
        job = subprocess.Popen([sys.executable, "-c", WRITER, str(home.path)], stdout=subprocess.PIPE, text=True)
        while job.poll() is None:
            dialog = QFileDialog(studio.window, "Open", str(home.path))
            dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
            dialog.open()
            shown = dialog.findChild(QFileSystemModel)
            qtbot.waitUntil(lambda shown=shown: shown.rowCount(shown.index(str(home.path))) > 0)
            assert shown.type(shown.index(str(home.path / "workspace.sqlite")))
            home.runs()
            dialog.reject()
            dialog.deleteLater()
        name = job.communicate()[0].strip()
        assert job.returncode == 0
        assert (home.info(name).state, home.info(name).steps) == ("finished", 30)
        home.describe_run(first.name, title=f"after {number}")
        assert home.info(first.name).title == f"after {number}"
    with closing(sqlite3.connect(home.path / "workspace.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(Workspace(home.path).runs()) == 3


@pytest.mark.parametrize("answer", ["Rebuild", "Leave it"])
def test_opening_a_damaged_workspace_asks_whether_to_rebuild_it(studio, qtbot, damaged, answer):
    before = studio.services.workspace.path
    studio.workspaces.open(damaged)
    asked = question()
    assert studio.services.workspace.path == before
    (asked.yes if answer == "Rebuild" else asked.no).click()
    kept = [p for p in damaged.iterdir() if p.name.startswith("workspace.sqlite.2")]
    if answer == "Rebuild":
        assert studio.services.workspace.path == damaged
        assert [info.title for info in studio.services.workspace.runs()] == ["still here"]
        assert kept[0].read_bytes().startswith(b"noise")
    else:
        assert studio.services.workspace.path == before
        assert (damaged / "workspace.sqlite").read_bytes().startswith(b"noise")
        assert kept == []


def test_starting_in_a_damaged_workspace_asks_first(qtbot, damaged, monkeypatch):
    asked = []

    def leave(dialog):
        asked.append(dialog)
        dialog.reject()
        return QDialog.DialogCode.Rejected

    monkeypatch.setattr(Question, "exec", leave)
    with pytest.raises(UserError, match="runs --rebuild"):
        app.main(damaged)
    assert len(asked) == 1
    assert (damaged / "workspace.sqlite").read_bytes().startswith(b"noise")


def test_a_list_that_is_damaged_further_in_is_seen_before_it_is_shown(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    workspace.create_run("CartPole-v1", "train", Experiment().to_toml()).finish("finished")
    with closing(sqlite3.connect(workspace.path / "workspace.sqlite")) as connection:
        connection.execute("DROP TABLE runs")
        connection.commit()
    with pytest.raises(UserError, match="runs --rebuild"):
        readable(workspace.path)
