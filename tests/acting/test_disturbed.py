import gymnasium as gym
import numpy as np
import pytest

from ewm_studio.acting.disturbed import HOLD, LONGEST, SHORTEST, Bursts, DisturbedPolicy
from ewm_studio.acting.policy import Policy

BOX = gym.spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([1.0, 1.0], np.float32))


class Straight(Policy):
    """Always the same, and no action that a burst could draw."""

    def __init__(self, action):
        self.action = action

    def act(self, belief, generator=None):
        return np.stack([self.action] * len(belief))


def played(space, action, rate, steps=4000, batch=4):
    policy = DisturbedPolicy(Straight(action), Bursts(space, np.random.default_rng(0), rate))
    policy.begin(batch)
    return np.stack([policy.act(np.zeros(batch)) for _ in range(steps)])


def bursts(actions, action):
    """Lengths of the runs of other actions, in one episode."""
    other = (actions != action).reshape(len(actions), -1).any(1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], other.astype(int), [0]])))
    return edges[1::2] - edges[::2]


def test_bursts_hold_one_action_for_a_while():
    straight = np.array([0.123, 0.456], np.float32)
    policy = DisturbedPolicy(Straight(straight), Bursts(BOX, np.random.default_rng(0), 0.02))
    policy.begin(1)
    policy.bursts._rates[:] = 1.0
    actions = np.concatenate([policy.act(np.zeros(1)) for _ in range(6000)])
    lengths = bursts(actions, straight)
    assert lengths.min() >= SHORTEST
    assert np.median(lengths) <= LONGEST
    assert all(BOX.contains(action) for action in actions)
    first = np.flatnonzero((actions != straight).any(1))[0]
    assert (actions[first : first + SHORTEST] == actions[first]).all()


def test_the_rate_is_that_asked_for_and_some_episodes_are_undisturbed():
    straight = np.array([0.123, 0.456], np.float32)
    policy = DisturbedPolicy(Straight(straight), Bursts(BOX, np.random.default_rng(0), 0.05))
    policy.begin(400)
    actions = np.stack([policy.act(np.zeros(400)) for _ in range(200)])
    disturbed = (actions != straight).any(-1).mean(0)  # share of each episode
    assert 0.15 < (disturbed == 0).mean() < 0.35
    assert disturbed.mean() == pytest.approx(0.05 * 7.5 / (1 + 0.05 * 7.5), rel=0.25)


def test_a_new_episode_has_no_burst_left():
    policy = DisturbedPolicy(Straight(np.array([0.123, 0.456], np.float32)), Bursts(BOX, np.random.default_rng(0), 1.0))
    policy.begin(2)
    policy.bursts._rates[:] = 10.0
    policy.act(np.zeros(2))
    assert (policy.bursts._left > 0).all()
    policy.restart(np.array([True, False]))
    assert policy.bursts._left[0] == 0
    assert policy.bursts._left[1] > 0


@pytest.mark.parametrize("space", [gym.spaces.Discrete(3, start=5), gym.spaces.MultiDiscrete([2, 3])])
def test_choices_are_disturbed_too(space):
    first = space.sample()
    actions = played(space, np.asarray(first), 0.2, 200, 2)
    assert all(space.contains(np.asarray(a, space.dtype)) for row in actions for a in row)
    assert len(np.unique(actions.reshape(-1, *space.shape), axis=0)) > 2


CAR = gym.spaces.Box(np.array([-1.0, 0.0, 0.0], np.float32), np.array([1.0, 1.0, 1.0], np.float32))


def in_bursts(space, action, **shares):
    """Actions (N, ...) of one episode's bursts, that begin at every chance, and how long each was."""
    policy = DisturbedPolicy(Straight(action), Bursts(space, np.random.default_rng(0), 0.02, **shares))
    policy.begin(1)
    policy.bursts._rates[:] = 1.0
    actions = np.concatenate([policy.act(np.zeros(1)) for _ in range(6000)])
    other = (actions != action).reshape(len(actions), -1).any(1)
    return actions[other], bursts(actions, action)


def test_a_gentle_burst_steers_and_rolls_on():
    driver = np.array([0.1, 0.9, 0.05], np.float32)
    actions, lengths = in_bursts(CAR, driver, gentle=1.0)
    assert (actions[:, 1] >= 0.1).all()
    assert (actions[:, 1] <= 0.3).all()
    assert not actions[:, 2].any()
    assert actions[:, 0].min() < -0.8
    assert actions[:, 0].max() > 0.8
    assert lengths.min() >= SHORTEST


def test_a_hold_is_long_and_does_nothing_or_the_opposite():
    driver = np.array([0.4, 0.75, 0.0], np.float32)
    actions, lengths = in_bursts(CAR, driver, holds=1.0)
    found = {tuple(round(float(value), 3) for value in action) for action in actions}
    assert found == {(0.0, 0.0, 0.0), (-0.4, 0.25, 1.0)}
    assert lengths.min() >= HOLD[0]


@pytest.mark.parametrize(
    ("space", "action", "opposite"),
    [
        (gym.spaces.Discrete(4, start=3), np.int64(4), 5),
        (gym.spaces.MultiDiscrete([3, 2]), np.array([2, 0]), [0, 1]),
        (gym.spaces.MultiBinary(2), np.array([1, 1], np.int8), [0, 0]),
    ],
)
def test_choices_have_an_opposite_and_a_first(space, action, opposite):
    actions, _ = in_bursts(space, action, holds=1.0)
    first = np.broadcast_to(getattr(space, "start", 0), np.shape(action))
    assert {tuple(np.ravel(a).tolist()) for a in actions} == {tuple(np.ravel(x)) for x in (opposite, first)}
    assert all(space.contains(a) for a in actions)
