"""The policy gradient on what a dreaming agent acted for real."""

import torch

from ewm_studio.acting.collector import Rollout
from ewm_studio.data.rollout_buffer import RolloutBuffer
from ewm_studio.models.randomness import make_generator
from ewm_studio.settings import DreamSettings, PPOSettings
from ewm_studio.training.real_policy import RealPolicy
from tests.support.known_worlds import corridor
from tests.training.test_imagination import anywhere, controller_for

STEPS, ENVS = 8, 64
RIGHT = 1


def acted(world, controller, generator, disturbed=None):
    """A rollout in which to go right pays 1 and nothing else counts; where `disturbed`, its opposite is said to."""
    buffer = RolloutBuffer(STEPS, ENVS)
    for t in range(STEPS):
        places = anywhere(world, ENVS, generator)
        with torch.no_grad():
            raw = controller.distribution(places.z, places.h).sample(generator)
        here = torch.zeros(ENVS, dtype=torch.bool) if disturbed is None else disturbed[t]
        pays = (raw[:, 0] == RIGHT) != here
        buffer.put(
            z=places.z,
            h=places.h,
            raw=raw,
            action=raw[:, 0],
            is_first=torch.zeros(ENVS, dtype=torch.bool),
            disturbed=here,
            reward=pays.float().numpy(),
            shaping=torch.zeros(ENVS).numpy(),
            obs=None,
        )
    buffer.finish("cpu")
    with torch.no_grad():
        policy = controller.distribution(buffer.z.flatten(0, 1), buffer.h.flatten(0, 1))
        buffer.log_prob = policy.log_prob(buffer.raw.flatten(0, 1)).view(STEPS, ENVS)
    return Rollout(buffer, {}, None, torch.zeros(ENVS), [])


def goes_right(world, controller):
    places = anywhere(world, 256, make_generator(9))
    with torch.no_grad():
        policy = controller.distribution(places.z, places.h)
        return float(policy.log_prob(torch.full((256, 1), RIGHT)).exp().mean())


def taught(disturbed_share=0.0, rounds=25):
    """What a policy does after rounds of this, of which a share of the draws was disturbed."""
    world, g = corridor(), make_generator(2)
    controller = controller_for(world)
    settings = DreamSettings(real_epochs=4, real_lr=3e-3, gamma=0.0)
    learner = RealPolicy(controller, settings, PPOSettings(batch_size=128), g)
    for _ in range(rounds):
        disturbed = torch.rand(STEPS, ENVS, generator=g) < disturbed_share
        learner.add(acted(world, controller, g, disturbed))
        figures = learner.update(unit=1.0, left=1.0)
    assert figures["ppo/first_ratio_error"] < 1e-5
    return world, controller


def test_it_learns_what_pays_without_a_dream():
    world, controller = taught()
    assert goes_right(world, controller) > 0.9


def test_what_was_disturbed_counts_for_nothing():
    """Two draws of three are said to pay for the opposite: were they listened to, the opposite would be learned."""
    world, controller = taught(disturbed_share=0.67)
    assert goes_right(world, controller) > 0.9


def test_pieces_of_a_round_are_one_round():
    """Advantages look across the seams: two pieces give the update that both as one give."""
    world = corridor()
    changed = []
    for pieces in (1, 2):
        controller, g = controller_for(world), make_generator(5)
        learner = RealPolicy(controller, DreamSettings(real_epochs=1, gamma=0.9), PPOSettings(batch_size=512), g)
        whole = acted(world, controller, make_generator(3))
        for part in torch.arange(STEPS).tensor_split(pieces):
            learner.add(Rollout(cut(whole.buffer, part), {}, None, torch.zeros(ENVS), []))
        learner.update(unit=2.0, left=1.0)
        changed.append([p.clone() for p in controller.parameters()])
    assert all(torch.equal(one, two) for one, two in zip(*changed, strict=True))


def cut(buffer, steps):
    """Some steps of a finished rollout."""
    part = RolloutBuffer(len(steps), ENVS)
    for name, value in vars(buffer).items():
        if isinstance(value, torch.Tensor):
            setattr(part, name, value[steps])
    return part


def test_a_round_of_nothing_but_bursts_teaches_nothing():
    world = corridor()
    controller, g = controller_for(world), make_generator(5)
    learner = RealPolicy(controller, DreamSettings(real_epochs=1), PPOSettings(batch_size=512), g)
    before = [p.clone() for p in controller.parameters()]
    learner.add(acted(world, controller, g, torch.ones(STEPS, ENVS, dtype=torch.bool)))
    assert learner.update(unit=1.0, left=1.0) == {}
    assert all(torch.equal(one, two) for one, two in zip(before, controller.parameters(), strict=True))
