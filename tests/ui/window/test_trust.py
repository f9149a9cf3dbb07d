"""The window asks before a file's module is imported."""

import pytest
from PySide6.QtWidgets import QLabel

from ewm_studio.envs.trust import agreements_file, check_trusted
from tests.support.canary import Canary
from tests.ui.conftest import WAIT


@pytest.fixture
def canary(nothing_trusted, tmp_path, monkeypatch):
    return Canary(tmp_path / "elsewhere", monkeypatch)


@pytest.fixture
def asked(canary, qtbot, open_studio, tmp_path):
    """A studio that opened an experiment from elsewhere and asks about it."""
    studio = open_studio(processes=None)  # processes that know of this test's settings
    config = tmp_path / "hostile.toml"
    config.write_text(f'[env]\nid = "{canary.id}"\nbatch_size = 2\nworkers = 0\n[train]\ntotal_steps = 64\n')
    studio.services.document.open(config)
    qtbot.waitUntil(lambda: studio.trust.question is not None, timeout=WAIT)
    return studio


def settle(qtbot, studio):
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)


def test_no_means_no(qtbot, asked, canary):
    words = asked.trust.question.findChildren(QLabel)
    assert any(str(canary.file.resolve()) in word.text() for word in words)
    asked.trust.question.no.click()
    settle(qtbot, asked)
    asked.services.document.set("ppo.lr", 0.001)
    asked.services.document.set("vision.name", "Identity")  # what is inspected anew asks no second time
    settle(qtbot, asked)
    assert asked.trust.question is None
    asked.services.start("train")  # but pressing Train does
    assert asked.trust.question is not None
    assert not asked.jobs.running
    asked.trust.question.no.click()
    assert not canary.ran
    assert not agreements_file().exists()


def test_yes_is_remembered_and_goes_on(qtbot, asked, canary):
    asked.services.start("train")
    asked.trust.question.yes.click()
    check_trusted(canary.id)
    with qtbot.waitSignal(asked.jobs.ended, timeout=WAIT) as ended:
        pass
    assert ended.args[1] is None
    assert canary.ran
    settle(qtbot, asked)


def test_what_the_person_chooses_is_meant(qtbot, studio, canary):
    studio.window.panel.environment.chosen.emit(canary.id)
    settle(qtbot, studio)
    assert studio.trust.question is None
    assert canary.ran
