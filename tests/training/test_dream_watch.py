"""Whether a dream can be believed, and the way back when it could not."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from ewm_studio.models.registry import choose
from ewm_studio.settings import ComponentChoice
from ewm_studio.training.dream_watch import DreamWatch, worth
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
    assert watch.figures() == {"dream/worth": 2.0, "dream/real_worth": 1.5, "dream/gap": 0.5}
    watch.acted(9.0)  # dreamt of once only
    assert watch.pairs == [(2.0, 1.5)]


def test_it_is_fooled_by_three_rounds_of_rising_dreams_and_falling_reality():
    assert watched([1, 2, 3, 4], [4, 3, 2, 1]).fooled
    assert not watched([1, 2, 3], [3, 2, 1]).fooled
    assert not watched([1, 2, 3, 4], [4, 3, 2, 2.5]).fooled
    assert not watched([1, 2, 3, 3], [4, 3, 2, 1]).fooled
    assert not watched([1, 2, 3, 4, 3.9], [5, 4, 3, 2, 1]).fooled
    assert watched([9, 1, 2, 3, 4], [0, 4, 3, 2, 1]).fooled


def test_what_moves_little_of_the_range_that_it_has_had_fools_nobody():
    """Three rounds in a row that go apart are one of 64 by chance alone."""
    dreamt, real = [0, 10, 5.0, 5.1, 5.2, 5.3], [0, 10, 5.3, 5.2, 5.1, 5.0]
    assert not watched(dreamt, real).fooled
    assert watched(dreamt[2:], real[2:]).fooled  # where that is all there was
    assert not watched([5, 6, 7, 8], [1 - 1e-9 * i for i in range(4)]).fooled  # rounding


def test_losses_are_watched_as_gains_are():
    assert watched([-9, -8, -7, -6], [-3, -4, -5, -6]).fooled
    assert not watched([-6, -7, -8, -9], [-3, -4, -5, -6]).fooled


def test_where_one_side_does_not_change_no_correlation_is_told():
    rng = np.random.default_rng(1)
    same = watched(rng.normal(size=9), np.ones(9) + 1e-12 * rng.normal(size=9))
    assert "dream/correlation" not in same.figures()
    assert same.figures()["dream/real_worth"] == pytest.approx(1.0)


def test_an_end_costs_what_would_have_come():
    assert worth(1.5, 0.0, 0.9) == pytest.approx(1.5)  # nothing ends
    assert worth(1.0, 1.0, 0.9) == pytest.approx(0.1)  # one reward, and it is over
    lengths = [worth(1.0, 1 / steps, 0.99) for steps in (20, 100, 500)]
    assert lengths == sorted(lengths)
    assert worth(-1.0, 0.5, 0.9) > worth(-1.0, 0.0, 0.9)  # of losses, an end spares some
    assert 0 < worth(1.0, 0.1, 1.0) < worth(1.0, 0.01, 1.0) < 1  # without a discount
    # By its definition: the discounted sum of what is earned while it goes on, in 1 - gamma.
    summed = sum(2.0 * 0.9**t * 0.7**t for t in range(200))
    assert worth(2.0, 0.3, 0.9) == pytest.approx(0.1 * summed)


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
    for chance in (0.0, -1.0):  # what is no better than chance is nothing to go back to
        losing = Rollback(model, 0.6)
        losing.chance = chance
        for reward in (-1.0, -9.0):
            losing.begin()
            assert not losing.acted(reward)


def test_below_zero_the_share_is_of_the_way_from_chance():
    model = controller()
    back = Rollback(model, 0.6)
    back.chance = -9.0
    for value, worth_of_it, comes_back in ((1.0, -1.0, False), (2.0, -4.1, False), (3.0, -4.3, True)):
        set_to(model, value)
        back.begin()
        assert back.acted(worth_of_it) == comes_back
    assert value_of(model) == 1.0
