"""Studios on the Study page, and what the system would be asked to show."""

import pytest
from PySide6.QtCore import QObject, Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices

from tests.support.studies import written_study
from tests.ui.conftest import WAIT
from tests.ui.study.steps import controller, settled


@pytest.fixture
def making(qtbot, studio):
    """A studio that makes a new study."""
    qtbot.mouseClick(studio.window._rail_buttons["study"], Qt.MouseButton.LeftButton)
    settled(qtbot, studio)
    return studio


@pytest.fixture
def watching(qtbot, open_studio, tmp_path):
    """A studio on a workspace with a study of which one run failed, one is under way and one waits."""
    written_study(
        tmp_path / "workspace",
        failed={("none + linear", 1)},
        running={("LSTM + deep", 4)},
        waiting={("LSTM + deep", 5)},
    )
    studio = open_studio(begin=False)
    qtbot.mouseClick(studio.window._rail_buttons["study"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: controller(studio).watching.idle and not studio.services.background.busy, timeout=WAIT)
    return studio


class Taker(QObject):
    """Takes what would be shown by the system."""

    def __init__(self):
        super().__init__()
        self.found = []

    @Slot(QUrl)
    def take(self, url):
        self.found.append(url.toLocalFile())


@pytest.fixture
def opened():
    """Files and folders that were to be shown."""
    taker = Taker()
    QDesktopServices.setUrlHandler("file", taker, "take")
    yield taker.found
    QDesktopServices.unsetUrlHandler("file")
