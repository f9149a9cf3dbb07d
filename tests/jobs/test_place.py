"""Where jobs work and put what they make: workspaces by path, models in files and folders."""

import os
import sys

import pytest

import ewm_studio as ewm
from ewm_studio.errors import UserError
from ewm_studio.settings import Experiment
from tests.support.jobs import experiment, finish

SHORT = {"train": {"epochs": 1}, "infer": {"episodes": 1}, "data": {"frames": 16}, "pretrain": {"epochs": 1}}


def short(**sections) -> Experiment:
    return experiment(**{**SHORT, **sections})


def test_every_job_takes_a_workspace_by_its_path(tmp_path):
    place = tmp_path / "ws"
    trained = finish(ewm.train(short(), workspace=str(place)))
    finish(ewm.pretrain(short(memory={"name": "LSTMMemory", "hidden_dim": 4}), place))
    finish(ewm.record(short(data={"frames": 16, "recording": "r"}), workspace=place))
    finish(ewm.infer(short(start={"load_path": trained["run"]}), place))
    with pytest.raises(UserError):
        next(ewm.train(short(), workspace=__file__))
    workspace = ewm.Workspace(place)
    assert {run.job for run in workspace.runs()} == {"train", "pretrain"}


def test_frames_are_those_of_the_environment_whatever_the_action_repeat(tmp_path):
    asked = {"data": {"frames": 160}, "env": {"action_repeat": 4, "batch_size": 1, "workers": 0}}
    recorded = finish(ewm.record(short(**asked), tmp_path / "ws"))
    memory = {"name": "LSTMMemory", "hidden_dim": 4}
    gathered = finish(ewm.pretrain(short(memory=memory, **asked), tmp_path / "ws"))
    assert recorded["frames"] == 160
    assert 40 <= gathered["env_steps"] <= 41
    old = Experiment.from_dict({"pretrain": {"frames": 40}, "env": {"action_repeat": 4}})  # 0.1.0 counted decisions
    assert old.data.frames == 160


def test_a_model_goes_into_a_file_or_under_the_runs_name_into_a_folder(tmp_path):
    place = tmp_path / "ws"
    file = tmp_path / "models" / "best"
    file.parent.mkdir()
    finish(ewm.train(short(start={"save_path": str(file)}), place))
    run = finish(ewm.train(short(start={"save_path": str(file.parent)}), place))["run"]
    assert {path.name for path in file.parent.iterdir()} == {"best.safetensors", f"{run}.safetensors"}
    assert ewm.load(file.parent / f"{run}.safetensors").env.id == "CartPole-v1"


@pytest.mark.skipif(sys.platform == "win32", reason="devices and pipes of POSIX")
def test_a_place_that_takes_no_model_is_refused_before_anything_is_made(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    for path in (tmp_path / "no" / "x", f"{tmp_path}/no/", tmp_path / "pipe", "/proc/x", "/proc/self"):
        with pytest.raises(UserError, match=r"start\.save_path"):
            next(ewm.train(short(start={"save_path": str(path)}), tmp_path / "ws"))
    assert not (tmp_path / "ws").exists()
