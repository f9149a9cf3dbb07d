"""The RSSM: a categorical state that picks one of several futures, and the divergence that teaches it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ewm_studio.models.base import SequenceBatch
from ewm_studio.models.categorical import StatePrediction, divergence, drawn, mixed, straight_through
from ewm_studio.models.memory.rssm import RSSM
from ewm_studio.training.adam import FusedAdam

SMALL = {"hidden_dim": 24, "groups": 4, "classes": 5, "dropout": 0.0}


def make(latent: int = 3, action: int = 2, **settings) -> RSSM:
    torch.manual_seed(0)
    return RSSM(RSSM.Settings(**SMALL | settings), latent, action)


def batch_of(z: Tensor, action: Tensor) -> SequenceBatch:
    steps, batch = action.shape[:2]
    never, always = torch.zeros(steps, batch, dtype=torch.bool), torch.ones(steps, batch, dtype=torch.bool)
    return SequenceBatch(z, action, torch.zeros(steps, batch), never, never, always, always, always)


def two_futures(steps: int, batch: int, seed: int) -> SequenceBatch:
    """Both latents jump together, up or down, whatever is done: the mean of both is never seen."""
    g = torch.Generator().manual_seed(seed)
    side = (torch.rand(steps + 1, batch, 1, generator=g) < 0.5).float() * 2 - 1
    return batch_of(torch.cat([side, side], -1), torch.zeros(steps, batch, 1))


def fit(memory: RSSM, updates: int = 300) -> RSSM:
    """Trained on futures that are new at every update, so that there is nothing to learn by heart."""
    generator, optimizer = torch.Generator().manual_seed(1), FusedAdam(memory, 1e-2)
    memory.train()
    for update in range(updates):
        optimizer.zero_grad()
        data = two_futures(8, 64, update)
        memory.loss(data, memory.initial_state(64), generator)["total"].backward()
        optimizer.step(optimizer.clip(10.0))
    return memory.eval()


def test_unimix_leaves_every_class_its_share():
    probs = mixed(torch.tensor([[100.0, 0.0, -100.0, 0.0]]), 0.01).exp()
    assert float(probs.min()) == pytest.approx(0.0025)
    assert float(probs.sum()) == pytest.approx(1.0)
    assert torch.equal(mixed(torch.tensor([1.0, 2.0]), 0.0), torch.tensor([1.0, 2.0]).log_softmax(-1))


def test_divergence_is_that_of_torch():
    g = torch.Generator().manual_seed(0)
    q, p = (torch.randn(6, 3, 5, generator=g).log_softmax(-1) for _ in range(2))
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=q), torch.distributions.Categorical(logits=p)
    )
    torch.testing.assert_close(divergence(q, p), expected.sum(-1))


def test_classes_are_drawn_as_often_as_they_are_likely():
    probs = torch.tensor([0.6, 0.3, 0.1])
    index = drawn(probs.log().expand(20_000, 3), 1.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.bincount(index) / 20_000, probs, atol=0.015, rtol=0)
    cold = drawn(probs.log().expand(20_000, 3), 0.5, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.bincount(cold) / 20_000, probs**2 / (probs**2).sum(), atol=0.015, rtol=0)
    assert int(drawn(probs.log(), 0.0, None)) == 0


def test_a_drawn_state_carries_the_gradient_of_its_probabilities():
    logits = torch.randn(2, 4, requires_grad=True)
    weights = torch.randn(2, 4)
    state = straight_through(logits.log_softmax(-1), torch.tensor([1, 3]))
    assert torch.equal(state.detach().argmax(-1), torch.tensor([1, 3]))
    torch.testing.assert_close(state.detach().sum(-1), torch.ones(2))
    (got,) = torch.autograd.grad((state * weights).sum(), logits)
    (expected,) = torch.autograd.grad((logits.softmax(-1) * weights).sum(), logits)
    torch.testing.assert_close(got, expected)


def test_groups_are_drawn_one_after_another_each_from_what_was_drawn_before():
    """The second group always takes the class of the first, and the decoder tells both."""
    first, many = torch.tensor([0.7, 0.3]).log(), 20_000
    logits = torch.stack([first, torch.zeros(2)]).expand(many, 2, 2)
    chain = torch.zeros(4, 4)
    chain[0, 2] = chain[1, 3] = 50.0
    prediction = StatePrediction(
        *(torch.zeros(many) for _ in range(2)),
        base=torch.zeros(many, 1),
        scale=torch.tensor([2.0]),
        mu=torch.zeros(many, 1),
        offset=torch.ones(many, 1),
        gain=torch.full((many, 1), 0.5),
        logits=logits,
        uniform=0.0,
        chain=chain,
        effects=torch.tensor([[0.0], [1.0], [0.0], [10.0]]),
        log_std=torch.zeros(1),
    )
    z = prediction.sample(1.0, torch.Generator().manual_seed(3)).squeeze(-1)
    assert set(z.unique().tolist()) == {2.0, 2 * (1 + 0.5 * 11)}
    assert float((z == 2.0).float().mean()) == pytest.approx(0.7, abs=0.015)
    state = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).expand(many, 2, 2)
    assert float(prediction.log_probs(state)[0, 1, 0]) == pytest.approx(0.0, abs=1e-6)
    assert float(prediction.given(state)[0, 0]) == 1.0


def test_free_nats_cost_what_they_are_and_teach_nothing():
    data = batch_of(torch.randn(9, 4, 3), torch.randn(8, 4, 2))
    memory = make(free_nats=1000.0, feedback_steps=0)
    with torch.no_grad():
        losses = memory.loss(data, memory.initial_state(4), torch.Generator().manual_seed(0))
    assert float(losses["prediction"] - losses["decoded"]) == pytest.approx(1.1 * 1000 / 3, rel=1e-4)
    kl = losses["kl"]
    assert 0 < float(kl) < 1000
    paid = make(free_nats=0.0, feedback_steps=0)
    with torch.no_grad():
        losses = paid.loss(data, paid.initial_state(4), torch.Generator().manual_seed(0))
    assert float(losses["prediction"] - losses["decoded"]) == pytest.approx(1.1 * float(kl) / 3, rel=1e-3)


def test_the_balance_moves_what_is_foretold_and_what_is_held_apart():
    data = batch_of(torch.randn(9, 4, 3), torch.randn(8, 4, 2))
    for weights, stays in (({"dynamics_weight": 0.0}, "prior"), ({"representation_weight": 0.0}, "posterior")):
        gradients = {}
        for kept in (1.0, 0.0):  # the rest of the loss alone, by taking the same with both weights zero
            settings = {"dynamics_weight": kept, "representation_weight": kept}
            memory = make(free_nats=0.0, feedback_steps=0, **settings | weights)
            memory.loss(data, memory.initial_state(4), torch.Generator().manual_seed(0))["total"].backward()
            prior = memory.residual_head.weight.grad[3 * 3 :]
            gradients[kept] = {"prior": prior, "posterior": memory.posterior[0].weight.grad}
        other = {"prior": "posterior", "posterior": "prior"}[stays]
        torch.testing.assert_close(gradients[1.0][stays], gradients[0.0][stays], atol=1e-7, rtol=1e-5)
        assert not torch.allclose(gradients[1.0][other], gradients[0.0][other], atol=1e-7, rtol=1e-5)


@pytest.mark.slow
def test_draws_hit_both_futures_and_never_their_mean():
    memory = fit(make(2, 1, feedback_steps=4, free_nats=0.0, outliers=0.0, input_noise=0.0))
    generator = torch.Generator().manual_seed(2)
    z, state = torch.ones(400, 2), memory.initial_state(400)
    with torch.no_grad():
        for _ in range(20):
            dreamt = memory.imagine(z, torch.zeros(400, 1), state, 1.0, generator)
            z, state = dreamt.z, dreamt.state
    assert (z.abs() > 0.6).float().mean() > 0.97  # unimix lets a few go elsewhere
    assert (z[:, 0].sign() == z[:, 1].sign()).float().mean() > 0.97  # both jump together: one state decides
    assert 0.35 < (z[:, 0] > 0).float().mean() < 0.65


def test_a_dream_is_that_of_its_generator():
    memory = fit(make(2, 1), 5)
    z, action, state = torch.ones(8, 2), torch.zeros(8, 1), memory.initial_state(8)
    with torch.no_grad():
        first, again, other = (
            memory.imagine(z, action, state, 1.0, torch.Generator().manual_seed(seed)).z for seed in (0, 0, 1)
        )
        cold = [memory.imagine(z, action, state, 0.0).z for _ in range(2)]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(*cold)


def test_acting_draws_nothing():
    memory = make()
    before = torch.get_rng_state()
    memory.step(torch.ones(2, 3), torch.zeros(2, 2), memory.initial_state(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_state_says_what_could_not_be_foretold():
    memory, data = (
        fit(make(2, 1, free_nats=0.0, feedback_steps=0, input_noise=0.0, outliers=0.0)),
        two_futures(8, 64, 999),
    )
    with torch.no_grad():
        losses = memory.loss(data, memory.initial_state(64))
        h, _ = memory.sequence(data.z[:-1], data.action, data.is_first, memory.initial_state(64))
        blind = (memory.predict(h).mean - data.z[1:]).square().mean()
    assert blind > 0.9  # nobody can foretell the side
    assert 0.6 < losses["kl"] < 1.2  # the state says it: log 2 nats
    assert losses["decoded"] < -0.5  # and the latent follows from the state
