"""What a round earned for real is held against its dreams, and a controller comes back only where it still fits."""

import gymnasium as gym
import pytest
import torch

from ewm_studio.jobs.comparison import Comparison
from ewm_studio.models.registry import choose
from ewm_studio.settings import ComponentChoice

NEVER = torch.zeros(10, 2, dtype=torch.bool)  # nothing ended


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
    comparison.acted(torch.full((4, 2), earned), NEVER[:4])
    comparison.dreamt += [(1.0, 0.0), (10 * value, 0.0)]
    return [message.text for message in comparison.end_round(3, vision_learned)]


@pytest.fixture
def comparison() -> Comparison:
    space = gym.spaces.Discrete(2)
    part = choose("controller", ComponentChoice(name="LinearController"), gym.spaces.Box(-1, 1, (2,)), space)
    return Comparison(part.cls(part.settings, 2, 0, space), 0.6, 0.9)


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
    comparison.acted(torch.full((3, 2), 1.0), NEVER[:3])
    comparison.acted(torch.full((1, 2), 5.0), NEVER[:1])
    assert list(comparison.end_round(3, False)) == []
    assert comparison.watch.pairs == [(2.0, pytest.approx(2.0))]
    assert comparison.figures["dream/real_reward"] == 2.0


def falling(comparison: Comparison, rounds: int, dreamt_end: float) -> list[str]:
    """Rounds of one reward a decision, in which poles fall sooner and sooner; what is said of them."""
    said = []
    for number in range(rounds):
        ended = NEVER.clone()
        ended.view(-1)[: 3 * number] = True
        comparison.rollback.begin()
        comparison.acted(torch.ones(10, 2), ended)
        comparison.dreamt.append((1.0, dreamt_end / (number + 1)))
        said += [message.text for message in comparison.end_round(number, vision_learned=True)]
    return said


def test_where_every_step_pays_the_same_it_is_the_ends_that_count(comparison):
    said = falling(comparison, 5, dreamt_end=0.2)
    assert len(said) == 1
    assert "the dream is being cheated" in said[0]
    assert comparison.figures["dream/real_reward"] == 1.0
    assert comparison.figures["dream/real_worth"] == pytest.approx(0.1 / (1 - 0.9 * (1 - 12 / 20)))
    assert comparison.figures["dream/gap"] > 0.2


def test_a_dream_that_foretells_the_ends_is_not_cheated(comparison):
    for number, end in enumerate((0.0, 0.15, 0.3, 0.45, 0.6)):
        assert falling_round(comparison, number, end) == []
    assert comparison.figures["dream/correlation"] > 0.9
    assert comparison.figures["dream/gap"] == pytest.approx(0.0, abs=1e-6)


def falling_round(comparison: Comparison, number: int, end: float) -> list[str]:
    ended = NEVER.clone()
    ended.view(-1)[: round(20 * end)] = True
    comparison.watch.dreamt = comparison._worth([(1.0, end)])
    comparison.acted(torch.ones(10, 2), ended)
    return [message.text for message in comparison.end_round(number, vision_learned=True)]


def test_the_way_back_is_measured_from_what_random_actions_are_worth(comparison):
    comparison.tried(torch.full((10, 2), -9.0), NEVER)
    assert acted(comparison, 1.0, -1.0) == []
    assert acted(comparison, 2.0, -4.0) == []
    assert "back to the controller" in acted(comparison, 3.0, -5.0)[-1]
    assert value_of(comparison.rollback.controller) == 1.0


def test_a_reward_that_is_no_number_is_compared_with_nothing(comparison):
    acted(comparison, 1.0, 3.0)
    assert acted(comparison, 2.0, float("nan")) == []
    assert comparison.watch.pairs == []
    assert comparison.rollback.best == pytest.approx(3.0)
    assert "back to the controller" in acted(comparison, 3.0, 1.0)[-1]


def test_what_was_compared_is_gone_on_with(comparison):
    falling(comparison, 4, dreamt_end=0.2)
    comparison.acted(torch.ones(10, 2), NEVER)
    comparison.dreamt.append((1.0, 0.1))
    again = Comparison(comparison.rollback.controller, 0.6, 0.9)
    again.restore(comparison.state())
    assert [m.text for m in again.end_round(5, True)] == [m.text for m in comparison.end_round(5, True)]
    assert again.state() == comparison.state()
