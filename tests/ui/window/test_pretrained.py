"""Trained models that come with the studio: from an empty window to a replay, by mouse and by menu."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from ewm_studio.ui.window.pretrained_controller import EPISODES, FIRST_SEED, TITLE
from tests.ui.conftest import WAIT

LEFT = Qt.MouseButton.LeftButton


def offered(empty, name):
    return next(b for b in empty.findChildren(QPushButton) if b.accessibleName() == f"Watch {name}")


def watched(studio):
    page = studio.window.pages["replay"].widget
    return page.isVisible() and page.watched is not None and not studio.jobs.running


@pytest.mark.parametrize("page", ["train", "replay", "runs"])
def test_a_click_on_an_empty_page_shows_a_trained_agent_at_play(qtbot, open_studio, page):
    studio = open_studio()
    studio.window.show_page(page)
    button = offered(studio.window.pages[page].widget.empty, "cartpole")
    assert button.text() == "CartPole-v1 · 500"
    qtbot.mouseClick(button, LEFT)
    qtbot.waitUntil(lambda: watched(studio), timeout=WAIT)
    episodes = studio.window.pages["replay"].widget.table.episodes.episodes
    assert [e.seed for e in episodes] == list(range(FIRST_SEED, FIRST_SEED + EPISODES))
    assert all(e.reward == 500 for e in episodes)
    assert studio.window.pages["replay"].widget.choice.currentText().startswith("cartpole ·")
    assert studio.services.document.experiment.start.load_path is None  # the experiment on the left is as it was


def test_the_help_menu_offers_them_too(qtbot, open_studio):
    studio = open_studio()
    menu = next(a.menu() for a in studio.window.menus["Help"].actions() if a.text() == TITLE)
    next(a for a in menu.actions() if a.text().startswith("CartPole-v1")).trigger()
    qtbot.waitUntil(lambda: watched(studio), timeout=WAIT)


def test_an_evaluation_of_ones_own_does_not_turn_the_page(qtbot, open_studio):
    studio = open_studio()
    studio.workspaces.pretrained.watch("cartpole")
    qtbot.waitUntil(lambda: watched(studio), timeout=WAIT)
    studio.window.show_page("train")
    studio.services.document.set("start.load_path", "cartpole")
    studio.services.document.set("infer.episodes", 2)
    studio.services.start("infer")
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    assert studio.window.page == "train"


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
