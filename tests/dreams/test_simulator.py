"""A dream is a simulator: PPO, evaluation, recording and traces run in it unchanged."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch

from ewm_studio.acting.agent import Agent
from ewm_studio.acting.collector import LocalCollector
from ewm_studio.acting.episode import play_episodes
from ewm_studio.acting.play import play_one
from ewm_studio.acting.policy import ControllerPolicy
from ewm_studio.analysis.trace import trace
from ewm_studio.data.recordings import Recording, RecordingWriter
from ewm_studio.dreams.simulator import DreamSimulator
from ewm_studio.driving.drive import Drive
from ewm_studio.envs.factory import make_env
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.spaces import space_to_json
from ewm_studio.errors import JobError, UserError
from ewm_studio.events import EpisodeFinished, Finished, JobControl
from ewm_studio.jobs.record_job import EpisodeRecorder, record_in
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import choose_parts
from ewm_studio.models.belief import Belief
from ewm_studio.models.randomness import drawing_from, make_generator
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import PPOSettings
from ewm_studio.training.ppo import PPO
from tests.support.jobs import experiment

PICTURES = gym.spaces.Box(0, 255, (3, 16, 16), np.uint8)
NUMBERS = gym.spaces.Box(-5, 5, (4,), np.float32)


def agent_model(observations=NUMBERS, actions=None, **parts):
    choices = {"memory": {"name": "MDNRNN", "hidden_dim": 8, "mixtures": 2}, **parts}
    if observations is PICTURES:
        choices.setdefault("vision", {"name": "ConvVAE", "latent_dim": 4, "channels": 2})
    asked = experiment(**choices)
    space = actions or gym.spaces.Discrete(2)
    with drawing_from(make_generator(3)):
        return AgentModel(choose_parts(asked, observations, space), observations, space).eval()


def observed(model, count=1, seed=0):
    rng = np.random.default_rng(seed)
    shape = (count, *model.observation_space.shape)
    if model.observation_space is PICTURES:
        return torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))
    return torch.from_numpy(rng.normal(size=shape).astype(np.float32))


def dream(model, count=1, starts=1, **options):
    with torch.inference_mode():
        begun = model.begin(observed(model, starts))
    return DreamSimulator(model, begun, count, **options)


@pytest.fixture
def numbers():
    return agent_model()


@pytest.fixture
def pictures():
    return agent_model(PICTURES)


def beliefs(simulator, actions, seed=0):
    found = [simulator.reset(seed)]
    found += [simulator.step(action).obs for action in actions]
    return torch.stack([belief.z for belief in found])


def test_the_same_seed_and_actions_dream_the_same_and_other_ones_another(numbers):
    actions = torch.arange(12).view(6, 2) % 2
    simulator = dream(numbers, count=2, starts=5)
    one = beliefs(simulator, actions)
    assert torch.equal(one, beliefs(simulator, actions))
    assert not torch.equal(one, beliefs(simulator, actions, seed=1))
    assert not torch.equal(one[1:], beliefs(simulator, 1 - actions)[1:])


def test_a_fork_goes_on_as_the_dream_itself(numbers):
    simulator, fork = dream(numbers, 2, starts=4, horizon=7), dream(numbers, 2, starts=4, horizon=7)
    simulator.reset(5)
    for t in range(5):
        simulator.step(torch.tensor([t % 2, 1]))
    belief = fork.restore(simulator.state())
    assert torch.equal(belief.z, simulator.belief.z)
    for t in range(9):  # over the ends of several dreams
        one, other = (each.step(torch.tensor([1, t % 2])) for each in (simulator, fork))
        assert torch.equal(one.obs.z, other.obs.z)
        assert (one.reward == other.reward).all()
        assert [dataclasses.astuple(e) for e in one.episodes] == [dataclasses.astuple(e) for e in other.episodes]
    with pytest.raises(JobError, match="2 dreams, these are 3"):
        dream(numbers, 3).restore(simulator.state())


def test_a_dream_is_what_memory_imagines(numbers):
    simulator, action = dream(numbers, horizon=50), torch.tensor([1])
    start = simulator.reset(9)
    generator = make_generator(9)
    with torch.inference_mode():
        expected, reward, _ = numbers.imagine(start, action, 1.0, generator)
    step = simulator.step(action)
    assert torch.equal(step.obs.z, expected.z)
    assert torch.equal(step.obs.h, expected.h)
    assert step.reward[0] == reward[0].item()
    assert not step.shaping.any()


def test_a_horizon_cuts_and_an_expected_end_ends(numbers):
    with torch.no_grad():
        numbers.memory.end_head[-1].bias.fill_(-50)
    simulator = dream(numbers, 3, starts=4, horizon=4, action_repeat=2)
    simulator.reset()
    for t in range(1, 13):
        step = simulator.step(torch.zeros(3, dtype=torch.int64))
        assert (step.truncated == (t % 4 == 0)).all()
        assert not step.terminated.any()
        assert [episode.length for episode in step.episodes] == [8] * (3 * (t % 4 == 0))
        assert sorted(step.final_obs) == [0, 1, 2] * (t % 4 == 0)
    with torch.no_grad():
        numbers.memory.end_head[-1].bias.fill_(50)
    step = simulator.step(torch.zeros(3, dtype=torch.int64))
    assert step.terminated.all()
    assert step.env_terminated.all()
    assert not step.truncated.any()
    assert all(not torch.equal(step.final_obs[i].z[0], step.obs.z[i]) for i in range(3))  # another has begun
    assert torch.equal(step.obs.h, torch.zeros_like(step.obs.h))


def test_dreams_begin_at_beliefs_that_were_given(numbers):
    simulator = dream(numbers, 64, starts=3)
    begun = simulator.reset()
    given = numbers.begin(observed(numbers, 3)).z
    place = (begun.z[:, None] == given[None]).all(-1)
    assert place.any(1).all()
    assert place.any(0).all()


def test_pictures_are_what_vision_decodes(pictures, numbers):
    simulator = dream(pictures)
    belief = simulator.reset()
    assert simulator.render().shape == (16, 16, 3)
    seen = pictures.decode(belief)[0].permute(1, 2, 0)
    assert np.abs(simulator.raw() / 255 - seen.detach().numpy()).max() < 0.003
    with pytest.raises(UserError, match="draws no pictures"):
        dream(numbers).render()


def test_without_a_memory_that_predicts_there_is_nothing_to_dream():
    with pytest.raises(UserError, match="NoMemory predicts nothing"):
        dream(agent_model(memory={"name": "NoMemory"}))


def test_ppo_learns_in_a_dream_what_the_dream_pays_for(numbers):
    """In this dream action 1 pays and nothing else matters; the same PPO and collector as in the environment."""

    class Paid(WorldModel):
        def imagine(self, belief, action, temperature=1.0, generator=None):
            following, _, _ = super().imagine(belief, action, temperature, generator)
            return following, action.float(), torch.zeros(len(action))

    with drawing_from(make_generator(0)):
        world = Paid(numbers.parts, NUMBERS, numbers.action_space).eval()
    simulator = DreamSimulator(world, world.begin(observed(world, 8)), 16, horizon=15)
    settings = PPOSettings(rollout_steps=32, epochs=10, batch_size=64, lr=3e-3, gamma=0.2)
    learner = PPO(numbers.controller, settings, 16, make_generator(1))
    collector = LocalCollector(simulator, numbers, generator=make_generator(1))
    shares = []
    for _ in range(12):
        figures = learner.update(collector, 1.0)
        shares.append(learner.rollout.buffer.action.float().mean().item())
        assert figures["ppo/first_ratio_error"] < 1e-5
        assert learner.rollout.next_obs is None
    assert shares[0] < 0.65
    assert shares[-1] > 0.9
    assert all(e.reward <= 15 for _, e in learner.rollout.episodes)


def test_a_rollout_goes_on_where_it_was_saved(numbers):
    def collector():
        simulator = dream(numbers, 4, starts=3, horizon=6)
        return LocalCollector(simulator, numbers, generator=make_generator(7))

    one, other = collector(), collector()
    one.collect(5)
    other.restore(one.state())
    other.generator.set_state(one.generator.get_state())
    first, second = one.collect(9).buffer, other.collect(9).buffer
    for name in ("z", "h", "action", "reward", "final_value", "value"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    assert first.truncated.any()
    assert (first.final_value[first.truncated & ~first.terminated] != 0).all()


def test_an_episode_is_played_and_traced_in_a_dream(pictures):
    settings = experiment(env={"id": "CarRacing-v3", "image_size": 16}).env
    simulator = dream(pictures, horizon=12)
    played = play_one(pictures, simulator, settings, seed=4, greedy=False)
    again = play_one(pictures, simulator, settings, seed=4, greedy=False)
    assert played.score == again.score
    assert played.score.reward == pytest.approx(played.replay.reward.sum())
    agent = Agent(pictures, Preprocessor(gym.spaces.Box(0, 255, (96, 96, 3), np.uint8), settings), settings, {})
    seen = trace(agent, played.replay, simulator=simulator)
    decisions = len(played.replay.action)
    assert seen.frames.shape == (decisions + 1, 16, 16, 3)
    assert seen.seen.shape == seen.reconstruction.shape == (decisions + 1, 16, 16, 3)
    assert np.abs(seen.seen.astype(int) - seen.reconstruction).max() <= 1  # vision draws what it believes
    assert np.allclose(seen.reward, played.replay.reward)
    with torch.inference_mode():
        assert torch.equal(torch.from_numpy(seen.z[:1]), simulator.reset(4).z)
    with pytest.raises(UserError, match="does not repeat itself"):
        trace(agent, dataclasses.replace(played.replay, seed=5), simulator=simulator)


def test_a_dream_is_recorded_frame_by_frame(pictures, tmp_path):
    simulator = dream(pictures, starts=2, horizon=8)
    raw = gym.spaces.Box(0, 255, (16, 16, 3), np.uint8)
    meta = {"env": "Dream-v0", "pixels": False, "source": "dream", "seed": 0, "action_repeat": 1}
    meta |= {"observation_space": space_to_json(raw), "action_space": space_to_json(pictures.action_space)}
    recorder = EpisodeRecorder(RecordingWriter(tmp_path / "dreamt", meta), goal=20)
    policy = ControllerPolicy(pictures.controller)
    events = list(record_in(simulator, policy, pictures, recorder, make_generator(2), JobControl()))
    assert isinstance(events[-1], Finished)
    assert events[-1].result["frames"] == 20
    episodes = Recording(tmp_path / "dreamt").episodes
    assert sum(episode.length for episode in episodes) == 20
    assert max(episode.length for episode in episodes) <= 8
    assert len([e for e in events if isinstance(e, EpisodeFinished)]) == len(episodes) >= 3


def test_listeners_hear_of_every_step(numbers):
    simulator = dream(numbers, 2, horizon=3)
    steps = list(play_episodes(simulator, ControllerPolicy(numbers.controller), numbers, episodes=4))
    assert sum(len(step.episodes) for step in steps) >= 4
    assert all(isinstance(step.obs, Belief) for step in steps)


def test_a_person_drives_in_a_dream(tmp_path):
    settings = experiment(env={"id": "CarRacing-v3", "image_size": 16, "action_repeat": 4})
    with make_env("CarRacing-v3") as env:
        model = agent_model(PICTURES, env.action_space)
    with torch.no_grad():
        model.memory.end_head[-1].bias.fill_(-50)
    told = []
    drive = Drive(settings, dream=dream(model, horizon=30, episodes=1))
    drive.tell(told.append)
    drive.record(tmp_path / "dreamt")
    turned = {}
    for key in ("left", "right"):
        drive.begin(another=not turned)
        drive.controls.press(key)
        while not drive.over:
            assert drive.step()
        drive.controls.release(key)
        turned[key] = drive.picture()
        drive.keep()
    assert drive.period == pytest.approx(4 / 50)
    assert turned["left"].shape == (16, 16, 3)
    assert not np.array_equal(turned["left"], turned["right"])  # the same seed: only the wheel was another
    assert len(told) == 60
    assert told[0].obs.shape == (3, 16, 16)
    assert np.array_equal(told[0].obs, told[30].obs)
    assert told[29].reward is not None
    drive.close()
    recording = Recording(tmp_path / "dreamt")
    assert [episode.length for episode in recording.episodes] == [30, 30]
    assert (recording.meta["source"], recording.meta["action_repeat"]) == ("dream", 4)
