"""The memories: `sequence` is `step` repeated, resets reset, predictions are right, and training teaches something."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from functools import cache
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from ewm_studio.errors import UserError
from ewm_studio.models import registry
from ewm_studio.models.base import MemoryModel, SequenceBatch, Tag
from ewm_studio.models.memory.lstm import LSTMMemory, PackedLayout
from ewm_studio.models.memory.mdn_rnn import MDNRNN
from ewm_studio.models.memory.no_memory import NoMemory
from ewm_studio.models.memory.transformer import TemporalTransformer
from ewm_studio.models.prediction import PredictiveMemory
from ewm_studio.models.residuals import (
    GaussianPrediction,
    MixturePrediction,
    PointPrediction,
    ResidualPrediction,
    bounded_log_std,
)
from ewm_studio.models.running_scale import RunningScale
from ewm_studio.settings import ComponentChoice
from ewm_studio.training.adam import FusedAdam

Z, A = 3, 2
STILL = {"dropout": 0.0, "feedback_draws": 0.0, "reward_dropout": 0.0}  # nothing is drawn where they learn
SMALL = {
    "LSTMMemory": {"hidden_dim": 24},
    "LSTMMemory-deterministic": {"hidden_dim": 24, "head": "deterministic"},
    "MDNRNN": {"hidden_dim": 24, **STILL},
    "TemporalTransformer": {"hidden_dim": 24, "heads": 3, "window": 5},
    "RSSM": {"hidden_dim": 24, "groups": 4, "classes": 4, "free_nats": 0.0, **STILL},
}
predicting = pytest.mark.parametrize("name", list(SMALL))
every = pytest.mark.parametrize("name", ["NoMemory", "History", *SMALL])


def make(name: str, latent_dim: int = Z, action_dim: int = A, seed: int = 0, **settings) -> MemoryModel:
    torch.manual_seed(seed)
    cls = registry.component("memory", name.partition("-")[0])
    return cls(cls.Settings(**{**SMALL.get(name, {}), **settings}), latent_dim, action_dim)


def make_batch(steps: int = 20, batch: int = 4, seed: int = 1, restart: float = 0.15) -> SequenceBatch:
    """Random experience in which column 0 has no restart, and a restart makes the step before invalid."""
    g = torch.Generator().manual_seed(seed)
    is_first = torch.rand(steps, batch, generator=g) < restart
    is_first[:, 0] = False
    valid = torch.ones(steps, batch, dtype=torch.bool)
    valid[:-1] = ~is_first[1:]
    return SequenceBatch(
        z=torch.randn(steps + 1, batch, Z, generator=g),
        action=torch.randn(steps, batch, A, generator=g),
        reward=torch.randn(steps, batch, generator=g),
        terminated=torch.rand(steps, batch, generator=g) < 0.2,
        is_first=is_first,
        valid=valid,
        mask=torch.ones(steps, batch, dtype=torch.bool),
        known=torch.ones(steps, batch, dtype=torch.bool),
    )


def warmed(memory: MemoryModel, batch: int = 4) -> dict[str, Tensor]:
    """A state some steps into an episode, one column barely begun."""
    g = torch.Generator().manual_seed(7)
    state = memory.initial_state(batch)
    is_first = torch.zeros(7, batch, dtype=torch.bool)
    is_first[5, 1] = True
    z, action = torch.randn(7, batch, Z, generator=g), torch.randn(7, batch, A, generator=g)
    with torch.no_grad():
        return memory.sequence(z, action, is_first, state)[1]


def by_steps(memory: MemoryModel, b: SequenceBatch, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    outputs = []
    for t in range(b.action.shape[0]):
        h, state = memory.step(b.z[t], b.action[t], memory.reset(state, b.is_first[t]))
        outputs.append(h)
    return torch.stack(outputs), state


def run(memory: MemoryModel, b: SequenceBatch, state: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return memory.sequence(b.z[:-1], b.action, b.is_first, state)[0]


def cut(b: SequenceBatch, first: int, last: int) -> SequenceBatch:
    """Steps `first` to `last` of a batch."""
    return SequenceBatch(**{k: v[first : last + (k == "z")] for k, v in vars(b).items()})


# --- what the contract asks of each ---------------------------------------------------------------------------------


def test_the_registry_finds_them_and_their_tags():
    found = registry.components("memory")
    assert {"NoMemory", "History", "LSTMMemory", "MDNRNN", "TemporalTransformer"} <= set(found)
    assert not {"RecurrentMemory", "PredictiveMemory"} & set(found)
    plain = {"NoMemory", "History"}
    assert all((Tag.PREDICTS in found[n].tags) == (n not in plain) and found[n].summary for n in found)


def test_history_holds_the_last_steps_as_they_were():
    memory, b = make("History", steps=3), make_batch(restart=0.0)
    b.is_first[4, 1] = True
    h, state = memory.sequence(b.z[:-1], b.action, b.is_first, memory.initial_state(4))
    assert h.shape == (20, 4, memory.hidden_dim) == (20, 4, 3 * (Z + A))
    recent = h.view(20, 4, 3, Z + A)
    taken = torch.cat([b.z[:-1], b.action], dim=-1)
    for age in range(3):
        assert torch.equal(recent[age:, 0, 2 - age], taken[: 20 - age, 0])
    assert (recent[0, :, :2] == 0).all()  # nothing was before the first step
    assert (recent[4, 1, :2] == 0).all()  # nor before an episode's start
    assert torch.equal(recent[5, 1, 1], taken[4, 1])
    assert torch.equal(state["recent"], recent[-1])
    assert not list(memory.parameters())
    assert memory.state_dict() == {}


def test_no_memory_is_empty():
    memory, b = NoMemory(NoMemory.Settings(), Z, A), make_batch()
    h, state = memory.step(b.z[0], b.action[0], memory.initial_state(4))
    assert h.shape == (4, 0)
    assert memory.initial_hidden(4).shape == (4, 0)
    assert state == {}
    assert run(memory, b, {}).shape == (20, 4, 0)
    assert memory.loss(b, {}) == {}
    with pytest.raises(TypeError):
        memory.predict(h)


def test_defaults_are_those_of_the_paper():
    memory = make("MDNRNN", hidden_dim=256)
    assert MDNRNN.Settings().hidden_dim == memory.settings.hidden_dim == 256
    assert MDNRNN.Settings().mixtures == 5
    assert memory.hidden_dim == memory.initial_hidden(2).shape[1] == 256 + Z


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(UserError, match=r"hidden_dim 24.*heads 5"):
        make("TemporalTransformer", heads=5)


@every
def test_sequence_equals_step_by_step_with_resets_inside(name):
    memory, b = make(name).eval(), make_batch(60)
    assert b.is_first.sum() > 15
    b.is_first[0, 2] = True
    state = warmed(memory)
    h, last = memory.sequence(b.z[:-1], b.action, b.is_first, state)
    expected, expected_last = by_steps(memory, b, state)
    torch.testing.assert_close(h, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(last, expected_last, atol=1e-5, rtol=1e-5)


@every
@pytest.mark.parametrize("restart", [0.0, 0.15])
def test_two_sequences_carrying_the_state_equal_one(name, restart):
    memory, b = make(name).eval(), make_batch(30, restart=restart)
    state = warmed(memory)
    first, between = memory.sequence(b.z[:11], b.action[:11], b.is_first[:11], state)
    second, last = memory.sequence(b.z[11:-1], b.action[11:], b.is_first[11:], between)
    whole, whole_last = memory.sequence(b.z[:-1], b.action, b.is_first, state)
    torch.testing.assert_close(torch.cat([first, second]), whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(last, whole_last, atol=1e-5, rtol=1e-5)


@predicting
def test_gradients_are_the_same_with_and_without_resets_inside(name):
    """The path for resets teaches what stepping would."""
    memory, b = make(name).train(), make_batch(15)
    state = warmed(memory)
    gradients = []
    for h in (memory.sequence(b.z[:-1], b.action, b.is_first, state)[0], by_steps(memory, b, state)[0]):
        memory.zero_grad()
        h.square().sum().backward()
        gradients.append({n: p.grad.clone() for n, p in memory.named_parameters() if p.grad is not None})
    if name == "TemporalTransformer":  # stepping cuts the gradient at the cache, so only the presence agrees
        assert gradients[0].keys() == gradients[1].keys()
    else:
        torch.testing.assert_close(gradients[0], gradients[1], atol=1e-3, rtol=1e-3)


@predicting
def test_nothing_from_before_a_start_is_visible(name):
    memory, b = make(name).eval(), make_batch(20)
    b.is_first[9] = True
    other = replace(b, z=b.z.clone(), action=b.action.clone())
    other.z[:9], other.action[:9] = torch.randn(9, 4, Z) * 5, torch.randn(9, 4, A) * 5
    one = run(memory, b, warmed(memory))
    two = run(memory, other, memory.initial_state(4))
    assert not torch.allclose(one[:9], two[:9])
    torch.testing.assert_close(one[9:], two[9:], atol=1e-6, rtol=0)
    fresh = run(memory, cut(b, 9, 20), memory.initial_state(4))
    torch.testing.assert_close(one[9:], fresh, atol=1e-6, rtol=0)


@predicting
def test_columns_do_not_see_each_other(name):
    memory, b = make(name).eval(), make_batch(20)
    one = run(memory, b, memory.initial_state(4))
    z = b.z.clone()
    z[:, 2] += 1.0
    two = run(memory, replace(b, z=z), memory.initial_state(4))
    torch.testing.assert_close(one[:, [0, 1, 3]], two[:, [0, 1, 3]], atol=1e-6, rtol=0)


@predicting
def test_the_future_changes_nothing(name):
    memory, b = make(name).eval(), make_batch(20, restart=0.0)
    one = run(memory, b, memory.initial_state(4))
    z, action = b.z.clone(), b.action.clone()
    z[12] += 1.0
    two = run(memory, replace(b, z=z), memory.initial_state(4))
    action[12] += 1.0
    three = run(memory, replace(b, action=action), memory.initial_state(4))
    for changed in (two, three):
        torch.testing.assert_close(one[:12], changed[:12], atol=1e-6, rtol=0)
        assert ((one[12:14] - changed[12:14]).abs().amax(-1) > 1e-5).all()


@every
def test_step_leaves_its_state_untouched(name):
    memory, b = make(name).eval(), make_batch()
    state = warmed(memory)
    before = {k: v.clone() for k, v in state.items()}
    once = memory.step(b.z[0], b.action[0], state)
    again = memory.step(b.z[0], b.action[0], state)
    torch.testing.assert_close(state, before, atol=0, rtol=0)
    torch.testing.assert_close(once, again, atol=0, rtol=0)


@predicting
def test_state_made_while_acting_can_be_trained_from(name):
    memory, b = make(name), make_batch()
    with torch.inference_mode():
        state = memory.initial_state(4)
        for t in range(3):
            _, state = memory.step(b.z[t], b.action[t], state)
        z = b.z.clone()
    memory.loss(replace(b, z=z), state)["total"].backward()
    assert memory.residual_head.weight.grad is not None


@predicting
def test_dropout_acts_in_training_only(name):
    memory, b = make(name, dropout=0.5), make_batch()
    state = memory.initial_state(4)
    memory.train()
    memory.loss(b, state)
    assert memory.loss(b, state)["total"] != memory.loss(b, state)["total"]
    memory.eval()
    assert memory.loss(b, state)["total"] == memory.loss(b, state)["total"]
    torch.testing.assert_close(run(memory, b, state), run(memory, b, state), atol=0, rtol=0)


@predicting
def test_running_scales_change_in_training_only(name):
    memory, b = make(name), make_batch()
    memory.eval().loss(b, memory.initial_state(4))
    assert memory.latent_scale.count == 0
    memory.train().loss(b, memory.initial_state(4))
    kept = copy.deepcopy(memory.state_dict())
    memory.predict(run(memory, b, memory.initial_state(4))).sample()
    memory.step(b.z[0] * 50, b.action[0], memory.initial_state(4))
    torch.testing.assert_close(memory.state_dict(), kept, atol=0, rtol=0)
    other = make(name, seed=5)
    other.load_state_dict(kept)
    torch.testing.assert_close(run(other, b, other.initial_state(4)), run(memory, b, memory.initial_state(4)))


# --- the transformer's window ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_transformer_sees_layers_times_window_steps_and_no_further(layers):
    memory = make("TemporalTransformer", layers=layers, window=4).double().eval()
    b = make_batch(30, restart=0.0)
    b = replace(b, z=b.z.double(), action=b.action.double())
    state = {k: v.double() if v.is_floating_point() else v for k, v in memory.initial_state(4).items()}
    changed = b.action.clone()  # an action enters at its own step alone; a latent also in the change after it
    changed[3] += 1.0
    difference = (run(memory, b, state) - run(memory, replace(b, action=changed), state)).abs().amax((1, 2))
    reach = layers * 4
    assert (difference[:3] == 0).all()
    assert (difference[3 : 3 + reach + 1] > 1e-12).all()
    assert (difference[3 + reach + 1 :] < 1e-12).all()


def test_transformer_state_holds_the_inputs_that_are_there():
    memory, b = make("TemporalTransformer").eval(), make_batch(8, restart=0.0)
    b.is_first[6, 1] = True
    _, state = memory.sequence(b.z[:-1], b.action, b.is_first, memory.initial_state(4))
    assert state["cache"].shape == (4, 2, 5, 24)
    assert not state["cache"].requires_grad
    assert state["valid"].all(1).tolist() == [True, False, True, True]
    assert state["valid"][1].tolist() == [False, False, False, True, True]
    assert (state["cache"][1, :, :3] == 0).all()


def test_transformer_takes_sequences_longer_than_a_chunk():
    memory, b = make("TemporalTransformer").eval(), make_batch(300, batch=2, restart=0.02)
    with torch.no_grad():
        expected, _ = by_steps(memory, b, memory.initial_state(2))
    torch.testing.assert_close(run(memory, b, memory.initial_state(2)), expected, atol=1e-5, rtol=1e-5)


# --- the LSTM's chunks ----------------------------------------------------------------------------------------------


def test_chunks_cover_every_step_once_and_know_the_ends():
    is_first = torch.zeros(6, 2, dtype=torch.bool)
    is_first[2, 0] = is_first[3, 0] = is_first[5, 1] = True
    layout = PackedLayout(is_first)
    assert layout.count == 5
    assert layout.order.sort().values.tolist() == list(range(12))
    assert layout.batch_sizes.tolist() == [5, 3, 2, 1, 1]  # lengths 2, 1, 3 and 5, 1
    steps = [divmod(i, 2) for i in layout.order.tolist()]
    assert steps[layout.first[0]] == (0, 0)
    assert steps[layout.first[1]] == (0, 1)
    assert steps[layout.last[0]] == (3, 0)
    assert steps[layout.last[1]] == (5, 1)


# --- predictions ----------------------------------------------------------------------------------------------------


def mixture(latents: int = 2, parts: int = 3, seed: int = 0) -> MixturePrediction:
    g = torch.Generator().manual_seed(seed)
    shape = (latents, parts)
    return MixturePrediction(
        reward=torch.zeros(()),
        end_logit=torch.zeros(()),
        base=torch.randn(latents, generator=g),
        scale=torch.rand(latents, generator=g) + 0.2,
        logits=torch.randn(shape, generator=g),
        mu=torch.randn(shape, generator=g) * 2,
        log_std=torch.randn(shape, generator=g) * 0.3,
    )


def repeated(p: ResidualPrediction, n: int) -> ResidualPrediction:
    """The same prediction `n` times over, to draw many samples at once."""
    fields = {k: v if k == "scale" or v is None else v.expand(n, *v.shape) for k, v in vars(p).items()}
    return type(p)(**fields)


def test_mixture_log_prob_is_that_of_the_formula():
    p, z = mixture(), torch.tensor([0.3, -1.2])
    log_prob = 0.0
    for d in range(2):
        weights = np.exp(p.logits[d].double().numpy())
        weights /= weights.sum()
        mu = p.base[d].item() + p.scale[d].item() * p.mu[d].double().numpy()
        std = p.scale[d].item() * np.exp(p.log_std[d].double().numpy())
        log_prob += math.log(
            np.sum(weights * np.exp(-0.5 * ((z[d].item() - mu) / std) ** 2) / (std * math.sqrt(2 * math.pi)))
        )
    assert p.log_prob(z).item() == pytest.approx(log_prob, rel=1e-5)


def test_mixture_density_integrates_to_one():
    p = mixture(latents=1)
    grid = torch.linspace(-40, 40, 40_001).unsqueeze(-1)
    assert torch.trapezoid(repeated(p, len(grid)).log_prob(grid).exp(), grid.squeeze(-1)).item() == pytest.approx(1.0)


def test_mixture_samples_have_the_models_mean_and_spread():
    torch.manual_seed(0)
    p, n = mixture(), 100_000
    drawn = repeated(p, n).sample()
    weights, std = p.logits.softmax(-1), p.log_std.exp()
    variance = (weights * (std**2 + p.mu**2)).sum(-1) - p.residual_mean**2
    spread = p.scale * variance.sqrt()
    torch.testing.assert_close(drawn.std(0), spread, rtol=0.02, atol=0)
    assert ((drawn.mean(0) - p.mean).abs() < 5 * spread / n**0.5).all()


def test_temperature_divides_logits_and_scales_noise_by_its_root():
    torch.manual_seed(0)
    p, n, temperature = mixture(latents=1), 200_000, 0.5
    drawn = repeated(p, n).sample(temperature)
    weights, std = (p.logits / temperature).softmax(-1), p.log_std.exp() * temperature**0.5
    mean = (weights * p.mu).sum(-1)
    spread = p.scale * ((weights * (std**2 + p.mu**2)).sum(-1) - mean**2).sqrt()
    assert (drawn.mean(0) - p.base - p.scale * mean).abs().item() < 5 * spread.item() / n**0.5
    torch.testing.assert_close(drawn.std(0), spread, rtol=0.02, atol=0)


@pytest.mark.parametrize("kind", ["mixture", "gaussian"])
def test_colder_is_narrower_and_zero_is_certain(kind):
    torch.manual_seed(0)
    p: ResidualPrediction = mixture()
    if kind == "gaussian":
        p = GaussianPrediction(p.reward, p.end_logit, p.base, p.scale, p.mu[:, 0], p.log_std[:, 0])
    spreads = [repeated(p, 20_000).sample(t).std(0) for t in (1.5, 1.0, 0.3, 0.01)]
    assert all((hot > cold).all() for hot, cold in pairwise(spreads))
    assert (repeated(p, 100).sample(0.0).std(0) < 1e-6).all()
    with pytest.raises(ValueError, match="temperature"):
        p.sample(-1.0)


def test_gaussian_and_point_log_prob():
    p = mixture()
    z = torch.tensor([0.1, 0.2])
    mu, log_std = p.mu[:, 0], p.log_std[:, 0]
    expected = torch.distributions.Normal(p.base + p.scale * mu, p.scale * log_std.exp()).log_prob(z).sum()
    gaussian = GaussianPrediction(p.reward, p.end_logit, p.base, p.scale, mu, log_std)
    torch.testing.assert_close(gaussian.log_prob(z), expected)
    point = PointPrediction(p.reward, p.end_logit, p.base, p.scale, mu)
    torch.testing.assert_close(
        point.log_prob(z), torch.distributions.Normal(p.base + p.scale * mu, p.scale).log_prob(z).sum()
    )
    torch.testing.assert_close(point.sample(0.7), point.mean)


def test_spread_is_bounded_and_never_without_gradient():
    raw = torch.tensor([-50.0, -3.0, 0.0, 3.0, 50.0], requires_grad=True)
    bounded = bounded_log_std(raw)
    assert bounded.min() >= -3.0
    assert bounded.max() <= 3.01
    assert bounded[2].item() == pytest.approx(0.0, abs=0.1)
    bounded[1:4].sum().backward()
    assert (raw.grad[1:4] > 0.05).all()


@predicting
def test_prediction_has_the_shapes_of_h_and_its_own_units(name):
    memory, b = make(name), make_batch()
    b = replace(b, z=b.z * 100 + 500, reward=b.reward * 10 + 30)
    memory.train().loss(b, memory.initial_state(4))
    h = run(memory, b, memory.initial_state(4))
    assert h.shape == (20, 4, memory.hidden_dim)
    p = memory.predict(h)
    assert p.mean.shape == p.sample().shape == (20, 4, Z)
    assert p.log_prob(b.z[1:]).shape == p.reward.shape == p.end_logit.shape == (20, 4)
    # Untrained, it predicts that nothing changes, the usual reward and hardly an end.
    assert (p.mean - b.z[:-1]).abs().mean() < 0.7 * (b.z[1:] - b.z[:-1]).abs().mean()
    assert (p.reward.mean() - 30).abs() < 10
    assert (p.end_logit < 0).all()


# --- running scales -------------------------------------------------------------------------------------------------


def test_running_scale_equals_the_whole():
    g = torch.Generator().manual_seed(0)
    data = torch.randn(500, 3, generator=g) * torch.tensor([1e-4, 1.0, 1e4]) + torch.tensor([0.0, 5.0, -3e4])
    scale = RunningScale(3)
    for part in data.split([1, 99, 250, 150]):
        scale.update(part)
    scale.update(data[:0])
    torch.testing.assert_close(scale.mean, data.mean(0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(scale.scale, data.std(0, correction=0), rtol=1e-4, atol=0)
    torch.testing.assert_close(scale.restore(scale.normalize(data)), data, rtol=1e-4, atol=1e-2)


def test_running_scale_of_a_constant_is_one_and_old_samples_fade():
    scale = RunningScale(2, horizon=1000)
    for value in (1.0, 7.0):
        for _ in range(100):
            samples = torch.randn(100, 2) + value
            samples[:, 1] = 1000.1
            scale.update(samples)
    assert scale.scale[1] == 1.0
    assert scale.mean[0].item() == pytest.approx(7.0, abs=0.1)


# --- losses ---------------------------------------------------------------------------------------------------------


@predicting
def test_every_parameter_gets_a_gradient(name):
    memory = make(name).train()
    losses = memory.loss(make_batch(), memory.initial_state(4))
    fed = {"step", "open_loop", "spread"} if memory.settings.feedback_steps else set()
    state = {"decoded", "kl"} if name == "RSSM" else set()
    assert set(losses) == {"total", "prediction", "reward", "end"} | fed | state
    losses["total"].backward()
    without = [n for n, p in memory.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def poisoned(b: SequenceBatch, value: float) -> tuple[SequenceBatch, SequenceBatch]:
    """A batch with padding and cuts, and the same with `value` in everything that must not count."""
    b = replace(b, mask=b.mask.clone(), valid=b.valid.clone())
    b.mask[14:, 0] = b.valid[13:, 0] = False  # column 0 is padded from step 14 on
    b.valid[19, 1] = False  # the last latent of column 1 belongs to another episode
    bad = SequenceBatch(**{k: v.clone() for k, v in vars(b).items()})
    bad.z[14:, 0] = value
    bad.z[20, 1] = value
    bad.action[14:, 0] = value
    bad.reward[14:, 0] = value
    bad.terminated[14:, 0] = True
    return b, bad


@predicting
@pytest.mark.parametrize("value", [9.0, float("nan")])
def test_padding_and_cuts_do_not_count(name, value):
    good, bad = poisoned(make_batch(), value)
    results = []
    for b in (good, bad):
        memory = make(name).train()
        losses = memory.loss(b, memory.initial_state(4))
        losses["total"].backward()
        gradients = {n: p.grad for n, p in memory.named_parameters()}
        results.append(({k: v.detach() for k, v in losses.items()}, gradients, dict(memory.named_buffers())))
    torch.testing.assert_close(results[0], results[1], atol=0, rtol=0)


@predicting
def test_each_loss_looks_at_its_own_steps(name):
    memory, b = make(name).eval(), make_batch()
    state = memory.initial_state(4)
    before = memory.loss(b, state)
    ended = memory.loss(replace(b, terminated=~b.terminated), state)
    assert ended["end"] != before["end"]
    assert (ended["prediction"], ended["reward"]) == (before["prediction"], before["reward"])
    rewarded = memory.loss(replace(b, reward=b.reward + 1), state)
    assert rewarded["reward"] != before["reward"]
    nothing_valid = memory.loss(replace(b, valid=torch.zeros_like(b.valid)), state)
    assert nothing_valid["prediction"] == 0
    assert nothing_valid["reward"] == before["reward"]


# --- learning -------------------------------------------------------------------------------------------------------


def oscillators(steps: int, batch: int, seed: int) -> tuple[SequenceBatch, Tensor]:
    """Two damped oscillators pushed by the action; only their positions are seen. Also their velocities.

    The reward is the first position after the step, so that it has to be predicted as well.
    """
    g = torch.Generator().manual_seed(seed)
    frequency, damping, dt = torch.tensor([1.0, 2.0]), 0.05, 0.1
    q, v = torch.randn(batch, 2, generator=g), torch.randn(batch, 2, generator=g) * frequency
    positions, velocities = [q], [v]
    actions = torch.rand(steps, batch, 2, generator=g) * 2 - 1
    for t in range(steps):
        v = v + dt * (actions[t] * 3 - frequency.square() * q - damping * v)
        q = q + dt * v
        positions.append(q)
        velocities.append(v)
    is_first = torch.zeros(steps, batch, dtype=torch.bool)
    is_first[0] = True
    full = torch.ones_like(is_first)
    z = torch.stack(positions)
    return SequenceBatch(z, actions, z[1:, :, 0], torch.zeros_like(is_first), is_first, full, full, full), torch.stack(
        velocities
    )


def fit(memory: MemoryModel, b: SequenceBatch, updates: int, lr: float = 4e-3) -> list[float]:
    optimizer = FusedAdam(memory, lr)
    g = torch.Generator().manual_seed(0)
    curve = []
    memory.train()
    for _ in range(updates):
        columns = torch.randperm(b.z.shape[1], generator=g)[:16]
        part = SequenceBatch(**{k: v[:, columns] for k, v in vars(b).items()})
        loss = memory.loss(part, memory.initial_state(16))["total"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(memory.parameters(), 10.0)
        optimizer.step()
        curve.append(loss.item())
    memory.eval()
    return curve


@cache
def trained(name: str) -> tuple[PredictiveMemory, PredictiveMemory]:
    """A memory after a short training on the oscillators, and the same with the scales but no weights learned."""
    memory = make(name, 2, 2, hidden_dim=48)
    data, _ = oscillators(40, 128, seed=1)
    untrained = copy.deepcopy(memory)
    fit(memory, data, 100)
    for scale in ("latent_scale", "residual_scale", "reward_scale"):
        getattr(untrained, scale).load_state_dict(getattr(memory, scale).state_dict())
    return memory, untrained.eval()


@predicting
def test_training_beats_persistence_and_an_untrained_memory(name):
    memory, untrained = trained(name)
    b, _ = oscillators(40, 64, seed=2)
    late = slice(3, None)  # the first velocities cannot be known
    errors = {}
    for label, m in (("trained", memory), ("untrained", untrained)):
        p = m.predict(run(m, b, m.initial_state(64)))
        errors[label] = (p.mean - b.z[1:])[late].square().mean().item()
        errors[f"{label} reward"] = (p.reward - b.reward)[late].square().mean().item()
    persistence = (b.z[1:] - b.z[:-1])[late].square().mean().item()
    assert errors["trained"] < 0.2 * persistence
    assert errors["trained"] < 0.2 * errors["untrained"]
    assert errors["trained reward"] < 0.2 * errors["untrained reward"]
    with torch.no_grad():
        assert (
            memory.loss(b, memory.initial_state(64))["total"] < untrained.loss(b, untrained.initial_state(64))["total"]
        )


@predicting
def test_velocity_is_readable_from_h(name):
    """A ridge probe stands in for the controller: features of unit spread, no tiny differences to amplify."""
    memory, _ = trained(name)
    b, velocities = oscillators(40, 128, seed=3)
    h, target = run(memory, b, memory.initial_state(128))[3:].flatten(0, 1), velocities[4:].flatten(0, 1)
    h = torch.cat([(h - h.mean(0)) / h.std(0).clamp(min=1e-6), torch.ones(len(h), 1)], dim=1)
    half = len(h) // 2
    x, y = h[:half], target[:half]
    weights = torch.linalg.solve(x.T @ x + 0.01 * half * torch.eye(x.shape[1]), x.T @ y)
    left = (h[half:] @ weights - target[half:]).square().mean(0) / target[half:].var(0)
    assert (1 - left > 0.8).all()


@predicting
def test_the_scale_of_latents_and_rewards_does_not_matter(name):
    data, _ = oscillators(20, 32, seed=1)
    curves = []
    drawing = {"feedback_draws": 0.5} if name == "RSSM" else {}
    # Powers of two scale without rounding, so the two trainings are the same up to nothing.
    for factor in (1.0, 1024.0, 2.0**-20):
        scaled = replace(data, z=data.z * factor, reward=data.reward * factor)
        curves.append(fit(make(name, 2, 2, **drawing), scaled, 12))
    assert curves[1] == pytest.approx(curves[0], rel=1e-3)
    assert curves[2] == pytest.approx(curves[0], rel=1e-3)


@pytest.mark.slow
def test_a_wide_latent_does_not_drown_reward_and_end():
    """With 512 latents of pure noise the reward, which the action decides, is still learned."""
    g = torch.Generator().manual_seed(0)
    steps, batch = 16, 64
    action = torch.rand(steps, batch, 2, generator=g) * 2 - 1
    never, always = torch.zeros(steps, batch, dtype=torch.bool), torch.ones(steps, batch, dtype=torch.bool)
    z = torch.randn(steps + 1, batch, 512, generator=g)
    b = SequenceBatch(z, action, action[..., 0], action[..., 1] > 0.5, never, always, always, always)
    memory = make("MDNRNN", 512, 2, mixtures=2)
    fit(memory, b, 120, lr=1e-2)
    with torch.no_grad():
        losses = memory.loss(b, memory.initial_state(batch))
    assert losses["reward"] < 0.25  # nats above the least; ignorance costs more than 1
    assert losses["end"] < 0.4  # ignorance costs 0.56


def test_settings_are_checked_by_the_registry():
    spaces = (gym.spaces.Box(-1, 1, (3,)), gym.spaces.Discrete(2))
    part = registry.choose("memory", ComponentChoice(name="temporaltransformer", window=8), *spaces)
    assert part.cls is TemporalTransformer
    assert part.settings.window == 8
    with pytest.raises(UserError, match="hidden_dim"):
        registry.choose("memory", ComponentChoice(name="LSTMMemory", hidden_dim=0), *spaces)
    with pytest.raises(UserError, match="did you mean dropout"):
        registry.check_settings("memory", LSTMMemory, {"dropot": 0.1})


def test_the_slowest_features_of_a_fresh_memory_keep_what_they_hold_for_so_many_steps():
    forget = {steps: make("LSTMMemory", slowest=steps).lstm.bias_ih_l0.chunk(4)[1] for steps in (1, 64)}
    assert forget[1].abs().max() < 1  # gates half open, as PyTorch starts them
    kept = forget[64][:12].sigmoid()  # half of the 24 features
    assert (1 / (1 - kept)).tolist() == pytest.approx(torch.linspace(2, 64, 12).tolist(), rel=1e-4)


def test_a_memory_that_is_meant_as_a_world_starts_without_slow_features():
    assert make("LSTMMemory").settings.slowest == 64
    assert make("MDNRNN").settings.slowest == 1  # what outlasts the context of a dream is other in it than for real
