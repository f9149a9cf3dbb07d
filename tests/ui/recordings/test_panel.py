"""The panel of recordings, by mouse and keys, on real recordings; and learning while driving in its own process."""

import os
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QApplication

from ewm_studio.data import minari_catalog
from ewm_studio.data.library import Library
from ewm_studio.data.minari_catalog import DatasetInfo
from ewm_studio.data.recordings import RecordingWriter
from ewm_studio.driving.decisions import Decision
from ewm_studio.errors import JobError
from ewm_studio.settings import Experiment
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.ui.jobs.runner import JobRunner
from ewm_studio.ui.kit.background import Background
from ewm_studio.ui.kit.dialogs import TextQuestion
from ewm_studio.ui.live.controller import LiveController
from ewm_studio.ui.live.panel import LivePanel
from ewm_studio.ui.notices import Notices
from ewm_studio.ui.plots.histogram import HistogramCard
from ewm_studio.ui.recordings.controller import RecordingsController
from ewm_studio.ui.recordings.dialogs import MergeDialog, PretrainDialog
from ewm_studio.ui.recordings.episode_list import driver_of
from ewm_studio.ui.recordings.episode_player import EpisodePlayer
from ewm_studio.ui.recordings.minari_dialog import MinariDialog
from ewm_studio.ui.recordings.panel import EPISODE, RECORDING, RecordingsPanel
from ewm_studio.ui.services import Services
from ewm_studio.workspace import Workspace
from tests.support.jobs import experiment

WAIT = 120_000
LEFT = Qt.MouseButton.LeftButton
META = {
    "env": "CarRacing-v3",
    "source": "manual",
    "observation_space": {"type": "Box", "dtype": "uint8", "shape": [24, 24, 3], "low": 0, "high": 255},
    "action_space": {"type": "Box", "dtype": "float32", "shape": [2], "low": -1, "high": 1},
}


def record(library, name, lengths, **meta):
    writer = RecordingWriter(library.folder / name, META | meta)
    for length in lengths:
        obs = np.zeros((length + 1, 24, 24, 3), np.uint8) + np.arange(length + 1, dtype=np.uint8)[:, None, None, None]
        manual = np.arange(length) < 5
        writer.add_episode(obs, np.zeros((length, 2), np.float32), np.ones(length), True, False, manual)


def services(workspace, processes, parent):
    """What a page is given, without a window."""
    notices = Notices(parent)
    background, jobs = Background(notices.fail, parent), JobRunner(processes, parent)
    return Services(ExperimentDocument(), workspace, jobs, background, notices, parent)


