"""Trained models that come with the studio: from an empty window to an agent at play, by mouse and by menu."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from ewm_studio.ui.window.pretrained_controller import TITLE
from tests.ui.conftest import WAIT

pytest.importorskip("torch")  # here, where nobody waits for a picture
LEFT = Qt.MouseButton.LeftButton


def offered(empty, name):
    return next(b for b in empty.findChildren(QPushButton) if b.accessibleName() == f"Watch {name}")


def drive(studio):
    return studio.window.pages["drive"].controller.drive


def driven(studio, steps=3):
    """Whether a model is seen at the wheel, without a job."""
    shown = drive(studio).page.view.shown
    assert not studio.jobs.running
    return drive(studio).page.isVisible() and shown is not None and shown.driver == "model" and shown.steps > steps


@pytest.mark.parametrize("page", ["train", "replay", "runs"])
def test_a_click_on_an_empty_page_shows_a_trained_agent_at_play(qtbot, open_studio, page):
    studio = open_studio(begin=False)
    studio.window.show_page(page)
    button = offered(studio.window.pages[page].widget.empty, "cartpole")
    assert button.text() == "cartpole · 500"
    qtbot.mouseClick(button, LEFT)
    assert studio.window.page == "drive"  # at once
    qtbot.waitUntil(lambda: driven(studio), timeout=WAIT)
    assert studio.services.document.experiment.start.load_path is None  # the experiment on the left is as it was
    assert drive(studio).page.model.currentData() == "cartpole"
    qtbot.keyPress(drive(studio).page.view, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: drive(studio).session.snapshot.driver == "person", timeout=WAIT)
    qtbot.keyRelease(drive(studio).page.view, Qt.Key.Key_Left)


def test_what_is_watched_is_as_large_as_its_environment_draws_it(qtbot, open_studio):
    studio = open_studio(begin=False)
    studio.workspaces.pretrained.watch("carracing")
    qtbot.waitUntil(lambda: driven(studio), timeout=WAIT)
    assert drive(studio).page.view.shown.frame.shape == (400, 600, 3)


def test_the_help_menu_offers_them_too_and_another_takes_the_place_of_the_first(qtbot, open_studio):
    studio = open_studio(begin=False)
    menu = next(a.menu() for a in studio.window.menus["Help"].actions() if a.text() == TITLE)
    entries = {action.text().split(" ")[0]: action for action in menu.actions()}
    entries["cartpole"].trigger()
    qtbot.waitUntil(lambda: driven(studio), timeout=WAIT)
    entries["carracing"].trigger()
    qtbot.waitUntil(lambda: drive(studio).env.startswith("CarRacing") and driven(studio), timeout=WAIT)


@pytest.mark.parametrize("size", [(960, 600), (1280, 800), (1920, 1080)])
@pytest.mark.parametrize("page", ["train", "replay", "runs"])
def test_the_offer_is_whole_at_every_size(qtbot, open_studio, page, size):
    studio = open_studio(begin=False)
    studio.window.resize(*size)
    studio.window.show_page(page)
    empty = studio.window.pages[page].widget.empty
    for name in studio.workspaces.pretrained.models:
        button = offered(empty, name)
        qtbot.waitUntil(button.isVisible)
        assert button.width() >= button.minimumSizeHint().width()
        left = button.mapTo(empty, button.rect().topLeft())
        right = button.mapTo(empty, button.rect().bottomRight())
        assert empty.rect().contains(left)
        assert empty.rect().contains(right)
