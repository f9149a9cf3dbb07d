"""`assess`: figures of a run's memory on episodes that it plays, or on recordings."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from ewm_studio.analysis.dreamt_pictures import SHOWN
from ewm_studio.errors import UserError
from ewm_studio.events import Finished, JobControl, Progress
from ewm_studio.jobs import assess, pretrain, record, train
from ewm_studio.jobs.assessment_text import assessment_tables
from ewm_studio.jobs.kept_assessment import keep_assessment, kept_assessment, kept_pictures
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
    assert found["action_read_back"]["real"] > 0.8
    assert not any(math.isfinite(value) for value in found["reward"]["won"].values())  # every step earns the same
    kept = kept_assessment(workspace.runs_folder / run)
    assert kept["z_error"] == errors
    assert kept["reward"]["won"] == {str(steps): None for steps in found["reward"]["won"]} != {}
    assert kept["on"] == "episodes of seeds 101000 to 101005, sampled"
    assert not kept_pictures(workspace.runs_folder / run)
    titles = [table.title for table in assessment_tables(kept)]
    assert titles == ["Error of z", "Actions, rewards, ends", "What actions do", "Trust meter"]


def test_it_is_the_same_twice(made):
    workspace, run = made
    one, other = (finish(assess(asked(run), workspace)) for _ in range(2))
    for result in (one, other):
        result.pop("seconds")
        result.pop("milliseconds")
        result["trust"].pop("milliseconds")
    assert json.dumps(one) == json.dumps(other)  # of which NaN is equal to itself


def test_a_recording_is_measured_on_as_well(made):
    workspace, run = made
    finish(record(experiment(data={"recording": "random", "frames": 600}), workspace))
    found = finish(assess(asked(run, data={"recording": "random"}), workspace))
    assert found["windows"] > 10
    assert "action_response" not in found


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    """A run on pictures, assessed."""
    workspace = Workspace(tmp_path_factory.mktemp("pictures"))
    settings = experiment(
        env={"pixels": True, "image_size": 32},
        vision={"name": "ConvVAE", "latent_dim": 4, "channels": 4},
        memory={"name": "MDNRNN", "hidden_dim": 16},
        data={"frames": 400},
        pretrain={"epochs": 2},
    )
    run = finish(pretrain(settings, workspace))["run"]
    values = {"env": {"pixels": True, "image_size": 32}, "infer": {"episodes": 8}}
    return workspace, run, finish(assess(asked(run, **values), workspace))


def test_of_pictures_there_are_figures_and_pictures(seeing):
    workspace, run, found = seeing
    assert set(found["psnr"]) == {*found["z_error"], "vision"}
    for best, draw in zip(found["psnr"]["best_of_draws"], found["psnr"]["draw"], strict=True):
        assert best >= draw
    assert set(found["action_response"]["0 / 1"]) == {"share", "sign", "size", "pictures", "scene", "vision"}
    assert set(found["trust"]["signs"]) == {"apart", "pictures_apart", "round_trip"}
    pictures = kept_pictures(workspace.runs_folder / run, found)
    assert pictures["actions"][1].endswith(": 0, 1")
    assert list(pictures) == ["strip", "actions"]
    with Image.open(pictures["strip"][0]) as strip, Image.open(pictures["actions"][0]) as actions:
        size = 128  # a picture of 32 is enlarged four times
        steps = len([k for k in SHOWN if k <= found["horizons"][-1] * 4])
        assert strip.height == 3 * size + 2 * 2 * 4
        assert strip.width % size == 0
        assert 0 < strip.width // size <= steps
        assert (actions.width, actions.height) == (10 * size, 4 * size + 2 * 4)
        assert np.asarray(strip).std() > 0


def test_what_an_earlier_assessment_left_gives_way(seeing):
    workspace, run, _ = seeing
    folder = workspace.runs_folder / run
    keep_assessment(folder, {"windows": 1}, {})
    assert kept_assessment(folder) == {"windows": 1}
    assert not kept_pictures(folder)
    (folder / "assessment.json").write_text("[")
    with pytest.raises(UserError, match="assess the run again"):
        kept_assessment(folder)


def test_it_stops_when_asked(made):
    workspace, run = made
    control = JobControl()
    stages = []
    for event in assess(asked(run), workspace, control):
        if isinstance(event, Progress):
            stages.append(event.stage)
            if event.stage == "measure":
                control.stop()
        last = event
    assert last == Finished("stop", {})
    assert stages[-1] == "measure"
    assert "fork" not in stages


def test_a_memory_that_predicts_nothing_is_refused(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    run = finish(train(experiment(), workspace))["run"]
    with pytest.raises(UserError, match="nothing to dream"):
        finish(assess(asked(run), workspace))
