"""An exported agent decides, step by step, as the agent does; what cannot be exported is named."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from ewm_studio.acting.agent import Agent
from ewm_studio.acting.onnx_check import OnnxAgent, compare
from ewm_studio.acting.onnx_export import AgentStep, export_onnx, initial_state
from ewm_studio.cli import main
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.probe import spaces_of
from ewm_studio.errors import UserError
from ewm_studio.jobs.setup import build_model
from ewm_studio.models.randomness import make_generator
from ewm_studio.workspace import Workspace
from tests.support.jobs import experiment

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("onnxruntime", "onnxscript"))),  # importing them takes seconds, in every worker
    reason="the exporting packages are not installed",
)

SMALL_PICTURES = {"id": "CartPole-v1", "pixels": True, "image_size": 32}
# Each exports for seconds; LSTMMemory is that of the other tests.
AGENTS = {
    "History, JEPA": {"env": SMALL_PICTURES, "vision": {"name": "JEPA"}, "memory": {"name": "History", "steps": 3}},
    "TemporalTransformer, continuous": {
        "env": {"id": "Pendulum-v1"},
        "memory": {"name": "TemporalTransformer", "hidden_dim": 16, "window": 5},
    },
    "RSSM": {"memory": {"name": "RSSM", "hidden_dim": 16}, "controller": {"name": "BinnedController"}},
    "MDNRNN on codes": {"env": SMALL_PICTURES, "vision": {"name": "VQ_VAE"}, "memory": {"name": "MDNRNN"}},
}


def agent_of(tmp_path, **sections):
    """An agent with fresh weights, whose last layers are no longer small, so that it decides this and that."""
    asked = experiment(**sections)
    spaces = spaces_of(asked.env)
    model, _ = build_model(asked, spaces, Workspace(tmp_path / "ws"), make_generator(3))
    torch.nn.init.normal_(model.controller.policy.layers[-1].weight, std=0.5, generator=make_generator(5))
    return Agent(model, Preprocessor(spaces.raw_observation, asked.env), asked.env, {})


@pytest.mark.parametrize("name", AGENTS)
def test_any_part_decides_as_before(tmp_path, name):
    agent = agent_of(tmp_path, **AGENTS[name])
    export_onnx(agent, tmp_path / "a.onnx")
    found = compare(agent, tmp_path / "a.onnx", seed=4)
    assert found.decisions > 5
    assert found.differing == 0
    assert found.largest < 1e-3


def test_first_steps_forget_what_was_handed_in(tmp_path):
    agent = agent_of(tmp_path, memory={"name": "LSTMMemory"})
    export_onnx(agent, tmp_path / "a.onnx")
    step, obs = OnnxAgent(tmp_path / "a.onnx"), np.ones((3, 4), np.float32)
    zeros = {name: value.numpy() for name, value in initial_state(agent.model, 3).items()}
    nonsense = {name: np.full_like(value, 9.0) for name, value in zeros.items()}
    first, again, other = (step.step(obs, *given) for given in ((True, zeros), (True, nonsense), (False, nonsense)))
    assert all((first[name] == again[name]).all() for name in first)
    assert (first["next_h"] != other["next_h"]).any()


def test_a_file_of_another_agent_is_told_from_it(tmp_path):
    agent = agent_of(tmp_path, memory={"name": "LSTMMemory"})
    export_onnx(agent, tmp_path / "a.onnx")
    last = agent.model.controller.policy.layers[-1]
    torch.nn.init.constant_(last.bias, 0)
    last.weight.data.neg_()
    assert compare(agent, tmp_path / "a.onnx", seed=4).differing > 0


def test_the_part_that_cannot_be_exported_is_named(tmp_path, monkeypatch):
    agent = agent_of(tmp_path, memory={"name": "LSTMMemory"})
    plain = agent.model.memory.step

    def by_hand(z, action, state, generator=None):
        return plain(z if float(z.sum()) > 0 else -z, action, state)  # what is done depends on a number

    monkeypatch.setattr(agent.model.memory, "step", by_hand)
    with pytest.raises(UserError, match="cannot be written as ONNX: memory LSTMMemory"):
        export_onnx(agent, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_from_the_command_line(tmp_path, capsys):
    file = tmp_path / "cartpole.onnx"
    words = ["export", "--load-path", "cartpole", "--workspace", str(tmp_path / "ws")]
    assert main([*words, "--onnx", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["reward"] == told["decisions"] == 500
    assert told["differing"] == 0
    assert told["bytes"] == file.stat().st_size
    assert not list(tmp_path.glob("*.tmp"))
    assert main([*words, "--onnx", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert main([*words, "--onnx", str(tmp_path / "no" / "a.onnx")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_where_the_file_differs_nothing_is_kept(tmp_path, capsys, monkeypatch):
    forward = AgentStep.forward

    def other(self, obs, is_first, state):
        action, *rest = forward(self, obs, is_first, state)
        return (1 - action, *rest)

    monkeypatch.setattr(AgentStep, "forward", other)
    file = tmp_path / "cartpole.onnx"
    words = ["export", "--load-path", "cartpole", "--workspace", str(tmp_path / "ws"), "--onnx", str(file)]
    assert main(words) == 1
    assert "500 of 500 decisions differ" in capsys.readouterr().err
    assert not file.exists()
