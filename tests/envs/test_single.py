"""One environment as a simulator: the episodes of a prepared environment, frame by frame, and forks of them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from ewm_studio.envs.factory import make_env, make_prepared_env
from ewm_studio.envs.single import SingleEnv
from ewm_studio.envs.vector.group import episode_seed
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.errors import JobError, UserError
from ewm_studio.settings import EnvSettings

TROUBLE = "tests.support.trouble_envs:Trouble-v0"
CARTPOLE = EnvSettings()
SHORT = EnvSettings(max_episode_steps=5)
RACING = EnvSettings(id="CarRacing-v3", action_repeat=2, max_episode_steps=21)


def single(settings: EnvSettings, *args: Any, **given: Any) -> SingleEnv:
    return SingleEnv(make_prepared_env(settings), settings, *args, **given)


def actions_of(space: gym.Space, steps: int) -> list[np.ndarray]:
    space.seed(0)
    return [np.asarray(space.sample())[None] for _ in range(steps)]


@pytest.mark.parametrize("settings", [CARTPOLE, RACING, CARTPOLE.model_copy(update={"action_repeat": 3})], ids=str)
def test_its_episodes_are_those_of_the_prepared_environment(settings: EnvSettings) -> None:
    envs, env = single(settings, 7, episodes=3), make_prepared_env(settings)
    total, frames, seed, over = 0.0, 0, 7, False
    np.testing.assert_array_equal(envs.reset()[0], env.reset(seed=seed)[0])
    for action in actions_of(env.action_space, 1000):
        step = envs.step(action)
        obs, reward, terminated, truncated, info = env.step(action[0])
        total, frames, over = total + float(reward), frames + info.get("frames", 1), terminated or truncated
        assert (step.reward[0], step.terminated[0], step.truncated[0]) == (reward, terminated, truncated)  # all bits
        assert not step.shaping.any()
        assert step.env_terminated[0] == terminated
        if over:
            np.testing.assert_array_equal(step.final_obs[0], obs)
            (episode,) = step.episodes
            assert (episode.env, episode.reward, episode.length, episode.seed) == (0, total, frames, seed)
            assert episode.terminated == terminated
            assert episode.lap_finished == (False if settings.id == "CarRacing-v3" else None)
            if envs.over:
                break
            total, frames, seed = 0.0, 0, seed + 1
            obs, _ = env.reset(seed=seed)
        else:
            assert not step.final_obs
            assert not step.episodes
        np.testing.assert_array_equal(step.obs[0], obs)
    assert envs.over
    assert seed == 9


@pytest.mark.parametrize("settings", [CARTPOLE, RACING], ids=str)
def test_it_gives_what_a_vector_of_one_gives(settings: EnvSettings) -> None:
    vector = make_vector(settings.model_copy(update={"batch_size": 1, "workers": 0}), seed=3)
    envs = single(settings, (episode_seed(3, 0, k) for k in range(99)))
    np.testing.assert_array_equal(envs.reset(), vector.reset())
    ends = 0
    for action in actions_of(envs.action_space, 60):
        a, b = envs.step(action), vector.step(action)
        np.testing.assert_array_equal(a.obs, b.obs)
        np.testing.assert_array_equal(a.reward.astype(np.float32), b.reward)
        assert a.episodes == b.episodes
        ends += len(a.episodes)
    assert ends > 1


def test_the_first_seed_is_the_one_given_to_reset() -> None:
    envs, env = single(SHORT, 40), make_env("CartPole-v1")
    for asked, seed in ((None, 40), (6, 6), (None, 40)):
        np.testing.assert_array_equal(envs.reset(asked)[0], env.reset(seed=seed)[0])
        episodes = [e for _ in range(10) for e in envs.step(np.array([1])).episodes]
        assert [e.seed for e in episodes] == [seed, seed + 1]
    np.testing.assert_array_equal(single(SHORT).reset()[0], env.reset(seed=0)[0])


def test_seeds_are_taken_in_turn_and_end_it() -> None:
    envs = single(SHORT, [9, 4])
    envs.reset()
    seeds = [e.seed for _ in range(10) for e in envs.step(np.array([1])).episodes]
    assert seeds == [9, 4]
    assert envs.over
    nothing = single(SHORT, [])
    nothing.reset()
    assert nothing.over


def test_after_the_last_episode_nothing_is_begun() -> None:
    envs = single(RACING.model_copy(update={"max_episode_steps": 4}), 5, episodes=1)
    envs.reset()
    action, resets = np.zeros((1, 3), np.float32), list[Any]()
    base: Any = envs.env.unwrapped
    base.reset = lambda **given: resets.append(given)
    envs.step(action)
    step = envs.step(action)
    assert resets == []
    np.testing.assert_array_equal(step.obs[0], step.final_obs[0])
    np.testing.assert_array_equal(step.obs[0], envs.env.observe())
    with pytest.raises(JobError, match="no episode of CarRacing-v3 is going on"):
        envs.step(action)


def test_every_frame_inside_a_decision_is_told_and_seen() -> None:
    told: list[tuple[np.ndarray, float, bool]] = []
    seen: list[np.ndarray] = []

    def note(action: Any, reward: float, over: bool) -> None:
        told.append((action, reward, over))
        seen.append(envs.raw())

    envs, plain = single(RACING, 1, episodes=1, on_frame=note), make_env(RACING.id, max_episode_steps=21)
    envs.reset()
    first, _ = plain.reset(seed=1)
    np.testing.assert_array_equal(envs.raw(), first)
    rewards = list[float]()
    for action in actions_of(envs.action_space, 11):  # of 21 frames
        before = len(told)
        step = envs.step(action)
        rewards.append(float(step.reward[0]))
        assert rewards[-1] == sum(reward for _, reward, _ in told[before:])
        for (applied, reward, over), frame in zip(told[before:], seen[before:], strict=True):
            obs, expected, _, truncated, _ = plain.step(action[0])
            np.testing.assert_array_equal(applied, action[0])
            np.testing.assert_array_equal(frame, obs)
            assert (reward, over) == (float(expected), truncated)
    assert len(told) == 21
    assert [over for _, _, over in told] == [False] * 20 + [True]


def test_a_frame_that_ends_an_episode_by_a_rule_is_told_as_its_last() -> None:
    settings, told = EnvSettings(id="Pendulum-v1", idle_limit=6, action_repeat=3), list[bool]()
    env = make_prepared_env(settings, training=True)
    envs = SingleEnv(env, settings, 0, 1, lambda action, reward, over: told.append(over))
    envs.reset()
    steps = [envs.step(np.zeros((1, 1), np.float32)) for _ in range(2)]
    assert told == [False] * 5 + [True]
    assert steps[-1].truncated.all()
    assert not steps[-1].env_terminated.any()
    assert envs.over


@pytest.mark.parametrize("pixels", [False, True])
def test_a_moment_is_drawn_once_however_often_it_is_looked_at(pixels: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = EnvSettings(id="CarRacing-v3", pixels=pixels, action_repeat=3)
    envs = single(settings, on_frame=lambda *frame: envs.raw())
    envs.reset()
    base: Any = envs.env.unwrapped
    drawn, draw = [0], base._picture
    monkeypatch.setattr(
        base, "_picture", lambda *args, **given: (drawn.__setitem__(0, drawn[0] + 1), draw(*args, **given))[1]
    )
    for done in range(1, 4):
        envs.step(np.array([[0.1, 0.5, 0]]))
        for _ in range(3):
            np.testing.assert_array_equal(envs.render(), envs.raw())
        assert drawn[0] == 3 * done
    envs.on_frame = None
    envs.step(np.array([[0.1, 0.5, 0]]))
    assert drawn[0] == 10  # what is between two decisions is not drawn for nobody


@pytest.mark.parametrize(
    ("settings", "at", "more"),
    [
        (EnvSettings(id="CarRacing-v3"), 60, 50),
        (EnvSettings(id="CarRacing-v3", pixels=True, action_repeat=2), 20, 10),
        (CARTPOLE, 30, 90),
        (RACING, 30, 30),
    ],
    ids=str,
)
def test_a_fork_goes_on_with_the_same_frames(settings: EnvSettings, at: int, more: int) -> None:
    """Bit for bit, also through the ends of episodes, from any constructor's seeds."""
    envs, fork = single(settings, 11), single(settings, 99)
    actions = actions_of(envs.action_space, at + more)
    envs.reset()
    for action in actions[:at]:
        envs.step(action)
    np.testing.assert_array_equal(fork.restore(envs.state()), envs.obs)
    np.testing.assert_array_equal(fork.render(), envs.render())
    for action in actions[at:]:
        a, b = envs.step(action), fork.step(action)
        np.testing.assert_array_equal(a.obs, b.obs)
        np.testing.assert_array_equal(envs.raw(), fork.raw())
        assert a.reward == b.reward
        assert a.episodes == b.episodes


