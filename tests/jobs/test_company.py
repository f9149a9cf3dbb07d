"""Pretraining by several processes, as `torchrun` starts them: one writes, and what cannot be shared is said."""

import json
import subprocess
import sys

import pytest

from ewm_studio import cli
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from tests.support import ROOT

PRETRAIN = ["pretrain", "--env", "CartPole-v1", "--memory", "LSTMMemory", "--frames", "300", "--json"]
SMALL = ["--set", "pretrain.epochs=1", "--set", "world_model.sequence_length=16", "--set", "env.workers=0"]


@pytest.mark.timeout(400)
def test_two_processes_make_one_run(tmp_path):
    model = tmp_path / "m.safetensors"
    words = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "ewm_studio", *PRETRAIN, *SMALL]
    words = [sys.executable, "-m", *words, "--workspace", str(tmp_path / "ws"), "--save-path", str(model)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)  # one line: the other process says nothing
    workspace = Workspace(tmp_path / "ws")
    assert [(info.name, info.state) for info in workspace.runs()] == [(result["run"], "finished")]
    assert result["env_steps"] >= 300
    assert load_model(model)[0]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["train", "--env", "CartPole-v1"], "train is one process's; only pretrain is shared"),
        ([*PRETRAIN, "--set", "world_model.together=true"], "world_model.together is done by one process"),
        ([*PRETRAIN, "--pretrain-mode", "manual"], "one person drives for one process"),
    ],
)
def test_what_several_cannot_do_is_said_before_they_meet(words, line, tmp_path, monkeypatch, capsys):
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "TORCHELASTIC_RUN_ID": "test"}.items():
        monkeypatch.setenv(name, value)
    assert cli.main([*words, "--workspace", str(tmp_path)]) == 2
    assert line in capsys.readouterr().err
