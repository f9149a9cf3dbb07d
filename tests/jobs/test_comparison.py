"""What a round earned for real is held against its dreams, and a controller comes back only where it still fits."""

import gymnasium as gym
import pytest
import torch

from ewm_studio.jobs.comparison import Comparison
from ewm_studio.models.registry import choose
from ewm_studio.settings import ComponentChoice


def set_to(model, value: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


def value_of(model) -> float:
    return next(model.parameters()).flatten()[0].item()


def acted(comparison: Comparison, value: float, earned: float, vision_learned: bool = False) -> list[str]:
    """A round with the controller at `value`, which learns half more in its dreams; what is said at its end."""
    controller = comparison.rollback.controller
    set_to(controller, value)
    comparison.rollback.begin()
    set_to(controller, value + 0.5)
    comparison.acted(torch.full((4, 2), earned))
    comparison.dreamt += [1.0, 10 * value]
    return [message.text for message in comparison.end_round(3, vision_learned)]


@pytest.fixture
def comparison() -> Comparison:
    space = gym.spaces.Discrete(2)
    part = choose("controller", ComponentChoice(name="LinearController"), gym.spaces.Box(-1, 1, (2,)), space)
    return Comparison(part.cls(part.settings, 2, 0, space), 0.6)


def test_a_controller_of_another_vision_does_not_come_back(comparison):
    controller = comparison.rollback.controller
    assert acted(comparison, 1.0, 3.0) == []
    assert acted(comparison, 2.0, 1.0, vision_learned=True) == []
    assert value_of(controller) == 2.5
    assert comparison.rollback.best is None  # that round too was acted with the old vision
    assert acted(comparison, 3.0, 0.5) == []
    assert value_of(controller) == 3.5


def test_the_dreams_of_a_controller_that_was_given_up_are_of_no_round(comparison):
    acted(comparison, 1.0, 3.0)
    assert comparison.watch.dreamt == 10.0
    assert "back to the controller" in acted(comparison, 2.0, 1.0)[-1]
    assert value_of(comparison.rollback.controller) == 1.0
    assert comparison.watch.dreamt is None
    acted(comparison, 1.0, 3.0)
    assert comparison.watch.pairs == [(10.0, 1.0)]


def test_a_round_is_compared_once(comparison):
    acted(comparison, 1.0, 3.0)
    assert list(comparison.end_round(3, False)) == []
    assert comparison.watch.dreamt == 10.0
    assert comparison.watch.pairs == []


def test_a_short_piece_counts_by_its_rows(comparison):
    comparison.watch.dreamt = 2.0
    comparison.acted(torch.full((3, 2), 1.0))
    comparison.acted(torch.full((1, 2), 5.0))
    assert list(comparison.end_round(3, False)) == []
    assert comparison.watch.pairs == [(2.0, 2.0)]
