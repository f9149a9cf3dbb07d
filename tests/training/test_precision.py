"""What networks compute with, while they learn."""

from __future__ import annotations

import torch

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
