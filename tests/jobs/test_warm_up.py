"""What a training run does before its first rollout: vision, memory and a controller that copies a recorded driver."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch

from ewm_studio.acting.agent import load_agent
from ewm_studio.data.experience import StoredEpisode
from ewm_studio.envs.probe import spaces_of
from ewm_studio.errors import UserError
from ewm_studio.events import EpisodeFinished, JobControl, Metrics, Progress, RunStarted
from ewm_studio.jobs import record, train
from ewm_studio.jobs.collect import encode_all, find_recordings, frame_store, read_recordings
from ewm_studio.jobs.setup import build_model
from ewm_studio.models.randomness import make_generator
from ewm_studio.training.cloning import demonstration
from ewm_studio.workspace import Workspace
from tests.jobs.test_training import same, weights
from tests.support.jobs import experiment, finish, returned

WARM_UP = {"random_frames": 40, "recording": "shown", "vision_epochs": 1, "memory_epochs": 2, "clone_epochs": 2}
DRIVING = {
    "env": {"id": "CarRacing-v3", "batch_size": 2, "image_size": 32, "action_repeat": 4},
    "vision": {"name": "ConvVAE"},
    "memory": {"name": "MDNRNN", "hidden_dim": 8},
    "controller": {"name": "DeepContinuousController", "head": "categorical", "opposed": "1,2"},
    "world_model": {"memory_batch_size": 2},
    "warm_up": WARM_UP,
    "run": {"threads": 1},
}
STAGES = ("collect", "vision", "encode", "memory", "clone", "train")


@pytest.fixture(scope="module")
def drives(tmp_path_factory):
    """A workspace with a recording of CarRacing, by random actions."""
    workspace = Workspace(tmp_path_factory.mktemp("ws"))
    with contextlib.closing(workspace):
        made = experiment(**{**DRIVING, "warm_up": {}}, data={"recording": "shown", "frames": 300})
        finish(record(made, workspace))
        yield workspace


@pytest.fixture(scope="module")
def whole(drives):
    """The events of a run that goes through every stage."""
    return list(train(experiment(**DRIVING, train={"epochs": 1}), drives))


def test_the_stages_come_in_the_order_that_was_told(whole):
    begun = next(e for e in whole if isinstance(e, RunStarted))
    assert begun.stages == STAGES == tuple(dict.fromkeys(e.stage for e in whole if isinstance(e, Progress)))
    assert sum(isinstance(e, EpisodeFinished) for e in whole) == whole[-1].result["episodes"]


@pytest.mark.parametrize("frame_buffer", [0, 60])
@pytest.mark.parametrize("stage", STAGES[:-1])
def test_a_run_stopped_in_any_stage_is_the_same_run(drives, whole, stage, frame_buffer):
    asked = experiment(**DRIVING, train={"epochs": 1})
    if frame_buffer:
        asked = asked.with_values(("world_model.frame_buffer", frame_buffer), ("world_model.vision_updates", 2))
        asked = asked.with_values(("world_model.replay", 400), ("world_model.memory_updates", 2))
        expected = weights(finish(train(asked, drives)))
    else:
        expected = weights(whole[-1].result)
    control, seen = JobControl(), []
    for event in train(asked, drives, control):
        if isinstance(event, Progress) and event.stage == stage and event.done >= 2:
            control.stop()
        seen.append(event)
    assert (seen[-1].result["epochs"], seen[-1].result["stopped_by"]) == (0, "stop")
    rest = list(train(asked, drives, resume=seen[-1].result["run"]))
    assert same(weights(rest[-1].result), expected)


@pytest.mark.parametrize("without", ["vision_epochs", "memory_epochs", "clone_epochs"])
def test_each_stage_can_be_left_out_and_changes_its_part(drives, whole, without):
    part = {"vision_epochs": "vision.", "memory_epochs": "memory.", "clone_epochs": "controller."}[without]
    frozen = {**DRIVING, "warm_up": {**WARM_UP, without: 0}}
    events = list(train(experiment(**frozen, train={"epochs": 1}), drives))
    left_out = {"vision_epochs": "vision", "memory_epochs": "memory", "clone_epochs": "clone"}[without]
    assert left_out not in next(e for e in events if isinstance(e, RunStarted)).stages
    ours, theirs = weights(events[-1].result), weights(whole[-1].result)
    assert any(not torch.equal(ours[k], theirs[k]) for k in ours if k.startswith(part))


def test_a_recording_of_something_else_is_refused(drives):
    with pytest.raises(UserError, match="recorded on CarRacing-v3, this experiment is on CartPole-v1"):
        next(train(experiment(warm_up={"recording": "shown"}), drives))


@pytest.fixture(scope="module")
def pole(tmp_path_factory):
    """A workspace with a good pole balancer and a recording of it."""
    workspace = Workspace(tmp_path_factory.mktemp("pole"))
    with contextlib.closing(workspace):
        trained = finish(
            train(
                experiment(
                    env={"batch_size": 8},
                    ppo={"rollout_steps": 64, "epochs": 10, "batch_size": 256},
                    train={"epochs": None, "total_steps": 40_000},
                ),
                workspace,
            )
        )
        shown = experiment(start={"load_path": trained["run"]}, data={"recording": "shown", "frames": 2_000})
        assert finish(record(shown, workspace))["mean"] > 150
        yield workspace


def test_a_controller_begins_as_good_as_the_driver_that_it_copies(pole):
    rewards, explained = {}, {}
    for name, recording in (("cloned", "shown"), ("fresh", None)):
        asked = experiment(
            memory={"name": "History"},
            ppo={"rollout_steps": 501, "lr": 1e-3, "batch_size": 256},
            warm_up={"recording": recording, "clone_epochs": 60},
            train={"epochs": 1},
            run={"log_freq": 1},
        )
        events = list(train(asked, pole))
        rewards[name] = np.mean([e.reward for e in events if isinstance(e, EpisodeFinished)])
        explained[name] = next(e for e in events if isinstance(e, Metrics)).values["ppo/explained_variance"]
    assert rewards["cloned"] > 100 > 60 > rewards["fresh"]
    assert explained["cloned"] > explained["fresh"]  # the value was learned, too


@pytest.mark.parametrize("memory", ["NoMemory", "History", "LSTMMemory", "MDNRNN", "TemporalTransformer", "RSSM"])
def test_a_demonstration_is_what_the_agent_would_have_seen(pole, tmp_path, memory):
    asked = experiment(memory={"name": memory}, train={"epochs": 1})
    agent = load_agent(finish(train(asked, pole))["checkpoint"])
    model, spaces = agent.model.eval(), spaces_of(asked.env)
    with frame_store(asked, spaces, tmp_path) as store:
        reading = read_recordings(find_recordings("shown", asked, pole), spaces, asked, store)
        episodes = returned(reading)[:2]
        latents = returned(encode_all(store, model, JobControl()))
        shown = demonstration(model, episodes, latents, 0.99)
        at = 0
        for episode in episodes:
            state, h = model.memory.initial_state(1), model.memory.initial_hidden(1)
            for number, action in zip(episode.frames[:-1][:40], episode.action, strict=False):
                torch.testing.assert_close(shown.h[at : at + 1], h, atol=1e-5, rtol=1e-4)
                assert torch.equal(shown.z[at], latents[number])
                encoded = model.action_encoding(torch.from_numpy(np.asarray([action])))
                h, state = model.memory.step(latents[number][None], encoded, state)
                at += 1
            at += len(episode) - min(40, len(episode))


def test_returns_are_discounted_sums_of_scaled_rewards(pole, tmp_path):
    asked = experiment(train={"epochs": 1})
    model, spaces = load_agent(finish(train(asked, pole))["checkpoint"]).model, spaces_of(asked.env)
    with frame_store(asked, spaces, tmp_path) as store:
        episode = returned(read_recordings(find_recordings("shown", asked, pole), spaces, asked, store))[0]
        shown = demonstration(model, [episode], returned(encode_all(store, model, JobControl())), 0.9)
    scale = float(shown.returns[-1])  # one reward of 1 is left
    expected = scale * (1 - 0.9 ** np.arange(len(episode), 0, -1)) / (1 - 0.9)
    np.testing.assert_allclose(shown.returns.numpy(), expected, rtol=1e-4)


def test_the_same_reward_is_worth_the_same_in_every_episode():
    """Returns were once scaled by the deviation so far, so that the same reward was worth less in later episodes."""
    asked = experiment(memory={"name": "NoMemory"})
    model, _ = build_model(asked, spaces_of(asked.env), None, make_generator(0))
    rng = np.random.default_rng(0)
    episodes = [
        StoredEpisode(np.arange(21), rng.integers(0, 2, 20), np.full(20, scale, np.float32), True)
        for scale in (1, 1, 50, 1)
    ]
    shown = demonstration(model, episodes, torch.zeros(21, 4), 0.9)
    returns = shown.returns.view(4, 20)
    torch.testing.assert_close(returns[0], returns[1])
    torch.testing.assert_close(returns[0], returns[3])
