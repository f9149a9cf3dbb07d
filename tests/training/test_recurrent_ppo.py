"""Recurrent PPO: the controller's gradient goes on through the memory."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from ewm_studio.acting.collector import LocalCollector, Rollout
from ewm_studio.envs import RECALL_ID, T_MAZE_ID
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.jobs import train
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import choose_parts
from ewm_studio.models.base import MemoryModel
from ewm_studio.models.randomness import drawing_from, make_generator
from ewm_studio.settings import PPOSettings
from ewm_studio.training.ppo import PPO, ppo_losses
from ewm_studio.training.recurrent_ppo import RecurrentPPO, Sequences, make_ppo
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from tests.support.jobs import experiment, finish, train_until

MEMORIES = ("LSTMMemory", "MDNRNN", "TemporalTransformer")
STEPS, ENVS, DELAY = 12, 4, 2


@dataclass
class Once:
    """A `Collector` that gives the same rollout again and again."""

    rollout: Rollout

    def collect(self, steps: int) -> Rollout:
        return self.rollout


def agent(memory: str, env_id: str = RECALL_ID, **kwargs) -> tuple[AgentModel, LocalCollector]:
    """A fresh agent, and its collector."""
    chosen = experiment(env={"id": env_id, "batch_size": ENVS, "workers": 0, "kwargs": kwargs}, memory={"name": memory})
    envs = make_vector(chosen.env, 0)
    with drawing_from(make_generator(0)):
        parts = choose_parts(chosen, envs.observation_space, envs.action_space)
        model = AgentModel(parts, envs.observation_space, envs.action_space).eval()
    return model, LocalCollector(envs, model, generator=make_generator(1))


def later_rollout(collector: LocalCollector) -> Rollout:
    """One that begins in the middle of episodes, with others beginning in it."""
    collector.collect(DELAY)
    rollout = collector.collect(STEPS)
    assert not rollout.buffer.is_first[0].any()
    assert rollout.buffer.is_first[1:].any()
    return rollout


def sequences(model: AgentModel, rollout: Rollout, settings: PPOSettings) -> tuple[PPO, Sequences]:
    """A learner that has seen `rollout` and its minibatches."""
    learner = RecurrentPPO(model, settings, ENVS, make_generator(2))
    batch = learner._batch(rollout)
    action = model.action_encoding(rollout.buffer.action)
    return learner, Sequences(model.memory, batch, rollout, action, settings, make_generator(3))


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("length", [None, 5])
def test_hidden_states_are_those_the_agent_acted_with(memory, length):
    """Under the weights that acted, every sample comes once, with the h it was decided by."""
    model, collector = agent(memory, delay=DELAY)
    rollout = later_rollout(collector)
    settings = PPOSettings(rollout_steps=STEPS, batch_size=12, sequence_length=length)
    learner, made = sequences(model, rollout, settings)
    whole, seen = learner._batch(rollout), []
    for batch, index in made.minibatches():
        assert index.tolist() == list(range(len(batch.z)))
        seen += [torch.cat([batch.z, batch.h, batch.raw.float(), batch.advantage[:, None]], -1).detach()]
        _, ratio = ppo_losses(model.controller, batch, index, settings)
        torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0, atol=1e-5)
    rows = torch.cat(seen)
    expected = torch.cat([whole.z, whole.h, whole.raw.float(), whole.advantage[:, None]], -1)
    assert rows.shape == expected.shape
    nearest = torch.cdist(expected.double(), rows.double()).min(-1).values
    assert nearest.max() < 1e-4
    assert len(made.pieces) == (1 if length is None else 3)


@pytest.mark.parametrize("memory", MEMORIES)
def test_the_loss_of_a_late_decision_reaches_what_was_seen_early(memory):
    model, collector = agent(memory, delay=STEPS - 2)
    rollout = collector.collect(STEPS)
    assert rollout.buffer.is_first[0].all()
    rollout.buffer.z.requires_grad_()
    _, made = sequences(model, rollout, PPOSettings(batch_size=STEPS * ENVS))
    ((batch, _),) = made.minibatches()
    late = batch.h.unflatten(0, (STEPS, ENVS))[STEPS - 2, :, : model.memory.features]
    (reached,) = torch.autograd.grad(late.square().sum(), rollout.buffer.z)
    assert (reached[0].abs().sum(-1) > 0).all()
    # Cut into two pieces, nothing reaches over the cut.
    _, made = sequences(model, rollout, PPOSettings(batch_size=STEPS * ENVS, sequence_length=STEPS // 2))
    for batch, _ in made.minibatches():
        (reached,) = torch.autograd.grad(batch.h.square().sum(), rollout.buffer.z)
        assert len(reached.abs().sum((1, 2)).nonzero()) <= STEPS // 2


@pytest.mark.parametrize("memory", MEMORIES)
def test_an_update_changes_what_makes_hidden_states_and_begins_at_a_ratio_of_one(memory):
    model, collector = agent(memory, T_MAZE_ID, length=3)
    learner = RecurrentPPO(model, PPOSettings(rollout_steps=STEPS, epochs=2, batch_size=24), ENVS, make_generator(2))
    before = {name: value.clone() for name, value in model.memory.named_parameters()}
    for update in range(3):
        figures = learner.update(collector, 1.0)
        collector.refresh(learner.rollout)
        assert figures["ppo/first_ratio_error"] < 1e-5, update
        assert figures["ppo/memory_grad_norm"] > 0
    changed = {name for name, value in model.memory.named_parameters() if not torch.equal(value, before[name])}
    assert changed
    assert not [name for name in changed if "head" in name or "trunk" in name]  # these are prediction's alone
    assert not model.memory.training
    assert not any(module.training for module in model.memory.modules())


def test_with_a_memory_that_stays_it_is_ppo():
    """All samples in one minibatch: neither the order of samples nor the way to the hidden states matters."""
    results = []
    for recurrent in (False, True):
        model, collector = agent("LSTMMemory", delay=DELAY)
        rollout = later_rollout(collector)
        settings = PPOSettings(batch_size=STEPS * ENVS, epochs=3, memory_lr=1e-30)
        learner = (
            RecurrentPPO(model, settings, ENVS, make_generator(2))
            if recurrent
            else PPO(model.controller, settings, ENVS, make_generator(2))
        )
        figures = learner.update(Once(rollout), 1.0)
        results.append((model.controller.state_dict(), figures))
    (plain, plain_figures), (through, figures) = results
    for name, value in plain.items():
        torch.testing.assert_close(through[name], value, rtol=1e-3, atol=1e-5)
    for name, value in plain_figures.items():
        assert figures[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name


@pytest.mark.parametrize(
    ("memory", "gradient", "trained", "kind"),
    [
        ("NoMemory", "on", True, PPO),
        ("History", "on", True, PPO),
        ("LSTMMemory", "auto", True, RecurrentPPO),
        ("LSTMMemory", "auto", False, PPO),
        ("LSTMMemory", "on", False, RecurrentPPO),
        ("LSTMMemory", "off", True, PPO),
        ("TemporalTransformer", "auto", True, RecurrentPPO),
    ],
)
def test_where_the_gradient_goes_through_memory(memory, gradient, trained, kind):
    model, _ = agent(memory)
    asked = experiment(ppo={"memory_gradient": gradient}, world_model={"train": trained})
    assert type(make_ppo(model, asked, ENVS)) is kind
    assert type(make_ppo(frozen(model), asked, ENVS)) is PPO


def frozen(model: AgentModel) -> AgentModel:
    model.memory.requires_grad_(False)
    return model


def test_recurrent_layers_are_in_training_while_their_gradient_is_taken_and_no_other():
    """cuDNN refuses it otherwise."""
    model, collector = agent("LSTMMemory", delay=DELAY)
    seen, sequence = [], MemoryModel.reset

    def watched(self, state, is_first):
        seen.append((self.training, [m.training for m in self.modules() if isinstance(m, nn.RNNBase)]))
        return sequence(self, state, is_first)

    learner = RecurrentPPO(model, PPOSettings(epochs=1), ENVS, make_generator(2))
    rollout = later_rollout(collector)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryModel, "reset", watched)
        learner.update(Once(rollout), 1.0)
    assert seen
    assert all(state == (False, [True]) for state in seen)


@pytest.mark.parametrize("train_world_model", [True, False])
def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path, train_world_model):
    workspace = Workspace(tmp_path)
    asked = experiment(
        env={"id": RECALL_ID, "kwargs": {"delay": 3}},
        memory={"name": "LSTMMemory", "hidden_dim": 8},
        ppo={"memory_gradient": "on", "sequence_length": 6},
        world_model={"train": train_world_model},
        train={"epochs": 4},
    )
    whole = finish(train(asked, workspace))
    part = train_until(asked, workspace, 2)
    assert part["epochs"] == 2
    resumed = finish(train(asked, workspace, resume=part["run"]))
    assert resumed["losses"] == whole["losses"]
    one, other = (load_model(workspace.run(r["run"]).latest_checkpoint())[0] for r in (whole, resumed))
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize(("first", "then"), [("off", "on"), ("on", "off")])
def test_a_run_goes_on_with_the_gradient_turned_on_or_off(tmp_path, first, then):
    workspace = Workspace(tmp_path)
    asked = experiment(memory={"name": "LSTMMemory", "hidden_dim": 8}, ppo={"memory_gradient": first})
    run = finish(train(asked, workspace))["run"]
    changed = asked.with_values(("ppo.memory_gradient", then), ("train.epochs", 4))
    losses = finish(train(changed, workspace, resume=run))["losses"]
    assert ("ppo/memory_grad_norm" in losses) == (then == "on")


@pytest.mark.slow
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_cue_is_recalled(tmp_path, memory, seed):
    asked = experiment(
        env={"id": RECALL_ID, "kwargs": {"delay": 5, "cues": 4}, "batch_size": 8},
        memory={"name": memory},
        ppo={"rollout_steps": 64, "epochs": 10, "batch_size": 256},
        train={"total_steps": 30_000, "epochs": None},
        world_model={"sequence_length": 64},
        run={"seed": seed},
    )
    assert finish(train(asked, Workspace(tmp_path)))["mean_reward"] > 0.9
