"""What data shows of actions, and the warning where a memory cannot learn what they do."""

import gymnasium as gym
import numpy as np
import pytest

from ewm_studio.data.coverage import coverage, looks

N = 3000
CAR = gym.spaces.Box(np.array([-1, 0, 0], np.float32), np.array([1, 1, 1], np.float32))


@pytest.fixture
def seen():
    return np.random.default_rng(0).normal(size=(N, 6))


def test_actions_that_follow_from_what_is_seen_are_told_and_warned_of(seen):
    rng = np.random.default_rng(1)
    driver = np.stack([np.clip(seen[:, 0] / 3, -1, 1), rng.random(N), np.zeros(N)], axis=1).astype(np.float32)
    found = coverage(seen, driver, CAR)
    assert found.explained["steering"] > 0.95
    assert abs(found.explained["gas"]) < 0.05
    assert found.entropy["gas"] > 0.95
    assert found.entropy["brake"] == 0.0
    assert "brake hardly changes; steering follows from what is seen" in found.warning()
    assert "--bursts" in found.warning()
    assert found.describe()["warning"] == found.warning()


def test_random_actions_leave_nothing_to_warn_of(seen):
    rng = np.random.default_rng(1)
    found = coverage(seen, rng.uniform(CAR.low, CAR.high, (N, 3)).astype(np.float32), CAR)
    assert found.warning() == ""
    assert max(abs(share) for share in found.explained.values()) < 0.05
    assert f"{N:,} decisions" in found.words()


@pytest.mark.parametrize(
    ("space", "names"),
    [
        (gym.spaces.Discrete(3, start=2), {"choice"}),
        (gym.spaces.MultiDiscrete([2, 4]), {"choice 0", "choice 1"}),
        (gym.spaces.MultiBinary(2), {"choice 0", "choice 1"}),
        (gym.spaces.Box(-np.inf, np.inf, (2,), np.float32), {"axis 0", "axis 1"}),
    ],
)
def test_every_space_of_actions_has_its_parts(space, names, seen):
    space.seed(0)
    found = coverage(seen[:200], np.stack([np.asarray(space.sample()) for _ in range(200)]), space)
    assert set(found.entropy) == set(found.explained) == names
    assert all(0 <= share <= 1 for share in found.entropy.values())


def test_a_choice_by_the_sign_of_what_is_seen_is_found(seen):
    found = coverage(seen, (seen[:, 2] > 0).astype(np.int64), gym.spaces.Discrete(2))
    assert 0.5 < found.explained["choice"] < 0.8  # of a sign, a line finds 2 / pi
    assert found.entropy["choice"] > 0.99


def test_little_data_says_nothing_of_what_is_foretold(seen):
    found = coverage(seen[:1], np.zeros((1, 3), np.float32), CAR)
    assert set(found.explained.values()) == {0.0}


def test_pictures_are_looked_at_as_a_few_gray_values():
    pictures = np.zeros((2, 3, 96, 96), np.uint8)
    pictures[1, :, :48] = 200
    found = looks(pictures)
    assert found.shape == (2, 144)
    assert set(found[1].tolist()) == {0.0, 200.0}
    assert looks(np.zeros((2, 5), np.float32)).shape == (2, 5)
