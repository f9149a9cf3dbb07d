"""CartPole's equations in NumPy, many poles at once: a simulator as somebody else would write it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from ewm_studio.envs.simulator import Episode, Simulator, Step

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
FARTHEST, STEEPEST = 2.4, 12 * 2 * np.pi / 360  # beyond them an episode is over
LONGEST = 500  # steps; then an episode is cut
HIGH = np.array([2 * FARTHEST, np.inf, 2 * STEEPEST, np.inf], np.float32)


def moved(state: np.ndarray, action: np.ndarray) -> np.ndarray:
    """States (B, 4) = [x, its change, angle, its change] one step after actions (B,): 0 pushes left, 1 right."""
    _, dx, angle, turn = state.T
    whole, moment = CART + POLE, POLE * HALF_LENGTH
    push = (np.where(action == 1, FORCE, -FORCE) + moment * turn**2 * np.sin(angle)) / whole
    inertia = HALF_LENGTH * (4 / 3 - POLE * np.cos(angle) ** 2 / whole)
    bend = (GRAVITY * np.sin(angle) - np.cos(angle) * push) / inertia
    pull = push - moment * bend * np.cos(angle) / whole
    change = np.stack([dx, pull, turn, bend], axis=1)
    return state + SECONDS * change


class CartPoles(Simulator):
    """B poles. Episode n of pole i is begun with seed + i + n * B, whatever happened before it."""

    def __init__(self, num_envs: int = 1, seed: int = 0) -> None:
        self.num_envs = num_envs
        self.observation_space = gym.spaces.Box(-HIGH, HIGH, dtype=np.float32)
        self.action_space = gym.spaces.Discrete(2)
        self._seed = seed

    def reset(self, seed: int | None = None) -> np.ndarray:
        self._seed = self._seed if seed is None else seed
        self._seeds = self._seed + np.arange(self.num_envs)
        self._length = np.zeros(self.num_envs, np.int64)
        self._state = np.stack([self._upright(i) for i in range(self.num_envs)])
        return self._obs()

    def step(self, action: Any) -> Step:
        self._state = moved(self._state, np.asarray(action))
        self._length += 1
        fell = (abs(self._state[:, 0]) > FARTHEST) | (abs(self._state[:, 2]) > STEEPEST)
        cut, final = self._length >= LONGEST, self._obs()
        over = np.flatnonzero(fell | cut).tolist()
        lengths, seeds = self._length.tolist(), self._seeds.tolist()
        episodes = [Episode(i, float(lengths[i]), lengths[i], seeds[i], bool(fell[i])) for i in over]
        for i in over:
            self._seeds[i] += self.num_envs
            self._length[i], self._state[i] = 0, self._upright(i)
        paid = np.ones(self.num_envs, np.float32)
        finals = {i: final[i] for i in over}
        return Step(self._obs(), paid, fell, cut & ~fell, np.zeros_like(paid), fell, finals, episodes)

    def state(self) -> dict[str, Any]:
        return {"state": self._state.copy(), "seeds": self._seeds.copy(), "length": self._length.copy()}

    def restore(self, state: dict[str, Any]) -> np.ndarray:
        self._state, self._seeds, self._length = (state[n].copy() for n in ("state", "seeds", "length"))
        return self._obs()

    def close(self) -> None:
        """Nothing runs it."""

    def _upright(self, i: int) -> np.ndarray:
        return np.random.default_rng(self._seeds[i]).uniform(-0.05, 0.05, 4)

    def _obs(self) -> np.ndarray:
        return self._state.astype(np.float32)
