"""The actor-critic on imagined returns: its returns against an oracle, known worlds solved, resumed exactly."""

from dataclasses import replace

import pytest
import torch

from ewm_studio.errors import JobError, UserError
from ewm_studio.models import registry
from ewm_studio.models.base import SequenceBatch
from ewm_studio.models.randomness import drawing_from, make_generator
from ewm_studio.settings import ComponentChoice
from ewm_studio.settings.dreaming import ImaginationSettings
from ewm_studio.training.imagination import ImaginedActorCritic, dream
from ewm_studio.training.lambda_returns import lambda_returns
from ewm_studio.training.replayed import Replayed
from tests.support.known_worlds import FIELDS, believed, best_in_corridor, corridor, line

GAMMA = 0.9
FAST = {"gamma": GAMMA, "actor_lr": 3e-3, "critic_lr": 3e-3, "slow_rate": 0.1, "horizon": 8}


def controller_for(world, name="DeepDiscreteController", **given):
    part = registry.choose(
        "controller", ComponentChoice(name=name, **given), world.observation_space, world.action_space
    )
    with drawing_from(make_generator(0)):
        return part.cls(part.settings, world.vision.latent_dim, world.memory.hidden_dim, world.action_space)


def anywhere(world, count, generator):
    return believed(world, torch.eye(FIELDS)[torch.randint(FIELDS - 1, (count,), generator=generator)])


def learner_in(world, seed=1, **settings):
    return ImaginedActorCritic(
        world, controller_for(world), ImaginationSettings(**FAST | settings), make_generator(seed)
    )


# ---------------------------------------------------------------- returns


def slow_return(reward, following, discount, lam, t):
    """The return from step t by its definition: a mean of the n-step returns, which weigh (1 - lam) lam^(n-1)."""
    whole, last = 0.0, len(reward) - t
    for n in range(1, last + 1):
        n_step, faded = 0.0, 1.0
        for k in range(t, t + n):
            n_step += faded * reward[k]
            faded *= discount[k]
        n_step += faded * following[t + n - 1]
        whole += n_step * (lam ** (n - 1) if n == last else (1 - lam) * lam ** (n - 1))
    return whole


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_lambda_returns_are_means_of_n_step_returns(lam):
    g = make_generator(0)
    reward, following, discount = (torch.rand(9, 4, generator=g, dtype=torch.float64) for _ in range(3))
    discount[4, 1] = 0.0
    returns = lambda_returns(reward, following, discount, lam)
    slow = torch.stack([slow_return(reward, following, discount, lam, t) for t in range(9)])
    torch.testing.assert_close(returns, slow)


def test_nothing_behind_an_end_is_in_a_return():
    reward, following = torch.ones(5, 1), torch.full((5, 1), 1e6)
    discount = torch.full((5, 1), 0.5)
    discount[2] = 0.0
    assert lambda_returns(reward, following, discount, 1.0).squeeze(-1)[:3].tolist() == [1.75, 1.5, 1.0]


# ---------------------------------------------------------------- learning


def test_a_dream_is_what_the_world_imagines():
    world, g = corridor(), make_generator(4)
    controller = controller_for(world)
    starts = anywhere(world, 5, g)
    dreamt = dream(world, controller, starts, 6, 1.0, g)
    assert torch.equal(dreamt.z[0], starts.z)
    for t in range(6):
        action = torch.nn.functional.one_hot(dreamt.raw[t, :, 0], 2)
        following, reward, end = world.memory.known(dreamt.z[t], action)
        assert torch.equal(dreamt.z[t + 1], following)
        assert torch.equal(dreamt.reward[t], reward)
        assert torch.equal(dreamt.end[t], end)


def test_it_finds_the_best_policy_and_its_value_in_a_known_world():
    world, g = corridor(), make_generator(7)
    learner = learner_in(world)
    for update in range(300):
        figures = learner.update(anywhere(world, 64, g), left=1 - update / 300)
    value, action = best_in_corridor(GAMMA)
    assert action.tolist()[:5] == [0, 0, 0, 1, 1]  # either end is best for some fields
    places = believed(world, torch.eye(FIELDS)[:-1])
    with torch.no_grad():
        found = learner.controller.distribution(places.z, places.h).mode().squeeze(-1)
        estimate = learner.unit * learner.controller.value(places.z, places.h)
    assert found.tolist() == action.tolist()[:5]
    torch.testing.assert_close(estimate, value[:5], atol=0.1, rtol=0.1)
    assert figures["dream/entropy"] < 0.2
    assert figures["dream/entropy_coef"] == pytest.approx(3e-4, rel=0.1)


def test_the_value_alone_learns_from_what_was_lived():
    """With dreams of one decision the value of the far end has to come from long real sequences."""
    world, g = corridor(), make_generator(3)
    batch = lived(world, g)
    real = Replayed.of(world, batch)
    with_real, without = (learner_in(world, horizon=1, actor_lr=1e-9, real_weight=weight) for weight in (3.0, 0.0))
    right = believed(world, torch.eye(FIELDS)[1:2])
    for _ in range(150):
        starts = believed(world, torch.eye(FIELDS)[[4] * 8])
        for learner in (with_real, without):
            learner.update(starts, real)
    with torch.no_grad():
        estimates = [
            float(learner.unit * learner.controller.value(right.z, right.h)) for learner in (with_real, without)
        ]
    walked = sum(-0.1 * GAMMA**t for t in range(3)) + GAMMA**3
    assert estimates[0] == pytest.approx(walked, abs=0.1)
    assert abs(estimates[1] - walked) > 0.1


