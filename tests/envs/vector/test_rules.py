"""What the rules of training add to a reward, and which ends are theirs, is told apart from the environment's own."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from ewm_studio.envs.carracing.lap import Lap
from ewm_studio.envs.factory import make_env
from ewm_studio.envs.vector.group import episode_seed
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.settings import EnvSettings
from tests.support.track_driver import drive

PENALTY = 10.0
IDLE = 40
WOBBLE = range(60, 65)  # frames at which the wheel is turned, so that tiles are left out
STOP = 130  # from this frame on nobody drives


@dataclass
class Drawn:
    """One environment's episode by hand, as far as the first end."""

    actions: list[np.ndarray] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)  # the environment's own
    shaping: list[float] = field(default_factory=list)


def by_hand(number: int) -> Drawn:
    """CarRacing driven in a plain environment, until it was idle for too long."""
    env, out, idle = make_env("CarRacing-v3"), Drawn(), 0
    env.reset(seed=episode_seed(0, number, 0))
    lap = Lap(env)
    while idle < IDLE:
        t = len(out.actions)
        action = drive(env) if t < STOP else np.zeros(3, np.float32)
        action[0] = 0.6 if t in WOBBLE else action[0]
        _, reward, terminated, truncated, _ = env.step(action)
        assert not terminated
        assert not truncated
        out.actions.append(action)
        out.rewards.append(float(reward))
        out.shaping.append(-PENALTY * lap.skipped())
        idle = 0 if reward > 0 else idle + 1
    env.close()
    return out


@pytest.fixture(scope="module")
def hand() -> list[Drawn]:
    return [by_hand(number) for number in range(2)]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("final", [False, True])
def test_penalties_and_ends_of_training_are_told_apart(hand: list[Drawn], workers: int, final: bool) -> None:
    settings = EnvSettings(
        id="CarRacing-v3",
        batch_size=2,
        workers=workers,
        skip_penalty=PENALTY,
        idle_limit=IDLE,
        idle_terminates=final,
    )
    envs = make_vector(settings, seed=0)
    envs.reset()
    nothing, ended = np.zeros(3, np.float32), set[int]()
    try:
        for t in range(max(len(one.actions) for one in hand)):
            step = envs.step(np.stack([one.actions[t] if t < len(one.actions) else nothing for one in hand]))
            for i, one in enumerate(hand):
                if i in ended:
                    continue
                over = t == len(one.actions) - 1
                assert step.shaping[i] == one.shaping[t]
                assert step.reward[i] == np.float32(one.rewards[t] + one.shaping[t])
                assert (step.terminated[i], step.truncated[i], step.env_terminated[i]) == (over and final, over, False)
                if over:
                    (episode,) = [e for e in step.episodes if e.env == i]
                    assert episode.reward == pytest.approx(sum(one.rewards))
                    assert (episode.terminated, episode.lap_finished) == (final, False)
                    ended.add(i)
    finally:
        envs.close()
    assert ended == {0, 1}
    assert min(hand[0].shaping) == -10 * PENALTY  # a rule did act
    assert not any(hand[1].shaping)


@pytest.mark.parametrize("workers", [0, 2])
def test_neither_a_time_limit_nor_a_rule_is_an_end_for_good(workers: int) -> None:
    """Pendulum's time limit and the idle limit in the same step; and CartPole, where no rule acts."""
    own = EnvSettings(id="Pendulum-v1", batch_size=2, workers=workers, max_episode_steps=6, idle_limit=6)
    cut = own.model_copy(update={"idle_limit": 4})
    for settings, period in ((own, 6), (cut, 4)):
        envs = make_vector(settings, 0)
        envs.reset()
        try:
            for t in range(1, 13):
                step = envs.step(np.zeros((2, 1), np.float32))
                over = t % period == 0
                assert (step.truncated == over).all()
                assert not step.env_terminated.any()
                assert not step.shaping.any()
        finally:
            envs.close()


def test_a_plain_environment_ends_by_itself_and_nothing_is_added() -> None:
    envs = make_vector(EnvSettings(batch_size=2, workers=0), 0)
    envs.reset()
    ends = 0
    for _ in range(40):
        step = envs.step(np.ones(2, np.int64))
        ends += len(step.episodes)
        assert all(episode.terminated and episode.lap_finished is None for episode in step.episodes)
        assert (step.env_terminated == step.terminated).all()
        assert not step.shaping.any()
    assert ends > 4


def test_restored_the_reward_of_an_episode_is_still_without_its_own_shaping(hand: list[Drawn]) -> None:
    settings = EnvSettings(id="CarRacing-v3", batch_size=1, workers=0, skip_penalty=PENALTY, idle_limit=IDLE)
    one, at = hand[0], 120  # after the penalty
    envs, again = make_vector(settings, 0), make_vector(settings, 0)
    envs.reset()
    for action in one.actions[:at]:
        envs.step(action[None])
    again.restore(envs.state())
    for action in one.actions[at:]:
        step = again.step(action[None])
    assert not step.env_terminated.any()
    assert step.episodes[0].reward == pytest.approx(sum(one.rewards))
    total, step = 0.0, again.step(np.zeros((1, 3), np.float32))
    while not step.episodes:
        total, step = total + float(step.reward[0]), again.step(np.zeros((1, 3), np.float32))
    assert step.episodes[0].reward == pytest.approx(total + float(step.reward[0]), abs=1e-3)  # of the next
