"""Memory learns what the environment gave and how it ended, whatever training's rules or a driver's silence add."""

import numpy as np
import pytest
import torch

from ewm_studio.data.frames import FrameStore
from ewm_studio.data.library import Library
from ewm_studio.driving.decisions import Decision
from ewm_studio.envs.probe import spaces_of
from ewm_studio.jobs import record
from ewm_studio.jobs.live_job import Driven
from ewm_studio.jobs.setup import build_model
from ewm_studio.models.base import SequenceBatch
from ewm_studio.models.randomness import make_generator
from ewm_studio.training.optimize import ComponentTrainer
from ewm_studio.training.sequences import to_sequence_batch
from ewm_studio.training.world_model_trainer import WorldModelTrainer
from ewm_studio.workspace import Workspace
from tests.support.jobs import experiment, finish

T, B = 12, 2


def trained_memory(tmp_path):
    """A model whose memory has learned that every step earns 1."""
    asked = experiment(memory={"name": "LSTMMemory", "hidden_dim": 16})
    model, _ = build_model(asked, spaces_of(asked.env), Workspace(tmp_path / "w"), make_generator(0))
    trainer, rng = ComponentTrainer(model.memory, "memory", asked.world_model), np.random.default_rng(0)
    model.memory.train()
    for _ in range(150):
        always = torch.ones(16, 8, dtype=torch.bool)
        z = torch.from_numpy(rng.normal(size=(17, 8, 4)).astype(np.float32))
        action = model.action_encoding(torch.from_numpy(rng.integers(0, 2, (16, 8))))
        ends = torch.from_numpy(rng.random((16, 8)) < 0.05)
        first = torch.cat([always[:1], ends[:-1]])
        batch = SequenceBatch(z, action, torch.ones(16, 8), ends, first, ~ends, always, always)
        trainer.step(model.memory.loss(batch, model.memory.initial_state(8)))
    return model.eval(), asked, rng


def predicted(model, rng):
    z = torch.from_numpy(rng.normal(size=(16, 8, 4)).astype(np.float32))
    action = model.action_encoding(torch.zeros(16, 8, dtype=torch.int64))
    with torch.no_grad():
        h, _ = model.memory.sequence(z, action, torch.zeros(16, 8, dtype=torch.bool), model.memory.initial_state(8))
        found = model.memory.predict(h)
    return found.reward.mean().item(), found.end_logit.sigmoid().mean().item()


@pytest.mark.parametrize("known", [True, False])
def test_driving_unlearns_neither_reward_nor_end(tmp_path, known):
    """Learning while driving took made-up rewards of zero, and ends that never were, for true ones."""
    model, asked, rng = trained_memory(tmp_path)
    reward, end = predicted(model, rng)
    assert reward == pytest.approx(1, abs=0.1)
    assert 0.02 < end < 0.12
    trainer = ComponentTrainer(model.memory, "memory", asked.world_model)
    with FrameStore((4,), np.float32, 2**20, tmp_path) as store:
        driven = Driven(store)
        drawn = rng.random(200) < 0.05
        first = np.concatenate([[True], drawn[:-1]])
        driven.add(
            [
                Decision(
                    rng.normal(size=4).astype(np.float32),
                    np.array(t % 2),
                    bool(first[t]),
                    1.0 if known else None,
                    bool(drawn[t]) if known else False,
                )
                for t in range(200)
            ]
        )
        model.memory.train()
        for _ in range(100):
            obs, sequences = driven.sequences(rng, 8)
            assert sequences.known.all() == known
            assert (sequences.reward == (1 if known else 0)).all()
            batch = to_sequence_batch(sequences, torch.from_numpy(obs), model.action_encoding)
            trainer.step(model.memory.loss(batch, model.memory.initial_state(8)))
    model.memory.eval()
    after = predicted(model, rng)
    assert after[0] == pytest.approx(1, abs=0.15)
    assert 0.01 < after[1] < 0.2


class _Noted:
    """What a memory is given to learn."""

    def __init__(self, memory):
        self.memory, self.batches = memory, []
        plain = memory.loss

        def loss(batch, state, generator=None):
            self.batches.append(batch)
            return plain(batch, state, generator)

        memory.loss = loss


def test_memory_learns_the_unshaped_reward_and_the_environments_own_ends(tmp_path):
    from ewm_studio.acting.collector import LocalCollector
    from ewm_studio.envs.vector.make import make_vector

    asked = experiment(
        env={"id": "Pendulum-v1", "idle_limit": 3, "idle_terminates": True, "batch_size": B},
        memory={"name": "LSTMMemory", "hidden_dim": 8},
        world_model={"sequence_length": T},
    )
    model, _ = build_model(asked, spaces_of(asked.env), Workspace(tmp_path / "w"), make_generator(0))
    envs = make_vector(asked.env, 0)
    plain = envs._step

    def with_shaping(actions):  # as a tile driven past is charged for
        finals, episodes = plain(actions)
        envs.shaping[:] = -5.0
        envs.reward += envs.shaping
        return finals, episodes

    envs._step = with_shaping
    rollout = LocalCollector(envs, model.eval(), generator=make_generator(1)).collect(T)
    envs.close()
    noted = _Noted(model.memory)
    trainer = WorldModelTrainer(model, asked.world_model, make_generator(2))
    trainer.train_on(rollout.buffer, rollout.next_obs, rollout.start, 1.0)
    (batch,) = noted.batches
    assert rollout.buffer.terminated[2::3].all()  # the idle limit ended every third step, as a failure
    assert not batch.terminated.any()  # Pendulum itself never ends
    torch.testing.assert_close(batch.reward.sort(1)[0], (rollout.buffer.reward + 5).sort(1)[0])
    assert not batch.valid[2].any()  # what follows a cut is another episode's


def test_idle_episodes_are_recorded_as_cut_and_not_as_ended(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    rules = {"id": "Pendulum-v1", "idle_limit": 3, "idle_terminates": True}
    asked = experiment(env=rules, data={"recording": "idle", "frames": 30, "idle_limit": 5})
    assert finish(record(asked, workspace))["episodes"] == 6
    (recording,) = Library(workspace).find_all("idle")
    episodes = [recording.episode(i) for i in range(len(recording))]
    assert [len(episode.reward) for episode in episodes] == [5] * 6
    assert not any(episode.terminated.any() for episode in episodes)
    assert all(episode.truncated[-1] for episode in episodes)
