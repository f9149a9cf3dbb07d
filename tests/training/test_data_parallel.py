"""Several processes train as one would: their gradients are those of the whole minibatch."""

import multiprocessing
import os
import socket

import numpy as np
import pytest
import torch

from ewm_studio.events import JobControl
from ewm_studio.models.base import SequenceBatch
from ewm_studio.models.memory.lstm import LSTMMemory
from ewm_studio.settings import WorldModelSettings
from ewm_studio.training.data_parallel import AgreedControl, joined, shared_sequences
from ewm_studio.training.optimize import ComponentTrainer

T, B, Z, A = 6, 5, 4, 2  # 5 sequences do not part evenly


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def memory():
    torch.manual_seed(3)
    return LSTMMemory(LSTMMemory.Settings(hidden_dim=8, head="deterministic"), Z, A).eval()  # scales stay as they are


def sequences():
    rng = torch.Generator().manual_seed(1)
    yes, no = torch.ones(T, B, dtype=torch.bool), torch.zeros(T, B, dtype=torch.bool)
    z = torch.randn(T + 1, B, Z, generator=rng)
    action, reward = torch.randn(T, B, A, generator=rng), torch.randn(T, B, generator=rng)
    return SequenceBatch(z, action, reward, no, no, yes, yes, yes)


def trained(peers=None, steps=3):
    """Gradients of the first step, and the weights after some."""
    model, batch = memory(), sequences()
    trainer, first = ComponentTrainer(model, "memory", WorldModelSettings()), None
    part = batch if peers is None else shared_sequences(batch, peers)
    for _ in range(steps):
        loss = model.loss(part, model.initial_state(part.mask.shape[1]))
        trainer.step(loss, peers, float(part.mask.sum()))
        first = [p.grad.numpy().copy() for p in model.parameters()] if first is None else first
    return first, [p.detach().numpy() for p in model.parameters()]


def one_of_two(rank, port, answers):
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with joined() as peers:
        control = JobControl()
        agreed = AgreedControl(control, peers)
        agreed.agree()
        before = agreed.stop_requested
        if rank:
            control.stop()  # one of them is enough
        agreed.agree()
        module = torch.nn.BatchNorm1d(2)
        module.running_mean += rank
        peers.follow(module)
        answers.put((rank, trained(peers), before, agreed.stop_requested, float(module.running_mean.sum())))


@pytest.mark.timeout(300)
def test_two_processes_learn_what_one_does():
    context = multiprocessing.get_context("spawn")
    answers, port = context.Queue(), free_port()
    processes = [context.Process(target=one_of_two, args=(rank, port, answers)) for rank in range(2)]
    for process in processes:
        process.start()
    found = sorted((answers.get(timeout=240) for _ in processes), key=lambda answer: answer[0])
    for process in processes:
        process.join()
    alone = trained()
    for _, both, before, after, mean in found:
        for mine, whole in zip(both, alone, strict=True):
            for one, other in zip(mine, whole, strict=True):
                np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
        assert (before, after, mean) == (False, True, 0.0)
    for one, other in zip(found[0][1][1], found[1][1][1], strict=True):
        np.testing.assert_array_equal(one, other)  # and never drift apart


def test_a_process_alone_meets_nobody(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined() as peers:
        assert peers is None
    monkeypatch.setenv("WORLD_SIZE", "4")  # of another program's
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with joined() as peers:
        assert peers is None
