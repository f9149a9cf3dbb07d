"""Pretraining on recordings: several of them, with random frames among them, the same when stopped and resumed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ewm_studio.data.library import Library
from ewm_studio.envs.probe import spaces_of
from ewm_studio.errors import UserError
from ewm_studio.events import Finished, JobControl, Message, Progress
from ewm_studio.jobs import pretrain, record
from ewm_studio.jobs.collect import check_spaces, driver_of, frame_store, gather, recordings_to_pretrain_on
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from tests.support.jobs import experiment, finish, returned

MEMORY = {"name": "LSTMMemory", "hidden_dim": 8}


@pytest.fixture
def workspace(tmp_path):
    """With two recordings of CartPole, of 200 and of 100 steps."""
    made = Workspace(tmp_path / "ws")
    for name, frames, seed in (("a", 200, 0), ("b", 100, 50)):
        settings = experiment(data={"recording": name, "frames": frames}, run={"seed": seed})
        finish(record(settings, made))
    yield made
    made.close()


def wanted(recording="a,b", share=0.0, **more):
    return experiment(
        memory=MEMORY,
        pretrain={"epochs": 3, "memory": True} | more,
        data={"recording": recording, "random_share": share},
        run={"threads": 1},
    )


def collected(settings, workspace, tmp_path):
    """What would be trained on: experience, and its frames."""
    spaces = spaces_of(settings.env)
    recordings = recordings_to_pretrain_on(settings, workspace)
    check_spaces(recordings, spaces)
    with frame_store(settings, spaces, tmp_path) as store:
        job = gather(recordings, settings, spaces, store, JobControl())
        try:
            while True:
                next(job)
        except StopIteration as end:
            experience = end.value
            return experience, [store.read(episode.frames) for episode in experience.episodes]


def test_several_recordings_are_read_in_their_order(workspace, tmp_path):
    experience, frames = collected(wanted("b,a"), workspace, tmp_path)
    library = Library(workspace)
    raw = [library.find(n).episode(i).obs for n in ("b", "a") for i in range(len(library.find(n)))]
    assert experience.step_count == 300
    assert len(frames) == len(raw)
    for read, recorded in zip(frames, raw, strict=True):
        np.testing.assert_array_equal(read, recorded)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_the_share_of_random_frames_is_as_set(workspace, tmp_path, share):
    plain, recorded = collected(wanted(), workspace, tmp_path)
    mixed, frames = collected(wanted(share=share), workspace, tmp_path)
    own = plain.frame_count
    assert mixed.frame_count * share == pytest.approx(mixed.frame_count - own, abs=mixed.frame_count * 0.02 + 16)
    for read, before in zip(frames, recorded, strict=False):
        np.testing.assert_array_equal(read, before)
    again, _ = collected(wanted(share=share), workspace, tmp_path)
    assert all(np.array_equal(a.action, b.action) for a, b in zip(mixed.episodes, again.episodes, strict=True))


def final_weights(workspace, result):
    return load_model(workspace.run(result["run"]).latest_checkpoint())[0]


def test_mixed_data_gives_the_same_weights_when_stopped_and_resumed(workspace):
    settings = wanted(share=0.5)
    whole = finish(pretrain(settings, workspace))
    assert whole["env_steps"] > 600
    control, run = JobControl(), ""
    for event in pretrain(settings, workspace, control):
        if isinstance(event, Progress) and event.stage == "memory":
            control.stop()
        if isinstance(event, Finished):
            run = event.result["run"]
            assert event.stopped_by == "stop"
    resumed = finish(pretrain(settings, workspace, resume=run))
    one, other = final_weights(workspace, whole), final_weights(workspace, resumed)
    assert all(torch.equal(one[name], other[name]) for name in one)
    plain = final_weights(workspace, finish(pretrain(wanted(), workspace)))
    assert not all(torch.equal(one[name], plain[name]) for name in one)


def test_a_run_whose_recording_grew_says_so_when_resumed(workspace):
    control, run = JobControl(), ""
    for event in pretrain(wanted("b"), workspace, control):
        if isinstance(event, Progress) and event.stage == "memory":
            control.stop()
        if isinstance(event, Finished):
            run = event.result["run"]
    finish(record(experiment(data={"recording": "b", "frames": 50}), workspace))
    said = [e.text for e in pretrain(wanted("b"), workspace, resume=run) if isinstance(e, Message)]
    assert any("not to the same weights" in text for text in said)


def test_what_cannot_be_is_one_line_and_nothing_starts(workspace):
    finish(record(experiment(data={"recording": "shown", "frames": 16}, env={"pixels": True}), workspace))
    finish(record(experiment(data={"recording": "m", "frames": 16}, env={"id": "MountainCar-v0"}), workspace))
    cases = {
        "no recording 'c'": wanted("a,c"),
        "recorded on MountainCar-v0": wanted("a,m"),
        "look at --pixels": wanted("a,shown"),
        "name some with --recording": wanted(None, 0.5),
    }
    for words, settings in cases.items():
        with pytest.raises(UserError, match=words):
            list(pretrain(settings, workspace))
    with pytest.raises(UserError, match=r"random_share should be less than 1"):
        wanted(share=1.0)
    with pytest.raises(UserError, match="one name"):
        list(record(experiment(data={"recording": "x,y"}), workspace))
    assert workspace.runs() == []


def test_a_model_collects_in_bursts_and_repeats_itself(tmp_path):
    """The shipped balancer's episodes are long; chance's are of 20 steps; with its hand taken off it falls sooner."""

    def collected(**data):
        settings = experiment(data={"frames": 1500, **data}, env={"batch_size": 2})
        made, spaces = Workspace(tmp_path / "ws"), spaces_of(settings.env)
        driver = driver_of(settings, made, spaces)
        with frame_store(settings, spaces, tmp_path) as store:
            return returned(gather([], settings, spaces, store, JobControl(), driver=driver))

    driven, disturbed = collected(driver="cartpole"), collected(driver="cartpole", bursts=0.3)
    assert driven.episode_count <= 4
    assert 4 < disturbed.episode_count < collected().episode_count
    again = collected(driver="cartpole", bursts=0.3)
    for one, other in zip(disturbed.episodes, again.episodes, strict=True):
        assert np.array_equal(one.action, other.action)
        assert one.terminated == other.terminated


def test_a_driver_of_something_else_is_refused(tmp_path):
    settings = experiment(data={"frames": 100, "driver": "carracing"})
    with pytest.raises(UserError, match="carracing sees"):
        finish(pretrain(settings, Workspace(tmp_path / "ws")))
