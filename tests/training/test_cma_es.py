"""CMA-ES of a linear controller: known worlds solved, in a dream and for real; resumed exactly."""

import numpy as np
import pytest
import torch

from ewm_studio.acting.population import Population, judge, linear_layer
from ewm_studio.dreams.simulator import DreamSimulator
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.errors import UserError
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import choose_parts
from ewm_studio.models.randomness import drawing_from, make_generator
from ewm_studio.settings.evolution import EvolutionSettings
from ewm_studio.training.cma_es import CMAES
from tests.support.cartpole import CartPoles
from tests.support.cartpole_world import cartpole_world, upright
from tests.support.jobs import experiment
from tests.support.known_worlds import believed, line
from tests.training.test_imagination import controller_for

SMALL = {"population": 8, "episodes": 2, "sigma": 0.3}


def points(world, count=8):
    """Dreams of five decisions from both sides of the best point."""
    return DreamSimulator(world, believed(world, torch.tensor([[1.5], [-1.5], [0.8], [-0.8]])), count, horizon=5)


def judged(population, simulator, world, seed):
    """All candidates were judged."""
    for _ in judge(population, simulator, world, seed):
        pass


def evolution(seed=0, **settings):
    world = line()
    return CMAES(world, controller_for(world, "LinearController"), EvolutionSettings(**SMALL | settings), seed)


def test_a_linear_controller_is_found_in_a_dream():
    learner = evolution()
    simulator = points(learner.world)
    means = [learner.update(simulator)["evolution/mean"] for _ in range(15)]
    assert means[-1] > 0.6 * means[0]  # both are negative
    layer = linear_layer(learner.controller)
    assert layer.weight[0, 0] < 0  # towards the middle
    assert learner.generation == 15


def test_a_pole_is_balanced_by_five_weights_for_each_side():
    world = cartpole_world()
    learner = CMAES(world, controller_for(world, "LinearController"), EvolutionSettings(**SMALL, diagonal=False), 1)
    dream = DreamSimulator(world, upright(world, 64, make_generator(0)), 16, horizon=120)
    for _ in range(12):
        figures = learner.update(dream)
    assert figures["evolution/best"] == 120
    real = Population(learner.controller, learner._search.mean[None], 8)
    judged(real, CartPoles(8, seed=5), world, seed=5)
    assert real.scores()[0] > 100


def test_each_candidate_is_judged_by_its_own_episodes():
    world = line()
    controller = controller_for(world, "LinearController")
    still, right = np.zeros(3), np.array([0.0, 0.0, 1.0])  # weights of z and h, and the bias
    population = Population(controller, np.stack([still, right, -right]), 3)
    start = DreamSimulator(world, believed(world, torch.tensor([[1.0]])), 2, horizon=2)
    *_, steps = judge(population, start, world, seed=0)
    assert [len(earned) for earned in population.earned] == [3, 3, 3]
    assert population.scores().tolist() == pytest.approx([-2.0, -1.5 - 2.0, -0.5 - 0.0])
    assert len(population.played) == 9
    assert steps >= 9 * 2


def test_a_resumed_evolution_goes_on_exactly_and_leaves_numpys_generator_alone():
    before = np.random.get_state()[1].copy()
    whole, first = evolution(seed=3), evolution(seed=3)
    simulator = points(whole.world)
    for _ in range(3):
        whole.update(simulator)
        first.update(simulator)
    second = evolution(seed=99)
    second.restore(first.state())
    for _ in range(3):
        assert second.update(points(whole.world)) == whole.update(simulator)
    assert torch.equal(linear_layer(second.controller).weight, linear_layer(whole.controller).weight)
    assert (np.random.get_state()[1] == before).all()


def test_only_linear_controllers_evolve():
    world = line()
    with pytest.raises(UserError, match="StochasticController is no linear controller"):
        CMAES(world, controller_for(world, "StochasticController"), EvolutionSettings())


def test_so_many_weights_are_refused_with_all_their_correlations():
    asked = experiment(
        env={"id": "Pendulum-v1"},
        memory={"name": "LSTMMemory", "hidden_dim": 6000},
        controller={"name": "LinearController"},
    )
    from ewm_studio.envs.probe import spaces_of

    spaces = spaces_of(asked.env)
    model = AgentModel(choose_parts(asked, spaces.observation, spaces.action), spaces.observation, spaces.action)
    with pytest.raises(UserError, match=r"evolution\.diagonal"):
        CMAES(model, model.controller, EvolutionSettings())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cartpole_is_learned_for_real_in_a_few_generations(seed):
    asked = experiment(env={"id": "CartPole-v1", "batch_size": 16}, controller={"name": "LinearController"})
    envs = make_vector(asked.env, seed)
    try:
        with drawing_from(make_generator(seed)):
            parts = choose_parts(asked, envs.observation_space, envs.action_space)
            model = AgentModel(parts, envs.observation_space, envs.action_space).eval()
        learner = CMAES(model, model.controller, EvolutionSettings(population=16, episodes=2, sigma=0.5), seed)
        for _ in range(15):
            learner.update(envs)
        final = Population(model.controller, learner._search.mean[None], 20)
        judged(final, envs, model, seed=10_000)
    finally:
        envs.close()
    assert final.scores()[0] >= 475
