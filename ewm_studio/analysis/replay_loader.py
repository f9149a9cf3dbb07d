"""Episodes that are watched again: made from what is kept, off the GUI thread, and drawn out as lanes over time.

Torch is imported only inside functions, which are called off the GUI thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ewm_studio.analysis.latent_space import LatentPath, latent_path_of
from ewm_studio.errors import UserError
from ewm_studio.workspace.replays import MODEL_NAME, Evaluation, Replay, ReplayInfo, load_replay

if TYPE_CHECKING:
    from ewm_studio.acting.agent import Agent
    from ewm_studio.analysis.film import Pane
    from ewm_studio.analysis.trace import OnProgress, ReplayTrace
    from ewm_studio.models.base import VisionModel

KEPT = 3  # episodes that are remembered, so that turning back to one is quick


@dataclass(frozen=True, eq=False)
class Lane:
    """One quantity along an episode: its name, the token of its color, a value (F+1,) at each frame; NaN is none.

    `bounds` are the least and the most of the lane; by default those of the values.
    """

    name: str
    token: str
    values: np.ndarray
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Watched:
    """An episode as it is watched: who played it, what was played, and all that is known of each frame.

    `vision` is the model's that looked at it.
    """

    name: str
    replay: Replay
    trace: ReplayTrace
    vision: VisionModel[Any]
    panes: list[Pane]
    lanes: list[Lane]

    @property
    def frames(self) -> int:
        """F, steps of the environment."""
        return len(self.trace.reward)


def lanes_of(trace: ReplayTrace) -> list[Lane]:
    """What is drawn along the time of an episode: reward so far, value, entropy, actions, surprise."""
    decision = trace.decision_of
    acting = np.minimum(decision, len(trace.value) - 1)  # at the end, what was decided last
    actions = trace.action.reshape(len(trace.action), -1)
    lanes = [
        Lane("reward", "accent", np.concatenate([[0.0], np.cumsum(trace.reward)])),
        Lane("value", "controller", trace.value[acting]),
        Lane("entropy", "controller", trace.entropy[acting]),
    ]
    for column, name in enumerate(trace.action_names):
        lanes.append(Lane(name, "controller", actions[acting, column].astype(np.float64)))
    if not np.isnan(trace.surprise).all():
        lanes.append(Lane("surprise", "memory", trace.surprise[decision]))
    return lanes


def lanes_beside(watched: Watched, rival: Watched) -> list[Lane]:
    """An episode's lanes, its reward drawn to one scale with the other's under it."""
    reward, *rest = watched.lanes
    other = rival.lanes[0].values
    both = np.concatenate([reward.values, other])
    bounds = (float(both.min()), float(both.max()))
    return [
        Lane(reward.name, reward.token, reward.values, bounds),
        Lane("rival", "secondary", other, bounds),
        *rest,
    ]


class ReplayLoader:
    """Makes episodes to watch; one at a time, whoever asks. Remembers the last model and the last few episodes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._agent: tuple[tuple[str, int], Any] = (("", 0), None)
        self._watched: OrderedDict[tuple[str, str], Watched] = OrderedDict()
        self._latent_paths: dict[tuple[str, str], LatentPath] = {}

    def watch(self, evaluation: Evaluation, episode: ReplayInfo, progress: OnProgress) -> Watched:
        """A kept episode, looked at through the model that played it.

        Raises:
            UserError: the files are damaged, or the environment does not repeat itself.
        """
        with self._lock:
            key = (str(episode.path), evaluation.model.sha256)
            if key not in self._watched:
                agent = self._load(evaluation.model_file())
                replay = load_replay(episode.path)
                self._remember(key, _watched(name_of(evaluation), agent, replay, progress))
            self._watched.move_to_end(key)
            return self._watched[key]

    def latent_paths(
        self, evaluation: Evaluation, episodes: Sequence[ReplayInfo], progress: OnProgress
    ) -> list[LatentPath]:
        """Kept episodes as paths in the latent space of the model that played them.

        Raises:
            UserError: as `watch`.
        """
        from ewm_studio.analysis.trace import trace

        with self._lock:
            agent = self._load(evaluation.model_file())
            known, self._latent_paths = self._latent_paths, {}  # those of one evaluation are enough
            for number, episode in enumerate(episodes):
                progress(number / len(episodes))
                key = (str(episode.path), evaluation.model.sha256)
                watched = self._watched.get(key)
                if key in known:
                    self._latent_paths[key] = known[key]
                elif watched is not None:
                    self._latent_paths[key] = latent_path_of(watched.trace, episode.seed)
                else:
                    replay = load_replay(episode.path)
                    within = partial(_within, progress, number, len(episodes))
                    self._latent_paths[key] = latent_path_of(trace(agent, replay, within), episode.seed)
            return list(self._latent_paths.values())

    def rival(self, name: str, model: Path, replay: Replay, progress: OnProgress) -> Watched:
        """Another model on the same seed, as greedy as the first.

        Raises:
            UserError: the model is damaged, or made for another environment.
        """
        from ewm_studio.acting.play import play
        from ewm_studio.events import JobControl

        with self._lock:
            key = (str(model), f"{model.stat().st_mtime_ns} {replay.env.id} {replay.seed} {replay.greedy}")
            if key not in self._watched:
                agent = self._load(model)
                if agent.env.id != replay.env.id:
                    raise UserError(f"{name} is made for {agent.env.id}, this episode is of {replay.env.id}")
                env = agent.env.model_copy(
                    update={"render_mode": "rgb_array", "max_episode_steps": replay.env.max_episode_steps}
                )
                played = next(play(agent, env, replay.seed, 1, replay.greedy, JobControl()))
                self._remember(key, _watched(name, agent, played.replay, progress))
            self._watched.move_to_end(key)
            return self._watched[key]

    def _load(self, path: Path) -> Agent:
        from ewm_studio.acting.agent import load_agent
        from ewm_studio.models.device import choose_device

        key = (str(path), path.stat().st_mtime_ns if path.is_file() else 0)
        if key != self._agent[0]:
            self._agent = key, load_agent(path, str(choose_device("auto")))
        agent: Agent = self._agent[1]
        return agent

    def _remember(self, key: tuple[str, str], watched: Watched) -> None:
        self._watched[key] = watched
        while len(self._watched) > KEPT:
            self._watched.popitem(last=False)


def name_of(evaluation: Evaluation) -> str:
    """Who played: the run, the model that comes with the studio, or the model's file."""
    path = Path(evaluation.model.name)
    return evaluation.run or (path.parent.name if path.name == MODEL_NAME else path.name)


def _within(progress: OnProgress, number: int, count: int, share: float) -> None:
    """The share that is done of one of several things, as a share of all."""
    progress((number + share) / count)


def _watched(name: str, agent: Agent, replay: Replay, progress: OnProgress) -> Watched:
    from ewm_studio.analysis.film import panes_of
    from ewm_studio.analysis.trace import trace

    made = trace(agent, replay, progress)
    return Watched(name, replay, made, agent.model.vision, panes_of(made), lanes_of(made))
