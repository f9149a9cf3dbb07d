"""Vision and memory trained as one: who moves whom, what is learnt, and what cannot be."""

import numpy as np
import pytest
import torch

from ewm_studio.data.experience import Experience
from ewm_studio.data.frames import FrameStore
from ewm_studio.envs.probe import EnvProbe
from ewm_studio.errors import UserError
from ewm_studio.events import JobControl, Message, Metrics, Progress, RunStarted
from ewm_studio.jobs import pretrain
from ewm_studio.jobs.setup import build_model
from ewm_studio.models.randomness import make_generator
from ewm_studio.training.optimize import trainers_of
from ewm_studio.training.sequences import to_sequence_batch
from ewm_studio.training.together import TogetherTrainer, trainers_by_stage, weighed
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from tests.support.dot_env import DOT, SIDE, Dot
from tests.support.jobs import experiment, finish

SMALL = {
    "env": {"id": DOT, "image_size": SIDE, "batch_size": 4, "workers": 0},
    "vision": {"name": "ConvVAE", "latent_dim": 4, "channels": 4},
    "memory": {"name": "LSTMMemory", "hidden_dim": 32},
    "data": {"frames": 240},
    "pretrain": {"epochs": 2},
    "run": {"threads": 1},
}
SHORT = {"together": True, "sequence_length": 8, "memory_batch_size": 2}


def asked(world_model=SHORT, **sections):
    return experiment(**{**SMALL, "world_model": world_model, **sections})


@pytest.fixture
def world(tmp_path):
    """A fresh model of the dot's world."""
    settings = asked()
    probe = EnvProbe(settings.env)
    try:
        return build_model(settings, probe.spaces, Workspace(tmp_path), make_generator(0), False)[0]
    finally:
        probe.close()


@pytest.fixture(scope="module")
def sequences():
    """The first minibatch of two short episodes, and the store of its frames."""
    store, env, rng = FrameStore((3, SIDE, SIDE), np.uint8, 2**20), Dot(), np.random.default_rng(0)
    experience = Experience(store)
    for seed in range(2):
        seen, action = [env.reset(seed=seed)[0]], rng.integers(2, size=10)
        seen += [env.step(a)[0] for a in action]
        frames = np.stack(seen).transpose(0, 3, 1, 2)
        experience.add_episode(frames, action, np.zeros(10, np.float32), terminated=False)
    return next(experience.sequence_batches(rng, 4, 8)), store


def trainer(world, weight):
    return TogetherTrainer(world, trainers_of(world, asked()), weight)


def encoder_gradient(world, loss):
    world.zero_grad()
    loss.backward()
    return world.vision.to_mean.weight.grad


def test_the_encoder_is_moved_by_memorys_loss_by_the_weight(world, sequences):
    def gradient(weight):
        losses = trainer(world, weight).losses(*sequences, make_generator(0))
        return encoder_gradient(world, losses["memory/total"])

    one, two = gradient(1.0), gradient(2.0)
    assert one.abs().max() > 0
    assert torch.allclose(two, 2 * one, rtol=1e-4, atol=1e-9)
    assert gradient(0.0).abs().max() == 0


def test_trained_apart_no_gradient_of_memorys_reaches_vision(world):
    apart = trainers_by_stage(world, asked({"together": False}))
    assert list(apart) == ["vision", "memory"]
    assert list(trainers_by_stage(world, asked())) == ["together"]


def test_memory_itself_learns_at_its_full_rate(world, sequences):
    def gradient(weight):
        losses = trainer(world, weight).losses(*sequences, make_generator(0))
        world.zero_grad()
        losses["total"].backward()
        return world.memory.residual_head.weight.grad

    assert torch.equal(gradient(0.0), gradient(1.0))


def test_a_step_moves_both_and_each_is_clipped_by_itself(world, sequences):
    both = trainer(world, 1.0)
    before = {name: value.clone() for name, value in both.component.state_dict().items()}
    for one in both.trainers.values():
        one.max_grad_norm = 1e-3
    figures = both.step(both.losses(*sequences, make_generator(0)))
    assert {"vision/total", "vision/grad_norm", "memory/total", "memory/grad_norm"} <= figures.keys()
    after = both.component.state_dict()
    for name in ("vision.to_mean.weight", "vision.from_latent.weight", "memory.residual_head.weight"):
        assert not torch.equal(before[name], after[name])
    for name in ("vision", "memory"):
        norms = [p.grad.norm() for p in both.component[name].parameters() if p.grad is not None]
        assert torch.stack(norms).norm() == pytest.approx(1e-3, rel=1e-3)


