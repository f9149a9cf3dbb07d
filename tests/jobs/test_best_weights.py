"""Pretraining keeps the weights that were best on what was held out."""

import itertools

import torch

from ewm_studio.events import JobControl, Message, Metrics
from ewm_studio.jobs import pretrain, pretrain_job
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from tests.support.jobs import experiment, finish

ASKED = experiment(
    memory={"name": "LSTMMemory", "hidden_dim": 8}, pretrain={"epochs": 5}, data={"frames": 200}, run={"save_freq": 1}
)


def held_out(monkeypatch, losses):
    """Have the epochs' held-out losses be these."""
    given = itertools.chain(losses)
    monkeypatch.setattr(pretrain_job, "memory_figures", lambda *_: {"memory/held_out_total": next(given)})


def weights(path):
    return {name: w for name, w in load_model(path)[0].items() if name.startswith("memory.")}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_best_epochs_weights_are_kept(tmp_path, monkeypatch):
    held_out(monkeypatch, [3.0, 1.0, 2.0, 4.0, 5.0])
    words, saved, result = [], {}, None
    workspace = Workspace(tmp_path)
    for event in pretrain(ASKED, workspace):
        words += [event.text] if isinstance(event, Message) else []
        if type(event).__name__ == "CheckpointSaved":
            saved[len(saved) + 1] = weights(event.path)
        result = getattr(event, "result", result)
    assert any("after epoch 2, the best" in text for text in words)
    kept = weights(result["checkpoint"])
    assert same(kept, saved[2])
    assert not same(kept, saved[5])


def test_the_last_weights_stay_where_they_are_the_best(tmp_path, monkeypatch):
    held_out(monkeypatch, [5.0, 4.0, 3.0, 2.0, 1.0])
    events = list(pretrain(ASKED, Workspace(tmp_path)))
    assert not [e for e in events if isinstance(e, Message) and "best" in e.text]


def test_a_resumed_run_still_knows_the_best(tmp_path, monkeypatch):
    held_out(monkeypatch, [3.0, 1.0, 2.0, 4.0, 5.0])
    whole = finish(pretrain(ASKED, Workspace(tmp_path / "whole")))
    held_out(monkeypatch, [3.0, 1.0, 2.0, 4.0, 5.0])
    workspace, control, run = Workspace(tmp_path / "halves"), JobControl(), ""
    for event in pretrain(ASKED, workspace, control):
        if isinstance(event, Metrics) and event.epoch == 3:
            control.stop()
        run = getattr(event, "run", run)
    rest = finish(pretrain(ASKED, workspace, resume=run))
    assert same(weights(whole["checkpoint"]), weights(rest["checkpoint"]))


def test_a_finished_run_that_is_gone_on_with_still_has_its_best_weights(tmp_path, monkeypatch):
    held_out(monkeypatch, [3.0, 1.0, 2.0])
    workspace = Workspace(tmp_path)
    short = finish(pretrain(ASKED.with_values(("pretrain.epochs", 3)), workspace))
    best = weights(short["checkpoint"])
    held_out(monkeypatch, [4.0, 5.0])
    longer = finish(pretrain(ASKED, workspace, resume=short["run"]))
    assert longer["epochs"] == 5
    assert same(best, weights(longer["checkpoint"]))
    held_out(monkeypatch, [0.5])  # and better ones take their place
    longest = finish(pretrain(ASKED.with_values(("pretrain.epochs", 6)), workspace, resume=short["run"]))
    assert not same(best, weights(longest["checkpoint"]))
