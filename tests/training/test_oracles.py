"""The learner is right where the world is true, and the memory is right where there is one episode to learn."""

import pytest
import torch

from ewm_studio.models import registry
from ewm_studio.models.base import SequenceBatch
from ewm_studio.models.randomness import drawing_from, integers, make_generator
from ewm_studio.settings import ComponentChoice
from ewm_studio.settings.dreaming import ImaginationSettings
from ewm_studio.training.adam import FusedAdam
from ewm_studio.training.imagination import ImaginedActorCritic, dream
from tests.support.cartpole import CartPoles
from tests.support.cartpole_world import cartpole_world, upright
from tests.support.known_worlds import believed

UPDATES = 180  # of a memory on the one episode
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
    lengths = lengths_in_numpy(trained_in(cartpole_world(), seed, 700))
    assert sum(lengths) / len(lengths) >= 475


def one_episode(steps=40):
    """A pole held up by a hand that trembles: z (T + 1, 1, 4) and actions (T, 1, 2)."""
    poles, g = CartPoles(1, seed=5), make_generator(0)
    z, actions = [torch.tensor(poles.reset())], []
    for _ in range(steps):
        wanted = (z[-1][:, 2] + 0.3 * z[-1][:, 3] + 0.2 * torch.randn(1, generator=g) > 0).long()
        actions.append(torch.nn.functional.one_hot(wanted, 2).float())
        step = poles.step(wanted.numpy())
        assert not step.terminated.any()
        z.append(torch.tensor(step.obs))
    never, always = torch.zeros(steps, 1, dtype=torch.bool), torch.ones(steps, 1, dtype=torch.bool)
    first = never.clone()
    first[0] = True
    return SequenceBatch(
        torch.stack(z), torch.stack(actions), torch.ones(steps, 1), never, first, always, always, always
    )


@torch.no_grad()
def dreamt_error(memory, episode, context):
    """Squared error (T - context,) of a dream that is left to itself after `context` steps, in shares of variance."""
    parts = (episode.z[:context], episode.action[:context], episode.is_first[:context])
    _, state = memory.sequence(*parts, memory.initial_state(1))
    z, wrong = episode.z[context], []
    for t in range(context, len(episode.action)):
        dreamt = memory.imagine(z, episode.action[t], state, temperature=0.0)
        z, state = dreamt.z, dreamt.state
        wrong.append(((z - episode.z[t + 1]).square() / episode.z.flatten(0, 1).var(0)).mean())
    return torch.stack(wrong)


@pytest.mark.slow
def test_one_episode_learned_by_heart_is_dreamt_to_its_end():
    episode = one_episode()
    cls = registry.component("memory", "MDNRNN")
    with drawing_from(make_generator(0)):
        undisturbed = {"input_noise": 0.0, "dropout": 0.0, "feedback_draws": 0.0, "reward_dropout": 0.0}
        memory = cls(cls.Settings(hidden_dim=64, mixtures=2, feedback_steps=32, **undisturbed), 4, 2)
    optimizer, generator = FusedAdam(memory, 6e-3), make_generator(1)
    memory.train()
    for update in range(UPDATES):
        optimizer.lr = 6e-3 * (1 - update / UPDATES)
        optimizer.zero_grad()
        memory.loss(episode, memory.initial_state(1), generator)["total"].backward()
        optimizer.step(optimizer.clip(10.0))
    after = dreamt_error(memory.eval(), episode, 8)
    assert after.mean() < 0.01
    assert after.max() < 0.1
