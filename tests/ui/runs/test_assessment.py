"""A run's dreams on the Runs page: what an assessment found, asked for by clicks, made by a real process."""

import shutil

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel

from ewm_studio.jobs import pretrain
from ewm_studio.jobs.kept_assessment import kept_assessment
from ewm_studio.settings import Experiment
from ewm_studio.ui.kit.dialogs import FailureDialog
from ewm_studio.ui.kit.images import Picture
from ewm_studio.workspace import Workspace
from tests.support.jobs import finish

WAIT = 180_000
LEFT = Qt.MouseButton.LeftButton


def shown_texts(view):
    return [found.text() for found in view.findChildren(QLabel) if found.isVisible()]


PICTURES = {"id": "CartPole-v1", "pixels": True, "image_size": 32, "batch_size": 4, "workers": 0}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A workspace with one real, short run whose memory dreams of pictures, made once."""
    workspace = Workspace(tmp_path_factory.mktemp("pretrained") / "workspace")
    asked = Experiment.from_dict(
        {
            "env": PICTURES,
            "vision": {"name": "ConvVAE"},
            "memory": {"name": "MDNRNN", "hidden_dim": 16},
            "data": {"frames": 400},
            "pretrain": {"epochs": 1},
        }
    )
    finish(pretrain(asked, workspace))
    workspace.close()
    return workspace.path


@pytest.fixture
def studio(open_studio, pretrained, tmp_path):
    """A studio on a copy of it."""
    return open_studio(shutil.copytree(pretrained, tmp_path / "workspace"))


@pytest.fixture
def page(qtbot, studio):
    """The Runs page, with the run chosen."""
    studio.window.show_page("runs")
    page = studio.window.pages["runs"].widget
    qtbot.waitUntil(lambda: page.chosen is not None, timeout=WAIT)
    return page


def test_a_run_is_assessed_by_clicks_and_read(qtbot, studio, page):
    run = page.chosen.name
    assert "Mean of 16 draws" not in shown_texts(page)
    qtbot.mouseClick(page._buttons["assess"], LEFT)
    view = page.assessment
    assert view.empty.isVisible()
    stages = []
    studio.jobs.events.connect(lambda events: stages.extend(getattr(event, "stage", "") for event in events))
    qtbot.mouseClick(view.empty.action, LEFT)
    qtbot.waitUntil(lambda: studio.jobs.pid > 0, timeout=WAIT)  # in a process of its own
    assert not view.empty.action.isEnabled()
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    assert {"play", "encode", "measure", "fork"} <= set(stages)
    kept = kept_assessment(studio.services.workspace.run(run).folder)
    assert kept["on"] == "episodes of seeds 100000 to 100009, sampled"
    qtbot.waitUntil(lambda: bool(view.tables), timeout=WAIT)
    texts = shown_texts(view)
    assert {"Error of z", "Pictures, in decibels", "What actions do", "Trust meter", "The mean latent"} <= set(texts)
    assert not view.empty.isVisible()
    bands = [picture for picture in view.findChildren(Picture) if picture.isVisible()]
    assert len(bands) == 2
    for width in (960, 1280):
        studio.window.resize(width, 600)
        qtbot.wait(50)
        for band in bands:
            height, wide = band.array.shape[:2]
            assert band.height() == pytest.approx(min(band.width(), wide) * height / wide, abs=1)
    assert view.again.isEnabled()
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert page.view.isVisible()
    assert page.chosen.name == run
    qtbot.mouseClick(page._buttons["assess"], LEFT)
    assert "The mean latent" in shown_texts(view)


def test_the_model_that_the_next_run_starts_from_is_assessed_by_the_menu(qtbot, studio, page):
    studio.window.show_page("train")
    studio.services.document.set("start.load_path", page.chosen.name)
    studio.window.actions_by_name["dreams"].trigger()
    assert page.assessment.isVisible()
    assert page.assessment.run == page.chosen.name
    model = str(studio.services.workspace.resolve_model(page.chosen.name))
    studio.services.document.set("start.load_path", model)
    studio.window.actions_by_name["dreams"].trigger()
    assert page.assessment.run == model
    qtbot.mouseClick(page.assessment.empty.action, LEFT)
    qtbot.waitUntil(lambda: bool(page.assessment.tables), timeout=WAIT)
    assert "The mean latent" in shown_texts(page.assessment)
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)


def test_what_no_assessment_can_be_read_from_is_said(qtbot, studio, page):
    (studio.services.workspace.run(page.chosen.name).folder / "assessment.json").write_text("nonsense")
    qtbot.mouseClick(page._buttons["assess"], LEFT)
    failures = [w for w in QApplication.topLevelWidgets() if isinstance(w, FailureDialog) and w.isVisible()]
    assert page.view.isVisible()
    assert "assess the run again" in failures[0]._failure.what
    assert failures[0].windowTitle() == "Could not show the assessment"
    qtbot.mouseClick(failures[0].close_button, LEFT)


def test_a_narrow_window_keeps_every_button_whole(qtbot, studio, page):
    for width in (960, 1800):
        studio.window.resize(width, 600)
        qtbot.wait(50)
        shown = [b for b in (*page._buttons.values(), page.parts, page.more) if b.isVisible()]
        assert all(button.width() >= button.sizeHint().width() for button in shown)
        texts = {action.text() for action in page.more.menu().actions()} | {button.text() for button in shown}
        assert {"Show plots", "Compare", "Resume", "Continue from here", "Load as model", "Dreams"} <= texts
    assert all(button.isVisible() for button in page._buttons.values())
