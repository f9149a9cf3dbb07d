"""A fresh recurrent memory holds what it took in, and a gradient gets back to it."""

import pytest
import torch

from ewm_studio.models import registry

STEPS, LATENT = 20, 6


@pytest.mark.parametrize("name", ["LSTMMemory", "MDNRNN"])
def test_a_fresh_memory_still_holds_what_it_saw_twenty_steps_ago(name):
    torch.manual_seed(0)
    cls = registry.component("memory", name)
    memory = cls(cls.Settings(hidden_dim=64, slowest=64), LATENT, 2)
    z, action = torch.randn(STEPS, 1, LATENT).repeat(1, 2, 1), torch.zeros(STEPS, 2, 2)
    z[0, 1] = torch.randn(LATENT)  # two episodes that differ by their first latent alone
    z.requires_grad_()
    is_first = torch.zeros(STEPS, 2, dtype=torch.bool)
    h, _ = memory.sequence(z, action, is_first, memory.initial_state(2))
    features = h[..., : memory.features]
    apart = (features[:, 0] - features[:, 1]).norm(dim=-1).detach()
    assert apart[-1] > 0.02 * apart[0]  # as PyTorch starts an LSTM, a ten-thousandth is left
    (reached,) = torch.autograd.grad(features[-1].sum(), z)
    assert reached[0].norm() > 0.01 * reached[-1].norm()
    half = memory.lstm.bias_ih_l0.chunk(4)[1][memory.features // 2 :]
    assert half.abs().max() <= 1 / memory.features**0.5  # the rest begins as PyTorch has it
