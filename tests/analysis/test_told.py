"""Rewards, ends and actions that dreams tell, on walks whose answers are known."""

import math

import pytest
import torch

from ewm_studio.analysis.open_loop import Dreamt
from ewm_studio.analysis.outcomes import end_figures, reward_figures
from ewm_studio.analysis.read_back import action_read_back
from ewm_studio.analysis.windows import Windows
from ewm_studio.models.randomness import make_generator

CONTEXT, STEPS, COUNT = 4, 16, 60


@pytest.fixture
def tried():
    """Windows of a walk in two dimensions by its actions; a step up is worth 1."""
    generator = torch.Generator().manual_seed(0)
    action = torch.randint(0, 2, (CONTEXT + STEPS, COUNT, 2), generator=generator).float() * 2 - 1
    z = torch.cat([torch.zeros(1, COUNT, 2), action.cumsum(0)])
    reward = (action[..., 0] > 0).float()
    ends = torch.zeros(CONTEXT + STEPS, COUNT, dtype=torch.bool)
    ends[-1, ::2] = True
    return Windows(z, action, reward, ends, z[..., 0].numpy(), CONTEXT, 1.0, z.mean((0, 1)))


def dreams(tried, z=None, reward=None, end=None):
    shape = (2, STEPS, COUNT)
    z = tried.future if z is None else z
    reward = tried.reward[CONTEXT:] if reward is None else reward
    end = tried.terminated[CONTEXT:].float() if end is None else end
    return Dreamt(z.expand(2, *z.shape), reward.expand(shape), end.expand(shape))


def test_what_is_foretold_rightly_is_told_apart_and_calibrated(tried):
    found = reward_figures(tried, dreams(tried))
    assert found["won"] == {4: 1.0, 8: 1.0, 16: 1.0}
    assert found["calibration"] == pytest.approx(0.0, abs=1e-6)
    assert end_figures(tried, dreams(tried)) == {"auc": 1.0, "calibration": 0.0, "ends": COUNT // 2}


def test_a_reward_that_is_always_the_same_is_told_from_none_by_chance_alone(tried):
    found = reward_figures(tried, dreams(tried, reward=torch.full((STEPS, COUNT), 0.9)))
    assert set(found["won"].values()) == {0.5}
    spread = float(tried.reward[CONTEXT:].std(unbiased=False))
    assert found["bias"] == pytest.approx((0.9 - float(tried.reward[CONTEXT:].mean())) / spread, rel=1e-4)


def test_where_reward_never_varies_nothing_is_said_of_it(tried):
    same = Windows(**{**vars(tried), "reward": torch.ones_like(tried.reward)})
    found = reward_figures(same, dreams(tried))
    assert all(math.isnan(value) for value in (*found["won"].values(), found["bias"], found["calibration"]))


def test_actions_are_read_from_real_steps_and_from_dreams_that_follow_them(tried):
    found = action_read_back(tried, dreams(tried), make_generator(0))
    assert found["real"] > 0.95
    assert found["share"] == pytest.approx(1.0, abs=0.01)
    assert found["expected"] == pytest.approx(found["dreamt"], abs=1e-6)


def test_a_single_window_is_no_ground_for_a_probe(tried):
    one = Windows(**{**vars(tried), **{name: getattr(tried, name)[:, :1] for name in ("z", "action", "reward")}})
    assert all(math.isnan(value) for value in action_read_back(one, dreams(tried), make_generator(0)).values())


def test_a_dream_that_does_something_else_shows_no_actions(tried):
    other = tried.start + (tried.future - tried.start).roll(7, dims=1)
    found = action_read_back(tried, dreams(tried, z=other), make_generator(0))
    assert abs(found["dreamt"]) < 0.2 < found["real"]
