"""What other packages bring, each used: a memory, a kind of job, a simulator. A page is in `ui/window`."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import CartPoleEnv

from ewm_studio import cli
from ewm_studio.acting.agent import load_agent
from ewm_studio.acting.collector import LocalCollector
from ewm_studio.acting.episode import Listener, play_episodes
from ewm_studio.acting.play import play_one
from ewm_studio.acting.policy import ControllerPolicy
from ewm_studio.dreams.simulator import DreamSimulator
from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.envs.single import SingleEnv
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.events import Finished, JobControl, Metrics
from ewm_studio.jobs.runners.process import JobProcesses, ProcessRunner
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import choose_parts
from ewm_studio.models.randomness import drawing_from, make_generator
from ewm_studio.settings import PPOSettings
from ewm_studio.training.ppo import PPO
from tests.support.cartpole import LONGEST, CartPoles, moved
from tests.support.installed import installed
from tests.support.jobs import experiment

FADING = '''
"""A memory of another package: what was seen and done, fading."""

import torch
from torch import nn

from ewm_studio.models.prediction import PredictiveMemory
from ewm_studio.models.predictive_settings import PredictiveSettings
from ewm_studio.models.residuals import PointPrediction
from ewm_studio.settings import setting


class FadingSettings(PredictiveSettings):
    keep: float = setting(0.5, "Share of a feature that is left after a step.", ge=0, lt=1)


class Fading(PredictiveMemory[FadingSettings]):
    Settings = FadingSettings
    summary = "Features that fade."

    def __init__(self, settings, latent_dim, action_dim):
        super().__init__(settings, latent_dim, action_dim, latent_dim)
        self.take_in = nn.Linear(2 * latent_dim + action_dim, settings.hidden_dim)

    def initial_state(self, batch):
        widths = {"features": self.features, "previous": self.latent_dim, "seen": 1}
        return {name: torch.zeros(batch, width, device=self.device) for name, width in widths.items()}

    def step(self, z, action, state, generator=None):
        latent, inputs = self.observe(z, action, state["previous"], state["seen"])
        features = self.settings.keep * state["features"] + torch.tanh(self.take_in(inputs))
        return torch.cat([features, latent], -1), {"features": features, "previous": z, "seen": z.new_ones(len(z), 1)}

    def sequence(self, z, action, is_first, state, generator=None):
        found = []
        for t in range(len(z)):
            h, state = self.step(z[t], action[t], self.reset(state, is_first[t]))
            found.append(h)
        return torch.stack(found), state

    def residual(self, out, reward, end_logit, base, scale):
        return PointPrediction(reward, end_logit, base, scale, out)
'''
WEIGH = '''
"""A job of another package."""

from ewm_studio.events import Finished, Message
from ewm_studio.jobs.kinds import JobKind


def weigh(experiment, workspace, control):
    """Count the parameters of an agent."""
    from ewm_studio.envs.probe import spaces_of
    from ewm_studio.models.agent_model import AgentModel
    from ewm_studio.models.assembly import choose_parts

    spaces = spaces_of(experiment.env)
    parts = choose_parts(experiment, spaces.observation, spaces.action)
    model = AgentModel(parts, spaces.observation, spaces.action)
    yield Message(model.summary())
    yield Finished("done", {kind: sum(p.numel() for p in model.component(kind).parameters()) for kind in parts})


KIND = JobKind("weigh", "Weigh", "elsewhere.weigh:weigh", "Count an agent's parameters.")
'''
FILES = {"elsewhere/__init__.py": "", "elsewhere/fading.py": FADING, "elsewhere/weigh.py": WEIGH}
ENTRIES = """[ewm_studio.components]
Fading = elsewhere.fading:Fading
[ewm_studio.jobs]
weigh = elsewhere.weigh:KIND
"""
MEMORY = {"name": "Fading", "hidden_dim": 16, "keep": 0.25, "lr": 0.01}


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory):
    """A package that is installed while these tests run."""
    site = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch, installed(site, patch, "elsewhere", FILES, ENTRIES):
        yield


@contextmanager
def started(spec):
    """A job in a process of its own, as the window starts it."""
    processes = JobProcesses()
    try:
        yield [event for batch in ProcessRunner(spec, processes).events() for _, event in batch]
    finally:
        processes.end()


def spec(tmp_path, kind, **sections):
    return JobSpec(kind, str(tmp_path / "ws"), experiment(memory=MEMORY, **sections).model_dump(mode="json"))


# A memory


class Heard(Listener):
    """Keeps what was believed and done."""

    def __init__(self):
        self.beliefs, self.actions = [], []

    def step(self, belief, action, step):
        self.beliefs.append(belief)
        self.actions.append(action)


def test_a_memory_of_another_package_trains_and_predicts(tmp_path):
    events = list(spec(tmp_path, "train", ppo={"rollout_steps": 64}, train={"epochs": 25}).events(JobControl()))
    losses = [e.values["memory/prediction"] for e in events if isinstance(e, Metrics)]
    assert losses[-1] < losses[0]
    agent = load_agent(events[-1].result["checkpoint"])
    heard, model = Heard(), agent.model
    env = SingleEnv(make_prepared_env(agent.env), agent.env, seeds=50, episodes=3)
    policy = ControllerPolicy(model.controller)
    for _ in play_episodes(env, policy, model, [heard], episodes=3, generator=make_generator(0)):
        pass
    with torch.inference_mode():
        expected = [model.imagine(b, a, temperature=0)[0].z for b, a in zip(heard.beliefs, heard.actions, strict=True)]
    within = [t for t, belief in enumerate(heard.beliefs) if t > 0 and belief.h.any()]  # no first one of an episode
    z = torch.cat([belief.z for belief in heard.beliefs])
    wrong = torch.cat([expected[t - 1] - z[t] for t in within])
    stood_still = torch.stack([z[t - 1] - z[t] for t in within])
    assert len(within) > 30
    assert wrong.square().mean() < 0.3 * stood_still.square().mean()


def test_a_memory_of_another_package_is_dreamt_in():
    model = fresh_agent(CartPoles(), memory=MEMORY)
    dream = DreamSimulator(model, model.begin(torch.zeros(1, 4)), 3, horizon=5)
    played = list(play_episodes(dream, ControllerPolicy(model.controller), model, episodes=3))
    assert played[-1].obs.z.shape == (3, 4)


# A kind of job


def test_a_job_of_another_package_runs_as_any_other(tmp_path, monkeypatch, capsys):
    with started(spec(tmp_path, "weigh")) as events:
        said, done = events
    assert said.text == "Identity + Fading + DeepDiscreteController"
    heads = 20 * 4 + 4 + 2 * (20 + 1)
    assert done.result["memory"] == (2 * 4 + 2) * 16 + 16 + heads

    monkeypatch.setenv("EWM_WORKSPACE", str(tmp_path / "ws"))
    words = [f"memory.{name}={value}" for name, value in MEMORY.items()]
    assert cli.main(["weigh", "--json", *(w for word in words for w in ("--set", word))]) == 0
    assert json.loads(capsys.readouterr().out) == done.result


def test_a_memory_and_a_job_of_another_package_meet_in_a_process_of_their_own(tmp_path):
    with started(spec(tmp_path, "train", train={"epochs": 1})) as events:
        assert isinstance(events[-1], Finished)
        assert load_agent(events[-1].result["checkpoint"]).model.memory.settings.keep == 0.25


# A simulator


def fresh_agent(simulator, seed=0, **parts):
    with drawing_from(make_generator(seed)):
        chosen = choose_parts(experiment(**parts), simulator.observation_space, simulator.action_space)
        return AgentModel(chosen, simulator.observation_space, simulator.action_space).eval()


def test_the_simulator_is_cartpole():
    rng, env = np.random.default_rng(0), CartPoleEnv()
    env.reset()
    for state in rng.normal(scale=(0.5, 1, 0.08, 1), size=(50, 4)):
        env.state, env.steps_beyond_terminated, action = state, None, int(rng.integers(2))
        env.step(action)
        assert np.allclose(moved(state[None], np.array([action]))[0], env.state, rtol=1e-12)


def test_episodes_are_played_and_kept_in_a_simulator_of_another_package():
    simulator, settings = CartPoles(), experiment().env
    model = fresh_agent(simulator, memory=MEMORY)
    one, again, other = (play_one(model, simulator, settings, seed, greedy=False) for seed in (7, 7, 8))
    assert one.score == again.score
    assert np.array_equal(one.replay.action, again.replay.action)
    assert not np.array_equal(one.replay.action[:9], other.replay.action[:9])
    assert one.score.seed == 7
    assert one.score.reward == one.score.steps == len(one.replay.action)

    many, heard = CartPoles(5), Heard()
    steps = list(play_episodes(many, ControllerPolicy(model.controller), model, [heard], episodes=12, seed=7))
    ended = [episode for step in steps for episode in step.episodes]
    assert len(ended) >= 12
    assert all(episode.terminated or episode.length == LONGEST for episode in ended)
    assert len({episode.seed for episode in ended}) == len(ended)
    assert all(not belief.h[i].any() for belief, i in first_beliefs(heard, steps))


def first_beliefs(heard, steps):
    """What was believed after each end, and where."""
    for step, belief in zip(steps, heard.beliefs[1:], strict=False):
        yield from ((belief, episode.env) for episode in step.episodes)


def test_a_rollout_in_a_simulator_of_another_package_goes_on_where_it_was_saved():
    model = fresh_agent(CartPoles(), memory=MEMORY)
    one, other = (LocalCollector(CartPoles(4, 3), model, generator=make_generator(1)) for _ in range(2))
    one.collect(40)
    other.restore(one.state())
    other.generator.set_state(one.generator.get_state())
    first, second = one.collect(30).buffer, other.collect(30).buffer
    assert first.terminated.any()
    for name in ("z", "h", "action", "value", "is_first"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name


STEPS = 16_000  # of all environments together; each of the six runs came above 200, and with 12,000 above 175


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("place", ["environment", "simulator"])
def test_the_same_ppo_learns_cartpole_in_the_environment_and_in_a_simulator(place, seed):
    env = experiment(env={"batch_size": 8}).env
    simulator = make_vector(env, seed) if place == "environment" else CartPoles(8, seed)
    model, settings, rewards = fresh_agent(simulator, seed), PPOSettings(), []
    learner = PPO(model.controller, settings, simulator.num_envs, make_generator(seed))
    collector = LocalCollector(simulator, model, generator=make_generator(seed))
    updates = STEPS // (settings.rollout_steps * simulator.num_envs)
    for update in range(updates):
        learner.update(collector, 1 - update / updates)
        rewards += [episode.reward for _, episode in learner.rollout.episodes]
    simulator.close()
    assert np.mean(rewards[:20]) < 50
    assert np.mean(rewards[-20:]) > 150
