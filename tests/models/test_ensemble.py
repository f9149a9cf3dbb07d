"""Several memories as one: each dream is of one of them, and nothing is to be had where they do not agree."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from ewm_studio.envs.probe import spaces_of
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import choose_parts
from ewm_studio.models.ensemble import DISAGREEMENT, Ensemble, further_memories
from ewm_studio.models.randomness import drawing_from, make_generator
from ewm_studio.settings.dreaming import ImaginationSettings
from ewm_studio.training.imagination import ImaginedActorCritic, dream
from tests.support.jobs import experiment
from tests.support.known_worlds import FIELDS, Corridor, believed, best_in_corridor, corridor, known_world
from tests.training.test_imagination import FAST, GAMMA, anywhere, controller_for

MIRAGE = 5.0  # what the memory that is wrong believes to be paid on the second field


def agent_model(memory):
    """An agent for CartPole whose memory knows nothing yet."""
    asked = experiment(memory={"name": memory, "hidden_dim": 8})
    spaces = spaces_of(asked.env)
    with drawing_from(make_generator(0)):
        parts = choose_parts(asked, spaces.observation, spaces.action)
        return AgentModel(parts, spaces.observation, spaces.action).eval()


class Wrong(Corridor):
    """A corridor in which something shines that is not there."""

    def known(self, z, action):
        following, reward, end = super().known(z, action)
        return following, torch.where(following.argmax(-1) == 1, MIRAGE, reward), end


class Mirrored(Corridor):
    """A corridor in which left is right."""

    def known(self, z, action):
        return super().known(z, action.flip(-1))


def memory_of(cls):
    return known_world(cls, gym.spaces.Box(0, 1, (FIELDS,), np.float32), gym.spaces.Discrete(2)).memory


def doubted(pessimism, *others):
    """The corridor, dreamt by its own memory and `others`."""
    world = corridor()
    ensemble = Ensemble([world.memory, *(memory_of(cls) for cls in others)], pessimism)
    return world.with_memory(ensemble), ensemble


def learned(pessimism):
    """What a controller that learned in dreams of a right and a wrong memory does in every field but the last."""
    world, ensemble = doubted(pessimism, Wrong)
    g = make_generator(7)
    learner = ImaginedActorCritic(world, controller_for(world), ImaginationSettings(**FAST), make_generator(1))
    for update in range(300):
        figures = learner.update(ensemble.chosen(anywhere(world, 64, g), g), left=1 - update / 300)
    places = believed(world, torch.eye(FIELDS)[:-1])
    with torch.no_grad():
        return learner.controller.distribution(places.z, places.h).mode().squeeze(-1).tolist(), figures


def test_a_dream_is_cheated_by_one_wrong_memory_unless_it_is_doubted():
    _, best = best_in_corridor(GAMMA)
    believing, figures = learned(0.0)
    doubting, _ = learned(1.0)
    assert doubting == best.tolist()[:5]
    assert believing != doubting
    assert believing[2:] == [0, 0, 0]  # everything walks towards what shines
    assert figures["dream/disagreement"] > 0.1


@pytest.mark.parametrize("pessimism", [0.0, 1.0, 2.0])
def test_the_reward_is_the_mean_less_so_many_deviations(pessimism):
    world, ensemble = doubted(pessimism, Wrong)
    starts = ensemble.chosen(believed(world, torch.eye(FIELDS)[[0, 3]]), make_generator(0))
    following, reward, _ = world.imagine(starts, torch.tensor([1, 1]))
    apart = (MIRAGE + 0.1) / 2  # of -0.1 and the mirage, where the first walks; nothing, where the second does
    assert following.memory[DISAGREEMENT].tolist() == pytest.approx([apart, 0.0])
    assert reward.tolist() == pytest.approx([(MIRAGE - 0.1) / 2 - pessimism * apart, -0.1])


def test_every_dream_is_of_one_memory_and_all_go_along_with_it():
    world, ensemble = doubted(0.0, Mirrored)
    generator = make_generator(2)
    starts = ensemble.chosen(believed(world, torch.eye(FIELDS)[[2] * 40]), generator)
    own = starts.memory["own"]
    assert 0 < own.sum() < 40
    right = torch.ones(40, dtype=torch.int64)
    belief = starts
    for step in (1, 2):
        belief, _, end = world.imagine(belief, right, 1.0, generator)
        assert belief.z.argmax(-1).tolist() == [2 - step if mirrored else 2 + step for mirrored in own]
        assert torch.equal(belief.memory["own"], own)
        for number in (0, 1):
            assert (belief.memory[f"{number}.steps"] == step).all()
    assert end.tolist() == [0.25 if mirrored else 0.0 for mirrored in own]  # the left end is over half of the time


def test_of_one_memory_it_is_that_memory():
    """Bit for bit, in every way that a memory is used, and with real weights."""
    model = agent_model("MDNRNN")
    one = model.with_memory(Ensemble([model.memory]))
    obs = torch.rand(5, 4, generator=make_generator(0))
    action = torch.randint(2, (5,), generator=make_generator(1))
    for _ in range(3):
        plain, joined = (
            dream(world, model.controller, world.begin(obs), 6, 1.0, make_generator(3)) for world in (model, one)
        )
        for name in ("z", "h", "raw", "reward", "end"):
            assert torch.equal(getattr(plain, name), getattr(joined, name))
    assert (joined.disagreement == 0).all()
    assert torch.equal(model.advance(model.begin(obs), action)[0], one.advance(one.begin(obs), action)[0])


def test_steps_and_sequences_of_all_are_the_same():
    model = agent_model("LSTMMemory")
    joined = Ensemble([model.memory, *further_memories(model, 2, make_generator(5))])
    g = make_generator(0)
    z, action = torch.randn(4, 3, 4, generator=g), torch.randn(4, 3, 2, generator=g)
    first = torch.zeros(4, 3, dtype=torch.bool)
    first[2, 1] = True
    whole, last = joined.sequence(z, action, first, joined.initial_state(3))
    state = joined.initial_state(3)
    for t in range(4):
        h, state = joined.step(z[t], action[t], joined.reset(state, first[t]))
        torch.testing.assert_close(h, whole[t])
    assert state.keys() == last.keys()
    for name in state:
        torch.testing.assert_close(state[name], last[name])


def test_the_model_keeps_its_own_memory_and_others_begin_elsewhere():
    model = agent_model("MDNRNN")
    before = torch.get_rng_state()
    others = further_memories(model, 2, make_generator(5))
    assert torch.equal(torch.get_rng_state(), before)
    memory = model.memory
    world = model.with_memory(Ensemble([memory, *others]))
    assert model.memory is memory
    assert world.vision is model.vision
    weights = [each.residual_head.weight for each in (memory, *others)]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
    again = further_memories(model, 2, make_generator(5))
    assert torch.equal(again[1].residual_head.weight, weights[2])
    assert further_memories(model, 0) == []
