"""A job makes one environment to look at, whatever it wants to know, and then those that it acts in."""

from __future__ import annotations

import pytest

from ewm_studio.jobs import infer, pretrain, record, train
from ewm_studio.workspace import Workspace
from tests.support.counted_envs import COUNTED, NOTED
from tests.support.jobs import experiment, finish

AUTO = {"id": COUNTED, "batch_size": "auto", "workers": "auto"}


@pytest.fixture
def workspace(tmp_path):
    NOTED.clear()
    return Workspace(tmp_path / "ws")


def made() -> int:
    """How many were made since the last time it was asked; each of them was closed."""
    count = NOTED.count("made")
    assert NOTED.count("closed") == count
    NOTED.clear()
    return count


def test_training_and_its_warm_up_measure_on_one_environment(workspace):
    asked = experiment(env=AUTO, warm_up={"random_frames": 200, "memory_epochs": 1}, memory={"name": "LSTMMemory"})
    finish(train(asked, workspace))
    assert made() == 1 + 2 * 32  # those trained in, and those in which random actions were


def test_pretraining_measures_on_one_environment(workspace):
    finish(pretrain(experiment(env=AUTO, memory={"name": "LSTMMemory"}), workspace))
    assert made() == 1 + 32


def test_playing_and_recording_make_the_one_they_act_in(workspace):
    run = finish(train(experiment(env=AUTO | {"batch_size": 2, "workers": 0}), workspace))["run"]
    assert made() == 1 + 2
    chosen = experiment(env=AUTO, start={"load_path": run}, infer={"episodes": 20}, pretrain={"frames": 60})
    finish(infer(chosen, workspace))
    assert made() == 1 + 1
    finish(record(chosen, workspace))
    assert made() == 1 + 1
    finish(record(experiment(env=AUTO, pretrain={"frames": 60}), workspace))
    assert made() == 1  # nothing is to be known before
