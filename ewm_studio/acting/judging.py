"""How good a policy really is: always the same episodes, of the environment as it is."""

from __future__ import annotations

from collections.abc import Generator

from ewm_studio.acting.episode import play_episodes
from ewm_studio.acting.policy import ControllerPolicy
from ewm_studio.envs.simulator import Episode, Simulator
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.randomness import make_generator


def judge(model: AgentModel, envs: Simulator, seed: int, greedy: bool) -> Generator[int, None, list[Episode]]:
    """Play the first episode of every environment; tells how many have ended after each step.

    Args:
        model: acts.
        envs: side by side, without the rules of training.
        seed: of the episodes and of what the policy draws.
        greedy: the likeliest action, or one drawn.

    Returns:
        The episodes, by environment.

    Raises:
        JobError: an environment failed.
    """
    done: dict[int, Episode] = {}
    policy, generator = ControllerPolicy(model.controller, greedy), make_generator(seed, model.device)
    for step in play_episodes(envs, policy, model, seed=seed, generator=generator):
        for episode in step.episodes:
            done.setdefault(episode.env, episode)
        if len(done) == envs.num_envs:
            break
        yield len(done)
    return [done[i] for i in range(envs.num_envs)]
