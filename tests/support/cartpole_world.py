"""CartPole's own equations in the place of a memory: a dream that cannot be wrong."""

import gymnasium as gym
import numpy as np
import torch

from tests.support.cartpole import CART, FARTHEST, FORCE, GRAVITY, HALF_LENGTH, HIGH, POLE, SECONDS, STEEPEST
from tests.support.known_worlds import KnownMemory, believed, known_world


class CartPoleItself(KnownMemory):
    """z = [x, its change, angle, its change]; action 0 pushes left, 1 right; a fallen pole ends for certain."""

    def known(self, z, action):
        _, dx, angle, turn = z.unbind(-1)
        whole, moment = CART + POLE, POLE * HALF_LENGTH
        push = ((2 * action[:, 1] - 1) * FORCE + moment * turn.square() * angle.sin()) / whole
        inertia = HALF_LENGTH * (4 / 3 - POLE * angle.cos().square() / whole)
        bend = (GRAVITY * angle.sin() - angle.cos() * push) / inertia
        pull = push - moment * bend * angle.cos() / whole
        following = z + SECONDS * torch.stack([dx, pull, turn, bend], -1)
        fell = (following[:, 0].abs() > FARTHEST) | (following[:, 2].abs() > STEEPEST)
        return following, torch.ones(len(z)), fell.float()


def cartpole_world():
    return known_world(CartPoleItself, gym.spaces.Box(-HIGH, HIGH, dtype=np.float32), gym.spaces.Discrete(2))


def upright(world, count, generator):
    """Where episodes begin."""
    return believed(world, 0.1 * torch.rand(count, 4, generator=generator) - 0.05)
