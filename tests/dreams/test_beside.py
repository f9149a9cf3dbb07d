"""Reality beside a dream is reality: its frames are those of a real episode, to the last bit."""

import contextlib
import math

import numpy as np
import pytest

from ewm_studio.acting.agent import Agent
from ewm_studio.dreams.beside import Beside, parting
from ewm_studio.dreams.branches import Place
from ewm_studio.dreams.starts import from_replay, from_track
from ewm_studio.dreams.tree import DreamTree
from ewm_studio.envs.factory import make_env
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.probe import spaces_of
from ewm_studio.settings import EnvSettings
from ewm_studio.workspace.replays import Replay
from tests.support.cartpole_world import cartpole_world
from tests.support.dreamers import dreamer

SEED = 11


@pytest.fixture(autouse=True)
def no_window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def test_a_fork_of_carracing_shows_what_the_real_episode_shows():
    """Forked at step 500, then 200 steps under the same actions."""
    rng = np.random.default_rng(0)
    steer = 0.7 + np.repeat(rng.uniform(-0.2, 0.2, 70), 10)  # round and round, or the car would leave the field
    actions = np.stack([steer, np.full(700, 0.02), np.zeros(700)], 1).astype(np.float32)
    stock = make_env("CarRacing-v3")
    stock.reset(seed=SEED)
    real, rewards = [], []
    for action in actions:
        obs, reward, terminated, truncated, _ = stock.step(action)
        assert not terminated
        assert not truncated
        real.append(obs)
        rewards.append(reward)
    stock.close()
    agent = dreamer("CarRacing-v3")
    replay = Replay(agent.env, SEED, True, actions, np.array(rewards), 700, False)
    start = from_replay(agent, replay, 500)
    assert (start.picture == real[499]).all()
    with contextlib.closing(Beside(agent, start.moment, start.belief)) as beside:
        tree = DreamTree(agent, start, beside=beside, trust=False)
        for t in range(500, 700):
            step = tree.step(actions[t])
            assert (beside.picture == real[t]).all()
            assert step.real.reward == rewards[t]
        tree.go(Place(0, 150))
        assert (beside.picture == real[649]).all()
        tree.step(actions[650])
        assert (beside.picture == real[650]).all()


def test_a_decision_of_several_frames_shows_each(tmp_path):
    agent = dreamer(action_repeat=3)
    start = from_track(agent, 4, None, frames=3)
    with contextlib.closing(Beside(agent, start.moment, start.belief)) as beside:
        tree = DreamTree(agent, start, beside=beside)
        step = tree.step(1)
        assert step.real.reward == 3.0
        assert len(beside.pictures) == 3
        assert not (beside.pictures[0] == beside.pictures[2]).all()


def perfect():
    """CartPole's own equations as a model of CartPole."""
    env = EnvSettings(id="CartPole-v1")
    return Agent(cartpole_world(), Preprocessor(spaces_of(env).raw_observation, env), env, {})


def test_a_dream_that_cannot_be_wrong_never_parts_from_reality_and_a_wrong_one_does():
    agent = perfect()
    actions = (np.arange(20) + 1) % 2  # after the first push, to the left
    start = from_track(agent, 2, None, frames=1)
    with contextlib.closing(Beside(agent, start.moment, start.belief)) as beside:
        tree = DreamTree(agent, start, beside=beside, temperature=0.0, trust=False)
        steps = [tree.step(action) for action in actions]
        assert not any(step.ended or step.real.over for step in steps)
        drift = [step.real.drift for step in steps]
        assert max(drift) < 1e-8
        assert parting(drift) is None
        tree.rewind(10)
        tree.edit({0: 2.0})
        assert tree.step(1).real.drift > 0.5
        tree.rewind(1)
        assert parting(drift[:10] + [tree.step((k + 1) % 2).real.drift for k in range(6)]) == 11


def test_after_realitys_end_nothing_is_compared():
    agent = perfect()
    start = from_track(agent, 2, None, frames=1)
    with contextlib.closing(Beside(agent, start.moment, start.belief)) as beside:
        tree = DreamTree(agent, start, beside=beside, temperature=0.0, trust=False)
        steps = [tree.step(1) for _ in range(20)]
        over = [step.real.over for step in steps]
        assert over == sorted(over)
        assert over[-1]
        assert math.isnan(steps[-1].real.drift)
        assert steps[-1].real.reward == 0.0
        assert tree.branches[0].real == over.index(True) + 1
        ended = [step.ended for step in steps]
        assert ended.index(True) == over.index(True)


def test_parting_takes_several_steps_in_a_row():
    assert parting([0.1, 0.9, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9]) == 4
    assert parting([0.9] * 4) is None
    assert parting([0.9, 0.9, math.nan, 0.9, 0.9, 0.9]) is None
    assert parting([]) is None
