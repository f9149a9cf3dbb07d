"""An environment that fails in the way its action says: for the tests of worker processes."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import gymnasium as gym
import numpy as np


class Trouble(gym.Env):
    """0 is harmless, 1 raises, 2 ends the process, 3 kills it, 4 never returns."""

    action_space = gym.spaces.Discrete(5)
    observation_space = gym.spaces.Box(0, 1, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return self.np_random.random(2, dtype=np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if action == 1:
            raise ValueError("the bolt is loose")
        if action == 2:
            os._exit(7)
        if action == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        while action == 4:
            time.sleep(0.1)
        return self.np_random.random(2, dtype=np.float32), 0.0, False, False, {}


if "Trouble-v0" not in gym.registry:
    gym.register("Trouble-v0", entry_point=Trouble)
