"""`assess`: figures of a run's memory on episodes that it plays, or on recordings."""

import json

import pytest

from ewm_studio.errors import UserError
from ewm_studio.jobs import assess, pretrain, record, train
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from tests.support.jobs import experiment, finish


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("ws"))
    settings = experiment(memory={"name": "MDNRNN", "hidden_dim": 32}, data={"frames": 2000}, pretrain={"epochs": 16})
    return workspace, finish(pretrain(settings, workspace))["run"]


def asked(run, **sections):
    values = {"start": {"load_path": run}, "infer": {"episodes": 6}, "run": {"seed": 1000, "threads": 1}, **sections}
    return Experiment.from_dict(values)


def test_a_memory_is_measured_on_episodes_and_forks(made):
    workspace, run = made
    found = finish(assess(asked(run), workspace))
    errors = found["z_error"]
    assert errors["mean_of_draws"][0] < errors["persistence"][0]
    assert errors["mean_of_draws"][0] < errors["untrained"][0]
    assert found["action_ratio"] > 1.2  # a cart goes where it is pushed
    assert set(found["action_response"]) == {"0 / 1"}
    assert found["action_response"]["0 / 1"]["sign"] > 0.8
    assert found["end"]["ends"] > 0
    kept = json.loads((workspace.runs_folder / run / "assessment.json").read_text())
    assert kept["z_error"] == errors


def test_it_is_the_same_twice(made):
    workspace, run = made
    one, other = (finish(assess(asked(run), workspace)) for _ in range(2))
    for result in (one, other):
        result.pop("seconds")
        result.pop("milliseconds")
    assert json.dumps(one) == json.dumps(other)  # of which NaN is equal to itself


def test_a_recording_is_measured_on_as_well(made):
    workspace, run = made
    finish(record(experiment(data={"recording": "random", "frames": 600}), workspace))
    found = finish(assess(asked(run, data={"recording": "random"}), workspace))
    assert found["windows"] > 10
    assert "action_response" not in found


def test_a_memory_that_predicts_nothing_is_refused(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    run = finish(train(experiment(), workspace))["run"]
    with pytest.raises(UserError, match="nothing to dream"):
        finish(assess(asked(run), workspace))
