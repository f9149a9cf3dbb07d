"""An evaluation looked into: histograms, worst laps, and what differs between two runs."""

import numpy as np
import pytest
import torch
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from ewm_studio.analysis.evaluated import look_into, spread_of
from ewm_studio.settings import Experiment
from ewm_studio.ui.train.evaluation_dialog import EvaluationDialog
from ewm_studio.ui.train.track_view import stretches
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import save_model
from ewm_studio.workspace.replays import EvaluationWriter, Replay

WAIT = 120_000
LEFT = Qt.MouseButton.LeftButton


def dialog(kind):
    return next((w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible()), None)


def evaluated(workspace, env, actions, rewards):
    """A run with an evaluation of episodes of these actions; the rewards of each are spread over its steps."""
    experiment = Experiment().with_values(("env.id", env))
    run = workspace.create_run(env, "train", experiment.to_toml(), {}, 0)
    run.finish("finished")
    put_model = lambda path: save_model(path, {"w": torch.ones(2)}, {"parts": {}})  # noqa: E731
    writer = EvaluationWriter(run.folder / "replays", run.name, "A + B + C", put_model)
    for seed, (action, reward) in enumerate(zip(actions, rewards, strict=True)):
        share = np.full(len(action), reward / len(action))
        writer.add(Replay(experiment.env, seed, True, action, share, len(action), True))
    return run


def test_numbered_actions_are_counted_by_their_names(tmp_path):
    with_actions = [np.array([0, 1, 1]), np.array([1])]
    run = evaluated(Workspace(tmp_path / "w"), "CartPole-v1", with_actions, [9.0, 1.0])
    found = look_into(run.evaluations()[0])
    (actions,) = found.actions
    assert (actions.names, actions.counts.tolist()) == (("left", "right"), [1, 3])
    assert found.rewards.tolist() == pytest.approx([9.0, 1.0])
    assert [replay.seed for replay in found.worst] == [1, 0]


def test_each_number_of_an_action_has_a_histogram(tmp_path):
    action = np.array([[-1.0, 0.0, 0.5], [1.0, 0.0, 0.5]], np.float32)
    run = evaluated(Workspace(tmp_path / "w"), "CarRacing-v3", [action], [5.0])
    steer, gas, brake = look_into(run.evaluations()[0]).actions
    assert [each.title for each in (steer, gas, brake)] == ["Steer", "Gas", "Brake"]
    assert (steer.counts[0], steer.counts[-1], steer.counts.sum()) == (1, 1, 2)
    assert gas.counts.tolist() == [2]  # all the same: one bar


def test_every_value_is_in_a_bar():
    values = np.array([0.0, 0.1, 5.0, np.nan, 10.0])
    found = spread_of(values, "x", bins=4)
    assert found.counts.tolist() == [2, 0, 1, 1]
    assert found.describe(0) == "0 to 2.5"


def test_a_stretch_is_told_by_its_mean():
    assert stretches(np.array([1.0, -0.1, -0.1, -0.1]), 2).tolist() == pytest.approx([0.45, 0.45, -0.1, -0.1])


def test_look_closer_opens_the_histograms_of_the_newest_evaluation(qtbot, open_studio):
    studio = open_studio(begin=False)
    run = evaluated(studio.services.workspace, "CartPole-v1", [np.array([0, 1, 1])] * 3, [3.0, 5.0, 5.0])
    studio.services.show_run(run.name)
    side = studio.window.pages["train"].side
    qtbot.waitUntil(lambda: side.look.isVisible(), timeout=WAIT)
    qtbot.mouseClick(side.look, LEFT)
    qtbot.waitUntil(lambda: dialog(EvaluationDialog) is not None, timeout=WAIT)
    shown = dialog(EvaluationDialog)
    returns, actions = shown.histograms
    assert returns.view.describe(returns.view.width() - 1).endswith(": 2 (67%)")
    assert actions.view.describe(1) == "left: 3 (33%)"
    shown.accept()


def test_the_worst_laps_are_driven_again_and_seen_from_above(qtbot, open_studio):
    studio = open_studio(begin=False)
    ahead = np.tile(np.array([0.0, 0.3, 0.0], np.float32), (60, 1))
    run = evaluated(studio.services.workspace, "CarRacing-v3", [ahead, ahead], [5.0, 4.0])
    studio.services.show_run(run.name)
    side = studio.window.pages["train"].side
    qtbot.waitUntil(lambda: side.look.isVisible(), timeout=WAIT)
    qtbot.mouseClick(side.look, LEFT)
    qtbot.waitUntil(lambda: (found := dialog(EvaluationDialog)) is not None and len(found.laps) == 2, timeout=WAIT)
    shown = dialog(EvaluationDialog)
    assert list(shown.laps) == [1, 0]  # the worst first
    lap = shown.laps[1]
    assert lap.path.shape == (61, 2)
    assert np.linalg.norm(lap.path[-1] - lap.path[0]) > 1.0  # it drove
    nearest = np.linalg.norm(lap.track - lap.path[0], axis=1).min()
    assert nearest < 10.0  # on the road
    small = shown._small.itemAt(0).widget()
    qtbot.mouseClick(small, LEFT)
    assert shown._large.itemAt(0).widget().accessibleName().startswith("Track of seed 1")
    shown.accept()
