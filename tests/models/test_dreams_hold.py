"""What makes a memory's dreams hold: predictions fed back, bounded latents, draws as wide as the errors."""

from dataclasses import replace

import pytest
import torch

from ewm_studio.models import prediction, registry
from ewm_studio.models.base import SequenceBatch
from ewm_studio.models.open_loop import Pieces
from ewm_studio.models.running_scale import Calibration, LatentRange
from ewm_studio.models.two_hot import TwoHot
from ewm_studio.training.adam import FusedAdam

PLAIN = {"feedback_steps": 0, "input_noise": 0.0}
FED = {"feedback_steps": 16, "input_noise": 0.1}
MEMORIES = pytest.mark.parametrize("name", ["LSTMMemory", "MDNRNN", "TemporalTransformer", "RSSM"])
SMALL = {
    "LSTMMemory": {"hidden_dim": 32},
    "MDNRNN": {"hidden_dim": 32},
    "TemporalTransformer": {"hidden_dim": 32},
    "RSSM": {"hidden_dim": 32, "groups": 4, "classes": 4},
}


def make(name, latent=2, action=1, **settings):
    torch.manual_seed(0)
    cls = registry.component("memory", name)
    return cls(cls.Settings(**{**SMALL[name], **settings}), latent, action)


NOISE = 0.3  # of what is seen


def turning(steps, batch, seed):
    """A point on a circle that an action turns to one side or the other, seen through noise."""
    g = torch.Generator().manual_seed(seed)
    action = (torch.rand(steps, batch, 1, generator=g) < 0.5).float() * 2 - 1
    angle = torch.rand(batch, generator=g) * 6.28
    z = [torch.stack([angle.cos(), angle.sin()], -1)]
    for a in action:
        angle = angle + 0.2 * a.squeeze(-1)
        z.append(torch.stack([angle.cos(), angle.sin()], -1) + NOISE * torch.randn(batch, 2, generator=g))
    never, always = torch.zeros(steps, batch, dtype=torch.bool), torch.ones(steps, batch, dtype=torch.bool)
    reward = (z[-1][:, 0] > 0).float().expand(steps, batch)
    return SequenceBatch(torch.stack(z), action, reward, never, never, always, always, always)


def fit(memory, data, updates, lr=3e-3):
    generator = torch.Generator().manual_seed(1)
    optimizer = FusedAdam(memory, lr)
    memory.train()
    for _ in range(updates):
        optimizer.zero_grad()
        loss = memory.loss(data, memory.initial_state(data.z.shape[1]), generator)["total"]
        loss.backward()
        optimizer.step(optimizer.clip(10.0))
    return memory.eval()


@torch.no_grad()
def open_loop_error(memory, data, context=8):
    """Squared error of dreams beyond the noise of what is seen."""
    _, state = memory.sequence(
        data.z[:context], data.action[:context], data.is_first[:context], memory.initial_state(data.z.shape[1])
    )
    z, wrong = data.z[context], []
    for t in range(context, len(data.action)):
        h, state = memory.step(z, data.action[t], state)
        z = memory.predict(h).mean
        wrong.append((z - data.z[t + 1]).square().sum(-1).mean())
    return float(torch.stack(wrong).mean()) - 2 * NOISE**2  # which nobody can foretell


@pytest.mark.parametrize(
    "name", ["LSTMMemory", *(pytest.param(m, marks=pytest.mark.slow) for m in SMALL if m != "LSTMMemory")]
)
def test_a_memory_that_is_fed_its_own_predictions_dreams_better(name):
    data, kept_aside = turning(32, 48, 0), turning(32, 48, 5)
    plain = open_loop_error(fit(make(name, **PLAIN), data, 120), kept_aside)
    fed = open_loop_error(fit(make(name, **PLAIN | {"feedback_steps": 16}), data, 120), kept_aside)
    assert fed < 0.8 * plain


@MEMORIES
def test_the_loss_says_what_share_of_the_variance_is_wrong(name):
    data = turning(32, 48, 0)
    memory = make(name, **FED)
    memory.train()
    memory.loss(data, memory.initial_state(48))  # takes the scales in
    with torch.no_grad():
        losses = memory.eval().loss(data, memory.initial_state(48))
    variance = data.z[:-1].flatten(0, 1).var(0, correction=0).sum()
    stays = (data.z[1:] - data.z[:-1]).square().sum(-1).mean() / variance
    assert float(losses["step"]) == pytest.approx(
        float(stays), rel=0.3
    )  # fresh heads say that nothing changes, more or less
    assert losses["open_loop"] > losses["step"]


@MEMORIES
def test_no_dream_leaves_the_range_that_was_seen(name):
    memory = fit(make(name, feedback_steps=4), turning(32, 16, 0), 5)
    low, high = memory.range.low.clone(), memory.range.high.clone()
    generator = torch.Generator().manual_seed(0)
    z, state = torch.tensor([[0.5, 0.5]]), memory.initial_state(1)
    with torch.no_grad():
        for _ in range(300):
            dreamt = memory.imagine(z, torch.ones(1, 1), state, 3.0, generator)
            z, state = dreamt.z, dreamt.state
            assert ((z >= low) & (z <= high)).all()


