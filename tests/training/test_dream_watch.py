"""Whether a dream can be believed, and the way back when it could not."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from ewm_studio.models.registry import choose
from ewm_studio.settings import ComponentChoice
from ewm_studio.training.dream_watch import DreamWatch
from ewm_studio.training.rollback import Rollback


def watched(dreamt, real) -> DreamWatch:
    watch = DreamWatch()
    for expected, earned in zip(dreamt, real, strict=True):
        watch.dreamt = expected
        watch.acted(earned)
    return watch


def test_a_round_is_compared_with_the_dreams_of_the_one_before():
    watch = DreamWatch()
    watch.acted(5.0)  # of a policy that nothing was dreamt of
    assert watch.figures() == {}
    watch.dreamt = 2.0
    watch.acted(1.5)
    assert watch.figures() == {"dream/real_reward": 1.5, "dream/gap": 0.5}
    watch.acted(9.0)  # dreamt of once only
    assert watch.pairs == [(2.0, 1.5)]


def test_it_is_fooled_by_three_rounds_of_rising_dreams_and_falling_reality():
    assert watched([1, 2, 3, 4], [4, 3, 2, 1]).fooled
    assert not watched([1, 2, 3], [3, 2, 1]).fooled
    assert not watched([1, 2, 3, 4], [4, 3, 2, 2.5]).fooled
    assert not watched([1, 2, 3, 3], [4, 3, 2, 1]).fooled
    assert not watched([1, 2, 3, 4, 3.9], [5, 4, 3, 2, 1]).fooled
    assert watched([9, 1, 2, 3, 4], [0, 4, 3, 2, 1]).fooled


def test_the_correlation_is_of_differences_not_of_a_common_trend():
    rng = np.random.default_rng(0)
    up, noise, other = np.arange(12.0), rng.normal(size=12), rng.normal(size=12)
    alike = watched(up + noise, 2 * up + noise).figures()["dream/correlation"]
    apart = watched(up + noise, up + other).figures()["dream/correlation"]
    assert alike > 0.95
    assert apart < 0.6
    assert "dream/correlation" not in watched([1, 2, 3, 4], [1, 3, 2, 5]).figures()


def test_it_is_gone_on_with_where_it_was():
    watch = watched([1, 2, 3], [3, 2, 1])
    watch.dreamt = 4.0
    again = DreamWatch()
    again.restore(watch.state())
    again.acted(0.5)
    assert again.fooled


def controller():
    space = gym.spaces.Discrete(2)
    part = choose("controller", ComponentChoice(name="LinearController"), gym.spaces.Box(-1, 1, (2,)), space)
    return part.cls(part.settings, 2, 0, space)


def set_to(model, value: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


def value_of(model) -> float:
    return next(model.parameters()).flatten()[0].item()


def test_the_controller_of_the_best_round_comes_back_when_a_later_one_is_far_worse():
    model = controller()
    back = Rollback(model, 0.6)
    for value, reward in ((1.0, 2.0), (2.0, 3.0), (3.0, 1.9)):
        set_to(model, value)
        back.begin()
        set_to(model, value + 0.5)  # it learns in dreams before the round is judged
        assert not back.acted(reward)
    set_to(model, 4.0)
    back.begin()
    assert back.acted(1.7)
    assert value_of(model) == 2.0
    back.begin()  # what was gone back to is measured anew, with the memory of now
    assert not back.acted(0.1)
    assert back.best == pytest.approx(0.1)


def test_nothing_is_gone_back_to_where_it_is_not_wanted_or_not_known():
    model = controller()
    never = Rollback(model, 0.0)
    for reward in (5.0, 0.1):
        never.begin()
        assert not never.acted(reward)
    forgetful = Rollback(model, 0.6)
    forgetful.begin()
    forgetful.acted(5.0)
    forgetful.forget()
    forgetful.begin()
    assert not forgetful.acted(0.1)
    losing = Rollback(model, 0.6)  # below zero a share says nothing
    for reward in (-1.0, -9.0):
        losing.begin()
        assert not losing.acted(reward)
