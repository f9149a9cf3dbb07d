"""Two tasks that only a memory solves: what was shown once decides, many steps later, what is right."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np


class Recall(gym.Env):
    """A cue is shown at the first step and never again; `delay` steps later it is asked for.

    Observation: float32 (cues + 1,), the cue as one-hot at step 0, zeros after it, and a last entry that is 1 when
    the cue is asked for. Action: Discrete(cues); it counts at that step only. Reward: 1 for the cue, else 0; then the
    episode ends. Without a memory the mean is 1 / cues.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(self, delay: int = 10, cues: int = 2, render_mode: str | None = None) -> None:
        """Ask after so many steps.

        Args:
            delay: steps from the cue to the question, at least 1.
            cues: how many there are, at least 2.
            render_mode: none but None.
        """
        _check("Recall", delay=(delay, 1), cues=(cues, 2))
        self.delay, self.cues, self.render_mode = delay, cues, render_mode
        self.observation_space = gym.spaces.Box(0, 1, (cues + 1,), np.float32)
        self.action_space = gym.spaces.Discrete(cues)
        self._cue = self._step = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw a cue and show it."""
        super().reset(seed=seed)
        self._cue, self._step = int(self.np_random.integers(self.cues)), 0
        return self._shown(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Wait, or answer."""
        asked = self._step == self.delay
        reward = float(asked and int(action) == self._cue)
        self._step += 1
        return self._shown(), reward, asked, False, {}

    def _shown(self) -> np.ndarray:
        seen = np.zeros(self.cues + 1, np.float32)
        if self._step == 0:
            seen[self._cue] = 1
        seen[-1] = self._step == self.delay
        return seen


class TMaze(gym.Env):
    """A corridor whose start shows which way is right at its far end (Bakker 2001, "Reinforcement Learning with LSTM").

    Observation: float32 (3,), as in the paper: (0, 1, 1) or (1, 1, 0) at the start, for north or south; (1, 0, 1) in
    the corridor; (0, 1, 0) at the junction. Actions: north, east, south, west. Reward: at the junction 4 for the right
    way and -0.1 for the wrong one, after which the episode ends; elsewhere 0 for a step east, and -0.1 for any other.
    The best is 4.0; without a memory it is 1.95 in the mean. An episode is cut after four times the steps needed.
    """

    metadata = {"render_modes": []}  # noqa: RUF012
    NORTH, EAST, SOUTH, WEST = range(4)

    def __init__(self, length: int = 10, render_mode: str | None = None) -> None:
        """Build the corridor.

        Args:
            length: steps east from the start to the junction, at least 1.
            render_mode: none but None.
        """
        _check("TMaze", length=(length, 1))
        self.length, self.render_mode = length, render_mode
        self.observation_space = gym.spaces.Box(0, 1, (3,), np.float32)
        self.action_space = gym.spaces.Discrete(4)
        self._north = False
        self._place = self._step = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw the right way, and go to the start."""
        super().reset(seed=seed)
        self._north, self._place, self._step = bool(self.np_random.integers(2)), 0, 0
        return self._shown(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Go a step, or turn at the junction; walls hold."""
        action = int(action)
        self._step += 1
        over = self._step >= 4 * (self.length + 1)
        if self._place == self.length and action in (self.NORTH, self.SOUTH):
            right = (action == self.NORTH) == self._north
            return self._shown(), 4.0 if right else -0.1, True, False, {}
        east = action == self.EAST and self._place < self.length
        self._place += int(east) - int(action == self.WEST and self._place > 0)
        return self._shown(), 0.0 if east else -0.1, False, over, {}

    def _shown(self) -> np.ndarray:
        if self._place == self.length:
            seen = (0, 1, 0)
        elif self._place == 0:
            seen = (0, 1, 1) if self._north else (1, 1, 0)
        else:
            seen = (1, 0, 1)
        return np.array(seen, np.float32)


def _check(name: str, **values: tuple[int, int]) -> None:
    """Refuse an argument that is below its least value.

    Raises:
        ValueError: naming the argument.
    """
    for argument, (value, least) in values.items():
        if not isinstance(value, int) or value < least:
            raise ValueError(f"{name}: {argument} should be a whole number of at least {least}, found {value!r}")
