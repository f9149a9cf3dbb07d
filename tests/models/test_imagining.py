"""A memory left to itself is what it imagines step by step, each step from the last."""

import pytest
import torch

from ewm_studio.models.imagining import imagined, in_draws
from ewm_studio.models.randomness import drawing_from, make_generator
from ewm_studio.models.registry import component


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("name", ["MDNRNN", "TemporalTransformer"])
def test_every_step_begins_where_the_last_one_led(name, temperature):
    cls = component("memory", name)
    with drawing_from(make_generator(0)):
        memory = cls(cls.Settings(hidden_dim=8), 3, 2).eval()
    g = make_generator(1)
    z, actions = torch.randn(4, 3, generator=g), torch.randn(5, 4, 2, generator=g)
    one, other = make_generator(2), make_generator(2)
    with torch.no_grad():
        steps = list(imagined(memory, z, memory.initial_state(4), actions, temperature, one))
        state = memory.initial_state(4)
        for step, action in zip(steps, actions, strict=True):
            expected = memory.imagine(z, action, state, temperature, other)
            for part in ("z", "h", "reward", "end"):
                assert torch.equal(getattr(step, part), getattr(expected, part))
            z, state = expected.z, expected.state
    assert torch.equal(one.get_state(), other.get_state())
    assert not torch.equal(steps[0].z, steps[1].z)


def test_draws_lie_side_by_side_draw_by_draw():
    state = in_draws({"h": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "seen": torch.tensor([True, False])}, 3)
    assert state["h"].tolist() == 3 * [[1.0, 2.0], [3.0, 4.0]]
    assert state["seen"].tolist() == 3 * [True, False]
