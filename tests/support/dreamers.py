"""Small agents of real environments, untrained: quick to dream with."""

from ewm_studio.acting.agent import Agent
from ewm_studio.acting.play import play_one
from ewm_studio.dreams.kept_dream import described
from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.probe import spaces_of
from ewm_studio.envs.single import SingleEnv
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import choose_parts
from ewm_studio.models.randomness import drawing_from, make_generator
from ewm_studio.workspace.models import save_model
from tests.support.jobs import experiment

PICTURES = {"vision": {"name": "ConvVAE", "latent_dim": 4, "channels": 2}}


def dreamer(id="CartPole-v1", weights=3, memory="MDNRNN", parts=None, **env):
    """An agent of an environment, its weights drawn from a number."""
    small = {"name": memory, **({"hidden_dim": 8, "mixtures": 2} if memory == "MDNRNN" else {})}
    pictured = PICTURES if env.get("pixels") or id.startswith("CarRacing") else {}
    size = {"image_size": 16} if pictured else {}
    asked = experiment(env={"id": id, **size, **env}, memory=small, **{**pictured, **(parts or {})})
    spaces = spaces_of(asked.env)
    with drawing_from(make_generator(weights)):
        model = AgentModel(choose_parts(asked, spaces.observation, spaces.action), spaces.observation, spaces.action)
    return Agent(model, Preprocessor(spaces.raw_observation, asked.env), asked.env, {})


def played(agent, seed=0, limit=60):
    """A replay of an agent's play, sampled."""
    env = agent.env.model_copy(update={"max_episode_steps": limit})
    simulator = SingleEnv(make_prepared_env(env), env, episodes=1)
    try:
        return play_one(agent.model, simulator, env, seed, greedy=False).replay
    finally:
        simulator.close()


def saved(agent, path):
    """An agent as a model file."""
    save_model(path, agent.model.state_dict(), described(agent))
    return path
