"""From an agent that learned in dreams PPO goes on with real frames, vision and memory going along."""

import pytest
import torch

from ewm_studio.acting.agent import load_agent
from ewm_studio.events import Metrics
from ewm_studio.jobs import train
from ewm_studio.models.randomness import make_generator
from ewm_studio.settings.dreaming import ImaginationSettings
from ewm_studio.training.imagination import ImaginedActorCritic
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model, save_model
from tests.support.jobs import experiment

PICTURES = {
    "env": {"id": "Pendulum-v1", "pixels": True, "image_size": 16, "batch_size": 2, "workers": 0},
    "vision": {"name": "ConvVAE", "latent_dim": 4, "channels": 2},
    "memory": {"name": "MDNRNN", "hidden_dim": 8, "mixtures": 2, "feedback_steps": 4},
    "controller": {"name": "BinnedController", "hidden_size": 16},
}


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "ws")


def events_and_checkpoint(asked, workspace):
    metrics, path = [], None
    for event in train(asked, workspace):
        if isinstance(event, Metrics):
            metrics.append(event.values)
        path = getattr(event, "path", path)
    return metrics, path


def test_ppo_goes_on_from_an_agent_that_learned_in_dreams(workspace, tmp_path):
    _, first = events_and_checkpoint(experiment(**PICTURES, train={"epochs": 1}), workspace)
    model, generator = load_agent(first).model, make_generator(0)
    before = {name: value.clone() for name, value in model.controller.state_dict().items()}
    learner = ImaginedActorCritic(model, model.controller, ImaginationSettings(horizon=4), generator)
    with torch.no_grad():
        starts = model.begin(torch.randint(0, 256, (16, 3, 16, 16), dtype=torch.uint8, generator=generator))
    for _ in range(3):
        learner.update(starts)
    assert any(not torch.equal(value, before[name]) for name, value in model.controller.state_dict().items())
    dreamt = tmp_path / "dreamt.safetensors"
    save_model(dreamt, model.state_dict(), load_model(first)[1])

    polish = experiment(**PICTURES, train={"epochs": 2}, start={"load_path": str(dreamt)})
    metrics, last = events_and_checkpoint(polish, workspace)
    assert metrics[0]["ppo/first_ratio_error"] < 1e-5
    begun, polished = load_model(dreamt)[0], load_model(last)[0]
    for part in ("vision.", "memory.", "controller."):
        assert any(not torch.equal(begun[name], polished[name]) for name in begun if name.startswith(part)), part


def test_vision_and_memory_that_were_loaded_stay_as_they_are_where_that_is_chosen(workspace):
    _, first = events_and_checkpoint(experiment(**PICTURES, train={"epochs": 1}), workspace)
    kept = {kind: PICTURES[kind] | {"frozen": True} for kind in ("vision", "memory")}
    asked = experiment(**PICTURES | kept, train={"epochs": 2}, start={"load_path": str(first)})
    _, last = events_and_checkpoint(asked, workspace)
    (begun, _), (polished, described) = load_model(first), load_model(last)
    for part, stays in (("vision.", True), ("memory.", True), ("controller.", False)):
        same = all(torch.equal(begun[name], polished[name]) for name in begun if name.startswith(part))
        assert same == stays, part
    assert described["parts"]["vision"]["settings"]["frozen"]
