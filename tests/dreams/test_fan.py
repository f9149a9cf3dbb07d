"""Futures: draws of what may come, under one action or another, that leave the dream as it is."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from ewm_studio.acting.policy import ControllerPolicy
from ewm_studio.dreams.fan import fan, pictures_of, turns
from ewm_studio.dreams.starts import from_nowhere
from tests.support.dreamers import dreamer


@pytest.fixture(scope="module")
def agent():
    return dreamer(pixels=True)


def test_a_fan_is_draws_from_one_belief(agent):
    belief = from_nowhere(agent, 1).belief
    before = belief.clone()
    found = fan(agent.model, belief, np.int64(1), 5, 7, seed=3)
    assert found.z.shape == (7, 5, 4)
    assert found.pictures.shape == (7, 5, 16, 16, 3)
    assert found.reward.shape == found.end.shape == (7, 5)
    assert (found.spread > 0).all()
    assert torch.equal(belief.z, before.z)
    assert (fan(agent.model, belief, np.int64(1), 5, 7, seed=3).z == found.z).all()
    assert not (fan(agent.model, belief, np.int64(0), 5, 7, seed=3).z == found.z).all()
    cold = fan(agent.model, belief, np.int64(1), 5, 7, temperature=0.0)
    np.testing.assert_allclose(cold.spread, 0, atol=1e-8)
    acted = fan(agent.model, belief, ControllerPolicy(agent.model.controller).act, 5, 7, seed=3)
    assert acted.z.shape == (7, 5, 4)


def test_pictures_are_those_of_vision_alone(agent):
    z = from_nowhere(agent, 1).z
    with torch.inference_mode():
        seen = agent.model.vision.decode(z)[0]
    expected = (seen.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert (pictures_of(agent.model, z)[0] == expected).all()
    assert pictures_of(dreamer().model, torch.zeros(1, 4)) is None


def test_turns_are_left_straight_and_right_where_there_is_such_a_thing():
    pedals = gym.spaces.Box(np.float32([-1, 0, 0]), np.float32([1, 1, 1]))
    found = turns(pedals, "CarRacing", np.float32([0.3, 0.7, 0]))
    np.testing.assert_allclose(found["left"], [-1, 0.7, 0], atol=1e-6)
    np.testing.assert_allclose(found["straight"], [0, 0.7, 0], atol=1e-6)
    np.testing.assert_allclose(turns(pedals)["right"], [1, 0.2, 0], atol=1e-6)
    assert turns(gym.spaces.Discrete(2), "CartPole") == {"left": 0, "right": 1}
    assert list(turns(gym.spaces.Discrete(9))) == ["action 0", "action 1", "action 2", "action 3"]
    assert turns(gym.spaces.Box(-np.inf, np.inf, (2,))) == {}
