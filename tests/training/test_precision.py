"""What networks compute with, while they learn."""

from __future__ import annotations

import torch

from ewm_studio.models.actor_critic import MLP
from ewm_studio.models.categorical import drawn, mixed
from ewm_studio.models.distributions import MultiCategorical
from ewm_studio.models.randomness import drawing_from, make_generator
from ewm_studio.training.precision import computing

CPU = torch.device("cpu")


def test_products_are_of_the_precision_asked_for():
    layer, x = torch.nn.Linear(3, 2), torch.ones(1, 3)
    with computing("bfloat16", CPU):
        assert layer(x).dtype == torch.bfloat16
    with computing("float32", CPU):
        assert layer(x).dtype == torch.float32
    assert layer.weight.dtype == torch.float32


def test_a_step_of_the_weights_is_seen_at_once():
    layer, x = torch.nn.Linear(3, 2), torch.ones(1, 3)
    with computing("bfloat16", CPU):
        before = layer(x)
        with torch.no_grad():
            layer.weight.zero_()
            layer.bias.zero_()
        assert before.abs().sum() > 0
        assert layer(x).abs().sum() == 0


def test_what_is_rare_is_drawn_as_often_in_16_bits():
    """Of 16 bits a uniform number has 256 values: choices of less than one in them would never be made."""
    with drawing_from(make_generator(0)):
        policy = MLP(2, (4,), 3, "tanh", 1.0)
    with torch.no_grad():
        policy.layers[-1].weight.zero_()
        policy.layers[-1].bias.copy_(torch.tensor([0.0, -6.2, -7.2]))
        with computing("bfloat16", CPU):
            logits = policy(torch.ones(1, 2))
            mixture = mixed(logits.bfloat16(), 0.0)
        made = MultiCategorical(logits.expand(400_000, 1, 3), lambda raw: raw).sample(make_generator(1))
        drawn_states = drawn(mixture.expand(400_000, 1, 3), 1.0, make_generator(1))
    wanted = policy.layers[-1].bias.softmax(-1)
    for found in (made, drawn_states):
        share = torch.bincount(found.flatten(), minlength=3) / 400_000
        torch.testing.assert_close(share, wanted, rtol=0.2, atol=0)
