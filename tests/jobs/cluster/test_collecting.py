"""Rollouts collected by several: the same wherever they are, resumed exactly, and learned from."""

import sys

import pytest

from ewm_studio.errors import UserError
from ewm_studio.events import Message
from ewm_studio.jobs import train
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from tests.support.jobs import experiment, finish, train_until
from tests.support.ray_cluster import ray_cluster

TWO = {"epochs": 4, "collectors": 2}
LEARNING = {"memory": {"name": "LSTMMemory", "hidden_dim": 8}, "run": {"threads": 1, "save_freq": 1, "log_freq": 1}}
FIGURES = ("ppo/policy_loss", "ppo/value_loss", "ppo/entropy", "ppo/approx_kl", "memory/loss", "reward/mean_100")


def outcome(workspace, name):
    """All that a run has logged and come to, besides how long it took."""
    run = workspace.run(name)
    tensors, _ = load_model(run.latest_checkpoint())
    rows = {tag: run.metrics(tag).value.tolist() for tag in run.tags() if not tag.startswith("speed/")}
    episodes = run.episodes()
    return rows, [*zip(episodes.step.tolist(), episodes.reward.tolist(), strict=True)], {
        key: tensor.tolist() for key, tensor in tensors.items()
    }  # fmt: skip


def test_two_collectors_learn_are_repeated_and_resumed_exactly(tmp_path):
    workspace = Workspace(tmp_path)
    settings = experiment(train=TWO, **LEARNING)
    one = finish(train(settings, workspace))["run"]
    rows, episodes, weights = outcome(workspace, one)
    assert len(rows["ppo/policy_loss"]) == 4
    assert [step for step, _ in episodes] == sorted(step for step, _ in episodes)
    assert workspace.info(one).steps == 4 * 4 * 16
    broken = train_until(settings, workspace, 2)["run"]
    finish(train(settings, workspace, resume=broken))
    again, again_episodes, again_weights = outcome(workspace, broken)
    assert (again_weights, again_episodes) == (weights, episodes)
    assert again["ppo/policy_loss"] == rows["ppo/policy_loss"]


def test_one_collector_acts_in_the_same_episodes_as_the_learner_would(tmp_path):
    """The environments' seeds are the run's; only the draws are others."""
    seeds = []
    for collectors in (0, 1, 2):
        workspace = Workspace(tmp_path / str(collectors))
        settings = experiment(train={"epochs": 1, "collectors": collectors}, ppo={"rollout_steps": 200})
        events = list(train(settings, workspace))
        seeds.append({event.seed for event in events if type(event).__name__ == "EpisodeFinished"})
    assert len(set.intersection(*seeds)) >= 4
    assert all(len(found) >= 4 for found in seeds)


def test_what_cannot_be_shared_is_said(tmp_path):
    workspace = Workspace(tmp_path)
    for settings, line in (
        (experiment(train={"collectors": 5}), r"train\.collectors 5: there are 4 environments"),
        (experiment(train={"collectors": 2}, dream={"train": True}), "only PPO from real rollouts"),
        (experiment(train={"collectors": 2, "learner": "cma_es"}), "only PPO from real rollouts"),
        (experiment(train={"collectors": 2, "collect_on": "moon"}), "a cluster's address should be auto or ray://HOST"),
        (experiment(train={"collectors": 2, "collect_on": "ray://127.0.0.1:1"}), "no Ray cluster answers"),
    ):
        with pytest.raises(UserError, match=line):
            list(train(settings, workspace))
    assert workspace.runs() == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="clusters are of Linux machines")
def test_two_actors_of_a_cluster_give_the_figures_of_two_collectors_here(tmp_path):
    workspace = Workspace(tmp_path)
    here = finish(train(experiment(train=TWO, **LEARNING), workspace))["run"]
    with ray_cluster() as (_, address):
        settings = experiment(train=TWO | {"collect_on": address}, **LEARNING)
        events = list(train(settings, workspace))
        there = events[-1].result["run"]
        assert outcome(workspace, there) == outcome(workspace, here)
        assert set(FIGURES) & set(workspace.run(there).tags())
        assert not [event for event in events if isinstance(event, Message) and event.level == "error"]