def lived(world, generator, episodes=8):
    """Episodes that walk from field 1 to the right end: four steps, and padding that holds anything."""
    z = torch.full((7, episodes, FIELDS), 1e9)
    z[:5] = torch.eye(FIELDS)[1:].unsqueeze(1)
    steps = torch.arange(6)[:, None].expand(6, episodes)
    reward = torch.where(steps == 3, 1.0, -0.1)
    reward[4:] = 1e9
    ends, first = steps == 3, steps == 0
    action = torch.tensor([0.0, 1.0]).expand(6, episodes, 2)
    return SequenceBatch(z, action, reward, ends, first, steps < 3, steps < 4, steps < 4)


def test_a_chance_to_end_weighs_what_comes_after_it():
    world, g = corridor(), make_generator(2)
    learner = learner_in(world, return_lambda=1.0)
    reached, values, returns = learner._returns(
        dream(world, learner.controller, anywhere(world, 32, g), 8, 1.0, g), unit=1.0
    )
    assert ((reached >= 0) & (reached <= 1)).all()
    assert (reached[:32] == 1).all()
    assert (reached == 0).any()  # the right end was reached in some of them
    assert returns.isfinite().all()
    assert values.shape == returns.shape == (8 * 32,)


@pytest.mark.parametrize(
    ("name", "given"),
    [("LinearController", {}), ("StochasticController", {}), ("DeepContinuousController", {"head": "categorical"})],
)
def test_any_controller_learns(name, given):
    """Toward a point: the action moves it, and being near 0 pays."""
    world = line()
    controller, g = controller_for(world, name, **given), make_generator(5)
    learner = ImaginedActorCritic(world, controller, ImaginationSettings(**FAST | {"horizon": 5}), make_generator(6))
    rewards = []
    for _ in range(150):
        z = torch.rand(64, 1, generator=g) * 2 - 1
        rewards.append(learner.update(believed(world, z))["dream/reward"])
    assert sum(rewards[-20:]) > 0.6 * sum(rewards[:20])  # both are negative


@pytest.mark.parametrize(
    ("schedule", "halfway", "at_the_end"),
    [("constant", (1.0, 1.0), (1.0, 1.0)), ("linear", (0.55, 0.55), (0.1, 0.1)), ("squared", (0.25, 0.55), (0.0, 0.1))],
)
def test_rates_of_policy_and_value_fall_by_the_schedule(schedule, halfway, at_the_end):
    world, g = corridor(), make_generator(7)
    learner = learner_in(world, lr_schedule=schedule, actor_lr=1.0, critic_lr=1.0)
    for left, rates in ((0.5, halfway), (0.0, at_the_end)):
        learner.update(anywhere(world, 16, g), left=left)
        assert (learner.actor.lr, learner.critic.lr) == pytest.approx(rates)


# ---------------------------------------------------------------- resumed, refused


def test_a_resumed_learner_goes_on_exactly():
    world, g = corridor(), make_generator(7)
    batches = [anywhere(world, 16, g) for _ in range(6)]
    real = Replayed.of(world, lived(world, g))
    whole, first = learner_in(world), learner_in(world)
    for starts in batches[:3]:
        whole.update(starts, real)
        first.update(starts, real)
    second = learner_in(world, seed=99)
    second.controller.load_state_dict(first.controller.state_dict())
    second.restore(first.state())
    second.generator.set_state(first.generator.get_state())
    for starts in batches[3:]:
        assert second.update(starts, real, 0.5) == whole.update(starts, real, 0.5)
    for one, other in zip(whole.controller.parameters(), second.controller.parameters(), strict=True):
        assert torch.equal(one, other)


def test_large_rewards_are_learned_in_their_own_unit():
    world, g = corridor(), make_generator(7)
    plain, large = learner_in(world), learner_in(corridor(pay=1000.0))
    real = Replayed.of(world, lived(world, g))
    for _ in range(3):
        starts = anywhere(world, 16, g)
        one = plain.update(starts, real)
        other = large.update(starts, replace(real, reward=1000 * real.reward))
        assert other["dream/policy_loss"] == pytest.approx(one["dream/policy_loss"], rel=1e-3)
        assert other["dream/return"] == pytest.approx(1000 * one["dream/return"], rel=1e-3)
    belief = anywhere(world, 16, g)
    worth = plain.controller.worth(belief.z, belief.h)
    assert torch.allclose(large.controller.worth(belief.z, belief.h), 1000 * worth, rtol=1e-2)
    assert not torch.allclose(worth, plain.controller.value(belief.z, belief.h), rtol=0.1)


def test_a_loss_that_is_not_finite_ends_it():
    world, g = corridor(), make_generator(7)
    learner = learner_in(world)
    starts = anywhere(world, 4, g)
    starts.z[0] = float("nan")
    with pytest.raises(JobError, match="dream/"):
        learner.update(starts)


def test_a_memory_that_predicts_nothing_is_refused():
    world = corridor()
    world.memory.tags = frozenset()
    with pytest.raises(UserError, match="predicts nothing"):
        learner_in(world)
