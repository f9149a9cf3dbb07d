"""Exports are decoded again and compared with what they were made of, by this program's libraries and by ffmpeg."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ewm_studio.analysis.film import Pane, Sheet, check_target, enlarge, export, gif_times
from ewm_studio.errors import UserError
from ewm_studio.jobs import infer, train
from ewm_studio.workspace import Workspace
from tests.support.jobs import experiment, finish

FRAMES = 24
FPS = 50.0


@pytest.fixture
def panes():
    """Two panes: smooth pictures that move every frame, and smaller ones that change every fourth."""
    y, x = np.mgrid[:96, :96]
    first = [np.stack([(x * 2 + t * 5) % 256, (y * 2) % 256, np.full_like(x, t * 8)], -1) for t in range(FRAMES)]
    second = [np.stack([y[:64, :64] * 3, np.full((64, 64), d * 30), x[:64, :64] * 3], -1) for d in range(6)]
    return [
        Pane("what happened", "", np.clip(first, 0, 255).astype(np.uint8), np.arange(FRAMES)),
        Pane("what it saw", "vision", np.array(second).astype(np.uint8), np.arange(FRAMES) // 4),
    ]


def near(found, expected, most):
    """Mean difference, and how many pixels are far off: a codec blurs edges between blocks."""
    apart = np.abs(found.astype(int) - expected.astype(int))
    return apart.mean() < most and (apart > 64).mean() < 0.02


def test_a_sheet_enlarges_without_blur(panes):
    sheet = Sheet(panes, 360)
    drawn = sheet.draw(9)
    assert sheet.height == 384
    assert drawn.shape[0] % 2 == drawn.shape[1] % 2 == 0
    for pane, place in zip(panes, sheet.places, strict=True):
        factor = 384 // pane.pictures.shape[1]
        assert np.array_equal(drawn[place][::factor, ::factor], pane.at(9))
        assert np.array_equal(drawn[place], np.kron(pane.at(9), np.ones((factor, factor, 1), np.uint8)))
    assert enlarge(panes[0].at(0), 100, 50).shape == (100, 50, 3)


def test_a_border_says_how_far_a_picture_can_be_trusted(panes):
    grades = ["good"] * 3 + ["doubt", "bad", "line"]
    bordered = [panes[0], Pane("a dream", "memory", panes[1].pictures, panes[1].index, grades)]
    plain, sheet = Sheet(panes, 96), Sheet(bordered, 96)
    rows, columns = sheet.places[1]
    colors = []
    for frame in range(0, FRAMES, 4):
        drawn, without = sheet.draw(frame), plain.draw(frame)
        edge = drawn[rows.start - 1, columns.start - 1]
        assert (drawn[rows.stop, columns] == edge).all()
        assert np.array_equal(drawn[sheet.places[0]], without[sheet.places[0]])
        assert np.array_equal(drawn[rows, columns], without[rows, columns])
        colors.append(tuple(edge))
    assert colors[0] == colors[1] == colors[2]
    assert len(set(colors)) == 4


def test_mp4_decoded_again_has_the_same_frames_and_speed(panes, tmp_path):
    import av

    path, shares = tmp_path / "replay.mp4", []
    export(path, panes, FPS, progress=shares.append)
    sheet = Sheet(panes, 360)
    with av.open(str(path)) as file:
        assert file.streams.video[0].average_rate == FPS
        decoded = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(decoded) == FRAMES
    assert all(near(frame, sheet.draw(i), 6) for i, frame in enumerate(decoded))
    assert not near(decoded[0], sheet.draw(12), 6)  # or the comparison would show nothing
    assert shares[-1] == 1


def test_gif_decoded_again_has_the_same_frames_and_speed(panes, tmp_path):
    path = tmp_path / "replay.gif"
    export(path, panes, FPS)
    sheet = Sheet(panes, 240)
    numbers, durations = gif_times(FRAMES, FPS)
    assert numbers == list(range(0, FRAMES, 2))
    with Image.open(path) as file:
        assert file.n_frames == len(numbers)
        for place, number in enumerate(numbers):
            file.seek(place)
            assert file.info["duration"] == durations[place] == 40
            assert near(np.array(file.convert("RGB")), sheet.draw(number), 10)


def test_png_is_the_frame_exactly(panes, tmp_path):
    path = tmp_path / "frame.png"
    export(path, panes, FPS, frame=17)
    with Image.open(path) as file:
        assert np.array_equal(np.array(file), Sheet(panes, 360).draw(17))


def test_gifs_keep_time_at_any_speed():
    for fps in (8, 15, 24, 30, 50, 60, 144):
        numbers, durations = gif_times(1000, fps)
        assert all(d >= 20 and d % 10 == 0 for d in durations)  # players slow down anything quicker
        assert sum(durations) / 1000 == pytest.approx(len(numbers) * numbers[1] / fps, abs=0.01)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="no other program to play it")
@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_another_program_plays_it(panes, tmp_path, suffix):
    path = tmp_path / f"replay{suffix}"
    export(path, panes, FPS)
    probe = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", str(path)]
    (stream,) = json.loads(subprocess.run(probe, capture_output=True, check=True).stdout)["streams"]
    assert int(stream["nb_read_frames"]) == (FRAMES if suffix == ".mp4" else FRAMES // 2)
    assert float(stream["duration"]) == pytest.approx(FRAMES / FPS, abs=0.05)
    decode = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(decode, capture_output=True, check=True).stdout
    sheet = Sheet(panes, 360 if suffix == ".mp4" else 240)
    shape = (-1, *sheet.draw(0).shape)
    assert near(np.frombuffer(raw, np.uint8).reshape(shape)[0], sheet.draw(0), 10)


def test_what_cannot_be_exported_is_one_line(panes, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"\.mp4, \.gif or \.png"):
        export(tmp_path / "replay.avi", panes, FPS)
    with pytest.raises(UserError, match="cannot be written"):
        export(tmp_path / "nowhere" / "replay.gif", panes, FPS)
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="PyAV"):
        check_target(tmp_path / "replay.mp4")


def test_an_export_that_is_given_up_leaves_no_file(panes, tmp_path):
    def enough(share):
        if share > 0.3:
            raise RuntimeError

    for suffix in (".mp4", ".gif"):
        path = tmp_path / f"replay{suffix}"
        path.write_bytes(b"before")
        with pytest.raises(RuntimeError):
            export(path, panes, FPS, progress=enough)
        assert path.read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 2


def test_infer_films_the_first_episode(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    run = finish(train(experiment(), workspace))["run"]
    path = tmp_path / "film.gif"
    asked = experiment().with_values(("start.load_path", run), ("infer.episodes", 2), ("infer.video", str(path)))
    played = finish(infer(asked, workspace))
    with Image.open(path) as file:
        assert file.n_frames == len(gif_times(played["episodes"][0]["steps"] + 1, FPS)[0])
    with pytest.raises(UserError, match=r"\.mp4 or \.gif"):
        list(infer(asked.with_values(("infer.video", "film.png")), workspace))
    workspace.close()
