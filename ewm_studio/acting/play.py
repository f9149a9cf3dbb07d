"""Episodes played by a saved agent, in this process or spread over several; the episodes are the same either way."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing.util import Finalize
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from safetensors.torch import load, save
from torch import Tensor

from ewm_studio.acting.agent import Agent
from ewm_studio.acting.episode import Listener, play_episodes
from ewm_studio.acting.planning import PlanningPolicy
from ewm_studio.acting.policy import ControllerPolicy, Policy
from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.envs.failures import ClosingFailed
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.probe import EnvProbe
from ewm_studio.envs.simulator import Episode, Simulator, Step
from ewm_studio.envs.single import SingleEnv
from ewm_studio.envs.spaces import space_from_json, space_to_json
from ewm_studio.envs.vector.processes import become_worker, require_portable_spec
from ewm_studio.envs.vector.sizing import worker_count
from ewm_studio.errors import JobError, UserError
from ewm_studio.events import JobControl
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import from_description
from ewm_studio.models.randomness import make_generator
from ewm_studio.processes.context import forking_with_torch
from ewm_studio.settings import EnvSettings, PlannerSettings
from ewm_studio.workspace.replays import Acts, Replay
from ewm_studio.workspace.versions import versions

EPISODES_A_PROCESS = 10  # fewer are played before another process has started
LOOK_SECONDS = 0.1  # how soon a request to stop is noticed while other processes play


@dataclass(frozen=True)
class EpisodeScore:
    """One played episode: the seed of its reset, its unshaped reward, and steps of the environment."""

    seed: int
    reward: float
    steps: int


@dataclass(frozen=True)
class Played:
    """One played episode, and what it takes to watch it again."""

    score: EpisodeScore
    replay: Replay


def play(
    agent: Agent,
    settings: EnvSettings,
    seed: int,
    episodes: int,
    greedy: bool,
    control: JobControl,
    processes: int | None = None,
    planner: PlannerSettings | None = None,
) -> Iterator[Played]:
    """Play episodes in the order of their seeds; ends early when asked to stop.

    Each has its own seed, for its reset and for what the policy draws, so it is the same whichever came before, and
    in whichever of the `processes` it is played; None is their `process_count`. With a `planner` plans are made in
    place of the controller's decisions.

    Raises:
        UserError: no other process can make the environment. JobError: it failed, or a process died.
        ClosingFailed: all was played, and the environment did not let itself be ended.
    """
    seeds = range(seed, seed + episodes)
    if processes is None:
        with contextlib.closing(EnvProbe(settings)) as probe:
            processes = process_count(agent, settings, episodes, probe)
    if processes > 1:
        yield from _play_in_processes(processes, agent, settings, seeds, greedy, planner, control)
        return
    player = Player(agent, settings, greedy, planner)
    try:
        for number in seeds:
            played = player.episode(number, lambda: control.stop_requested)
            if played is None:
                return
            yield played
    finally:
        player.close()


class Player:
    """Plays single episodes in an environment of its own."""

    def __init__(
        self, agent: Agent, settings: EnvSettings, greedy: bool, planner: PlannerSettings | None = None
    ) -> None:
        self.agent, self.settings, self.greedy, self.planner = agent, settings, greedy, planner
        self.env = make_prepared_env(settings)

    def episode(self, seed: int, stopped: Callable[[], bool]) -> Played | None:
        """Play one episode; None where `stopped` says so before its end.

        Raises:
            JobError: the environment failed.
        """
        simulator = SingleEnv(self.env, self.settings, episodes=1)
        return play_one(self.agent.model, simulator, self.settings, seed, self.greedy, stopped, self.planner)

    def close(self) -> None:
        """End the environment."""
        self.env.close()


def play_one(
    model: AgentModel,
    simulator: Simulator,
    settings: EnvSettings,
    seed: int,
    greedy: bool,
    stopped: Callable[[], bool] = lambda: False,
    planner: PlannerSettings | None = None,
) -> Played | None:
    """Play one episode in any simulator of one; its draws follow from its seed too.

    Args:
        model: acts.
        simulator: an environment, or a dream; begun on `seed`.
        settings: of the environment that it is, or that the model dreams of.
        seed: of the episode.
        greedy: the likeliest action, or the best plan; or one drawn.
        stopped: asked before every step; then None is given.
        planner: plans in place of the controller; None for none.

    Raises:
        JobError: the environment failed.
    """
    acts: Acts = "planner" if planner is not None else "controller"
    keeper, generator = ReplayKeeper(settings, greedy, acts), make_generator(seed, model.device)
    policy: Policy = ControllerPolicy(model.controller, greedy)
    if planner is not None:
        policy = PlanningPolicy(model, planner, greedy=greedy)
    for _ in play_episodes(
        simulator, policy, model, [keeper], episodes=1, seed=seed, generator=generator, stopped=stopped
    ):
        pass
    return keeper.played[0] if keeper.played else None


class ReplayKeeper(Listener):
    """Notes what it takes to watch the episodes of one environment again.

    Attributes:
        played: the episodes that ended, in order.
    """

    def __init__(self, settings: EnvSettings, greedy: bool, acts: Acts = "controller") -> None:
        self.settings, self.greedy, self.acts = settings, greedy, acts
        self.played: list[Played] = []
        self._actions: list[np.ndarray] = []
        self._rewards: list[float] = []

    def step(self, belief: Any, action: Any, step: Step) -> None:
        """One decision and what it earned."""
        taken = action.cpu().numpy() if isinstance(action, Tensor) else np.asarray(action)
        self._actions.append(np.array(taken[0]))
        self._rewards.append(float(step.reward[0]) - float(step.shaping[0]))
        for episode in step.episodes:
            self._keep(episode)

    def _keep(self, episode: Episode) -> None:
        replay = Replay(
            self.settings,
            episode.seed,
            self.greedy,
            np.stack(self._actions),
            np.array(self._rewards),
            episode.length,
            episode.terminated,
            episode.lap_finished,
            versions(),
            self.acts,
        )
        self.played.append(Played(EpisodeScore(episode.seed, sum(self._rewards), episode.length), replay))
        self._actions, self._rewards = [], []


def process_count(agent: Agent, settings: EnvSettings, episodes: int, probe: EnvProbe) -> int:
    """How many processes are to play so many episodes; below 2 this one does. `probe` is as for `worker_count`."""
    if settings.workers == "auto" and (episodes < 2 * EPISODES_A_PROCESS or agent.model.device.type != "cpu"):
        return 0
    return min(worker_count(settings, episodes, probe), episodes)


def _play_in_processes(
    processes: int,
    agent: Agent,
    settings: EnvSettings,
    seeds: range,
    greedy: bool,
    planner: PlannerSettings | None,
    control: JobControl,
) -> Iterator[Played]:
    context, spec = _context(), require_portable_spec(settings.id)
    stop = context.RawValue("b", 0)  # without a lock, which a process that dies would keep
    # As a model file holds it: PyTorch would hand its tensors over as shared memory.
    weights = save({name: tensor.cpu().contiguous() for name, tensor in agent.model.state_dict().items()})
    description = {**agent.model.describe(), "env": settings.describe()}
    raw_space = space_to_json(agent.preprocessor.raw_space)
    begin = partial(_begin, weights, description, raw_space, greedy, planner, torch.get_num_threads(), spec, stop)
    waiting: deque[Future[Played | None]] = deque()
    left = iter(seeds)
    with ProcessPoolExecutor(processes, context, initializer=begin) as pool:
        try:
            for _ in seeds:
                while len(waiting) < 2 * processes and (seed := next(left, None)) is not None:
                    waiting.append(pool.submit(_episode, seed))
                played = _result(waiting.popleft(), settings, control)
                if played is None:
                    return
                yield played
        finally:
            stop.value = 1
            pool.shutdown(cancel_futures=True)


@cache
def _context() -> Any:
    return forking_with_torch("ewm_studio.acting.play")


def _result(future: Future[Played | None], settings: EnvSettings, control: JobControl) -> Played | None:
    """What a process has played; None when asked to stop.

    Raises:
        JobError: it failed or died.
    """
    try:
        while not control.stop_requested:
            try:
                return future.result(LOOK_SECONDS)
            except TimeoutError:
                if future.done():  # the episode's own
                    raise
        return None
    except BrokenProcessPool:
        raise JobError(
            f"a process that played {settings.id} died: the environment ended it, or the machine is out of memory; "
            "try env.workers 0, or fewer of them"
        ) from None


_player: Player | JobError | UserError | None = None  # of a process that plays, or why it cannot
_stop: Any = None


def _begin(
    weights: bytes,
    description: dict[str, Any],
    raw_space: dict[str, Any],
    greedy: bool,
    planner: PlannerSettings | None,
    threads: int,
    spec: EnvSpec,
    stop: Any,
) -> None:
    """Make a process ready to play."""
    global _player, _stop
    become_worker()
    gym.registry.setdefault(spec.id, spec)
    torch.set_num_threads(threads)
    world_model, settings = from_description(load(weights), description, "the model that plays")
    agent = Agent(world_model, Preprocessor(space_from_json(raw_space), settings), settings, {})
    _stop = stop
    try:
        _player = Player(agent, settings, greedy, planner)
    except (JobError, UserError) as error:  # raised here it would be taken for the death of the process
        _player = error
    else:
        Finalize(None, _close, exitpriority=1)


def _close() -> None:
    """End the environment with its process; nobody is left who could be told that it failed."""
    if isinstance(_player, Player):
        with contextlib.suppress(ClosingFailed):
            _player.close()


def _episode(seed: int) -> Played | None:
    assert _player is not None
    if not isinstance(_player, Player):
        raise _player
    return _player.episode(seed, lambda: bool(_stop.value))
