"""Rules of training in dreams: what they add is learned beside memory, which goes on foretelling the true reward."""

import gymnasium as gym
import numpy as np
import torch

from ewm_studio.models.base import SequenceBatch
from ewm_studio.models.randomness import drawing_from, make_generator
from ewm_studio.models.registry import Part, component
from ewm_studio.models.world_model import WorldModel
from ewm_studio.training.replayed import Replayed
from ewm_studio.training.shaping import ShapedMemory

STEPS, BATCH = 6, 64


def world():
    """A memory as it comes from its first weights."""
    parts = {}
    for kind, name in (("vision", "Identity"), ("memory", "MDNRNN")):
        cls = component(kind, name)
        parts[kind] = Part(name, cls, cls.Settings(**({"hidden_dim": 16} if kind == "memory" else {})))
    with drawing_from(make_generator(0)):
        return WorldModel(parts, gym.spaces.Box(-1, 1, (4,), np.float32), gym.spaces.Discrete(2)).eval()


def lived(world, generator):
    """Random steps, and a rule that takes 2 for every action 1."""
    z = torch.randn(STEPS + 1, BATCH, 4, generator=generator)
    chosen = torch.randint(2, (STEPS, BATCH), generator=generator)
    yes, no = torch.ones(STEPS, BATCH, dtype=torch.bool), torch.zeros(STEPS, BATCH, dtype=torch.bool)
    action = world.action_encoding(chosen.flatten()).view(STEPS, BATCH, -1)
    batch = SequenceBatch(z, action, torch.zeros(STEPS, BATCH), no, no, yes, yes, yes)
    return Replayed.of(world, batch, context=0), -2.0 * chosen.float()


def dreamt_reward(world, memory, action):
    """The mean reward of an action in dreams from where training has been."""
    real, _ = lived(world, make_generator(5))
    state = {name: value[-1] for name, value in real.memory.items()}
    encoded = world.action_encoding(torch.full((BATCH,), action))
    return float(memory.imagine(real.z[-2], encoded, state, 0.0).reward.mean())


def taught(steps=300):
    own, generator = world(), make_generator(1)
    shaped = ShapedMemory(own.memory, generator)
    for _ in range(steps):
        shaped.learn(*lived(own, generator))
    return own, shaped


def test_dreams_pay_what_the_rules_add_and_memory_stays_as_it_is():
    own, shaped = taught()
    before = {name: value.clone() for name, value in world().memory.state_dict().items()}
    assert all(torch.equal(value, before[name]) for name, value in own.memory.state_dict().items())
    with torch.no_grad():
        added = [dreamt_reward(own, shaped, a) - dreamt_reward(own, own.memory, a) for a in (0, 1)]
    assert added[1] < added[0] - 0.8  # as far as h of first weights tells what was done
    assert abs(sum(added) / 2 + 1) < 0.2


def test_without_any_rule_nothing_is_added():
    own, generator = world(), make_generator(1)
    shaped = ShapedMemory(own.memory, generator)
    real, shaping = lived(own, generator)
    assert shaped.learn(real, torch.zeros_like(shaping)) == {}
    with torch.no_grad():
        assert dreamt_reward(own, shaped, 1) == dreamt_reward(own, own.memory, 1)


def test_what_was_learned_is_taken_up_again():
    own, shaped = taught(20)
    again = ShapedMemory(own.memory, make_generator(7))
    again.restore(shaped.saved())
    draws = make_generator(3), make_generator(3)
    assert shaped.learn(*lived(own, draws[0])) == again.learn(*lived(own, draws[1]))
    with torch.no_grad():
        assert dreamt_reward(own, shaped, 1) == dreamt_reward(own, again, 1)
