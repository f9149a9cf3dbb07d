"""How many environments, and how many processes for them, are worth it."""

from __future__ import annotations

import time

from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.errors import JobError
from ewm_studio.machine import cores
from ewm_studio.settings import EnvSettings

PROCESS_COST = 0.3e-3  # seconds a step from which processes pay for their messages
MEASURE_SECONDS = 0.15
DECISION_COST = 1e-3  # seconds a decision takes besides the environments, roughly, whatever their number
BATCH_SIZES = (8, 16, 32)


def choose_batch_size(settings: EnvSettings) -> tuple[int, str]:
    """The number of environments to run in parallel, from a short measurement, and the sentence that says why.

    Deciding costs about the same for one environment as for many, so the cheaper a step, the more environments
    are worth deciding for at once: the least number with which the environments take most of the time.

    Raises:
        UserError: the environment cannot be used.
    """
    cost = step_cost(settings)
    useful = cores() if cost > PROCESS_COST else 1
    wanted = 4 * DECISION_COST * useful / cost
    count = next((size for size in BATCH_SIZES if size >= wanted), BATCH_SIZES[-1])
    return count, f"batch size {count}: a step of {settings.id} takes {cost * 1e3:.3g} ms on {useful} core(s)"


def step_cost(settings: EnvSettings) -> float:
    """Seconds that one step of one prepared environment takes, measured for a moment with random actions.

    Raises:
        UserError: the environment cannot be used.
        JobError: it failed.
    """
    env = make_prepared_env(settings, window=False)
    try:
        env.action_space.seed(0)
        env.reset(seed=0)
        env.step(env.action_space.sample())  # the first loads fonts and the like
        count, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < MEASURE_SECONDS:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            count += 1
            if terminated or truncated:
                env.reset()
        return spent / max(count, 1)
    except Exception as error:
        raise JobError(f"{settings.id} failed: {type(error).__name__}: {error}") from error
    finally:
        env.close()


def worker_count(settings: EnvSettings, num_envs: int) -> int:
    """How many processes so many environments, or episodes, are worth; 0 for none.

    Raises:
        UserError: the environment cannot be used.
    """
    if settings.render_mode == "human":  # a window belongs to this process
        return 0
    if settings.workers != "auto":
        return settings.workers
    if cores() == 1 or num_envs == 1:
        return 0
    from ewm_studio.envs.vector.processes import portable_spec

    if portable_spec(settings.id) is None:
        return 0
    return cores() if step_cost(settings) > PROCESS_COST else 0