def test_a_fork_of_what_is_over_is_over() -> None:
    envs, fork = single(SHORT, 3, episodes=2), single(SHORT, 3)
    envs.reset()
    for _ in range(10):
        envs.step(np.array([1]))
    assert envs.over
    np.testing.assert_array_equal(fork.restore(envs.state()), envs.obs)
    assert fork.over


def test_a_fork_of_a_later_episode_plays_it_out() -> None:
    envs, fork = single(SHORT, 3), single(SHORT, episodes=1)
    envs.reset()
    for _ in range(12):
        envs.step(np.array([1]))
    fork.restore(envs.state())
    assert [e.seed for _ in range(3) for e in fork.step(np.array([1])).episodes] == [5]
    assert fork.over


def test_a_state_of_another_episode_is_refused() -> None:
    envs = single(CARTPOLE, [1, 2])
    envs.reset()
    envs.step(np.array([0]))
    with pytest.raises(JobError, match="does not repeat itself"):
        single(CARTPOLE, [2, 1]).restore(envs.state())


@pytest.mark.parametrize("settings", [CARTPOLE, RACING, CARTPOLE.model_copy(update={"pixels": True})], ids=str)
def test_its_picture_is_that_of_the_moment(settings: EnvSettings) -> None:
    envs, plain = single(settings), make_env(settings.id, render_mode="rgb_array")
    envs.reset(2)
    obs, _ = plain.reset(seed=2)
    for _ in range(3):
        np.testing.assert_array_equal(envs.render(), obs if settings.id == RACING.id else plain.render())
        action = envs.action_space.sample()
        envs.step(np.asarray(action)[None])
        for _ in range(settings.action_repeat):
            obs = plain.step(action)[0]


