"""Planning through a memory: in known worlds the best is found without anything learned."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from ewm_studio.acting.episode import play_episodes
from ewm_studio.acting.planning import PlanningPolicy
from ewm_studio.acting.proposals import proposal_for
from ewm_studio.acting.random_policy import RandomPolicy
from ewm_studio.dreams.simulator import DreamSimulator
from ewm_studio.errors import UserError
from ewm_studio.models.randomness import make_generator
from ewm_studio.settings.planning import PlannerSettings
from tests.support.cartpole import CartPoles
from tests.support.cartpole_world import cartpole_world
from tests.support.dreamers import dreamer
from tests.support.known_worlds import FIELDS, believed, best_in_corridor, corridor, line

SPACES = [
    gym.spaces.Discrete(5, start=-2),
    gym.spaces.MultiDiscrete([2, 5, 3]),
    gym.spaces.MultiBinary((2, 2)),
    gym.spaces.Box(np.array([-1, 0, 0], np.float32), np.ones(3, np.float32)),
    gym.spaces.Box(-np.inf, np.inf, (2,), np.float32),
    gym.spaces.Box(-3, 200, (2,), np.int16),
]


def test_the_best_way_is_found_from_every_field_of_a_known_world():
    world = corridor()
    policy = PlanningPolicy(world, PlannerSettings(gamma=0.9))
    policy.begin(FIELDS - 1)
    action = policy.act(believed(world, torch.eye(FIELDS)[:-1]), make_generator(0))
    value, best = best_in_corridor(0.9)
    assert action.tolist() == best.tolist()[:-1]
    torch.testing.assert_close(policy.plan.score[1:], value[1:5], atol=0.02, rtol=0.02)  # what 12 decisions can see
    assert policy.plan.z.shape == (FIELDS - 1, 13, FIELDS)
    assert torch.equal(policy.plan.z[:, 0], torch.eye(FIELDS)[:-1])


def test_a_value_sees_what_lies_behind_the_plan():
    world = corridor()
    value, best = best_in_corridor(0.9)
    settings = PlannerSettings(gamma=0.9, horizon=1)
    fields = believed(world, torch.eye(FIELDS)[1:-1])
    short, long = PlanningPolicy(world, settings), PlanningPolicy(world, settings, lambda z, h: z @ value)
    for policy in (short, long):
        policy.begin(FIELDS - 2)
    assert long.act(fields, make_generator(0)).tolist() == best.tolist()[1:-1]
    torch.testing.assert_close(long.plan.score, value[1:-1], atol=1e-4, rtol=0)
    short.act(fields, make_generator(0))
    assert short.plan.score[1:-1].tolist() == pytest.approx([-0.1, -0.1])  # in the middle it sees no end


def test_a_point_is_led_to_where_it_pays():
    world = line()
    policy = PlanningPolicy(world, PlannerSettings(horizon=5))
    dream = DreamSimulator(world, believed(world, torch.tensor([[1.7], [-1.2], [0.3]])), 3, horizon=8, seed=1)
    steps = list(play_episodes(dream, policy, world, episodes=3, generator=make_generator(0)))
    assert np.abs(steps[-1].reward).max() < 0.15


def test_drawn_plans_are_good_ones_and_not_always_the_best():
    world = line()
    start = believed(world, torch.full((40, 1), 0.7))
    best, drawn = (PlanningPolicy(world, PlannerSettings(horizon=3, rounds=1), greedy=g) for g in (True, False))
    for policy in (best, drawn):
        policy.begin(40)
        policy.act(start, make_generator(3))  # both try the same plans
    assert (drawn.plan.score <= best.plan.score).all()
    assert (drawn.plan.score < best.plan.score).float().mean() > 0.5
    assert torch.equal(drawn.proposal.table[:, 0].argmax(-1), drawn.plan.raw[:, 1])  # what is followed is gone on with
    again = PlanningPolicy(world, PlannerSettings(horizon=3, rounds=1), greedy=False)
    again.begin(40)
    again.act(start, make_generator(3))
    assert torch.equal(again.plan.raw, drawn.plan.raw)


def test_a_pole_is_held_up_without_any_policy():
    world, steps = cartpole_world(), 120
    planned = PlanningPolicy(world)
    lengths = []
    for policy in (planned, RandomPolicy(world.action_space, np.random.default_rng(0))):
        poles, fallen = CartPoles(3, seed=0), []
        played = play_episodes(poles, policy, world, generator=make_generator(0))
        for _, step in zip(range(steps), played, strict=False):
            fallen += step.episodes
        lengths.append(3 * steps / max(len(fallen), 1))
    assert lengths[0] == 3 * steps  # none fell
    assert lengths[1] < 40


def test_the_next_plan_begins_with_the_rest_of_the_last_one():
    world = corridor()
    policy = PlanningPolicy(world, PlannerSettings(gamma=0.9, rounds=1))
    policy.begin(1)
    belief = believed(world, torch.eye(FIELDS)[3:4])
    policy.act(belief, make_generator(0))
    last = policy.plan.raw
    assert torch.equal(policy.proposal.draw(4, make_generator(0))[:, 0], torch.cat([last[:, 1:], last[:, -1:]], 1))
    policy.restart(np.array([True]))
    even = policy.proposal.draw(2000, make_generator(0))[:, 1:].float().mean()
    assert even == pytest.approx(0.5, abs=0.02)


def test_the_same_draws_give_the_same_plans():
    world = corridor()
    plans = []
    for _ in range(2):
        policy = PlanningPolicy(world, PlannerSettings(temperature=1.0))
        policy.begin(2)
        policy.act(believed(world, torch.eye(FIELDS)[2:4]), make_generator(3))
        plans.append(policy.plan)
    assert torch.equal(plans[0].raw, plans[1].raw)
    assert torch.equal(plans[0].score, plans[1].score)


@pytest.mark.parametrize("space", SPACES, ids=str)
@torch.inference_mode()
def test_an_episode_that_ends_is_planned_anew_and_the_others_go_on(space):
    proposal = proposal_for(space, 3, 0.5)
    proposal.begin(2, torch.device("cpu"))
    (fresh,) = kept(proposal)
    proposal.narrow(proposal.draw(16, make_generator(0))[:, 3:5])
    (known,) = kept(proposal)
    with torch.inference_mode(False):  # whoever plays asks for it from outside
        proposal.restart(torch.tensor([True, False]))
    (now,) = kept(proposal)
    assert torch.equal(now[0], fresh[0])
    assert torch.equal(now[1], known[1])
    assert not torch.equal(now[1], fresh[1])


def kept(proposal):
    return [value.clone() for name in ("table", "mean") if (value := getattr(proposal, name, None)) is not None]


def test_bounded_actions_are_held_for_some_steps_and_a_car_is_driven_with_care():
    (car,) = [space for space in SPACES if space.shape == (3,) and isinstance(space, gym.spaces.Box)]
    proposal = proposal_for(car, 200, 1.0)
    proposal.begin(1, torch.device("cpu"))
    plans = proposal.draw(20, make_generator(0))[0, 1:]
    same = (plans[:, 1:] == plans[:, :-1]).all(-1).float().mean()
    assert same == pytest.approx(0.8 + 0.2 / 21, abs=0.02)  # held, or drawn once more
    actions = proposal.to_env(plans.flatten(0, 1))
    assert sorted(set(actions[:, 1].tolist())) == pytest.approx([0.0, 0.15])
    assert (actions[:, 1] * actions[:, 2]).max() == 0  # gas or brake


@torch.no_grad()
def test_what_comes_after_a_plan_is_left_to_the_controller_where_it_is_asked_for():
    model = dreamer().model
    with pytest.raises(UserError, match=r"planner\.value: this model's file does not say"):
        PlanningPolicy(model, PlannerSettings(value=True))
    model.controller.value_unit.fill_(20.0)
    policy = PlanningPolicy(model, PlannerSettings(horizon=2, rounds=1, value=True))
    policy.begin(1)
    z = torch.zeros(1, model.vision.latent_dim)
    belief = believed(model, z)
    policy.act(belief, make_generator(0))
    now, left, score = belief, 1.0, 0.0
    for step in range(2):
        now, reward, end = model.imagine(now, policy.planned(step), 0.0)
        score, left = score + 0.985**step * left * float(reward), left * float(1 - end)
    whole = score + 0.985**2 * left * 20 * float(model.controller.value(now.z, now.h))
    assert float(policy.plan.score) == pytest.approx(whole, rel=1e-5)
    with pytest.raises(UserError, match=r"planner\.value: a world whose parts were swapped"):
        PlanningPolicy(line(), PlannerSettings(value=True))


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_plans_draw_near_to_the_best_and_are_actions_of_the_space(space):
    generator, proposal = make_generator(0), proposal_for(space, 4, 0.5)
    proposal.begin(2, torch.device("cpu"))
    proposal.widen()
    first = proposal.draw(32, generator)
    wanted = first[:, 5:6]
    for _ in range(6):
        proposal.narrow(wanted.expand(-1, 3, -1, -1))
    drawn = proposal.draw(32, generator)
    assert drawn.shape == first.shape
    apart = [(plans.float() - wanted.float()).abs().mean() for plans in (first, drawn)]
    assert apart[1] < 0.4 * apart[0]
    for plan in drawn[:, :8].flatten(0, 1).transpose(0, 1):
        for action in proposal.to_env(plan).numpy():
            assert space.contains(np.asarray(action))


def test_a_memory_that_predicts_nothing_is_refused():
    world = corridor()
    world.memory.tags = frozenset()
    with pytest.raises(UserError, match="predicts nothing"):
        PlanningPolicy(world)
