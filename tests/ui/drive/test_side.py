"""The Drive page with its column, on the real engine: drive, record, find the episode, learn, pretrain on it."""

import pytest
from PySide6.QtCore import Qt

WAIT = 120_000
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def racing(studio, qtbot):
    """A studio on CarRacing with small pictures and a small vision."""
    for path, value in (
        ("env.id", "CarRacing-v3"),
        ("env.action_repeat", 4),
        ("env.image_size", 16),
        ("vision.name", "ConvVAE"),
        ("memory.name", "LSTMMemory"),
        ("world_model.vision_batch_size", 16),
    ):
        studio.services.document.set(path, value)
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)
    studio.window.resize(1440, 900)
    studio.window.show_page("drive")
    return studio


def test_what_is_driven_is_recorded_learned_from_and_pretrained_on(qtbot, racing):
    studio = racing
    page, side = studio.window.pages["drive"].widget, studio.window.pages["drive"].controller
    assert side.panel.isVisible()
    side.panel.live.switch.click()
    qtbot.mouseClick(page.empty.action, LEFT)
    qtbot.waitUntil(
        lambda: side.drive.session is not None and page.view.isVisible(),
        timeout=WAIT,
    )
    qtbot.waitUntil(lambda: side.drive.session.snapshot.state == "paused", timeout=WAIT)
    qtbot.mouseClick(page.record, LEFT)
    page.view.setFocus()
    qtbot.keyPress(page.view, Qt.Key.Key_Up)
    qtbot.waitUntil(lambda: side.live._run != "", timeout=WAIT)  # enough was driven to learn from
    qtbot.waitUntil(lambda: side.panel.live.pictures["reconstruction"].array is not None, timeout=WAIT)
    qtbot.keyRelease(page.view, Qt.Key.Key_Up)
    qtbot.mouseClick(page.keep, LEFT)
    qtbot.waitUntil(lambda: len(side.panel.list.episodes.episodes) == 1, timeout=WAIT)
    side.drive.leave()
    qtbot.waitUntil(lambda: not side.drive.driving and not side.live.running, timeout=WAIT)
    (learned,) = studio.services.workspace.runs()
    assert learned.state == "finished"
    assert learned.job == "pretrain"
    assert learned.checkpoint

    studio.services.document.set("pretrain.epochs", 1)
    side.recordings.pretrain_asked.emit(side.panel.chosen, 0.5)
    qtbot.waitUntil(lambda: studio.jobs.running, timeout=WAIT)
    assert studio.services.document.experiment.data.recording == side.panel.chosen
    assert studio.window.page == "vision"
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    assert [run.state for run in studio.services.workspace.runs()] == ["finished", "finished"]
    texts = [line.text for line in studio.window.pages["train"].widget.log.lines]
    assert any("random frames beside them" in text for text in texts)
