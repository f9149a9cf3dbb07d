"""What recorded and collected data cover, told to whoever made or trains on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from torch import Tensor

from ewm_studio.acting.episode import Listener
from ewm_studio.data.coverage import MOST, Coverage, coverage, looks
from ewm_studio.data.experience import Experience
from ewm_studio.envs.carracing.telemetry import telemetry
from ewm_studio.envs.simulator import Simulator, Step
from ewm_studio.envs.single import SingleEnv
from ewm_studio.events import Event, Message
from ewm_studio.models.belief import Belief

READ_BATCH = 256  # observations looked at once


class Covered(Listener):
    """Notes what was seen and done in one environment, up to `MOST` decisions."""

    def __init__(self) -> None:
        self._seen, self._action = list[np.ndarray](), list[np.ndarray]()
        self._driven = list[tuple[float, bool]]()
        self._simulator: Simulator | None = None

    def begin(self, simulator: Simulator, obs: Any) -> None:
        """What is acted in."""
        self._simulator = simulator

    def step(self, belief: Any, action: Any, step: Step) -> None:
        """One decision."""
        if len(self._action) >= MOST:
            return
        seen = belief.z.cpu().numpy() if isinstance(belief, Belief) else looks(np.asarray(belief))
        self._seen.append(seen[0].copy())
        self._action.append(np.array(action.cpu().numpy() if isinstance(action, Tensor) else action)[0])
        driven = telemetry(self._simulator.env) if isinstance(self._simulator, SingleEnv) else None
        if driven is not None:
            self._driven.append(driven)

    def found(self, space: gym.Space) -> Coverage | None:
        """What the decisions cover; None where there were none."""
        if not self._action:
            return None
        speed, beside = np.array(self._driven, np.float64).reshape(-1, 2).T
        other = {"speed": float(speed.mean()), "spread of speed": float(speed.std())} if len(speed) else {}
        other |= {"off the road": float(beside.mean())} if len(beside) else {}
        return coverage(np.stack(self._seen), np.stack(self._action), space, other)


def covered_by(experience: Experience, space: gym.Space, latents: Tensor | None = None) -> Coverage:
    """What an experience covers, some of its episodes where it is large.

    Args:
        experience: with at least one step.
        space: of the actions.
        latents: (frames, Z) by number in the store; None looks at the observations.
    """
    episodes = experience.episodes[:: -(-experience.step_count // MOST)]
    numbers = np.concatenate([episode.frames[:-1] for episode in episodes])[:MOST]
    action = np.concatenate([episode.action for episode in episodes])[:MOST]
    if latents is not None:
        return coverage(latents[numbers].cpu().numpy(), action, space)
    parts = np.array_split(numbers, -(-len(numbers) // READ_BATCH))
    return coverage(np.concatenate([looks(experience.store.read(part)) for part in parts]), action, space)


def told(found: Coverage) -> Iterator[Event]:
    """What data cover, and the warning where a memory cannot learn from them."""
    yield Message(found.words())
    if found.warning():
        yield Message(found.warning(), "warning")