@torch.no_grad()
def spread_apart(memory, data, context=8):
    """How far, in logarithms, the variances foretold in drawn dreams are from those foretold awake."""
    generator, batch = torch.Generator().manual_seed(3), data.z.shape[1]
    h, _ = memory.sequence(data.z[:-1], data.action, data.is_first, memory.initial_state(batch))
    awake = memory.predict(h[context:]).residual_variance
    started = data.is_first[:context]
    _, state = memory.sequence(data.z[:context], data.action[:context], started, memory.initial_state(batch))
    z, dreamt = data.z[context], []
    for action in data.action[context:]:
        h, state = memory.step(z, action, state)
        predicted = memory.predict(h)
        dreamt.append(predicted.residual_variance)
        z = memory.calibration.narrowed(predicted.sample(1.0, generator), predicted.mean)
    return float((torch.stack(dreamt).log() - awake.log()).abs().mean())


@pytest.mark.slow
def test_draws_do_not_grow_wider_in_dreams(monkeypatch):
    """The error on fed-back steps is the mean's: without more, the Gaussians around it may lie anywhere."""
    data, kept_aside = turning(24, 32, 0), turning(24, 32, 5)
    settings = {"feedback_steps": 16, "feedback_draws": 0.5, "dropout": 0.1}
    held = spread_apart(fit(make("MDNRNN", **settings), data, 250), kept_aside)
    monkeypatch.setattr(prediction, "_unlike", lambda variance, wanted: torch.zeros_like(variance).mean(-1))
    free = spread_apart(fit(make("MDNRNN", **settings), data, 250), kept_aside)
    assert held < 0.9 * free


def test_a_range_begins_unbounded_and_follows_what_drifts():
    seen = LatentRange(1)
    assert seen.bound(torch.tensor([1e30])) == 1e30
    seen.update(torch.tensor([[-1.0], [3.0]]))
    assert (float(seen.low), float(seen.high)) == (-1.0, 3.0)
    for _ in range(5000):
        seen.update(torch.tensor([[10.0], [11.0]]))
    assert seen.low > 9
    assert seen.high == pytest.approx(11.0)


def test_pieces_cover_a_sequence_after_its_context():
    pieces = Pieces.of(20, 4, 6)
    assert pieces.starts == [4, 10, 16]
    assert sum(pieces.cuts) == 20
    laid = pieces.laid(torch.arange(20)[:, None])
    assert laid[:, 0].tolist() == [4, 5, 6, 7, 8, 9]
    assert laid[:4, 2].tolist() == [16, 17, 18, 19]
    data = turning(20, 2, 0)
    first = data.is_first.clone()
    first[7, 0] = first[10, 1] = True
    inside = pieces.inside(replace(data, is_first=first))
    assert inside[:, 0].tolist() == [True] * 3 + [False] * 3  # another episode began
    assert inside[:, 3].all()  # one that begins with the piece is whole
    assert inside[:, 4].tolist() == [True] * 4 + [False] * 2  # behind the end there is nothing


def test_no_feedback_is_the_loss_of_before():
    data = turning(16, 4, 0)
    memory = make("LSTMMemory", **PLAIN)
    losses = memory.loss(data, memory.initial_state(4))
    assert losses.keys() == {"total", "prediction", "reward", "end"}
    assert losses["total"] == losses["prediction"] + losses["reward"] + losses["end"]


@MEMORIES
def test_a_loss_that_is_a_measurement_draws_nothing(name):
    data = turning(16, 4, 0)
    memory = make(name, **FED | {"feedback_draws": 0.5, "dropout": 0.2})
    memory.train()
    memory.loss(data, memory.initial_state(4))  # takes the scales in
    before = torch.get_rng_state()
    with torch.no_grad():
        first, second = (memory.eval().loss(data, memory.initial_state(4)) for _ in range(2))
    assert all(torch.equal(first[kind], second[kind]) for kind in first)
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_are_made_as_wide_as_the_errors():
    calibration = Calibration(rate=1.0)
    calibration.update(torch.tensor(1.0), torch.tensor(4.0))
    assert calibration.factor == 0.5
    assert torch.equal(calibration.narrowed(torch.tensor([3.0]), torch.tensor([1.0])), torch.tensor([2.0]))
    calibration.update(torch.tensor(9.0), torch.tensor(4.0))
    assert calibration.factor == 1.0  # never wider


def test_two_hot_learns_a_number_of_two_outcomes():
    torch.manual_seed(0)
    head = TwoHot(1, 16)
    numbers = torch.tensor([-0.3, 3.2] * 200)
    features, optimizer = torch.ones(400, 1), FusedAdam(head, 1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        head.error(head(features), numbers).mean().backward()
        optimizer.step()
    with torch.no_grad():
        log_probs = head(features[:1])
    assert float(head.mean(log_probs)) == pytest.approx(1.45, abs=0.05)
    near = (head.bins - 3.2).abs() < 1.2
    assert float(log_probs.exp()[0, near].sum()) == pytest.approx(0.5, abs=0.05)


def test_two_hot_costs_nothing_where_it_is_right_and_something_elsewhere():
    head = TwoHot(1, 4)
    number = torch.tensor([2.0])
    above = int(torch.searchsorted(head.bins, number))
    share = (number - head.bins[above - 1]) / (head.bins[above] - head.bins[above - 1])
    probs = torch.full((1, len(head.bins)), 1e-9)
    probs[0, above - 1], probs[0, above] = 1 - share, share
    assert head.error(probs.log(), number) == pytest.approx(0.0, abs=1e-4)
    assert head.mean(probs.log()) == pytest.approx(2.0, abs=1e-3)
    assert head.error(probs.log(), torch.tensor([5.0])) > 5
    assert torch.isfinite(head.error(probs.log(), torch.tensor([1e9])))
