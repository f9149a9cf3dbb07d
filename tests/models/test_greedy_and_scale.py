"""Greedy play of a flat Beta, large observations, and what models of earlier versions keep."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

from ewm_studio.models.distributions import Beta
from ewm_studio.models.heads import BetaHead, BoxMap
from ewm_studio.models.registry import choose
from ewm_studio.settings import ComponentChoice

BOX = gym.spaces.Box(-1, 1, (1,), np.float32)
VECTOR = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)


def test_a_flat_beta_plays_its_mean_and_not_its_far_off_peak() -> None:
    """Concentrations of 1.02 and 1.002: the peak is at 0.91, every draw's mean at 0.504."""
    nearly_flat = torch.log(torch.expm1(torch.tensor([[0.02, 0.002]])))
    peak, mean = (BetaHead(BoxMap(BOX), greedy)(nearly_flat).mode() for greedy in ("mode", "mean"))
    assert float(peak) > 0.9
    assert float(mean) == pytest.approx(1.02 / 2.022, abs=1e-4)
    draws = Beta(nearly_flat.expand(20_000, 2), lambda raw: raw).sample(torch.Generator().manual_seed(0))
    assert float(draws.mean()) == pytest.approx(float(mean), abs=0.01)


def test_what_is_made_already_keeps_what_it_was_and_what_is_new_does_not() -> None:
    for kind, name, setting, new, old in (
        ("controller", "DeepContinuousController", "greedy", "mean", "mode"),
        ("vision", "Identity", "limit", 1e15, 1e6),
    ):
        for made, expected in ((False, new), (True, old)):
            part = choose(kind, ComponentChoice(name=name), VECTOR, BOX, made=made)
            assert getattr(part.settings, setting) == expected
        given = choose(kind, ComponentChoice(name=name, **{setting: new}), VECTOR, BOX, made=True)
        assert getattr(given.settings, setting) == new


def test_large_observations_are_told_apart() -> None:
    part = choose("vision", ComponentChoice(name="Identity"), VECTOR, BOX)
    vision = part.cls(part.settings, VECTOR)
    z = vision.encode(torch.tensor([[5e7, 1.7e9], [5.1e7, 1.8e9], [3e38, -3e38]]))
    assert z[:2].tolist() == [[5e7, 1.7e9], [5.1e7, 1.8e9]]
    assert torch.isfinite(z.square().sum(0)).all()
