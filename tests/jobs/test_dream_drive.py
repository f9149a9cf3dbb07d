"""`dream`: a dream from a real moment on, its figures, its film, and what it leaves behind."""

import json

import pytest
from PIL import Image

from ewm_studio import cli
from ewm_studio.data.library import Library
from ewm_studio.data.recordings import Recording
from ewm_studio.driving.dream_beginning import FromNowhere, FromRecording, FromReplay, FromTrack
from ewm_studio.envs.probe import spaces_of
from ewm_studio.errors import UserError
from ewm_studio.events import Message
from ewm_studio.jobs import infer, train
from ewm_studio.jobs.collect import check_spaces, find_recordings
from ewm_studio.jobs.dream_drive_job import dream
from ewm_studio.jobs.dream_places import source_of
from ewm_studio.workspace import Workspace
from tests.support.dreamers import dreamer, saved
from tests.support.jobs import experiment, finish

NUMBERS = {"id": "CartPole-v1"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(saved(dreamer(), tmp_path_factory.mktemp("model") / "m.safetensors"))


@pytest.fixture
def workspace(tmp_path):
    made = Workspace(tmp_path / "ws")
    made.make()
    yield made
    made.close()


def asked(model, start="track:3", **values):
    return experiment(
        env=NUMBERS,
        start={"load_path": model},
        dream_drive={"start": start, "steps": 8, "actions": "left,right*3,left", **values},
    )


def test_the_same_seed_dreams_the_same_beside_reality(model, workspace):
    one, again = (finish(dream(asked(model), workspace)) for _ in range(2))
    assert one == again
    assert one["steps"] == len(one["lanes"]["drift"]) or one["stopped_by"] == "end"
    assert one["real_return"] == sum(one["lanes"]["real_reward"])
    assert one["dreamt_return"] == pytest.approx(sum(one["lanes"]["reward"]))
    other = finish(dream(asked(model).with_values(("run.seed", 5)), workspace))
    assert other["lanes"]["reward"] != one["lanes"]["reward"]
    alone = finish(dream(asked(model, beside=False), workspace))
    assert alone["lanes"]["reward"] == one["lanes"]["reward"]
    assert alone["real_return"] is None


def test_a_dream_is_filmed_and_kept_apart_from_what_was_lived(model, workspace, tmp_path):
    film, strip = tmp_path / "dream.gif", tmp_path / "dream.png"
    said = list(dream(asked(model, video=str(film), fan=2, recording="dreams"), workspace))
    assert any(isinstance(event, Message) and "filmed" in event.text for event in said)
    assert Image.open(film).n_frames > 2
    finish(dream(asked(model, "random:1", video=str(strip)), workspace))
    assert Image.open(strip).width > Image.open(strip).height
    recording = Recording(workspace.recordings_folder / "dreams")
    assert recording.dreamt
    settings = experiment(env=NUMBERS)
    with pytest.raises(UserError, match=r"dreamt by a model, not lived; .* data.dreamt=true"):
        find_recordings("dreams", settings, workspace)
    allowed = settings.with_values(("data.dreamt", True))
    check_spaces(find_recordings("dreams", allowed, workspace), spaces_of(allowed.env))


def test_real_and_dreamt_episodes_are_never_in_one_recording(model, workspace):
    from ewm_studio.data.recordings import RecordingWriter

    finish(dream(asked(model, recording="dreams"), workspace))
    folder = workspace.recordings_folder / "dreams"
    with pytest.raises(UserError, match="holds dreamt episodes, and dreams are kept apart"):
        RecordingWriter(folder, {**Recording(folder).meta, "source": "manual"})
    finish(dream(asked(model, recording="more"), workspace))
    assert Library(workspace).merge(["dreams", "more"], "both").name == "both"


def test_a_dream_is_filmed_as_mp4_frame_for_frame(model, workspace, tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "dream.mp4"
    found = finish(dream(asked(model, video=str(path), temperature=0.0), workspace))
    with av.open(str(path)) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == found["steps"] + 1  # the start, and what every decision led to
    height, width = frames[0].shape[:2]
    assert width > height  # the dream and reality side by side
    assert not (frames[0] == frames[-1]).all()


def test_a_run_and_its_episode_are_a_start(workspace):
    memory = {"name": "MDNRNN", "hidden_dim": 8, "mixtures": 2}
    trained = {"memory": memory, "env": {**NUMBERS, "max_episode_steps": 60}}
    finish(train(experiment(**trained), workspace))
    run = workspace.runs()[0].name
    played = {**trained, "start": {"load_path": run}, "infer": {"episodes": 2}}
    for _ in range(2):
        finish(infer(experiment(**played), workspace))
    newest = workspace.evaluations()[0]
    source = source_of(f"{run}/2:5", workspace)
    assert source == FromReplay(newest.episodes()[1].path, 5, f"replay 2 of {run}")
    wanted = {**trained, "start": {"load_path": run}}
    from_it = {"start": f"{run}/2:5", "steps": 3, "actions": "recorded"}
    found = finish(dream(experiment(**wanted, dream_drive=from_it), workspace))
    assert (found["steps"], found["start"]) == (3, f"replay 2 of {run}, frame 5")
    assert found["real_return"] == 3.0  # what was recorded is done again, in reality too: one a step of CartPole
    with pytest.raises(UserError, match=rf"the newest evaluation of {run} has no episode 3; give one from 1 to 2"):
        source_of(f"{run}/3:5", workspace)


def test_places_are_named_in_words(model, workspace):
    finish(dream(asked(model, recording="dreams"), workspace))
    path = workspace.recordings_folder / "dreams" / "000001.h5"
    assert source_of("dreams/1:3", workspace) == FromRecording(path, 3)
    assert source_of("track:7", workspace) == FromTrack(7)
    assert source_of("random:7", workspace) == FromNowhere(7)
    assert isinstance(source_of("/x/000003.replay:5", workspace), FromReplay)
    assert source_of(f"{path}:2", workspace) == FromRecording(path, 2)
    for wrong, reason in (
        (None, "--from"),
        ("dreams", "give RUN/EPISODE:FRAME"),
        ("dreams/1", "give RUN/EPISODE:FRAME"),
        ("dreams/9:1", "has no episode 9; give one from 1 to 1"),
        ("dreem/1:1", "no recording and no evaluated run 'dreem'"),
    ):
        with pytest.raises(UserError, match=reason):
            source_of(wrong, workspace)


def test_the_command_prints_json_and_refuses_in_one_line(model, tmp_path, capsys):
    words = ["dream", "--workspace", str(tmp_path / "ws"), "--load-path", model, "--from", "track:3", "--steps", "4"]
    assert cli.main([*words, "--actions", "left", "--temperature", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 4
    assert found["start"].startswith("track 3, frame")
    assert cli.main([*words, "--actions", "lft"]) == 2
    assert "no move 'lft'" in capsys.readouterr().err
    assert cli.main([*words[:-4], "--from", "track:x"]) == 2
    assert "track:SEED" in capsys.readouterr().err
