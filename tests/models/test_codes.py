"""A vision's codes, foretold as codes: every dreamt latent is one that the vision gives."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch

from ewm_studio.models.base import SequenceBatch
from ewm_studio.models.registry import choose
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import ComponentChoice
from ewm_studio.training.adam import FusedAdam

MEMORIES = pytest.mark.parametrize("name", ["LSTMMemory", "MDNRNN", "TemporalTransformer", "RSSM"])
PICTURES = gym.spaces.Box(0, 255, (1, 8, 8), np.uint8)
TURNS = gym.spaces.Discrete(2)


def world(name: str, made: bool = False, **settings) -> WorldModel:
    torch.manual_seed(0)
    vision = ComponentChoice(name="VQ_VAE", grid=2, code_dim=3, codes=5, channels=4)
    memory = ComponentChoice(name=name, hidden_dim=32, **settings)
    return WorldModel(
        {
            "vision": choose("vision", vision, PICTURES, TURNS),
            "memory": choose("memory", memory, PICTURES, TURNS, made),
        },
        PICTURES,
        TURNS,
    ).eval()


def cycling(model: WorldModel, steps: int, batch: int, seed: int) -> SequenceBatch:
    """Every cell goes to the next of five codes, or to the one before: as the action says."""
    g = torch.Generator().manual_seed(seed)
    turn = (torch.rand(steps, batch, generator=g) < 0.5).long()
    cells = [torch.randint(5, (batch, 4), generator=g)]
    for t in range(steps):
        cells.append((cells[-1] + 2 * turn[t][:, None] - 1) % 5)
    vectors = model.vision.codebook[torch.stack(cells)]  # (T + 1, B, cells, D)
    never, always = torch.zeros(steps, batch, dtype=torch.bool), torch.ones(steps, batch, dtype=torch.bool)
    z = vectors.transpose(-1, -2).flatten(-2)
    return SequenceBatch(
        z, model.action_encoding(turn), torch.zeros(steps, batch), never, never, always, always, always
    )


def fit(model: WorldModel, updates: int) -> None:
    generator, optimizer = torch.Generator().manual_seed(1), FusedAdam(model.memory, 1e-2)
    model.memory.train()
    for update in range(updates):
        optimizer.zero_grad()
        data = cycling(model, 12, 32, update)
        model.losses(sequences=data, generator=generator)["memory"]["total"].backward()
        optimizer.step(optimizer.clip(10.0))
    model.eval()


def distance_to_codes(model: WorldModel, z: torch.Tensor) -> float:
    vectors = z.unflatten(-1, (3, 4)).transpose(-1, -2)
    return float(torch.cdist(vectors, model.vision.codebook.expand(len(z), -1, -1)).amin(-1).max())


@MEMORIES
def test_every_dreamt_latent_is_made_of_codes(name):
    model = world(name, feedback_steps=4)
    fit(model, 2)
    generator, belief = torch.Generator().manual_seed(0), model.begin(torch.randint(0, 256, (16, 1, 8, 8)).byte())
    with torch.no_grad():
        for _ in range(6):
            belief, _, _ = model.imagine(belief, torch.ones(16, dtype=torch.long), 1.0, generator)
            vectors = belief.z.unflatten(-1, (3, 4)).transpose(-1, -2).flatten(0, 1)
            assert (vectors[:, None] == model.vision.codebook[None]).all(-1).any(-1).all()  # bit for bit
    assert len(belief.z.unique(dim=0)) > 1


@pytest.mark.parametrize("name", ["LSTMMemory", "MDNRNN"])
def test_codes_are_learnt(name):
    model = world(name, feedback_steps=4, head_layers=1)
    fit(model, 150)
    data = cycling(model, 12, 64, 9999)
    h, _ = model.memory.sequence(data.z[:-1], data.action, data.is_first, model.memory.initial_state(64))
    with torch.no_grad():
        predicted = model.memory.predict(h)
    right = (predicted.sample(0.0) == data.z[1:]).all(-1).float().mean()
    assert right > 0.9  # of all four cells
    assert predicted.log_prob(data.z[1:]).mean() > -0.5
    other = replace(data, action=1 - data.action)  # the action decides
    h, _ = model.memory.sequence(data.z[:-1], other.action, data.is_first, model.memory.initial_state(64))
    assert (model.memory.predict(h).sample(0.0) == data.z[1:]).all(-1).float().mean() < 0.1


@MEMORIES
def test_the_memory_follows_a_codebook_that_moves(name):
    model = world(name)
    data = cycling(model, 6, 4, 0)
    with torch.no_grad():
        model.vision.codebook.add_(1.0)
        model.losses(sequences=data)
        dreamt, _, _ = model.imagine(model.begin(torch.zeros(4, 1, 8, 8).byte()), torch.zeros(4, dtype=torch.long))
    assert distance_to_codes(model, dreamt.z) == pytest.approx(0.0, abs=1e-6)


@MEMORIES
def test_models_of_before_have_no_head_for_codes(name):
    new, old = world(name), world(name, made=True)
    assert not old.memory.settings.codes
    kept = {False: old.state_dict(), True: new.state_dict()}
    for codes, state in kept.items():
        assert any(".book" in key for key in state) == codes
    assert not any(".book" in key for key in world(name, codes=False).state_dict())


@MEMORIES
def test_a_world_in_codes_comes_back_from_its_weights(name):
    model = world(name)
    fit(model, 1)
    other = world(name)
    other.load_state_dict(model.state_dict())
    obs, turn = torch.randint(0, 256, (3, 1, 8, 8)).byte(), torch.ones(3, dtype=torch.long)
    with torch.no_grad():
        one, two = (m.imagine(m.begin(obs), turn, 1.0, torch.Generator().manual_seed(4))[0].z for m in (model, other))
    assert torch.equal(one, two)
