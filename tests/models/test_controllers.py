"""Controllers: distributions against torch.distributions, actions inside their spaces, exact log-probabilities."""

from __future__ import annotations

import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import distributions as oracle
from torch import nn

from ewm_studio.errors import UserError
from ewm_studio.models import registry
from ewm_studio.models.distributions import Beta, DiagonalGaussian, MultiBernoulli, MultiCategorical, TanhGaussian
from ewm_studio.models.heads import BetaHead, BoxMap, CategoricalHead, GaussianHead, MultiCategoricalBox, discrete_head
from ewm_studio.settings import ComponentChoice
from ewm_studio.training.adam import FusedAdam

Discrete, MultiDiscrete, MultiBinary, Box = (
    gym.spaces.Discrete,
    gym.spaces.MultiDiscrete,
    gym.spaces.MultiBinary,
    gym.spaces.Box,
)
CAR = Box(np.array([-1, 0, 0], np.float32), np.ones(3, np.float32))
WEIRD = Box(np.array([[-3.0, 0.1], [5.0, -1e-3]]), np.array([[7.0, 0.3], [5.0, 1e6]]), dtype=np.float64)
WHOLE = Box(-3, 200, (2,), np.int16)
OPEN = Box(-np.inf, np.inf, (2,), np.float32)
HALF_OPEN = Box(np.array([0, -np.inf, -2], np.float32), np.array([np.inf, 1, 2], np.float32))
SCALAR = Box(-2.0, 2.0, (), np.float32)

DISCRETE = [
    Discrete(5),
    Discrete(3, start=-7),
    MultiDiscrete([2, 5, 3], start=[1, 0, -4]),
    MultiDiscrete(np.array([[2, 2], [2, 2]])),
    MultiBinary(3),
    MultiBinary((2, 2)),
]
BOUNDED = [CAR, WEIRD, WHOLE, SCALAR]
CASES = [
    *[(name, s, {}) for name in ("LinearController", "StochasticController") for s in [*DISCRETE, *BOUNDED, HALF_OPEN]],
    *[("DeepDiscreteController", s, {}) for s in DISCRETE],
    *[
        ("DeepContinuousController", s, {"head": head})
        for head in ("auto", "beta", "gaussian", "tanh_gaussian", "categorical")
        for s in BOUNDED
    ],
    *[("DeepContinuousController", s, {"head": h}) for h in ("auto", "gaussian") for s in (OPEN, HALF_OPEN)],
    ("DeepContinuousController", CAR, {"head": "categorical", "opposed": "1,2"}),
    ("DeepContinuousController", CAR, {"head": "beta", "opposed": "1,2", "layers": 1, "activation": "relu"}),
    *[("BinnedController", s, {"hidden_size": 16}) for s in [*DISCRETE, *BOUNDED]],
    ("BinnedController", CAR, {"hidden_size": 16, "opposed": "", "bins": 5, "layers": 1}),
]
Z, H, B = 6, 9, 64


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


def make(name: str, space: gym.Space, hidden_dim: int = H, awake: bool = True, **given):
    """A controller; `awake` gives it weights far from the small first ones."""
    choice = ComponentChoice(name=name, **given)
    part = registry.choose("controller", choice, Box(-1, 1, (4,)), space)
    controller = part.cls(part.settings, Z, hidden_dim, space)
    if awake:
        for parameter in controller.parameters():
            nn.init.normal_(parameter, std=0.3)
    return controller


def inputs(batch: int = B, hidden_dim: int = H):
    return torch.randn(batch, Z), torch.randn(batch, hidden_dim)


def same(raw):
    return raw


# ---------------------------------------------------------------- distributions against oracles


def test_multi_categorical_equals_oracle():
    logits = 3 * torch.randn(50, 3, 4)
    mine, theirs = MultiCategorical(logits, same), oracle.Independent(oracle.Categorical(logits=logits), 1)
    raw = mine.sample()
    assert raw.shape == (50, 3)
    assert raw.dtype == torch.int64
    torch.testing.assert_close(mine.log_prob(raw), theirs.log_prob(raw))
    torch.testing.assert_close(mine.log_prob(raw.float()), theirs.log_prob(raw))
    torch.testing.assert_close(mine.entropy(), theirs.entropy())
    assert (mine.log_prob(mine.mode()) >= mine.log_prob(raw)).all()


