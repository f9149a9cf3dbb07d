"""Controls: a vision or a memory that stays as it was drawn, while what is beside it learns."""

import pytest
import torch

from ewm_studio.jobs import train
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from tests.support.jobs import experiment, finish


def first_and_last(tmp_path, **sections):
    """The weights after the first epoch and after the last."""
    run = {"save_freq": 1, "keep_checkpoints": 10, "threads": 1}
    workspace = Workspace(tmp_path)
    result = finish(train(experiment(**sections, train={"epochs": 3}, run=run), workspace))
    models = (workspace.run(result["run"]).folder / "checkpoints").glob("*.safetensors")
    by_step = sorted(models, key=lambda path: int(path.stem))
    return load_model(by_step[0])[0], load_model(by_step[-1])[0]


def changed(before, after, part):
    return {name for name in before if name.startswith(part) and not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("name", ["LSTMMemory", "MDNRNN", "TemporalTransformer", "RSSM"])
def test_a_frozen_memory_stays_as_it_was_drawn(tmp_path, name):
    before, after = first_and_last(tmp_path, memory={"name": name, "hidden_dim": 16, "frozen": True})
    assert changed(before, after, "memory.") == set()
    assert changed(before, after, "controller.")


def test_without_it_the_same_memory_learns(tmp_path):
    before, after = first_and_last(tmp_path, memory={"name": "LSTMMemory", "hidden_dim": 16})
    assert changed(before, after, "memory.")


@pytest.mark.parametrize("name", ["ConvVAE", "VQ_VAE", "JEPA"])
def test_a_frozen_vision_stays_random_while_memory_learns(tmp_path, name):
    env = {"pixels": True, "image_size": 32}
    memory = {"name": "LSTMMemory", "hidden_dim": 8}
    before, after = first_and_last(tmp_path, env=env, vision={"name": name, "frozen": True}, memory=memory)
    assert changed(before, after, "vision.") == set()
    assert changed(before, after, "memory.")


def test_dreams_of_a_frozen_memory_leave_it_alone(tmp_path):
    dream = {"train": True, "random_steps": 64, "round_steps": 32, "first_memory_updates": 2, "updates": 2, "starts": 4}
    before, after = first_and_last(
        tmp_path, memory={"name": "LSTMMemory", "hidden_dim": 8, "frozen": True}, dream={**dream, "judge_every": 9}
    )
    assert changed(before, after, "memory.") == set()
