"""What data cover is told where they are made and where they are trained on."""

import gymnasium as gym
import numpy as np
import pytest

from ewm_studio.data.experience import Experience
from ewm_studio.data.frames import FrameStore
from ewm_studio.events import Message
from ewm_studio.jobs import pretrain, record
from ewm_studio.jobs.covered import covered_by
from ewm_studio.workspace import Workspace
from tests.support.jobs import experiment


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "ws")


def lines(events):
    """The messages of a job, and its result."""
    events = list(events)
    return [event for event in events if isinstance(event, Message)], events[-1].result


def test_recording_and_pretraining_say_what_the_data_cover(workspace):
    said, recorded = lines(record(experiment(data={"recording": "some", "frames": 400}), workspace))
    assert recorded["coverage"]["decisions"] == 400
    assert recorded["coverage"]["entropy"]["choice"] > 0.95
    assert recorded["coverage"]["warning"] == ""
    assert any("actions of 400 decisions" in message.text for message in said)
    asked = experiment(data={"recording": "some"}, memory={"name": "LSTMMemory"}, pretrain={"epochs": 1})
    said, trained = lines(pretrain(asked, workspace))
    assert trained["coverage"]["decisions"] == 400
    assert trained["coverage"]["explained"]["choice"] < 0.2
    assert any("actions of 400 decisions" in message.text for message in said)


def test_of_a_car_speed_and_road_are_told(workspace):
    asked = experiment(env={"id": "CarRacing-v3"}, data={"recording": "car", "frames": 120})
    _, recorded = lines(record(asked, workspace))
    assert set(recorded["coverage"]["entropy"]) == {"steering", "gas", "brake"}
    assert recorded["coverage"]["other"]["speed"] > 0
    assert 0 <= recorded["coverage"]["other"]["off the road"] <= 1


def test_experience_without_a_change_of_actions_is_warned_of(tmp_path):
    with FrameStore((2,), np.float32, 2**20, tmp_path) as store:
        experience, rng = Experience(store), np.random.default_rng(0)
        for _ in range(5):
            obs = rng.normal(size=(41, 2)).astype(np.float32)
            experience.add_episode(obs, np.ones(40, np.int64), np.zeros(40, np.float32), False)
        found = covered_by(experience, gym.spaces.Discrete(2))
    assert found.decisions == 200
    assert "choice hardly changes" in found.warning()
