"""The trust meter, on dreams whose errors are known."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from ewm_studio.analysis import open_loop
from ewm_studio.dreams import trust
from ewm_studio.models.base import Tag


class Blind:
    """A vision without pictures."""

    tags = frozenset()
    observation_space = gym.spaces.Box(-1, 1, (3,))


class Pictures:
    """A vision whose latents beyond 1 no picture has: pictures are 4x4, of one number each."""

    tags = frozenset({Tag.RECONSTRUCTS})
    observation_space = gym.spaces.Box(0, 255, (1, 4, 4), np.uint8)

    def decode(self, z):
        return (z.clamp(-1, 1) / 2 + 0.5)[:, :1, None, None].expand(-1, 1, 4, 4)

    def encode(self, pictures):
        return (pictures.mean((1, 2, 3))[:, None] - 0.5) * 2


def bundle(spread, draws=9):
    """Draws (D, K, N, 3), a row of independent normal ones at each of the spreads (K,), and one more that came."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(draws, len(spread), 400, 3, generator=generator) * torch.tensor(spread)[:, None, None]
    return z[:-1], z[-1]


def test_the_error_to_expect_is_that_of_one_more_draw():
    z, came = bundle([0.5, 2.0])
    true = (z[0] - came).square().sum(-1).mean(1)
    assert trust.apart(z).mean(1).tolist() == pytest.approx(true.tolist(), rel=0.2)
    assert trust.spread(z).mean(1).tolist() == pytest.approx([3 * 0.25, 3 * 4.0], rel=0.1)


def test_a_dream_far_from_its_others_is_told_from_one_among_them():
    z, came = bundle([1.0])
    signs = trust.signs(Blind(), z)
    told = trust.meter(signs, trust.usual(signs))
    wrong = (z[0] - came).square().sum(-1)
    assert set(signs) == {"apart"}
    assert open_loop.rank_correlation(told[0].numpy(), wrong[0].numpy()) > 0.3


def test_the_meter_says_by_how_much_errors_have_grown():
    z, _ = bundle([1.0, 2.0, 4.0])
    signs = trust.signs(Blind(), z)
    told = trust.meter(signs, trust.usual({name: sign[:1] for name, sign in signs.items()}))
    assert told.median(1).values.tolist() == pytest.approx([1.0, 4.0, 16.0], rel=0.2)


def test_pictures_and_the_way_through_them_count_where_there_are_some():
    near, far = torch.full((2, 1, 5, 1), 0.5), torch.full((2, 1, 5, 1), 3.0)
    for z in (near, far):
        z[1] -= 0.2
    inside, outside = (trust.signs(Pictures(), z) for z in (near, far))
    assert inside["round_trip"].max() < 1e-9
    assert outside["round_trip"] == pytest.approx(4.0)
    assert inside["pictures_apart"] == pytest.approx((0.1**2) * 1.5)
    assert outside["pictures_apart"].max() == 0  # both are as bright as pictures get
    assert outside["apart"] == pytest.approx(inside["apart"])


def test_a_live_meter_measures_a_dream_by_its_first_steps():
    z, _ = bundle([1.0] * 8 + [3.0] * 8)
    live = trust.TrustMeter(Blind())
    told = [live.read(z[:, k, 0]) for k in range(16)]
    assert np.median(told[8:]) > 3 * np.median(told[:8])
    live.begin()
    assert live.read(z[:, 15, 0]) == pytest.approx(1.0)  # the first step of another dream
    known = trust.TrustMeter(Blind(), {"apart": 6.0})
    assert known.read(z[:, 0, 0]) == pytest.approx(float(trust.apart(z[:, 0, 0])) / 6)
