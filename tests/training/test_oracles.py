"""The learner is right where the world is true, and the memory is right where there is one episode to learn."""

import pytest
import torch

from ewm_studio.models import registry
from ewm_studio.models.randomness import drawing_from, integers, make_generator
from ewm_studio.settings import ComponentChoice
from ewm_studio.settings.dreaming import ImaginationSettings
from ewm_studio.training.imagination import ImaginedActorCritic, dream
from tests.support.cartpole import CartPoles
from tests.support.cartpole_world import cartpole_world, upright
from tests.support.known_worlds import believed

QUICK = {"actor_lr": 1e-3, "critic_lr": 1e-3, "starts": 64}


def trained_in(world, seed, updates):
    """An actor-critic that learned in dreams of `world` from where its own policy leads."""
    generator = make_generator(seed)
    part = registry.choose(
        "controller",
        ComponentChoice(name="BinnedController", hidden_size=64),
        world.observation_space,
        world.action_space,
    )
    with drawing_from(generator):
        controller = part.cls(part.settings, world.vision.latent_dim, world.memory.hidden_dim, world.action_space)
    settings = ImaginationSettings(**QUICK)
    learner = ImaginedActorCritic(world, controller, settings, generator)
    lived = upright(world, 256, generator).z
    for update in range(updates):
        starts = believed(world, lived[integers(len(lived), settings.starts, generator)])
        learner.update(starts, left=1 - update / updates)
        walk = dream(world, controller, starts, 10, 1.0, generator)
        standing = walk.z[1:][walk.end.cumsum(0) == 0]
        lived = torch.cat([lived, standing[integers(len(standing), 16, generator)]])[-2000:]
    return controller


def lengths_in_numpy(controller, count=20):
    """Greedy episodes in CartPole as somebody else wrote it."""
    poles = CartPoles(count, seed=0)
    obs, lengths = poles.reset(), {}
    while len(lengths) < count:
        with torch.no_grad():
            raw = controller.distribution(torch.tensor(obs), torch.zeros(count, 1)).mode()
        step = poles.step(raw[:, 0].numpy())
        obs = step.obs
        for episode in step.episodes:
            lengths.setdefault(episode.env, episode.length)
    return list(lengths.values())


def test_the_true_world_is_the_one_of_the_environment():
    world, g = cartpole_world(), make_generator(0)
    poles = CartPoles(8, seed=3)
    z = torch.tensor(poles.reset(), dtype=torch.float32)
    for _ in range(40):
        action = integers(2, 8, g)
        following, reward, end = world.memory.known(z, torch.nn.functional.one_hot(action, 2).float())
        step = poles.step(action.numpy())
        assert end.bool().tolist() == step.terminated.tolist()
        assert (reward == 1).all()
        going_on = ~torch.tensor(step.terminated)
        torch.testing.assert_close(following[going_on], torch.tensor(step.obs)[going_on], atol=1e-5, rtol=1e-4)
        z = torch.tensor(step.obs)


def test_in_the_true_world_the_learner_soon_balances_longer():
    world = cartpole_world()
    first, later = (lengths_in_numpy(trained_in(world, 0, updates)) for updates in (0, 100))
    assert sum(later) > 3 * sum(first)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_in_the_true_world_the_learner_learns_to_balance(seed):
    lengths = lengths_in_numpy(trained_in(cartpole_world(), seed, 400))
    assert sum(lengths) / len(lengths) >= 475
