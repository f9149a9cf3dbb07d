"""World models whose memory is written by hand: worlds that are known, to try learners and planners on."""

import gymnasium as gym
import numpy as np
import torch

from ewm_studio.models.base import Imagined, MemoryModel, Tag
from ewm_studio.models.belief import Belief
from ewm_studio.models.registry import Part, component
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import ComponentSettings


class KnownMemory(MemoryModel[ComponentSettings]):
    """A memory that keeps nothing: what follows is known from the latent alone, by `known`."""

    tags = frozenset({Tag.PREDICTS})
    hidden_dim = 1

    def known(self, z, action):
        """The next latents (B, Z), the rewards (B,) and the chances (B,) of an end after encoded actions (B, A)."""
        raise NotImplementedError

    def initial_state(self, batch):
        return {"steps": torch.zeros(batch, 1)}

    def step(self, z, action, state, generator=None):
        return torch.zeros(len(z), 1), {"steps": state["steps"] + 1}

    def sequence(self, z, action, is_first, state, generator=None):
        return torch.zeros(*z.shape[:2], 1), {"steps": state["steps"] + len(z)}

    def imagine(self, z, action, state, temperature=1.0, generator=None):
        following, reward, end = self.known(z, action)
        return Imagined(following, torch.zeros(len(z), 1), {"steps": state["steps"] + 1}, reward, end)

    def loss(self, batch, state, generator=None):
        return {}


def known_world(memory, observations, actions):
    """A world model around a class of `KnownMemory`."""
    vision = component("vision", "Identity")
    parts = {
        "vision": Part("vision", vision, vision.Settings()),
        "memory": Part("memory", memory, ComponentSettings()),
    }
    return WorldModel(parts, observations, actions).eval()


def believed(world, z):
    """The belief at latents (B, Z)."""
    return Belief(z, world.memory.initial_hidden(len(z)), world.memory.initial_state(len(z)))


FIELDS = 6


class Corridor(KnownMemory):
    """Six fields in a row, as one-hot latents: 0 walks left, 1 right.

    Every step earns -0.1; the right end earns 1 and is over, the left one earns 0.5 and is over half of the time.
    """

    def known(self, z, action):
        place, right = z.argmax(-1), action.argmax(-1)
        place = (place + 2 * right - 1).clamp(0, FIELDS - 1)
        reward = torch.full(place.shape, -0.1)
        reward[place == 0] = 0.5
        reward[place == FIELDS - 1] = 1.0
        end = (place == FIELDS - 1).float() + 0.5 * (place == 0).float()
        return torch.nn.functional.one_hot(place, FIELDS).float(), reward, end


def corridor(pay=1.0):
    """The corridor with its rewards times `pay`."""

    class Paid(Corridor):
        def known(self, z, action):
            following, reward, end = super().known(z, action)
            return following, pay * reward, end

    return known_world(Paid, gym.spaces.Box(0, 1, (FIELDS,), np.float32), gym.spaces.Discrete(2))


def best_in_corridor(gamma):
    """The value (6,) of every field and the best action (6,) there, by value iteration."""
    z = torch.eye(FIELDS)
    outcomes = [Corridor.known(None, z, torch.eye(2)[[a] * FIELDS]) for a in (0, 1)]
    value = torch.zeros(FIELDS)
    for _ in range(500):
        q = torch.stack([reward + gamma * (1 - end) * (following @ value) for following, reward, end in outcomes])
        value = q.amax(0)
    return value, q.argmax(0)


class Line(KnownMemory):
    """A point on a line that the action moves; the nearer to 0, the better."""

    def known(self, z, action):
        following = z + 0.5 * action
        return following, -following.abs().squeeze(-1), torch.zeros(len(z))


def line():
    return known_world(Line, gym.spaces.Box(-2, 2, (1,)), gym.spaces.Box(-1, 1, (1,)))
