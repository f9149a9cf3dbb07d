"""What a policy is worth for real while it learns elsewhere: the mean reward of episodes that are always the same."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import numpy as np

from ewm_studio.acting.judging import judge
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.events import Event, JobControl
from ewm_studio.jobs.meter import Meter
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.settings import EnvSettings

SEED = 770_000  # the same in every run, and of no episode that is acted or reported


def judgement(
    model: AgentModel, env: EnvSettings, episodes: int, control: JobControl
) -> Generator[Event, None, dict[str, float]]:
    """Play so many episodes greedily and as many sampled, without the rules of training.

    Returns:
        Mean rewards: real/greedy, real/sampled, and real/score of both; and the decisions that it took in all
        environments, those after an episode's end as well, as real/steps. Empty when asked to stop.

    Raises:
        JobError: an environment failed.
    """
    found: dict[str, float] = {}
    steps = 0
    settings = env.as_played().model_copy(update={"batch_size": episodes, "workers": env.workers})
    meter = Meter("judge", 2 * episodes, "episodes")
    with contextlib.closing(make_vector(settings, SEED)) as envs:
        for before, name in ((0, "greedy"), (episodes, "sampled")):
            playing = judge(model, envs, SEED, greedy=name == "greedy")
            while not control.stop_requested:
                steps += envs.num_envs  # each turn is one step of all, the last one too
                try:
                    yield meter.at(before + next(playing))
                except StopIteration as end:
                    found[f"real/{name}"] = float(np.mean([episode.reward for episode in end.value]))
                    break
            else:
                return {}
    found["real/score"] = (found["real/greedy"] + found["real/sampled"]) / 2
    found["real/steps"] = float(steps)
    return found