def test_multi_bernoulli_equals_oracle():
    logits = 4 * torch.randn(50, 3)
    mine, theirs = MultiBernoulli(logits, same), oracle.Independent(oracle.Bernoulli(logits=logits), 1)
    raw = mine.sample()
    torch.testing.assert_close(mine.log_prob(raw), theirs.log_prob(raw), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(mine.entropy(), theirs.entropy(), atol=1e-5, rtol=1e-4)
    assert (mine.log_prob(mine.mode()) >= mine.log_prob(raw)).all()


@pytest.mark.parametrize("shared_spread", [True, False])
def test_gaussian_equals_oracle(shared_spread):
    mean, log_std = torch.randn(50, 3), torch.randn(3) if shared_spread else torch.randn(50, 3)
    mine = DiagonalGaussian(mean, log_std, same)
    theirs = oracle.Independent(oracle.Normal(mean, log_std.exp()), 1)
    raw = mine.sample()
    torch.testing.assert_close(mine.log_prob(raw), theirs.log_prob(raw))
    torch.testing.assert_close(mine.entropy(), theirs.entropy())
    assert torch.equal(mine.mode(), theirs.mode)


def test_beta_equals_oracle():
    params = 4 * torch.randn(200, 6)
    mine = Beta(params, same)
    alpha, beta = (nn.functional.softplus(params.double()) + 1).chunk(2, -1)
    theirs = oracle.Independent(oracle.Beta(alpha, beta), 1)
    raw = mine.sample()
    assert raw.min() > 0
    assert raw.max() < 1
    torch.testing.assert_close(mine.log_prob(raw).double(), theirs.log_prob(raw.double()), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(mine.entropy().double(), theirs.entropy(), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(mine.mode().double(), (alpha - 1) / (alpha + beta - 2), atol=1e-4, rtol=1e-4)
    assert (mine.log_prob(mine.mode()) >= mine.log_prob(raw) - 1e-4).all()


@pytest.mark.parametrize("extreme", [-200.0, 200.0, 1e6])
def test_beta_stays_finite_at_extreme_outputs(extreme):
    params = torch.tensor([[extreme, -extreme, extreme, extreme]], requires_grad=True)
    mine = Beta(params, same)
    for raw in (mine.sample(), mine.mode()):
        loss = mine.log_prob(raw).sum() + mine.entropy().sum()
        assert loss.isfinite()
        assert torch.autograd.grad(loss, params, retain_graph=True)[0].isfinite().all()


def test_tanh_gaussian_log_prob_is_of_the_raw_draw():
    mean, log_std = torch.randn(50, 3), torch.randn(50, 3)
    mine = TanhGaussian(mean, log_std, torch.tanh)
    raw = mine.sample()
    theirs = oracle.Independent(oracle.Normal(mean, log_std.exp()), 1)
    torch.testing.assert_close(mine.log_prob(raw), theirs.log_prob(raw))


@pytest.mark.parametrize("std", [0.05, 0.6, 1.0, 3.0])
def test_tanh_gaussian_entropy_is_that_of_the_squashed_action(std):
    mean = torch.tensor([[-2.0], [0.0], [0.7], [3.0]], dtype=torch.float64)
    mine = TanhGaussian(mean, torch.full((4, 1), math.log(std), dtype=torch.float64), torch.tanh)
    grid = mean + std * torch.linspace(-9, 9, 200_001, dtype=torch.float64)
    log_p = oracle.Normal(mean, std).log_prob(grid)
    slope = 2 * (math.log(2) - grid - nn.functional.softplus(-2 * grid))
    exact = -torch.trapezoid(log_p.exp() * (log_p - slope), grid, dim=-1)
    torch.testing.assert_close(mine.entropy(), exact, atol=0.01, rtol=0)


def test_discrete_probabilities_sum_to_one_also_with_parts_of_unequal_size():
    head = CategoricalHead(MultiDiscrete([2, 5, 3]))
    params = 2 * torch.randn(1, 10)
    policy = head(params)
    every = torch.cartesian_prod(torch.arange(2), torch.arange(5), torch.arange(3))
    log_p = policy.log_probs.expand(30, -1, -1)
    all_log = MultiCategorical(log_p, same).log_prob(every)
    torch.testing.assert_close(all_log.exp().sum(), torch.tensor(1.0))
    # the third part's logits are the last three outputs
    torch.testing.assert_close(policy.log_probs[0, 2, :3], params[0, 7:].log_softmax(-1))
    parts = [oracle.Categorical(logits=p).entropy() for p in params[0].split([2, 5, 3])]
    torch.testing.assert_close(policy.entropy()[0], sum(parts))


def test_densities_integrate_to_one():
    x = torch.linspace(1e-5, 1 - 1e-5, 20_001).unsqueeze(-1)
    for params in ([0.0, 0.0], [3.0, -1.0], [-5.0, 2.0]):
        density = Beta(torch.tensor([params]).expand(len(x), -1), same).log_prob(x).exp()
        assert torch.trapezoid(density, x[:, 0]).item() == pytest.approx(1, abs=2e-3)
    x = torch.linspace(-8, 8, 20_001).unsqueeze(-1)
    density = DiagonalGaussian(torch.full_like(x, 0.3), torch.tensor([-0.2]), same).log_prob(x).exp()
    assert torch.trapezoid(density, x[:, 0]).item() == pytest.approx(1, abs=2e-3)


def test_samples_have_the_right_frequencies():
    n = 40_000
    logits = torch.tensor([[[0.0, 1.0, -2.0, 0.5], [3.0, 0.0, 0.0, -1e9]]])
    drawn = MultiCategorical(logits.expand(n, -1, -1), same).sample()
    for part in range(2):
        share = torch.bincount(drawn[:, part], minlength=4) / n
        torch.testing.assert_close(share, logits[0, part].softmax(-1), atol=0.012, rtol=0)
    assert (drawn[:, 1] < 3).all()
    yes = MultiBernoulli(torch.tensor([-1.0, 2.0]).expand(n, -1), same).sample().mean(0)
    torch.testing.assert_close(yes, torch.tensor([-1.0, 2.0]).sigmoid(), atol=0.012, rtol=0)


def test_continuous_samples_have_the_right_moments():
    n = 40_000
    raw = DiagonalGaussian(torch.tensor([[1.0, -2.0]]).expand(n, -1), torch.tensor([-1.0, 0.5]), same).sample()
    torch.testing.assert_close(raw.mean(0), torch.tensor([1.0, -2.0]), atol=0.04, rtol=0)
    torch.testing.assert_close(raw.std(0).log(), torch.tensor([-1.0, 0.5]), atol=0.03, rtol=0)
    policy = Beta(torch.tensor([[2.0, 0.0, -1.0, 3.0]]).expand(n, -1), same)
    alpha, beta = policy.concentrations
    expected = oracle.Beta(alpha[0], beta[0])
    raw = policy.sample()
    torch.testing.assert_close(raw.mean(0), expected.mean, atol=0.01, rtol=0)
    torch.testing.assert_close(raw.var(0), expected.variance, atol=0.005, rtol=0)


# ---------------------------------------------------------------- heads and spaces


def test_beta_and_bins_reach_the_bounds_and_the_middle():
    box = BoxMap(CAR)
    low_middle_high = torch.tensor([[0.0] * 3, [0.5] * 3, [1.0] * 3])
    expected = torch.tensor([[-1.0, 0, 0], [0, 0.5, 0.5], [1, 1, 1]])
    torch.testing.assert_close(BetaHead(box).to_env(low_middle_high), expected)
    torch.testing.assert_close(MultiCategoricalBox(box, bins=3).to_env(2 * low_middle_high), expected)
    listed = MultiCategoricalBox(box, values=[[-1, -0.4, 0, 0.4, 1], [-1, 1], [-1, 0, 1]])
    assert listed.outputs == 10
    action = listed.to_env(torch.tensor([[1, 1, 2], [4, 0, 1]]))
    torch.testing.assert_close(action, torch.tensor([[-0.4, 1, 1], [1, 0, 0.5]]))
    params = torch.randn(500, 10)
    assert (listed(params).sample() < torch.tensor([5, 2, 3])).all()


def test_bin_values_are_those_of_the_axes_and_draws_are_among_them():
    driving = {"head": "categorical", "opposed": "1,2", "bin_values": "-1, -.4, 0, .4, 1; -.6, 0, .3, 1"}
    controller = make("DeepContinuousController", CAR, **driving)
    assert controller.head.outputs == 9
    every = torch.cartesian_prod(torch.arange(5), torch.arange(4))
    action = controller.head.to_env(every)
    torch.testing.assert_close(action[:, 0].unique(), torch.tensor([-1, -0.4, 0, 0.4, 1]))
    pedals = torch.tensor([[0, 0.6], [0, 0], [0.3, 0], [1, 0]]).repeat(5, 1)  # brake, none, a little gas, all of it
    torch.testing.assert_close(action[:, 1:], pedals)
    drawn = controller.act(*inputs()).action
    assert ((drawn[:, None] - action[None]).abs().sum(-1).min(1).values < 1e-6).all()


@pytest.mark.parametrize(
    "values", ["-1,0,1", "-1,1;2,0;0,1", "-1,x;0,1;0,1", "0;0,1;0,1", "0,0;0,1;0,1", "-1,nan;0,1;0,1"]
)
def test_bad_bin_values_are_refused_in_one_line(values):
    with pytest.raises(UserError, match="bin_values") as error:
        make("DeepContinuousController", CAR, head="categorical", bin_values=values)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("opposed", ["", "1,2"])
@pytest.mark.parametrize("head", ["beta", "gaussian", "tanh_gaussian", "categorical"])
def test_raw_actions_are_found_again_from_the_environments(head, opposed):
    controller = make("DeepContinuousController", CAR, head=head, opposed=opposed)
    raw = controller.distribution(*inputs()).sample()
    action = controller.head.forward(torch.zeros(1, controller.head.outputs)).to_env(raw)
    again = controller.to_raw(action)
    assert again.shape == raw.shape
    torch.testing.assert_close(controller.distribution(*inputs()).to_env(again), action, atol=0.021, rtol=0)
    if head == "categorical":
        assert torch.equal(again, raw)


NEAR = 0.5**1.5


@pytest.mark.parametrize(
    ("low", "high", "values"),
    [
        (-1, 1, [-1, -NEAR, 0, NEAR, 1]),  # 0 is the middle
        (0, 8, [0, 8 * NEAR, 8]),  # the low bound
        (-1, 3, [-1, -NEAR, 0, 3 * NEAR, 3]),  # neither
        (2, 4, [2, 3 - NEAR, 3, 3 + NEAR, 4]),  # out of bounds: the middle is neutral
        (-4, 0, [-4, -4 * NEAR, 0]),  # the high bound
    ],
)
@pytest.mark.parametrize("bins", [4, 5])
def test_binned_actions_are_closer_together_near_doing_nothing(low, high, values, bins):
    head = make("BinnedController", Box(low, high, (1,)), bins=bins).head
    found = head.to_env(torch.arange(head.outputs)[:, None])[:, 0]
    torch.testing.assert_close(found, torch.tensor(values, dtype=torch.float32))


def test_a_car_is_steered_in_seven_bins_and_has_four_pedals():
    controller = make("BinnedController", CAR)
    assert controller.head.outputs == 11
    pedals = controller.head.to_env(torch.tensor([[3, k] for k in range(4)]))
    torch.testing.assert_close(pedals, torch.tensor([[0, 0, 0.5], [0, 0, 0], [0, 0.4, 0], [0, 1, 0]]))
    assert make("BinnedController", CAR, opposed="").head.outputs == 7 + 4 + 4
    assert make("BinnedController", CAR, bin_values="-1,0,1;-1,0,.5").head.outputs == 6


def test_binned_begins_without_preference_and_its_value_at_zero():
    controller = make("BinnedController", CAR, awake=False)
    policy = controller.distribution(*inputs())
    torch.testing.assert_close(policy.entropy(), torch.full((B,), math.log(7) + math.log(4)))
    assert not controller.value(*inputs()).any()


def test_binned_needs_bounds():
    with pytest.raises(UserError, match="BinnedController needs finite bounds"):
        make("BinnedController", OPEN)
    with pytest.raises(UserError, match="controller BinnedController: bin_values"):
        make("BinnedController", CAR, bin_values="0;1")


@pytest.mark.parametrize("space", [CAR, Box(-2, 2, (2,), np.float32)])
def test_binned_raw_actions_are_found_again(space):
    controller = make("BinnedController", space)
    policy = controller.distribution(*inputs())
    raw = policy.sample()
    assert torch.equal(controller.to_raw(policy.to_env(raw)), raw)


def test_a_dimension_without_room_has_its_one_raw_action():
    box = BoxMap(Box(np.array([5.0, 0.0], np.float32), np.array([5.0, 1.0], np.float32)))
    assert box.inverse(torch.tensor([[5.0, 0.75]])).tolist() == [[0.0, 0.5]]


def test_an_action_between_bins_counts_as_the_nearest_and_gas_less_brake_counts_on_a_shared_axis():
    listed = MultiCategoricalBox(BoxMap(CAR, opposed=(1, 2)), values=[[-1, -0.4, 0, 0.4, 1], [-0.6, 0, 0.3, 1]])
    action = torch.tensor([[0.25, 0.9, 0.0], [-0.69, 0.0, 0.4], [0.1, 0.5, 0.4]])
    assert listed.to_raw(action).tolist() == [[3, 3], [1, 0], [2, 1]]


@pytest.mark.parametrize("space", [Discrete(4, start=2), MultiDiscrete([2, 5, 3]), MultiBinary(4)])
def test_discrete_raw_actions_are_found_again(space):
    space.seed(0)
    action = torch.from_numpy(np.stack([np.asarray(space.sample()) for _ in range(50)]))
    head = discrete_head(space)
    assert torch.equal(head(torch.zeros(50, head.outputs)).to_env(head.to_raw(action)), action)


def test_gaussian_head_maps_unit_to_bounds_and_clips():
    head = GaussianHead(BoxMap(HALF_OPEN), initial_log_std=-0.5)
    action = head(torch.zeros(2, 3)).to_env(torch.tensor([[-5.0, -70, 0.5], [30.0, 5, 9]]))
    torch.testing.assert_close(action, torch.tensor([[0.0, -70, 1], [30, 1, 2]]))


def test_opposed_dimensions_share_an_axis_and_never_act_together():
    head = BetaHead(BoxMap(CAR, opposed=(1, 2)))
    assert head.outputs == 4
    action = head.to_env(torch.tensor([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0], [1.0, 0.25]]))
    torch.testing.assert_close(action, torch.tensor([[-1, 1.0, 0], [0, 0, 0], [1, 0, 1], [1, 0, 0.5]]))
    for pair in ("1,1", "0,3"):
        with pytest.raises(UserError, match="opposed"):
            make("DeepContinuousController", CAR, opposed=pair)


@pytest.mark.parametrize(("name", "space", "given"), CASES)
def test_actions_are_members_of_the_space(name, space, given):
    controller = make(name, space, **given)
    z, h = inputs()
    for greedy in (False, True):
        with torch.inference_mode():
            act = controller.act(20 * z, 20 * h, greedy)  # far out, where clipping and saturation bite
        actions = act.action.numpy()
        assert actions.shape == (B, *(space.shape or ()))
        assert actions.dtype == space.dtype
        assert act.raw.dim() == 2
        for action in actions:
            assert space.contains(np.asarray(action))


@pytest.mark.parametrize(("name", "space", "given"), CASES)
def test_stored_log_prob_is_exactly_that_of_the_drawn_action(name, space, given):
    controller = make(name, space, **given)
    z, h = inputs()
    controller.observe(*inputs())
    with torch.inference_mode():
        act = controller.act(z, h)
    again = controller.distribution(z, h).log_prob(act.raw.clone())  # an ordinary tensor, as a buffer would hold
    assert again.shape == (B,)
    assert torch.equal(again, act.log_prob)
    assert not act.raw.requires_grad
    assert controller.distribution(z, h).entropy().shape == (B,)


@pytest.mark.parametrize(("name", "space", "given"), CASES)
def test_gradient_reaches_every_parameter(name, space, given):
    controller = make(name, space, **given)
    z, h = inputs()
    raw = controller.distribution(z, h).sample()
    weights = torch.randn(B)
    (weights * controller.distribution(z, h).log_prob(raw)).sum().backward(retain_graph=True)
    before = {n for n, p in controller.named_parameters() if p.grad is not None}
    assert before
    assert not any(n.startswith("critic") for n in before)  # the policy loss leaves the value network alone
    (controller.value(z, h).square().mean() + controller.distribution(z, h).entropy().mean()).backward()
    for parameter_name, parameter in controller.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


def first_of_each_kind():
    """All cases, of which those that learn by a head that an earlier one had are proofs for longer runs."""
    seen = []
    for name, space, given in CASES:
        kind = (name, given.get("head"), "opposed" in given, isinstance(space, Box))
        yield pytest.param(name, space, given, marks=[pytest.mark.slow] if kind in seen else [])
        seen.append(kind)


@pytest.mark.parametrize(("name", "space", "given"), list(first_of_each_kind()))
def test_policy_gradient_learns_to_earn_more(name, space, given):
    """REINFORCE from the first weights must come nearer to a rewarded action, whatever the head."""
    controller = make(name, space, awake=False, **given)
    z, h = inputs(512)
    target = controller.distribution(z, h).sample()[:1]
    optimizer = FusedAdam(controller, 3e-3)
    earned = []
    for _ in range(60):
        policy = controller.distribution(z, h)
        raw = policy.sample()
        reward = -(raw != target).float().mean(-1) if raw.dtype == torch.int64 else -(raw - target).abs().mean(-1)
        earned.append(reward.mean().item())
        loss = -((reward - reward.mean()) / (reward.std() + 1e-8) * policy.log_prob(raw)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert np.mean(earned[-5:]) > np.mean(earned[:5]) * 0.9


def test_first_policy_hardly_depends_on_the_input():
    controller = make("DeepDiscreteController", Discrete(4), awake=False)
    probability = controller.distribution(*inputs()).log_probs.exp()
    assert (probability - 0.25).abs().max() < 0.02


def test_temperature_flattens_choices():
    cold, hot = (make("StochasticController", MultiDiscrete([3, 4]), temperature=t) for t in (1.0, 5.0))
    hot.load_state_dict(cold.state_dict())
    z, h = inputs()
    assert (hot.distribution(z, h).entropy() > cold.distribution(z, h).entropy()).all()
    assert torch.equal(hot.distribution(z, h).mode(), cold.distribution(z, h).mode())


def test_stochastic_spread_depends_on_the_situation_and_linear_spread_does_not():
    z, h = inputs()
    assert make("StochasticController", CAR).distribution(z, h).log_std.std(0).min() > 0
    assert make("LinearController", CAR).distribution(z, h).log_std.shape == (3,)


def test_linear_controller_is_one_layer():
    controller = make("LinearController", Discrete(4), normalize_inputs=False)
    z, h = inputs()
    (layer,) = controller.policy.layers
    logits = torch.cat((z, h), -1) @ layer.weight.T + layer.bias
    torch.testing.assert_close(controller.distribution(z, h).log_probs[:, 0], logits.log_softmax(-1))
    assert sum(p.numel() for p in controller.parameters()) == (Z + H + 1) * 5


# ---------------------------------------------------------------- input scaling


def test_observe_gathers_the_statistics_of_all_batches():
    controller = make("DeepDiscreteController", Discrete(3))
    batches = [(1000 + 5 * torch.randn(n, Z), 0.01 * torch.randn(n, H) - 3) for n in (300, 50, 700)]
    for z, h in batches:
        controller.observe(z, h)
    everything = torch.cat([torch.cat(pair, -1) for pair in batches]).double()
    torch.testing.assert_close(controller.scaler.mean.double(), everything.mean(0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(controller.scaler.variance.double(), everything.var(0, correction=0), rtol=2e-3, atol=0)
    scaled = controller._inputs(*map(torch.cat, zip(*batches, strict=True)))
    torch.testing.assert_close(scaled.mean(0), torch.zeros(Z + H), atol=2e-3, rtol=0)
    torch.testing.assert_close(scaled.std(0), torch.ones(Z + H), atol=5e-3, rtol=0)


def test_only_observe_changes_the_scaling():
    controller = make("DeepContinuousController", CAR)
    z, h = (5 * x for x in inputs())
    kept = (z.clone(), h.clone())
    before = {n: b.clone() for n, b in controller.named_buffers()}
    controller.train()
    act = controller.act(z, h)
    (controller.value(z, h).sum() + controller.distribution(z, h).log_prob(act.raw).sum()).backward()
    controller.after_update()
    assert all(torch.equal(b, before[n]) for n, b in controller.named_buffers())
    assert torch.equal(z, kept[0])
    assert torch.equal(h, kept[1])
    controller.observe(z, h)
    assert not torch.equal(controller.scaler.mean, before["scaler.mean"])


def test_scaling_starts_as_identity_and_clamps():
    controller = make("LinearController", Discrete(2), hidden_dim=0)
    z = torch.tensor([[1.0, -2.0, 0.0, 500.0, -500.0, 10.0]])
    torch.testing.assert_close(controller._inputs(z, z[:, :0]), z.clamp(-10, 10))


def test_observe_takes_a_rollout_made_under_inference_mode_and_a_constant_feature():
    controller = make("LinearController", Discrete(2))
    with torch.inference_mode():
        z, h = inputs()
        h[:, 0] = 4.0
        controller.observe(z, h)
    controller.observe(z, h)
    z, h = inputs()
    controller.value(z, h).sum().backward()
    assert controller._inputs(z, h).isfinite().all()


def test_scaling_can_be_off():
    controller = make("LinearController", Discrete(2), normalize_inputs=False)
    controller.observe(*inputs())
    assert not [n for n, _ in controller.named_buffers() if "scaler" in n]


def test_gradient_flows_through_the_scaling_to_latents():
    controller = make("DeepContinuousController", CAR)
    controller.observe(*inputs())
    z, h = inputs()
    z.requires_grad_()
    controller.value(z, h).sum().backward()
    assert z.grad is not None
    assert z.grad.abs().sum() > 0


# ---------------------------------------------------------------- the rest of the contract


@pytest.mark.parametrize(
    ("name", "space"),
    [
        ("LinearController", CAR),
        ("StochasticController", MultiBinary(2)),
        ("DeepDiscreteController", Discrete(3)),
        ("DeepContinuousController", CAR),
    ],
)
def test_works_without_memory(name, space):
    controller = make(name, space, hidden_dim=0)
    z, h = torch.randn(5, Z), torch.zeros(5, 0)
    controller.observe(z, h)
    assert controller.act(z, h).log_prob.shape == (5,)
    assert controller.value(z, h).shape == (5,)


@pytest.mark.parametrize(("name", "space", "given"), CASES)
def test_state_dict_round_trip(name, space, given):
    first, second = (make(name, space, **given) for _ in range(2))
    first.observe(*inputs())
    second.load_state_dict(first.state_dict())
    z, h = inputs()
    assert torch.equal(first.act(z, h, greedy=True).action, second.act(z, h, greedy=True).action)
    assert torch.equal(first.value(z, h), second.value(z, h))


@pytest.mark.parametrize(("name", "space", "given"), CASES)
def test_everything_follows_the_module_to_its_device(name, space, given):
    """The meta device computes shapes only, and refuses to mix with tensors that stayed behind."""
    controller = make(name, space, **given).to("meta")
    z, h = (x.to("meta") for x in inputs())
    controller.observe(z, h)
    policy = controller.distribution(z, h)
    raw = policy.sample()
    for tensor in (raw, policy.to_env(policy.mode()), policy.log_prob(raw), policy.entropy(), controller.value(z, h)):
        assert tensor.device.type == "meta"


def test_same_seed_draws_the_same_actions():
    controller = make("DeepContinuousController", CAR)
    z, h = inputs()
    drawn = []
    for _ in range(2):
        torch.manual_seed(11)
        drawn.append(controller.act(z, h).action)
    assert torch.equal(*drawn)
    assert not torch.equal(drawn[0], controller.act(z, h).action)


@pytest.mark.parametrize("head", ["beta", "tanh_gaussian", "categorical"])
def test_unbounded_actions_name_the_head_that_works(head):
    with pytest.raises(UserError, match="use head gaussian"):
        make("DeepContinuousController", OPEN, head=head)


def test_auto_head():
    assert isinstance(make("DeepContinuousController", CAR).head, BetaHead)
    assert isinstance(make("DeepContinuousController", OPEN).head, GaussianHead)


@pytest.mark.parametrize(
    ("name", "space"), [("DeepDiscreteController", CAR), ("DeepContinuousController", Discrete(2))]
)
def test_registry_refuses_misfits(name, space):
    with pytest.raises(UserError, match="LinearController, StochasticController"):
        make(name, space)


def test_unknown_action_spaces_are_refused():
    space = gym.spaces.Tuple([Discrete(2), Discrete(3)])
    for name in ("LinearController", "StochasticController", "DeepDiscreteController"):
        with pytest.raises(UserError, match="Tuple"):
            make(name, space)
