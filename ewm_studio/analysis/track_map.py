"""A lap of CarRacing from above: the track, the line that was driven, and what every stretch of it earned."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ewm_studio.acting.episode import Listener, play_episodes
from ewm_studio.acting.policy import RecordedActions
from ewm_studio.envs.carracing.lap import has_laps
from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.envs.simulator import Simulator, Watchable
from ewm_studio.envs.single import SingleEnv
from ewm_studio.errors import UserError
from ewm_studio.workspace.replays import Replay


@dataclass(frozen=True)
class TrackMap:
    """Places in the environment's own units, x to the right and y upwards."""

    seed: int
    total: float  # unshaped reward of the episode
    track: np.ndarray  # (N, 2) the middle of the road, once round
    path: np.ndarray  # (F+1, 2) where the car was: F frames
    reward: np.ndarray  # (F,) what each frame earned
    finished: bool | None  # whether every tile was visited


def track_map(replay: Replay) -> TrackMap:
    """Drive a lap again, without looking, and note where the car was.

    Raises:
        UserError: it is no lap of CarRacing, or the environment cannot be made.
    """
    env = make_prepared_env(replay.env.model_copy(update={"render_mode": "rgb_array"}))
    with contextlib.closing(SingleEnv(env, replay.env, seeds=replay.seed, episodes=1)) as simulator:
        if not has_laps(env):
            raise UserError(f"{replay.env.id} has no track to draw")
        places = _Places(env.unwrapped)
        policy = RecordedActions(replay.action)
        for _ in itertools.islice(
            play_episodes(simulator, policy, listeners=[places], episodes=1, seed=replay.seed), len(replay.action)
        ):
            pass
    total = float(replay.reward.sum())
    track, path = np.array(places.track), np.array(places.path)
    return TrackMap(replay.seed, total, track, path, np.array(places.reward), replay.lap_finished)


class _Places(Listener):
    """Notes where the car is after every frame."""

    def __init__(self, env: Any) -> None:
        self._env = env
        self.track: list[tuple[float, float]] = []
        self.path: list[tuple[float, float]] = []
        self.reward: list[float] = []

    def begin(self, simulator: Simulator, obs: Any) -> None:
        self.track = [(float(x), float(y)) for _, _, x, y in self._env.track]
        cast("Watchable", simulator).on_frame = self._on_frame
        self.path.append(self._place())

    def _on_frame(self, action: Any, reward: float, over: bool) -> None:
        self.reward.append(reward)
        self.path.append(self._place())

    def _place(self) -> tuple[float, float]:
        x, y = self._env.car.hull.position
        return float(x), float(y)
