"""How many environments, and how many processes for them, are worth it."""

from __future__ import annotations

from ewm_studio.envs.probe import EnvProbe
from ewm_studio.envs.vector.processes import portable_spec
from ewm_studio.machine import cores
from ewm_studio.settings import EnvSettings

PROCESS_COST = 0.3e-3  # seconds a step from which processes pay for their messages
DECISION_COST = 1e-3  # seconds a decision takes besides the environments, roughly, whatever their number
BATCH_SIZES = (8, 16, 32)


def choose_batch_size(probe: EnvProbe) -> tuple[int, str]:
    """The number of environments to run in parallel, by what a step costs, and the sentence that says why.

    Deciding costs about the same for one environment as for many, so the cheaper a step, the more environments
    are worth deciding for at once: the least number with which the environments take most of the time.

    Raises:
        UserError: the environment cannot be used.
        JobError: it failed.
    """
    cost = probe.step_cost
    used = cores() if cost > PROCESS_COST else 1
    wanted = 4 * DECISION_COST * used / cost
    count = next((size for size in BATCH_SIZES if size >= wanted), BATCH_SIZES[-1])
    return count, f"batch size {count}: a step of {probe.settings.id} takes {cost * 1e3:.3g} ms on {used} core(s)"


def worker_count(settings: EnvSettings, num_envs: int, probe: EnvProbe) -> int:
    """How many processes so many environments, or episodes, are worth; 0 for none.

    Args:
        settings: says how many are wanted, and whether there is a window.
        num_envs: how many are to be stepped, or played.
        probe: of the same environment; asked what a step costs where that decides.

    Raises:
        UserError: the environment cannot be used.
        JobError: it failed.
    """
    if settings.render_mode == "human":  # a window belongs to this process
        return 0
    if settings.workers != "auto":
        return settings.workers
    if cores() == 1 or num_envs == 1 or portable_spec(settings.id) is None:
        return 0
    return cores() if probe.step_cost > PROCESS_COST else 0