def test_without_pictures_it_says_so() -> None:
    envs = single(EnvSettings(id=TROUBLE))
    envs.reset()
    with pytest.raises(UserError, match="Trouble-v0 draws no pictures"):
        envs.render()


def test_what_the_environment_raises_names_it() -> None:
    envs = single(EnvSettings(id=TROUBLE))
    envs.reset()
    with pytest.raises(JobError, match=r"environment .*Trouble-v0 failed: ValueError: the bolt is loose"):
        envs.step(np.array([1]))


def test_what_a_listener_raises_is_its_own() -> None:
    class Enough(Exception):
        pass

    def stop(action: Any, reward: float, over: bool) -> None:
        raise Enough

    envs = single(CARTPOLE, on_frame=stop)
    envs.reset()
    with pytest.raises(Enough):
        envs.step(np.array([0]))


def test_rewards_of_training_are_told_apart_here_too() -> None:
    settings = EnvSettings(id="CarRacing-v3", skip_penalty=10.0, max_episode_steps=3)
    envs = SingleEnv(make_prepared_env(settings, training=True), settings, 0, 2)
    envs.reset()
    base: Any = envs.env.unwrapped
    for number in (1, 2, 3, 4, 6):  # as if the car had passed tile 5 without touching it
        base.road[number].road_visited = True
        base.tile_visited_count += 1
    first = envs.step(np.zeros((1, 3), np.float32))
    assert (first.shaping[0], first.env_terminated[0]) == (-10.0, False)
    total = float(first.reward[0])
    for _ in range(2):
        step = envs.step(np.zeros((1, 3), np.float32))
        assert step.shaping[0] == 0
        total += float(step.reward[0])
    assert step.episodes[0].reward == total + 10.0
    total = 0.0
    for _ in range(3):
        step = envs.step(np.zeros((1, 3), np.float32))
        total += float(step.reward[0])
    assert step.episodes[0].reward == total  # nothing of the first one's penalty
