"""The recordings of a workspace: listed, cut, merged, binned and restored; nothing is ever lost on the way."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from ewm_studio.data import episode_file
from ewm_studio.data.library import Library
from ewm_studio.data.pictures import episode_frames, thumbnail
from ewm_studio.data.recordings import Recording, RecordingWriter
from ewm_studio.errors import UserError
from ewm_studio.workspace import Workspace
from tests.support.recorded import META, episode


@pytest.fixture
def library(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    yield Library(workspace)
    workspace.close()


def record(library: Library, name: str, lengths: list[int], **meta: Any) -> list[dict[str, Any]]:
    writer, episodes = RecordingWriter(library.folder / name, META | meta), [episode(n, n) for n in lengths]
    for one in episodes:
        writer.add_episode(**one)
    return episodes


def same(data: Any, one: dict[str, Any], begin: int = 0, end: int | None = None) -> bool:
    end = len(one["action"]) if end is None else end
    np.testing.assert_array_equal(data.obs, one["obs"][begin : end + 1])
    for name in ("action", "reward", "manual"):
        np.testing.assert_array_equal(getattr(data, name), one[name][begin:end])
    return True


def test_a_list_tells_what_there_is(library):
    assert library.recordings() == []
    old = record(library, "old", [5, 7])
    record(library, "new", [3], source="model")
    for path in (library.folder / "old").glob("*.h5"):
        os.utime(path, (1000.0, 1000.0))
    (library.folder / "empty").mkdir()
    (library.folder / ".aside-1").mkdir()
    new, first = library.recordings()
    assert (new.name, new.sources, new.episodes, new.frames) == ("new", ("model",), 1, 3)
    assert (first.name, first.env, first.episodes, first.frames, first.recorded) == ("old", "Drive-v0", 2, 12, 1000.0)
    assert first.mean_reward == pytest.approx(np.mean([one["reward"].sum() for one in old]))
    assert first.manual_share == pytest.approx(np.concatenate([one["manual"] for one in old]).mean())
    assert first.bytes == sum(p.stat().st_size for p in first.folder.iterdir())
    assert library.names() == ["empty", "new", "old"]


def test_several_are_found_by_name(library, tmp_path):
    record(library, "a", [2])
    record(library, "b", [3])
    assert [r.folder.name for r in library.find_all("b, a,b")] == ["b", "a"]
    assert library.find_all(str(library.folder / "a"))[0].step_count == 2
    with pytest.raises(UserError, match="no recording 'c'"):
        library.find_all("a,c")
    with pytest.raises(UserError, match="names no recording"):
        library.find_all(" , ")


@pytest.mark.parametrize(("begin", "end"), [(0, 4), (3, 9), (2, 21), (0, 21), (20, 21)])
def test_a_cut_keeps_these_steps_and_the_whole_goes_to_the_bin(library, monkeypatch, begin, end):
    monkeypatch.setattr(episode_file, "READ_ROWS", 3)  # so that it is read in pieces
    (one,) = record(library, "a", [21])  # which ends by itself
    path = library.folder / "a" / "000001.h5"
    os.utime(path, (1000.0, 1000.0))
    binned = library.cut(path, begin, end)
    recording = library.find("a")
    assert same(recording.episode(0), one, begin, end)
    assert recording.episodes[0].recorded == 1000.0
    data = recording.episode(0)
    assert (bool(data.terminated[-1]), bool(data.truncated[-1])) == (end == 21, end < 21)
    assert not data.terminated[:-1].any()
    assert same(Recording(binned.place.parent).episode(0), one)
    assert library.restore(binned) == path
    assert same(library.find("a").episode(0), one)
    assert len(library.find("a")) == 1


def test_a_cut_of_nested_observations(library):
    writer = RecordingWriter(library.folder / "a", META)
    observations = [{"b": (np.full((2, 2), t, np.float64), t), "a": np.array([t], np.int8)} for t in range(6)]
    writer.begin(observations[0])
    for t in range(5):
        writer.step(t, 0.5, observations[t + 1], manual=False)
    path = writer.end(True, False)
    library.cut(path, 1, 3)
    data = library.find("a").episode(0)
    assert data.obs["b"][1].tolist() == data.obs["a"][:, 0].tolist() == [1, 2, 3]
    assert data.action.tolist() == [1, 2]


@pytest.mark.parametrize(("begin", "end"), [(-1, 3), (3, 3), (0, 21)])
def test_what_is_not_there_cannot_be_kept(library, begin, end):
    record(library, "a", [20])
    path = library.folder / "a" / "000001.h5"
    with pytest.raises(UserError, match="cannot be kept; it has 20"):
        library.cut(path, begin, end)
    assert len(library.find("a").episode(0).action) == 20
    assert not library.bin_folder.exists()


def test_episodes_go_to_the_bin_and_back(library):
    one, two = record(library, "a", [4, 6])
    first, second = (info.path for info in library.find("a").episodes)
    last = library.delete_episode(second)
    assert [i.length for i in library.find("a").episodes] == [4]
    (three,) = record(library, "a", [8])  # takes the number that became free
    again = library.delete_episode(second)
    assert {last.place.name, again.place.name} == {"000002.h5", "000002-2.h5"}
    library.restore(last)
    moved = library.restore(again)  # its number is taken again
    assert [i.length for i in library.find("a").episodes] == [4, 6, 8]
    assert moved.name == "000003.h5"
    assert same(library.find("a").episode(2), three)
    assert same(library.find("a").episode(1), two)
    assert same(library.find("a").episode(0), one)
    with pytest.raises(UserError, match="no such file"):
        library.delete_episode(first.with_name("000009.h5"))
    with pytest.raises(UserError, match="no longer in the bin"):
        library.restore(last)


def test_recordings_go_to_the_bin_and_back(library):
    record(library, "a", [4])
    first = library.delete("a")
    assert library.recordings() == []
    record(library, "a", [5])
    second = library.delete("a")
    assert first.place != second.place
    assert library.restore(second).name == "a"
    assert library.restore(first).name == "a-2"
    assert [library.find(name).step_count for name in ("a", "a-2")] == [5, 4]
    with pytest.raises(UserError, match="no recording 'b'"):
        library.delete("b")
    with pytest.raises(UserError, match="no recording"):
        library.delete("../runs")


def test_a_name_that_another_takes_meanwhile_is_left_to_it(library, monkeypatch):
    for name, length in (("a", 4), ("b", 5), ("c", 6)):
        record(library, name, [length])
    monkeypatch.setattr(library, "new_place", lambda name: library.folder / name)  # it seemed to be free
    with pytest.raises(UserError, match=r"c: cannot be written .* choose another name"):
        library.rename("a", "c")
    with pytest.raises(UserError, match=r"c: cannot be written .* choose another name"):
        library.merge(["a", "b"], "c")
    assert [library.find(name).step_count for name in library.names()] == [4, 5, 6]


def test_merging_copies_bit_for_bit(library):
    record(library, "a", [4, 5])
    record(library, "b", [6], source="random")
    os.utime(library.folder / "b" / "000001.h5", (1000.0, 1000.0))
    (library.folder / "b" / "000002.h5").write_bytes(b"damaged")
    made = library.merge(["a", "b", "a"], "both")
    sources = [library.folder / p for p in ("a/000001.h5", "a/000002.h5", "b/000001.h5")]
    copies = sorted(made.iterdir())
    assert [p.name for p in copies] == ["000001.h5", "000002.h5", "000003.h5"]
    assert [p.read_bytes() for p in copies] == [p.read_bytes() for p in sources]
    assert [e.source for e in library.find("both").episodes] == ["manual", "manual", "random"]
    assert library.find("both").episodes[2].recorded == 1000.0
    assert library.names() == ["a", "b", "both"]


def test_merging_refuses_what_does_not_belong_together(library):
    record(library, "a", [4])
    record(library, "other", [4], env="Fly-v0")
    record(library, "larger", [4], observation_space={"type": "Box", "shape": [24, 24, 3]})
    for other, words in (("other", "episodes of Fly-v0"), ("larger", "another observation space")):
        with pytest.raises(UserError, match=words):
            library.merge(["a", other], "both")
    with pytest.raises(UserError, match="at least two"):
        library.merge(["a", "a"], "both")
    record(library, "b", [4])
    with pytest.raises(UserError, match="called 'other' already"):
        library.merge(["a", "b"], "other")
    assert library.names() == ["a", "b", "larger", "other"]


def test_a_merge_that_breaks_off_leaves_nothing(library, monkeypatch):
    record(library, "a", [4])
    record(library, "b", [6])

    def break_off(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ewm_studio.data.library.shutil.copyfile", break_off)
    with pytest.raises(Exception, match="No space left"):
        library.merge(["a", "b"], "both")
    assert sorted(p.name for p in library.folder.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "x" * 200, "a"])
def test_names_that_cannot_be(library, name):
    record(library, "a", [4])
    record(library, "b", [4])
    with pytest.raises(UserError, match=r"cannot name|called 'a' already"):
        library.rename("b", name)
    assert library.names() == ["a", "b"]
    assert library.rename("b", "c").name == "c"


def test_a_writer_goes_on_when_its_folder_was_binned(library):
    writer, one = RecordingWriter(library.folder / "a", META), episode(1, 5)
    writer.add_episode(**one)
    writer.begin(one["obs"][0])
    writer.step(one["action"][0], 1.0, one["obs"][1], manual=True)
    library.delete("a")
    writer.end(False, True)
    assert library.find("a").step_count == 1


# Pictures


@pytest.mark.parametrize("shape", [(96, 96, 3), (40, 60, 3), (24, 24, 1), (24, 24)])
def test_pictures_of_pictures(library, shape):
    one = episode(1, 9, shape)
    path = RecordingWriter(library.folder / "a", META).add_episode(**one)
    small = thumbnail(path, 48)
    assert (small.shape, small.dtype) == ((48, 48, 3), np.uint8)
    shown = episode_frames(path)
    assert (len(shown.frames), shown.every) == (10, 1)
    assert shown.moving
    np.testing.assert_array_equal(shown.frames[3, ..., 0], one["obs"][3].reshape(*shape[:2], -1)[..., 0])
    np.testing.assert_array_equal(shown.reward, one["reward"])
    few = episode_frames(path, most_bytes=one["obs"][0].nbytes * 4)
    assert (len(few.frames), few.every) == (4, 3)
    np.testing.assert_array_equal(few.frames[1], shown.frames[3])


def test_the_thumbnail_is_the_middle_of_the_episode(library):
    obs = np.zeros((11, 48, 48, 3), np.uint8) + np.arange(11, dtype=np.uint8)[:, None, None, None]
    path = RecordingWriter(library.folder / "a", META).add_episode(obs, np.zeros(10), np.zeros(10), True, False)
    assert (thumbnail(path, 24) == 5).all()


def test_numbers_have_a_map_in_place_of_pictures(library):
    obs = np.stack([np.linspace(0, 1, 400), np.zeros(400)], axis=1).astype(np.float32)
    path = RecordingWriter(library.folder / "a", META).add_episode(obs, np.zeros(399), np.zeros(399), True, False)
    small = thumbnail(path, 40)
    assert small.shape == (40, 40, 3)
    assert small[0, 0, 0] < small[0, -1, 0]  # the first number rises
    assert (small[-1] == small[-1, 0]).all()  # the second does not change
    assert not episode_frames(path).moving


def test_a_damaged_episode_has_no_picture(library):
    path = library.folder / "000001.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nothing")
    for look in (lambda: thumbnail(path, 48), lambda: episode_frames(path)):
        with pytest.raises(UserError, match=r"000001\.h5"):
            look()
