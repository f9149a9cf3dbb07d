"""What the window offers to begin with, and the ways out: presets, ready-made workspaces, the command line."""

import shlex

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication

from ewm_studio.jobs.launch import build_experiment
from ewm_studio.resources import presets
from ewm_studio.settings import Experiment
from ewm_studio.terminal.parsers import job_parser
from ewm_studio.ui.kit.empty_state import EmptyState
from ewm_studio.ui.window.workspaces import ready_made
from ewm_studio.workspace import Workspace

PRESETS = presets()
LEFT = Qt.MouseButton.LeftButton


def rebuilt(line, tmp_path):
    """The experiment that a command line makes."""
    words = shlex.split(line)
    assert words[0] == "ewm-studio"
    options = job_parser(words[1]).read(words[2:], words[1])
    workspace = Workspace(tmp_path / "elsewhere")
    return build_experiment(workspace, config=options.config, overrides=options.overrides).experiment


def places(empty: EmptyState):
    return {b.text(): b for b in empty.findChildren(type(empty.action)) if b is not empty.action and not b.isHidden()}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_a_preset_is_opened_and_copied_as_a_command(qtbot, open_studio, preset, tmp_path):
    studio = open_studio(tmp_path / "a work space", begin=False)
    menu = studio.commands._presets
    menu.aboutToShow.emit()
    title = preset.stem.replace("-", " ")
    next(action for action in menu.actions() if action.text() == title).trigger()
    assert studio.services.document.experiment == Experiment.from_toml(preset)
    studio.window.actions_by_name["copy_command"].trigger()
    line = QGuiApplication.clipboard().text()
    assert rebuilt(line, tmp_path) == Experiment.from_toml(preset)
    assert shlex.split(line)[-1] == str((tmp_path / "a work space").resolve())


def test_odd_values_survive_the_command_line(open_studio, tmp_path):
    studio = open_studio(begin=False)
    for path, value in (
        ("train.epochs", 3),
        ("train.total_steps", None),
        ("env.pixels", True),
        ("run.seed", 7),
        ("start.save_path", "a folder/it's $HOME.safetensors"),
        ("vision.name", "ConvVAE"),
        ("vision.latent_dim", 7),
        ("ppo.lr", 1.5e-5),
    ):
        studio.services.document.set(path, value)
    assert rebuilt(studio.services.document.command_line(), tmp_path) == studio.services.document.experiment


def test_a_first_start_offers_the_ready_made_workspaces(qtbot, open_studio, monkeypatch):
    studio = open_studio(begin=False)
    empty = studio.window.pages["train"].widget.empty
    assert [path.name for path in ready_made()] == ["carracing", "cartpole"]
    assert {"CartPole", "CarRacing"} <= set(places(empty))
    opened = []
    monkeypatch.setattr(studio.workspaces, "open", opened.append)
    qtbot.mouseClick(places(empty)["CarRacing"], LEFT)
    assert [path.name for path in opened] == ["carracing"]


def test_opening_a_workspace_brings_its_experiment(qtbot, open_studio, tmp_path):
    ready = tmp_path / "ready"
    ready.mkdir()
    (ready / "experiment.toml").write_text(Experiment().with_values(("env.id", "Acrobot-v1")).to_toml())
    first = open_studio(ready, begin=False)
    first.window.close()
    second = open_studio(tmp_path / "other", begin=False)
    assert second.services.document.experiment.env.id == "CartPole-v1"
    qtbot.mouseClick(places(second.window.pages["train"].widget.empty)["ready"], LEFT)
    assert second.services.workspace.path == ready
    assert second.services.document.experiment.env.id == "Acrobot-v1"


def test_starting_again_shows_the_newest_run(qtbot, open_studio, tmp_path):
    workspace = Workspace(tmp_path / "ws")
    run = workspace.create_run("CartPole-v1", "train", Experiment().to_toml())
    run.log_episode(20, 1.0, 20.0, 20)
    run.flush()
    run.finish("finished")
    workspace.close()
    studio = open_studio(tmp_path / "ws")
    qtbot.waitUntil(lambda: studio.services.shown.history.name == run.name, timeout=60_000)
    assert studio.window.page == "train"
