"""A few environments stepped one after the other, writing into arrays given from outside."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import gymnasium as gym
import numpy as np

from ewm_studio.envs import checks
from ewm_studio.envs.carracing.lap import has_laps, lap_finished
from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.envs.failures import ClosingFailed, failure_of
from ewm_studio.envs.prepared import PreparedEnv
from ewm_studio.envs.simulator import Episode
from ewm_studio.errors import JobError, UserError
from ewm_studio.settings import EnvSettings

_MASK = 2**64 - 1


def episode_seed(seed: int, env: int, number: int) -> int:
    """The seed with which episode `number` of environment `env` of a run with this seed is reset, 31 bits.

    Of each environment's own SplitMix64 stream (Steele et al. 2014), whose start a SeedSequence gives.
    """
    state = (_stream(seed, env) + (number + 1) * 0x9E3779B97F4A7C15) & _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return (state ^ (state >> 31)) >> 33


@lru_cache(maxsize=4096)
def _stream(seed: int, env: int) -> int:
    return int(np.random.SeedSequence([seed, env]).generate_state(1, np.uint64)[0])


class EnvGroup:
    """Environments `indices` of a run, with same-step reset.

    Args:
        settings: what to make.
        seed: the run's.
        indices: which environments of the run these are.
        window: environment 0 shows itself.

    Raises:
        UserError: the environment cannot be made.
    """

    def __init__(self, settings: EnvSettings, seed: int, indices: Sequence[int], window: bool = False) -> None:
        self.settings, self.indices = settings, list(indices)
        self._made_with = self._seed = seed
        self._window = window
        self._envs: list[PreparedEnv] = [self._make(i) for i in range(len(self.indices))]
        self.observation_space: gym.spaces.Box = self._envs[0].preprocessor.space
        self.action_space = self._envs[0].action_space
        self._discrete = isinstance(self.action_space, gym.spaces.Discrete)
        self._steps = [env.step for env in self._envs]
        self._repeats = settings.action_repeat > 1
        count = len(self.indices)
        self._numbers, self._seeds = [0] * count, [0] * count
        self._returns, self._lengths = [0.0] * count, [0] * count
        self._laps = has_laps(self._envs[0])
        self._rules, self._shaped = self._envs[0].has_rules, [0.0] * count

    def write_to(
        self,
        obs: np.ndarray,
        reward: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
        shaping: np.ndarray,
        env_terminated: np.ndarray,
    ) -> None:
        """Where `reset`, `step` and `restore` write, as `Step` has it; without rules `shaping` is left as it is."""
        self._obs, self._reward, self._terminated, self._truncated = obs, reward, terminated, truncated
        self._shaping, self._env_terminated = shaping, env_terminated
        self._finite = np.ones(obs.shape, np.bool_) if obs.dtype == np.float32 else None

    def reset(self, seed: int | None = None) -> None:
        """Start the first episode of each, of this seed or of the one they were made with."""
        self._seed = self._made_with if seed is None else seed
        for i in range(len(self._envs)):
            self._numbers[i] = 0
            self._begin(i)

    def step(self, actions: np.ndarray) -> tuple[dict[int, np.ndarray], list[Episode]]:
        """Apply actions (B, ...); the last observations and the records of the episodes that ended.

        Raises:
            JobError: an environment raised.
        """
        finals: dict[int, np.ndarray] = {}
        episodes: list[Episode] = []
        obs_out, returns, lengths, rules = self._obs, self._returns, self._lengths, self._rules
        # Python's own ints are what a Discrete space checks fastest.
        each = actions.tolist() if self._discrete else actions
        rewards, terminations, truncations = [], [], []
        i = 0
        try:
            for i, step in enumerate(self._steps):
                obs, reward, terminated, truncated, info = step(each[i])
                rewards.append(reward)
                terminations.append(terminated)
                truncations.append(truncated)
                returns[i] += reward
                lengths[i] += info["frames"] if self._repeats else 1
                if rules:
                    self._note_rules(i)
                if terminated or truncated:
                    finals[self.indices[i]] = checks.finite(np.array(obs))
                    episodes.append(self._episode(i, terminated, info))
                    self._numbers[i] += 1
                    self._begin(i)
                else:
                    obs_out[i] = obs
        except (JobError, UserError):
            raise
        except BaseException as error:
            raise self._failure(i, error, self._lengths[i] + 1) from error
        self._check_finite(rewards)
        self._reward[:] = rewards
        self._terminated[:] = terminations
        if not rules:
            self._env_terminated[:] = terminations
        self._truncated[:] = truncations
        return finals, episodes

    def restore(self, numbers: Sequence[int], actions: Sequence[np.ndarray], seed: int | None = None) -> None:
        """Replay each environment's episode: its number, and its actions (T, ...) so far; the seed as `reset`'s."""
        self._seed = self._made_with if seed is None else seed
        for i in range(len(self._envs)):
            self._numbers[i] = numbers[i]
            self._begin(i, actions[i])

    def picture(self, i: int) -> np.ndarray:
        """The picture of environment `i` of these as it is now, uint8 (H, W, 3).

        Raises:
            UserError: it draws none.
            JobError: it raised.
        """
        try:
            return self._envs[i].picture()
        except UserError:
            raise
        except BaseException as error:
            raise self._failure(i, error, self._lengths[i]) from error

    def close(self) -> None:
        """End the environments, all of them, whichever fails.

        Raises:
            ClosingFailed: one did not let itself be ended.
        """
        with contextlib.ExitStack() as ending:
            for env in self._envs:
                ending.callback(env.close)

    def _note_rules(self, i: int) -> None:
        """What the rules made of the last step of environment `i`."""
        env = self._envs[i]
        self._shaping[i], self._env_terminated[i] = env.shaping, env.env_terminated
        self._shaped[i] += env.shaping

    def _episode(self, i: int, terminated: bool, info: dict[str, Any]) -> Episode:
        """The record of the episode of environment `i` that ends with this step."""
        return Episode(
            env=self.indices[i],
            reward=self._returns[i] - self._shaped[i],
            length=self._lengths[i],
            seed=self._seeds[i],
            terminated=bool(terminated),
            lap_finished=lap_finished(info) if self._laps else None,
        )

    def _make(self, i: int) -> PreparedEnv:
        shown = self._window and self.indices[i] == 0
        return make_prepared_env(self.settings, window=shown, training=True)

    def _renew(self, i: int) -> PreparedEnv:
        """Another object in place of an environment that may remember what was."""
        with contextlib.suppress(ClosingFailed):  # the last one will say so again
            self._envs[i].close()
        self._envs[i] = env = self._make(i)
        self._steps[i] = env.step
        return env

    def _begin(self, i: int, actions: np.ndarray | None = None) -> None:
        """Start the present episode of environment `i`, and lead it through actions (T, ...), without drawing."""
        self._seeds[i] = episode_seed(self._seed, self.indices[i], self._numbers[i])
        self._returns[i], self._lengths[i], self._shaped[i] = 0.0, 0, 0.0
        try:
            env = self._envs[i]
            env.reset_blind(seed=self._seeds[i])
            if not env.history_free:
                env = self._renew(i)
                env.reset_blind(seed=self._seeds[i])
            each: Any = [] if actions is None else actions.tolist() if self._discrete else actions
            for action in each:
                reward, _, _, info = env.step_blind(action)
                self._returns[i] += reward
                self._lengths[i] += info["frames"] if self._repeats else 1
                self._shaped[i] += env.shaping
            self._obs[i] = env.observe()
        except (JobError, UserError):
            raise
        except BaseException as error:
            raise self._failure(i, error, self._lengths[i]) from error

    def _check_finite(self, rewards: list[float]) -> None:
        """Refuse what no training can be fed with, all environments at once: in a cheap one each look would be felt.

        The last observations of episodes and the first ones are looked at where they come.
        """
        obs = self._obs
        sound = True
        if self._finite is not None:
            np.isfinite(obs, self._finite)
            sound = b"\0" not in self._finite.tobytes()  # of a few numbers, in a third of the time of `all`
        if sound and -checks.MOST_REWARD < sum(rewards) < checks.MOST_REWARD:
            return
        for i, reward in enumerate(rewards):
            try:
                checks.learnable(reward)
                checks.finite(obs[i])
            except checks.WrongOutput as error:
                raise self._failure(i, error, self._lengths[i]) from None

    def _failure(self, i: int, error: BaseException, step: int) -> JobError:
        """What environment `i` did wrong at a step of its present episode; step 0 is its reset."""
        when = f"{f'step {step}' if step else 'the reset'} of the episode of seed {self._seeds[i]}"
        return failure_of(f"{self.indices[i]} ({self.settings.id})", error, when)
