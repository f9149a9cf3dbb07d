"""Episodes played by a saved agent, in this process or spread over several; the episodes are the same either way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from safetensors.torch import load, save

from ewm_studio.acting.agent import Agent
from ewm_studio.envs.carracing.lap import has_laps
from ewm_studio.envs.factory import make_training_env
from ewm_studio.envs.failures import environment_at_work
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.spaces import space_from_json, space_to_json
from ewm_studio.envs.vector.processes import become_worker, require_portable_spec
from ewm_studio.envs.vector.sizing import worker_count
from ewm_studio.errors import JobError
from ewm_studio.events import JobControl
from ewm_studio.models.assembly import from_description
from ewm_studio.processes.context import forking_with_torch
from ewm_studio.settings import EnvSettings
from ewm_studio.workspace.replays import Replay
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
    agent: Agent, settings: EnvSettings, seed: int, episodes: int, greedy: bool, control: JobControl
) -> Iterator[Played]:
    """Play episodes in the order of their seeds, in `settings.workers` processes; ends early when asked to stop.

    Each has its own seed, for its reset and for what the policy draws, so it is the same whichever came before.

    Raises:
        UserError: no other process can make the environment. JobError: it failed, or a process died.
    """
    seeds = range(seed, seed + episodes)
    processes = _processes(agent, settings, episodes)
    if processes > 1:
        yield from _play_in_processes(processes, agent, settings, seeds, greedy, control)
        return
    player = Player(agent, settings, greedy)
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

    def __init__(self, agent: Agent, settings: EnvSettings, greedy: bool) -> None:
        self.agent, self.settings, self.greedy = agent, settings, greedy
        self.env = make_training_env(settings)

    def episode(self, seed: int, stopped: Callable[[], bool]) -> Played | None:
        """Play one episode; None where `stopped` says so before its end.

        Raises:
            JobError: the environment failed.
        """
        agent, settings, env = self.agent, self.settings, self.env
        torch.manual_seed(seed)
        with environment_at_work(settings.id):
            obs, _ = env.reset(seed=seed)
        state, over, reward, steps = agent.initial_state(), False, 0.0, 0
        actions, rewards = list[np.ndarray](), list[float]()
        while not over:
            if stopped():
                return None
            batch = torch.from_numpy(np.array(obs)[None]).to(agent.world_model.device)
            action, state = agent.act_prepared(batch, state, self.greedy)
            with environment_at_work(settings.id):
                obs, gained, terminated, truncated, info = env.step(action[0])
            actions.append(action[0])
            rewards.append(float(gained))
            reward += float(gained)
            steps += int(info.get("frames", 1))
            over = terminated or truncated
        replay = Replay(
            settings,
            seed,
            self.greedy,
            np.stack(actions),
            np.array(rewards),
            steps,
            bool(terminated),
            bool(info.get("lap_finished", False)) if has_laps(env) else None,
            versions(),
        )
        return Played(EpisodeScore(seed, reward, steps), replay)

    def close(self) -> None:
        """End the environment."""
        self.env.close()


def _processes(agent: Agent, settings: EnvSettings, episodes: int) -> int:
    """How many processes are to play; below 2 this one does."""
    if settings.workers == "auto" and (episodes < 2 * EPISODES_A_PROCESS or agent.world_model.device.type != "cpu"):
        return 0
    return min(worker_count(settings, episodes), episodes)


def _play_in_processes(
    processes: int, agent: Agent, settings: EnvSettings, seeds: range, greedy: bool, control: JobControl
) -> Iterator[Played]:
    context, spec = _context(), require_portable_spec(settings.id)
    stop = context.Event()
    # As a model file holds it: PyTorch would hand its tensors over as shared memory.
    weights = save({name: tensor.cpu().contiguous() for name, tensor in agent.world_model.state_dict().items()})
    description = {**agent.world_model.describe(), "env": settings.describe()}
    raw_space = space_to_json(agent.preprocessor.raw_space)
    begin = partial(_begin, weights, description, raw_space, greedy, torch.get_num_threads(), spec, stop)
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
            stop.set()
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
            f"a process that played {settings.id} died; the machine may be out of memory: lower env.workers"
        ) from None


_player: Player | None = None  # of a process that plays
_stop: Any = None


def _begin(
    weights: bytes,
    description: dict[str, Any],
    raw_space: dict[str, Any],
    greedy: bool,
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
    _player, _stop = Player(agent, settings, greedy), stop


def _episode(seed: int) -> Played | None:
    assert _player is not None
    return _player.episode(seed, _stop.is_set)
