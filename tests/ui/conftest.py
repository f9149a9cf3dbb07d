"""A window without a screen, and the rules that every test of it keeps."""

import gc
import os
import shutil
import weakref

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

import pytest
import shiboken6
from PySide6.QtCore import QEvent, QSettings, QThread, QTimer, QtMsgType
from PySide6.QtWidgets import QApplication

from ewm_studio.ui.kit.theme import theme
from ewm_studio.ui.window.app import make_app
from ewm_studio.ui.window.studio import Studio
from ewm_studio.workspace import Workspace

ALLOWED = "This plugin does not support"  # what the offscreen platform says about every popup
MOVING = (QThread, QTimer)
_LIVING = weakref.WeakSet()  # threads and timers that some test made and that are still there
WAIT = 120_000  # milliseconds; generous, because nothing here is timed

PICTURES = {
    "env": {
        "id": "CartPole-v1",
        "pixels": True,
        "image_size": 16,
        "batch_size": 2,
        "workers": 0,
        "max_episode_steps": 60,
    },
    "vision": {"name": "ConvVAE", "latent_dim": 4, "channels": 2},
    "memory": {"name": "MDNRNN", "hidden_dim": 8, "mixtures": 2},
    "run": {"seed": 0},
    "infer": {"episodes": 2},
}


@pytest.fixture(scope="session")
def dreaming_workspace(tmp_path_factory):
    """A workspace with two small models that dream and an evaluation, made once."""
    from ewm_studio.jobs import infer, train
    from tests.support.jobs import experiment, finish

    workspace = Workspace(tmp_path_factory.mktemp("dreams") / "workspace")
    for seed in (0, 1):
        finish(train(experiment(**(PICTURES | {"run": {"seed": seed}})), workspace))
    name = workspace.runs()[0].name
    finish(infer(experiment(**(PICTURES | {"start": {"load_path": name}})), workspace))
    workspace.close()
    return workspace.path


@pytest.fixture
def dreams(dreaming_workspace, tmp_path):
    """A copy of it."""
    return shutil.copytree(dreaming_workspace, tmp_path / "dreams")


@pytest.fixture(autouse=True)
def own_settings(tmp_path):
    """Each test has a settings file of its own."""
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path / "settings"))


@pytest.fixture(autouse=True)
def clean(qapp, qtlog, own_settings):
    """Fail on a Qt warning, a widget left on the screen's level, a running thread or timer."""
    make_app()
    before = set(map(id, QApplication.topLevelWidgets()))
    gc.collect()
    gc.freeze()  # afterwards only what the test made is looked at: all that is imported takes half a second
    yield
    for _ in range(3):
        qapp.processEvents()
        qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    gc.collect()
    warned = [r.message for r in qtlog.records if r.type in (QtMsgType.QtWarningMsg, QtMsgType.QtCriticalMsg)]
    assert [w for w in warned if not w.startswith(ALLOWED)] == []
    left = [w for w in QApplication.topLevelWidgets() if id(w) not in before and not _is_qts_own(w)]
    assert [type(w).__name__ for w in left] == [], "widgets left behind"
    _LIVING.update(found for found in gc.get_objects() if isinstance(found, MOVING))
    alive = [found for found in _LIVING if shiboken6.isValid(found)]
    assert [t for t in alive if isinstance(t, QThread) and t.isRunning()] == []
    assert [t for t in alive if isinstance(t, QTimer) and t.isActive()] == []


def _is_qts_own(widget):
    return type(widget).__name__ in ("QTipLabel", "QComboBoxPrivateContainer")


@pytest.fixture
def open_studio(qtbot, tmp_path, processes):
    """Makes a studio on a workspace; all are closed at the end."""
    made = []

    def make(workspace=None, begin=True, processes=processes, **more):
        if not made:
            QApplication.instance().setStyleSheet("")  # made undressed, as for a person: in half the time
        studio = Studio(Workspace(workspace or tmp_path / "workspace"), processes, **more)
        if not made:
            theme().apply(theme().mode)
        made.append(studio)
        studio.restore()
        studio.window.resize(1280, 800)
        studio.window.show()
        qtbot.waitExposed(studio.window)
        if begin:
            studio.begin()
            qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)
        return studio

    yield make
    for studio in made:
        studio.end()
        studio.window.hide()
        shiboken6.delete(studio.window)
        shiboken6.delete(studio)
    made.clear()


@pytest.fixture
def studio(open_studio):
    """A studio whose catalog is loaded."""
    return open_studio()