@pytest.fixture
def library(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    made = Library(workspace)
    record(made, "laps", [10, 5, 20])
    record(made, "more", [7], source="model")
    yield made
    workspace.close()


@pytest.fixture
def shown(qtbot, library, processes):
    """A panel with its controller; failures are collected."""
    panel, parent, failures = RecordingsPanel(), QObject(), []
    qtbot.addWidget(panel)
    panel.failures = failures
    panel.services = services(Workspace(library.folder.parent), processes, parent)
    panel.services.notices.failed.connect(failures.append)
    panel.controller = RecordingsController(panel, panel.services, parent)
    panel.idle = lambda: not panel.services.background.busy
    panel.resize(320, 700)
    panel.show()
    qtbot.waitExposed(panel)
    panel.controller.refresh("laps")
    qtbot.waitUntil(lambda: settled(panel), timeout=WAIT)
    yield panel
    panel.services.background.end()
    panel.services.workspace.close()
    assert failures == []


def settled(panel):
    return panel.idle() and panel.list.episodes.rowCount() > 0 and not panel.list.episodes.without_picture()


def dialog(qtbot, kind):
    """The open dialog of a kind."""

    def find():
        return next((w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible()), None)

    qtbot.waitUntil(lambda: find() is not None, timeout=WAIT)
    return find()


def lengths(panel):
    return [e.length for e in panel.list.episodes.episodes]


def trigger(panel, what):
    panel.recording_menu.actions()[list(RECORDING).index(what)].trigger()


def test_rows_tell_what_was_driven(shown):
    assert shown.chosen == "laps"
    assert lengths(shown) == [20, 5, 10]  # the latest first
    assert [driver_of(e) for e in shown.list.episodes.episodes] == ["model, 25% you", "you", "model, 50% you"]
    model = shown.list.episodes
    assert "reward 20, 20 frames, model, 25% you" in model.data(model.index(0))
    assert all(model.picture(e).width() == 92 for e in model.episodes)
    assert model.picture(model.episodes[0]).pixelColor(5, 5).red() == 10  # its middle


def test_choosing_another_recording_shows_its_episodes(qtbot, shown):
    shown.choice.setFocus()
    qtbot.keyClick(shown.choice, Qt.Key.Key_Up)  # the latest stands first
    qtbot.waitUntil(lambda: settled(shown) and lengths(shown) == [7], timeout=WAIT)
    assert shown.chosen == "more"


def test_delete_by_key_and_undo(qtbot, shown, library):
    qtbot.keyClick(shown.list, Qt.Key.Key_Down)
    qtbot.keyClick(shown.list, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: settled(shown) and lengths(shown) == [20, 10], timeout=WAIT)
    assert [e.length for e in library.find("laps").episodes] == [10, 20]
    qtbot.mouseClick(shown.undo, LEFT)
    qtbot.waitUntil(lambda: settled(shown) and lengths(shown) == [20, 5, 10], timeout=WAIT)
    assert not shown.undo.isVisible()


def test_replay_plays_steps_and_jumps(qtbot, shown):
    qtbot.keyClick(shown.list, Qt.Key.Key_Return)
    player = dialog(qtbot, EpisodePlayer)
    assert player.playing
    qtbot.waitUntil(lambda: player.step == 20 and not player.playing, timeout=WAIT)
    qtbot.keyClick(player, Qt.Key.Key_Home)
    for _ in range(3):
        qtbot.keyClick(player, Qt.Key.Key_Right)
    assert player.step == 3
    assert (player.picture.array == 3).all()
    qtbot.keyClick(player, Qt.Key.Key_Left)
    assert player.step == player.slider.value() == 2
    qtbot.keyClick(player, Qt.Key.Key_Space)
    assert player.playing
    qtbot.keyClick(player, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not any(isinstance(w, EpisodePlayer) for w in QApplication.topLevelWidgets()), timeout=WAIT)


def test_cut_keeps_a_part_and_can_be_undone(qtbot, shown, library):
    qtbot.mouseClick(shown.buttons["cut"], LEFT)
    player = dialog(qtbot, EpisodePlayer)
    assert not player.playing
    assert not player.keep_button.isEnabled()
    player.seek(4)
    qtbot.mouseClick(player.begin_button, LEFT)
    player.seek(12)
    qtbot.mouseClick(player.end_button, LEFT)
    assert player.kept == (4, 12)
    qtbot.mouseClick(player.keep_button, LEFT)
    qtbot.waitUntil(lambda: settled(shown) and lengths(shown) == [8, 5, 10], timeout=WAIT)
    data = library.find("laps").episode(2)
    assert data.obs[:, 0, 0, 0].tolist() == list(range(4, 13))
    qtbot.mouseClick(shown.undo, LEFT)
    qtbot.waitUntil(lambda: settled(shown) and lengths(shown) == [20, 5, 10], timeout=WAIT)


def drive(library, name, actions, terminated=False):
    """An episode driven by actions (T, 2), each frame of the brightness of its step."""
    length, writer = len(actions), RecordingWriter(library.folder / name, META)
    obs = np.zeros((length + 1, 24, 24, 3), np.uint8) + np.arange(length + 1, dtype=np.uint8)[:, None, None, None]
    moved = np.array([[each, 0] for each in actions], np.float32)
    writer.add_episode(obs, moved, np.ones(length), terminated, not terminated, np.ones(length, bool))


def test_idle_ends_are_trimmed_at_a_click_and_come_back(qtbot, shown, library):
    drive(library, "idle", [0, 0, 0, 1, 0, 1, 0, 0])
    drive(library, "idle", [0, 1, 1, 0, 0, 0, 0], terminated=True)
    drive(library, "idle", [0] * 6)
    shown.controller.refresh("idle")
    qtbot.waitUntil(lambda: settled(shown) and lengths(shown) == [6, 7, 8], timeout=WAIT)
    shown.list.choose(library.find("idle").episodes[0].path)
    next(a for a in shown.menu.actions() if a.text() == EPISODE["trim"][0]).trigger()
    qtbot.waitUntil(lambda: settled(shown) and lengths(shown) == [6, 7, 3], timeout=WAIT)
    assert library.find("idle").episode(0).obs[:, 0, 0, 0].tolist() == [3, 4, 5, 6]
    qtbot.mouseClick(shown.undo, LEFT)
    qtbot.waitUntil(lambda: settled(shown) and lengths(shown) == [6, 7, 8], timeout=WAIT)
    trigger(shown, "trim_all")
    qtbot.waitUntil(lambda: settled(shown) and lengths(shown) == [6, 6, 3], timeout=WAIT)  # an end for good stays
    assert shown._note.text() == "2 episodes trimmed"
    qtbot.mouseClick(shown.undo, LEFT)
    qtbot.waitUntil(lambda: settled(shown) and lengths(shown) == [6, 7, 8], timeout=WAIT)
    for path in [e.path for e in library.find("idle").episodes[:2]]:
        library.delete_episode(path)
    trigger(shown, "trim_all")
    qtbot.waitUntil(lambda: shown._note.text() == "Nothing idle at the ends", timeout=WAIT)
    assert not shown.undo.isVisible()


def test_pretrain_on_ticked_recordings_with_a_share(qtbot, shown):
    asked = []
    shown.controller.pretrain_asked.connect(lambda *what: asked.append(what))
    qtbot.mouseClick(shown.pretrain, LEFT)
    choice = dialog(qtbot, PretrainDialog)
    assert [r.name for r in choice.ticks.ticked] == ["laps"]
    choice.ticks.setCurrentRow(next(i for i in range(2) if choice.ticks.item(i).text().startswith("more")))
    qtbot.keyClick(choice.ticks, Qt.Key.Key_Space)
    choice.share.setFocus()
    for _ in range(3):
        qtbot.keyClick(choice.share, Qt.Key.Key_PageUp)
    assert "42 frames" in choice.problem.text()
    assert "18 at random" in choice.problem.text()
    qtbot.mouseClick(choice.yes, LEFT)
    ((names, share),) = asked
    assert sorted(names.split(",")) == ["laps", "more"]
    assert share == pytest.approx(0.3)


def test_merge_rename_and_delete_recordings(qtbot, shown, library):
    document = shown.services.document
    trigger(shown, "merge")
    choice = dialog(qtbot, MergeDialog)
    assert not choice.yes.isEnabled()
    for number in range(2):
        choice.ticks.item(number).setCheckState(Qt.CheckState.Checked)
    qtbot.keyClicks(choice.name, "all")
    qtbot.mouseClick(choice.yes, LEFT)
    qtbot.waitUntil(lambda: shown.chosen == "all" and settled(shown), timeout=WAIT)
    assert sorted(lengths(shown)) == [5, 7, 10, 20]
    document.set("data.recording", "laps, all")
    document.set("warm_up.recording", "more")
    trigger(shown, "rename")
    question = dialog(qtbot, TextQuestion)
    question.line.clear()
    qtbot.keyClicks(question.line, "everything")
    qtbot.keyClick(question.line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: shown.chosen == "everything" and settled(shown), timeout=WAIT)
    assert document.experiment.data.recording == "laps,everything"  # settings go on naming it
    assert document.experiment.warm_up.recording == "more"
    trigger(shown, "delete_recording")
    qtbot.waitUntil(lambda: settled(shown) and library.names() == ["laps", "more"], timeout=WAIT)
    qtbot.mouseClick(shown.undo, LEFT)
    qtbot.waitUntil(lambda: shown.chosen == "everything" and settled(shown), timeout=WAIT)
    trigger(shown, "rename")
    question = dialog(qtbot, TextQuestion)
    question.line.clear()
    qtbot.keyClicks(question.line, "laps")
    assert "“laps” is taken" in question.problem.text()
    qtbot.keyClick(question.line, Qt.Key.Key_Return)
    assert question.isVisible()  # it cannot be called so
    question.reject()
    assert library.names() == ["everything", "laps", "more"]


def test_export_and_import(qtbot, shown, library, tmp_path, monkeypatch):
    pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    trigger(shown, "export")
    question = dialog(qtbot, TextQuestion)
    assert question.line.text() == "laps-v0"
    qtbot.keyClick(question.line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "Minari dataset laps-v0" in shown._note.text(), timeout=WAIT)
    trigger(shown, "import")
    choice = dialog(qtbot, MinariDialog)
    qtbot.keyClicks(choice.name, "back")
    qtbot.mouseClick(choice.yes, LEFT)
    qtbot.waitUntil(lambda: shown.chosen == "back" and settled(shown), timeout=WAIT)
    assert [e.manual_share for e in library.find("back").episodes] == [0.5, 1, 0.25]


@pytest.fixture
def minari_home(library, tmp_path, monkeypatch):
    """A dataset of three episodes that earned 10, 5 and 20, and one of another name."""
    pytest.importorskip("minari")
    from ewm_studio.data.minari import export_recording

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    export_recording(library.find("laps"), "laps-v0")
    export_recording(library.find("more"), "ours/more-v0")


def cells(choice):
    return [[choice.table.item(y, x).text() for x in range(4)] for y in range(choice.table.rowCount())]


def test_minari_datasets_show_their_returns_and_are_filtered_by_them(qtbot, shown, library, minari_home, monkeypatch):
    monkeypatch.setattr(minari_catalog, "remote_datasets", lambda: pytest.fail("nobody asked for public ones"))
    trigger(shown, "import")
    choice = dialog(qtbot, MinariDialog)
    assert cells(choice) == [["laps-v0", "CarRacing-v3", "3", "35"], ["ours/more-v0", "CarRacing-v3", "1", "7"]]
    qtbot.waitUntil(lambda: choice.problem.text() == "3 of 3 episodes", timeout=WAIT)

    def titles():
        return [card.view.accessibleName() for card in choice.findChildren(HistogramCard) if card.isVisible()]

    qtbot.waitUntil(lambda: titles() == ["Returns, histogram", "Lengths, in steps, histogram"], timeout=WAIT)
    qtbot.keyClicks(choice.least, "8")
    assert choice.problem.text() == "2 of 3 episodes"
    qtbot.keyClicks(choice.most, "x")
    assert "numbers" in choice.problem.text()
    assert not choice.yes.isEnabled()
    qtbot.keyClick(choice.most, Qt.Key.Key_Backspace)
    qtbot.keyClicks(choice.least, "0")
    assert choice.problem.text() == "No episode earned that."
    qtbot.keyClick(choice.least, Qt.Key.Key_Backspace)
    qtbot.keyClicks(choice.name, "laps")
    assert "taken" in choice.problem.text()
    qtbot.keyClicks(choice.name, "-good")
    qtbot.mouseClick(choice.yes, LEFT)
    qtbot.waitUntil(lambda: shown.chosen == "laps-good" and settled(shown), timeout=WAIT)
    assert [e.total_reward for e in library.find("laps-good").episodes] == [10, 20]


def test_public_datasets_are_listed_and_downloaded_at_a_click(qtbot, shown, library, minari_home, monkeypatch):
    public = DatasetInfo("public/far-v1", "Far-v1", 100, 5000, 12.5, local=False, about="Far away.")
    asked = []
    monkeypatch.setattr(minari_catalog, "remote_datasets", lambda: [public])
    monkeypatch.setattr(minari_catalog, "download", lambda id: asked.append(id) or export(library, "more", id))
    trigger(shown, "import")
    choice = dialog(qtbot, MinariDialog)
    qtbot.mouseClick(choice.public, LEFT)
    qtbot.waitUntil(lambda: choice.table.rowCount() == 3, timeout=WAIT)
    choice.table.setFocus()
    qtbot.keyClick(choice.table, Qt.Key.Key_End, Qt.KeyboardModifier.ControlModifier)
    assert choice.yes.text() == "Download"
    assert "12.5 MB" in choice.problem.text()
    assert choice._about.text() == "Far away."
    qtbot.mouseClick(choice.yes, LEFT)
    qtbot.waitUntil(lambda: choice.problem.text() == "1 of 1 episodes", timeout=WAIT)
    assert (asked, choice.yes.text()) == (["public/far-v1"], "Import")

    def refuse():
        raise JobError("public Minari datasets cannot be listed")

    monkeypatch.setattr(minari_catalog, "remote_datasets", refuse)
    qtbot.mouseClick(choice.public, LEFT)
    qtbot.waitUntil(lambda: "cannot be listed" in choice.problem.text(), timeout=WAIT)
    assert choice.public.isEnabled()
    choice.reject()


def export(library, name, id):
    from ewm_studio.data.minari import export_recording

    export_recording(library.find(name), id)


def test_an_empty_workspace_teaches(qtbot, shown, tmp_path):
    shown.services.change_workspace(Workspace(tmp_path / "other"))
    shown.controller.show_workspace()
    shown.controller.refresh()
    qtbot.waitUntil(shown.idle, timeout=WAIT)
    assert shown.bring.isVisible()
    assert not shown.choice.isVisible()
    enabled = [a.text() for a in shown.recording_menu.actions() if a.isEnabled()]
    assert enabled == ["Import from Minari…"]


# Learning while driving


@pytest.fixture
def learning(qtbot, processes, tmp_path):
    """The live panel, and what runs its job."""
    panel, parent = LivePanel(), QObject()
    qtbot.addWidget(panel)
    panel.resize(320, 400)
    panel.show()
    panel.services = services(Workspace(tmp_path), processes, parent)
    panel.controller = LiveController(panel, panel.services, parent)
    yield panel
    panel.controller.end()
    panel.services.workspace.close()


def test_what_is_driven_is_learned_from_in_another_less_urgent_process(qtbot, learning):
    settings: Experiment = experiment(
        env={"id": "CarRacing-v3", "image_size": 32}, vision={"name": "ConvVAE", "latent_dim": 8},
        memory={"name": "LSTMMemory", "hidden_dim": 8}, world_model={"vision_batch_size": 16},
    )  # fmt: skip
    workspace, control = learning.services.workspace, learning.controller
    learning.services.document.replace(settings)
    control.on_decision(Decision(np.zeros((3, 32, 32), np.uint8), np.zeros(3, np.float32), True))  # nobody learns yet
    control.begin_driving()
    assert not control.running
    qtbot.mouseClick(learning.switch, LEFT)
    assert control.running
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (200, 3, 32, 32), dtype=np.uint8)
    for number, picture in enumerate(pictures):
        control.on_decision(Decision(picture, np.zeros(3, np.float32), number == 0))
    shown = learning.pictures
    qtbot.waitUntil(lambda: all(p.array is not None for p in shown.values()), timeout=WAIT)
    assert shown["reconstruction"].array.shape == shown["prediction"].array.shape == (32, 32, 3)
    pid = control._jobs.pid
    assert pid not in (0, os.getpid())
    if hasattr(os, "nice"):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        assert int(fields[16]) >= min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    qtbot.waitUntil(lambda: len(learning._history["vision/total"]) > 1, timeout=WAIT)
    control.end_driving()
    qtbot.waitUntil(lambda: not control.running, timeout=WAIT)
    (run,) = workspace.runs()
    assert (run.state, run.job) == ("finished", "pretrain")
    assert workspace.resolve_model(run.name).is_file()
    assert learning._about.text() == "saved"
    assert run.name in learning._words.text()


def test_nothing_driven_leaves_no_run(qtbot, learning):
    control = learning.controller
    learning.services.document.replace(experiment(memory={"name": "LSTMMemory"}))
    qtbot.mouseClick(learning.switch, LEFT)
    control.begin_driving()
    assert control.running
    qtbot.mouseClick(learning.switch, LEFT)
    qtbot.waitUntil(lambda: not control.running, timeout=WAIT)
    assert learning.services.workspace.runs() == []
