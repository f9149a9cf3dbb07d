"""A model file is looked at before memory is taken for what it describes."""

import tracemalloc

import pytest
import torch

import ewm_studio as ewm
from ewm_studio.envs.spaces import space_from_json
from ewm_studio.errors import UserError
from ewm_studio.models.assembly import load_weights
from ewm_studio.workspace.models import load_model, save_model
from ewm_studio.workspace.pretrained import pretrained_model

NUMBERS = {"type": "Box", "shape": [4], "dtype": "float32", "low": -1, "high": 1}
CHOICES = {"type": "Discrete", "n": 2, "start": 0, "dtype": "int64"}
HUGE = {"type": "Box", "shape": [2_000_000_000], "dtype": "float32", "low": -1, "high": 1}


def described(**parts):
    chosen = {"vision": "Identity", "memory": "NoMemory", "controller": "DeepDiscreteController"}
    made = {kind: {"name": name, "settings": {}} for kind, name in chosen.items()}
    spaces = {"observation": NUMBERS, "action": CHOICES, "raw_observation": NUMBERS}
    return {"spaces": spaces, "parts": made | parts, "env": {"id": "CartPole-v1"}}


@pytest.mark.parametrize(
    "parts",
    [
        {"memory": {"name": "TemporalTransformer", "settings": {"hidden_dim": 8192, "layers": 64, "heads": 64}}},
        {"memory": {"name": "MDNRNN", "settings": {"hidden_dim": 8192, "mixtures": 64}}},
        {"controller": {"name": "DeepDiscreteController", "settings": {"hidden_size": 8192, "layers": 8}}},
    ],
    ids=lambda parts: next(iter(parts)),
)
def test_layers_without_weights_are_never_made(tmp_path, monkeypatch, parts):
    path = tmp_path / "model.safetensors"
    save_model(path, {"x": torch.zeros(1)}, described(**parts))
    monkeypatch.setattr("ewm_studio.models.assembly.drawing_from", lambda _: pytest.fail("a model was made"))
    with pytest.raises(UserError, match=r"weight '.*' is missing"):
        ewm.load(path)


@pytest.mark.parametrize(
    "space",
    [
        HUGE,
        {"type": "MultiBinary", "n": 10**10},
        {"type": "Tuple", "spaces": [{**NUMBERS, "shape": [60_000_000]}] * 2},
        {"type": "Dict", "spaces": [["a", HUGE]]},
        {**NUMBERS, "dtype": "O"},
        {**NUMBERS, "shape": [-5, -7]},
        {"type": "Dict", "spaces": [["a"]]},
        {"type": "Tuple", "spaces": 5},
    ],
)
def test_a_space_of_no_sensible_size(space):
    tracemalloc.start()
    with pytest.raises(UserError, match="not the description of a space"):
        space_from_json(space)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_actions_without_end(tmp_path):
    path = tmp_path / "model.safetensors"
    metadata = described()
    metadata["spaces"]["action"] = {**CHOICES, "n": 10**12}
    save_model(path, {"x": torch.zeros(1)}, metadata)
    with pytest.raises(UserError, match=str(path)):
        ewm.load(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_named(tmp_path, value):
    tensors, metadata = load_model(pretrained_model("cartpole").model)
    name = next(n for n, t in sorted(tensors.items()) if t.is_floating_point() and t.numel() > 3)
    tensors[name].view(-1)[3] = value
    save_model(tmp_path / "model.safetensors", tensors, metadata)
    with pytest.raises(UserError, match=f"weight '{name}' holds values that are not finite"):
        ewm.load(tmp_path / "model.safetensors")


def test_weights_of_another_type_are_named(tmp_path):
    tensors, metadata = load_model(pretrained_model("cartpole").model)
    name = next(n for n, t in sorted(tensors.items()) if t.is_floating_point())
    tensors[name] = tensors[name].double()
    save_model(tmp_path / "model.safetensors", tensors, metadata)
    with pytest.raises(UserError, match=f"weight '{name}' should be of torch.float32, found torch.float64"):
        ewm.load(tmp_path / "model.safetensors")


def test_sound_weights_are_taken():
    module = torch.nn.Linear(2, 3)
    load_weights(module, {"weight": torch.ones(3, 2), "bias": torch.zeros(3)}, "a file")
    assert module(torch.ones(2)).tolist() == [2, 2, 2]
