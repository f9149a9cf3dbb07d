"""The tasks of a memory."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from ewm_studio.envs import RECALL_ID, T_MAZE_ID
from ewm_studio.envs.factory import env_ids, make_env
from ewm_studio.envs.memory_tasks import TMaze
from ewm_studio.errors import UserError

WAYS = {TMaze.NORTH: (0, 1, 1), TMaze.SOUTH: (1, 1, 0)}


@pytest.mark.parametrize("id", [RECALL_ID, T_MAZE_ID])
def test_they_are_environments_as_gymnasium_has_them(id):
    check_env(gym.make(id).unwrapped, skip_render_check=True)
    assert id in env_ids()


@pytest.mark.parametrize(("delay", "cues"), [(1, 2), (10, 4)])
def test_a_cue_is_shown_once_and_its_name_is_paid_for_later(delay, cues):
    env = make_env(RECALL_ID, kwargs={"delay": delay, "cues": cues})
    shown = set()
    for seed in range(20):
        for right in (True, False):
            obs, _ = env.reset(seed=seed)
            cue = int(obs[:-1].argmax())
            assert obs.tolist() == [float(i == cue) for i in range(cues)] + [0.0]
            shown.add(cue)
            for step in range(delay):
                obs, reward, *over, _ = env.step(cue)
                assert obs.tolist() == [0.0] * cues + [float(step + 1 == delay)]
                assert (reward, over) == (0.0, [False, False])
            _, reward, *over, _ = env.step(cue if right else (cue + 1) % cues)
            assert (reward, over) == (float(right), [True, False])
    assert shown == set(range(cues))


@pytest.mark.parametrize("right", [True, False])
def test_the_start_of_a_corridor_says_where_to_turn(right):
    env = make_env(T_MAZE_ID, kwargs={"length": 5})
    shown = set()
    for seed in range(20):
        obs, _ = env.reset(seed=seed)
        way = next(way for way, seen in WAYS.items() if tuple(obs) == seen)
        shown.add(way)
        total = 0.0
        for step in range(5):
            obs, reward, *over, _ = env.step(TMaze.EAST)
            assert tuple(obs) == ((0, 1, 0) if step == 4 else (1, 0, 1))
            assert over == [False, False]
            total += reward
        other = TMaze.SOUTH if way == TMaze.NORTH else TMaze.NORTH
        _, reward, *over, _ = env.step(way if right else other)
        assert over == [True, False]
        assert total + reward == (4.0 if right else -0.1)
    assert shown == set(WAYS)


def test_who_does_not_go_on_pays_and_is_stopped():
    env = make_env(T_MAZE_ID, kwargs={"length": 2})
    first, _ = env.reset(seed=0)
    for action in (TMaze.WEST, TMaze.NORTH, TMaze.SOUTH):
        obs, reward, *_ = env.step(action)
        assert np.array_equal(obs, first)
        assert reward == -0.1
    assert env.step(TMaze.EAST)[1] == 0
    obs, reward, *_ = env.step(TMaze.WEST)
    assert np.array_equal(obs, first)
    assert reward == -0.1
    assert env.step(TMaze.EAST)[1] == env.step(TMaze.EAST)[1] == 0
    assert env.step(TMaze.EAST)[1] == -0.1  # the far wall
    ends = [env.step(TMaze.WEST if i % 2 else TMaze.EAST)[2:4] for i in range(4)]
    assert ends == [(False, False)] * 3 + [(False, True)]


@pytest.mark.parametrize(
    ("id", "kwargs", "said"),
    [
        (RECALL_ID, {"delay": 0}, "delay should be a whole number of at least 1, found 0"),
        (RECALL_ID, {"cues": 1}, "cues should be a whole number of at least 2, found 1"),
        (T_MAZE_ID, {"length": 1.5}, "length should be a whole number of at least 1, found 1.5"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(id, kwargs, said):
    with pytest.raises(UserError, match=said):
        make_env(id, kwargs=kwargs)
