"""A workspace with two small models that dream, an evaluation and a recording."""

import shutil

import pytest

from ewm_studio.jobs import infer, train
from ewm_studio.workspace import Workspace
from tests.support.jobs import experiment, finish

PICTURES = {
    "env": {
        "id": "CartPole-v1",
        "pixels": True,
        "image_size": 16,
        "batch_size": 2,
        "workers": 0,
        "max_episode_steps": 60,
    },
    "vision": {"name": "ConvVAE", "latent_dim": 4, "channels": 2},
    "memory": {"name": "MDNRNN", "hidden_dim": 8, "mixtures": 2},
    "run": {"seed": 0},
    "infer": {"episodes": 2},
}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The workspace, made once."""
    workspace = Workspace(tmp_path_factory.mktemp("dreams") / "workspace")
    for seed in (0, 1):
        finish(train(experiment(**(PICTURES | {"run": {"seed": seed}})), workspace))
    name = workspace.runs()[0].name
    finish(infer(experiment(**(PICTURES | {"start": {"load_path": name}})), workspace))
    workspace.close()
    return workspace.path


@pytest.fixture
def dreams(made, tmp_path):
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "workspace")
