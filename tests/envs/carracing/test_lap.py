"""How training follows the car round CarRacing's track: where a round ends, and what leaving out a tile costs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ewm_studio.envs.carracing.lap import AHEAD, Lap
from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.envs.vector.group import EnvGroup
from ewm_studio.settings import EnvSettings
from tests.support.track_driver import drive

SEED = 3  # a short track
LEFT_OUT = 50
PENALTY = 10.0
TRAINED = EnvSettings(id="CarRacing-v3", round_end="cut", skip_penalty=PENALTY)


def track(count: int) -> tuple[Lap, Any]:
    """A road of tiles that can be touched by their numbers."""
    base = SimpleNamespace(road=[SimpleNamespace(road_visited=False) for _ in range(count)], tile_visited_count=0)
    return Lap(SimpleNamespace(unwrapped=base)), base  # type: ignore[arg-type]


def touch(base: Any, *numbers: int) -> None:
    for number in numbers:
        base.road[number].road_visited = True
        base.tile_visited_count += 1


def test_tiles_driven_past_are_told_once():
    lap, base = track(100)
    touch(base, 0, 1, 2)
    assert lap.skipped() == 0
    touch(base, 5, 6)
    assert lap.skipped() == 2
    assert lap.skipped() == 0
    touch(base, 3)  # went back for it
    assert lap.skipped() == 0
    touch(base, 7, 9)
    assert lap.skipped() == 1


def test_a_car_that_drives_the_wrong_way_round_leaves_nothing_out():
    lap, base = track(100)
    touch(base, 0, 99, 98, 97)
    assert lap.skipped() == 0
    assert not lap.round
    touch(base, AHEAD + 1)  # too far ahead to have been driven to
    assert lap.skipped() == 0


def test_a_car_that_begins_amid_the_track_has_left_nothing_out():
    lap, base = track(100)
    touch(base, 27)
    assert lap.skipped() == 0
    touch(base, 29)
    assert lap.skipped() == 1


def test_the_round_ends_with_the_last_tile():
    lap, base = track(20)
    touch(base, *range(19))
    lap.skipped()
    assert not lap.round
    touch(base, 19)
    lap.skipped()
    assert lap.round
    lap.begin()
    assert not lap.round


@pytest.fixture(scope="module")
def driven() -> dict[str, Any]:
    """A round in training on a road of which one tile cannot be touched."""
    env = make_prepared_env(TRAINED, window=False, training=True)
    env.reset_blind(seed=SEED)
    base: Any = env.unwrapped
    base.road[LEFT_OUT].userData = None
    actions, rewards, shaping, over = [], [], [], False
    while not over:
        actions.append(drive(env))
        reward, terminated, truncated, _ = env.step_blind(actions[-1])
        rewards.append(reward)
        shaping.append(env.shaping)
        over = terminated or truncated
    found = {
        "actions": actions, "rewards": rewards, "terminated": terminated, "truncated": truncated,
        "shaping": sum(shaping), "env_terminated": env.env_terminated, "tiles": len(base.road),
    }  # fmt: skip
    env.close()
    return found


def test_a_round_with_a_tile_left_out_is_cut_at_its_end_and_costs_the_penalty(driven):
    assert (driven["terminated"], driven["truncated"], driven["env_terminated"]) == (False, True, False)
    assert len(driven["rewards"]) < 900  # the time was not up
    assert driven["shaping"] == -PENALTY
    unshaped = sum(driven["rewards"]) - driven["shaping"]
    tiles, frames = driven["tiles"], len(driven["rewards"])
    assert unshaped == pytest.approx(1000 * (tiles - 1) / tiles - 0.1 * frames)


def test_played_such_a_lap_goes_on_and_nothing_is_taken_away(driven):
    env = make_prepared_env(TRAINED, window=False)
    env.reset_blind(seed=SEED)
    env.unwrapped.road[LEFT_OUT].userData = None  # type: ignore[attr-defined]
    rewards = []
    for action in driven["actions"]:
        reward, terminated, truncated, _ = env.step_blind(action)
        rewards.append(reward)
        assert not terminated
        assert not truncated
    assert sum(rewards) == pytest.approx(sum(driven["rewards"]) - driven["shaping"])
    env.close()


def test_a_finished_lap_ends_training_as_a_time_limit_and_play_for_good(driven):
    ends, own = {}, []
    for training in (True, False):
        env = make_prepared_env(TRAINED, window=False, training=training)
        env.reset_blind(seed=SEED)
        for action in driven["actions"]:
            _, terminated, truncated, info = env.step_blind(action)
        ends[training] = terminated, truncated
        assert info["lap_finished"]
        own.append(env.env_terminated)
        env.close()
    assert all(own)  # the environment itself had ended it
    assert ends == {True: (False, True), False: (True, False)}


def test_played_an_environment_has_nothing_of_training():
    trained = TRAINED.model_copy(update={"idle_limit": 100, "idle_terminates": True, "action_repeat": 3})
    assert trained.as_played() == EnvSettings(id="CarRacing-v3", action_repeat=3)


def test_random_frames_are_of_the_environment_as_it_is(driven):
    settings = TRAINED.model_copy(update={"idle_limit": 100, "batch_size": 1, "workers": 0})
    env = EnvGroup(settings.as_played(), 0, [0])._envs[0]
    env.reset_blind(seed=SEED)
    env.unwrapped.road[LEFT_OUT].userData = None  # type: ignore[attr-defined]
    for action in driven["actions"]:
        _, terminated, truncated, _ = env.step_blind(action)
    assert (terminated, truncated, env.shaping) == (False, False, 0)
    env.close()


@pytest.mark.parametrize(("end", "ends"), [("cut", (False, True)), ("final", (True, False))])
def test_what_the_end_of_a_round_is_is_a_setting(driven, end, ends):
    env = make_prepared_env(TRAINED.model_copy(update={"round_end": end}), window=False, training=True)
    env.reset_blind(seed=SEED)
    env.unwrapped.road[LEFT_OUT].userData = None  # type: ignore[attr-defined]
    for action in driven["actions"]:
        _, terminated, truncated, _ = env.step_blind(action)
    assert (terminated, truncated) == ends
    env.close()


def test_an_episodes_reward_is_told_without_the_penalty(driven):
    group = EnvGroup(TRAINED, 0, [0])
    shape = (1, *group.observation_space.shape)
    rewards, shaping = np.zeros(1, np.float32), np.zeros(1, np.float32)
    flags = [np.zeros(1, bool) for _ in range(3)]
    group.write_to(np.zeros(shape, np.uint8), rewards, flags[0], flags[1], shaping, flags[2])
    group.reset()
    base: Any = group._envs[0].unwrapped
    base.road[5].userData = None  # passed within the first second
    total, added, episodes = 0.0, 0.0, []
    while not episodes:
        assert not flags[2].any()
        _, episodes = group.step(drive(group._envs[0])[None])
        total, added = total + float(rewards[0]), added + float(shaping[0])
    (episode,) = episodes
    assert added == -PENALTY
    assert episode.reward == pytest.approx(total + PENALTY, abs=0.01)
    assert flags[1].all()
    assert not flags[2].any()  # the rule ended it, not the environment
    assert (episode.terminated, episode.lap_finished) == (False, False)
    group.close()