def test_every_frame_is_seen_once_and_stands_where_it_was(world, sequences):
    """What memory is trained on is what it would be trained on by itself, on latents of the same vision."""
    stored, store = sequences
    world.eval()  # nothing is drawn or taken in
    joint = trainer(world, 1.0).losses(stored, store, make_generator(0))
    latents = world.vision.encode(torch.from_numpy(store.read(np.arange(len(store)))))
    batch = to_sequence_batch(stored, latents.detach(), world.action_encoding)
    alone = world.losses(sequences=batch)["memory"]
    assert joint["memory/total"].item() == pytest.approx(alone["total"].item(), rel=1e-4)
    assert torch.equal(weighed(latents, 0.3), latents)


def test_the_gradient_moves_narrow_latents_as_far_for_their_spread_as_wide_ones():
    wide = torch.randn(64, 3, generator=make_generator(0))

    def moved(z):
        z = z.clone().requires_grad_()
        (weighed(z, 1.0) / z.detach().std(0)).square().sum().backward()  # an error in units of the spread
        return z.grad / z.detach().std(0)

    assert torch.allclose(moved(wide), moved(1e-3 * wide), rtol=1e-3)


def test_a_dot_that_is_turned_is_learnt(tmp_path):
    settings = asked({**SHORT, "lr": 3e-3}, data={"frames": 1200}, pretrain={"epochs": 5})
    events = list(pretrain(settings, Workspace(tmp_path)))
    first, *_, last = [e.values for e in events if isinstance(e, Metrics)]
    assert last["memory/held_out_prediction_error"] < 0.9 * last["memory/held_out_persistence_error"]
    assert last["vision/held_out_mse"] < 0.5 * first["vision/held_out_mse"]
    assert last["together/held_out_open_loop"] < 0.9 * first["together/held_out_open_loop"]
    assert last["vision/effective_rank"] > 2  # the latents have not fallen to a point, nor to a line
    begun = next(e for e in events if isinstance(e, RunStarted))
    assert begun.stages == ("collect", "together")
    assert begun.stages == tuple(dict.fromkeys(e.stage for e in events if isinstance(e, Progress)))
    assert any(isinstance(e, Message) and e.text.startswith("actions of") for e in events)
    assert events[-1].result["coverage"] is not None


def weights(result):
    return load_model(result["checkpoint"])[0]


@pytest.mark.parametrize("seen", [0, 300])
def test_stopped_and_resumed_is_the_same_run(tmp_path, seen):
    """Inside the first pass, and inside the second."""
    settings = asked({**SHORT, "together_weight": 1.0}, run={"threads": 1, "save_freq": 1})
    whole = finish(pretrain(settings, Workspace(tmp_path / "whole")))
    workspace, control = Workspace(tmp_path / "halves"), JobControl()
    for event in pretrain(settings, workspace, control):
        if isinstance(event, Progress) and event.stage == "together" and event.done > seen:
            control.stop()
    assert event.stopped_by == "stop"
    rest = finish(pretrain(settings, workspace, resume=event.result["run"]))
    one, other = weights(whole), weights(rest)
    assert all(torch.equal(one[name], other[name]) for name in one | other)
    apart = weights(finish(pretrain(asked({**SHORT, "together": False}), Workspace(tmp_path / "apart"))))
    assert not all(torch.equal(one[name], apart[name]) for name in one)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"vision": {"name": "JEPA"}}, "JEPA nothing would keep its latents from a point"),
        ({"vision": {"name": "VQ_VAE"}}, "VQ_VAE codes let no gradient through"),
        ({"memory": {"name": "NoMemory"}}, "only vision is to be trained"),
        ({"pretrain": {"memory": True}}, "only memory is to be trained"),
        ({"env": {"id": "CartPole-v1"}, "vision": {"name": "Identity"}}, "only memory is to be trained"),
    ],
)
def test_what_cannot_be_trained_as_one_is_said_in_one_line_before_anything_starts(tmp_path, sections, words):
    workspace = Workspace(tmp_path)
    with pytest.raises(UserError, match=words) as refused:
        list(pretrain(asked(**sections), workspace))
    assert "\n" not in str(refused.value)
    assert "world_model.together" in str(refused.value)
    assert workspace.runs() == []
