"""What chance does in some environments, as the rows that everything learned in dreams begins with."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from ewm_studio.acting.disturbed import disturbed
from ewm_studio.acting.random_policy import RandomPolicy
from ewm_studio.data.sequence_replay import Rows, rows_of
from ewm_studio.envs.simulator import Simulator
from ewm_studio.settings import DataSettings

SALT = 0x5EED  # keeps random actions and their episodes apart from other draws of the same seed


def random_rows(simulator: Simulator, count: int, seed: int, data: DataSettings) -> Generator[int, None, Rows]:
    """Act at random for `count` steps in every environment, in episodes of this seed's own; tells how many are done.

    Bursts are as `data` has them.

    Returns:
        The rows; whoever acts next begins anew, so every episode ends with the last.

    Raises:
        JobError: an environment failed.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, SALT]))
    policy = disturbed(RandomPolicy(simulator.action_space, rng), simulator.action_space, rng, data)
    found: list[Rows] = []
    obs, is_first = simulator.reset(int(rng.integers(2**31))), np.ones(simulator.num_envs, np.bool_)
    policy.begin(simulator.num_envs)
    for done in range(1, count + 1):
        before, action = obs.copy(), policy.act(None)
        step = simulator.step(action)
        ended = step.terminated | step.truncated
        final, ruled = step.terminated & step.env_terminated, step.terminated & ~step.env_terminated
        paid, added = step.reward - step.shaping, np.array(step.shaping)
        found.append(Rows(before, action, paid, added, final, ruled, ended | (done == count), is_first))
        policy.restart(ended)
        obs, is_first = step.obs, ended
        yield done
    return rows_of(found)
