"""Learning while driving: from decisions as they come, with no transition that never was."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from ewm_studio.data.frames import FrameStore
from ewm_studio.driving.decisions import Decision
from ewm_studio.envs.factory import make_env
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.events import CheckpointSaved, Finished, Images, JobControl, Metrics, RunStarted
from ewm_studio.jobs import live
from ewm_studio.jobs.live_feed import LiveFeed
from ewm_studio.jobs.live_job import Driven
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from tests.support.jobs import experiment


def decision(number, is_first=False):
    return Decision(np.array([number], np.float32), np.array(number), is_first)


def numbers(decisions):
    return [int(d.obs[0]) for d in decisions]


def test_a_full_feed_drops_the_oldest_and_marks_the_gap():
    feed = LiveFeed(most=4)
    for number in range(7):
        feed.on_decision(Decision(np.array([number], np.float32), number, number == 0))
    taken = feed.take(0)
    assert numbers(taken) == [3, 4, 5, 6]
    assert [d.is_first for d in taken] == [True, False, False, False]
    assert feed.dropped == 3
    assert feed.take(0) == feed.take(0.01) == []


def test_a_feed_copies_what_environments_reuse_and_wakes_who_waits():
    feed, obs = LiveFeed(), np.zeros(1, np.float32)
    threading.Timer(0.05, feed.on_decision, (Decision(obs, 0, True),)).start()
    (taken,) = feed.take(30)
    obs[0] = 5
    assert taken.obs[0] == 0


@pytest.fixture
def driven(tmp_path):
    """Decisions 0 to 99, where 0, 30 and 31 begin an episode."""
    with FrameStore((1,), np.float32, 2**20, tmp_path) as store:
        made = Driven(store, most=100)
        made.add([decision(n, n in (0, 30, 31)) for n in range(60)])
        made.add([decision(n) for n in range(60, 120)])
        yield made


def test_sequences_are_what_was_driven(driven):
    assert len(driven) == 100
    rng = np.random.default_rng(0)
    for _ in range(20):
        obs, sequences = driven.sequences(rng, 5)
        at = obs[sequences.frames, 0].astype(int)  # (T + 1, rows)
        assert (np.diff(at, axis=0) == 1).all()
        assert (sequences.action == at[:-1]).all()
        assert (sequences.is_first == np.isin(at[:-1], (0, 30, 31))).all()
        assert (sequences.valid == ~np.isin(at[1:], (0, 30, 31))).all()
        assert sequences.mask.all()
    drawn = np.concatenate([driven.frames(rng, 64)[:, 0] for _ in range(40)])
    assert sorted(set(drawn.astype(int))) == list(range(100))


def test_the_latest_sequence_ends_with_the_present_decision(driven):
    obs, sequences = driven.latest()
    assert numbers([decision(n) for n in obs[:, 0]]) == list(range(68, 100))
    assert sequences.action[:, 0].tolist() == list(range(68, 100))
    assert sequences.frames[-2:, 0].tolist() == [31, 32]


def scripted_driving(settings, feed, control, steps):
    """Drive CarRacing at random into a feed, then stop."""
    env = make_env(settings.env.id)
    prepare = Preprocessor(env.observation_space, settings.env)
    env.action_space.seed(0)
    obs, _ = env.reset(seed=0)
    for t in range(steps):
        action = env.action_space.sample()
        before, (obs, reward, terminated, *_) = prepare(obs), env.step(action)
        feed.on_decision(Decision(before, action, t == 0, float(reward), terminated))
    env.close()


def wanted(**sections):
    return experiment(
        env={"id": "CarRacing-v3", "image_size": 32},
        vision={"name": "ConvVAE", "latent_dim": 8},
        memory={"name": "MDNRNN", "hidden_dim": 16},
        world_model={"vision_batch_size": 32, "memory_batch_size": 4},
        run={"threads": 1},
        **sections,
    )


def test_vision_and_memory_learn_and_the_present_frame_is_shown(tmp_path):
    settings, feed, control = wanted(), LiveFeed(most=1000), JobControl()
    scripted_driving(settings, feed, control, 200)
    workspace, errors, losses, kinds = Workspace(tmp_path), [], [], []
    latest = feed._waiting[-1].obs.transpose(1, 2, 0)
    present, last = feed._waiting[-1], 0
    for event in live(settings, workspace, control, feed):
        kinds.append(type(event))
        if isinstance(event, Images):
            assert sorted(event.pictures) == ["original", "prediction", "reconstruction"]
            assert {p.shape for p in event.pictures.values()} == {(1, 32, 32, 3)}
            np.testing.assert_array_equal(event.pictures["original"][0], latest)
            apart = event.pictures["original"].astype(float) - event.pictures["reconstruction"]
            errors.append(float((apart**2).mean()))
            feed.put(present)  # the driver stands still: the same frame again
            last += 1
        if isinstance(event, Metrics):
            losses.append(event.values["vision/total"])
            assert np.isfinite(list(event.values.values())).all()
        if last > 2 and errors[-1] < 0.5 * errors[0] and losses[-1] < 0.7 * losses[0]:
            control.stop()  # it does get better, however slow this machine is now
    assert kinds[0] is RunStarted
    assert kinds[-2:] == [CheckpointSaved, Finished]
    (run,) = workspace.runs()
    assert (run.job, run.state) == ("pretrain", "finished")
    assert run.steps >= 200
    weights, metadata = load_model(workspace.resolve_model(run.name))
    assert metadata["parts"]["memory"]["name"] == "MDNRNN"
    assert all(torch.isfinite(w).all() for w in weights.values() if w.is_floating_point())
    workspace.close()


def test_numbers_are_learned_too_and_only_what_is_asked_for(tmp_path):
    settings = experiment(memory={"name": "LSTMMemory", "hidden_dim": 8}, pretrain={"memory": True})
    feed, control, workspace = LiveFeed(), JobControl(), Workspace(tmp_path)
    rng = np.random.default_rng(0)
    for t in range(64):
        feed.on_decision(Decision(rng.normal(size=4).astype(np.float32), t % 2, t == 0, 1.0))
    names = set()
    for event in live(settings, workspace, control, feed):
        assert not isinstance(event, Images)
        if isinstance(event, Metrics):
            names |= {name.partition("/")[0] for name in event.values}
            control.stop()
    assert names == {"memory"}
    workspace.close()


def test_a_job_stopped_before_anything_was_driven_makes_no_run(tmp_path):
    control, workspace = JobControl(), Workspace(tmp_path)
    events = live(experiment(memory={"name": "LSTMMemory"}), workspace, control, LiveFeed())
    control.stop()
    assert [type(e).__name__ for e in events] == ["Message", "Finished"]
    assert workspace.runs() == []
    workspace.close()
