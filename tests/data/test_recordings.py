"""Recordings: what was played comes back, kills and damage cost one episode, and experience is read from them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ewm_studio.data import episode_file, recordings
from ewm_studio.data.frames import FrameStore
from ewm_studio.data.recordings import Recording, RecordingWriter, load_experience
from ewm_studio.errors import UserError
from tests.support import ROOT
from tests.support.recorded import META, episode


def record(folder: Path, lengths: list[int]) -> list[dict[str, Any]]:
    writer, episodes = RecordingWriter(folder, META), [episode(i, n) for i, n in enumerate(lengths)]
    for one in episodes:
        writer.add_episode(**one)
    return episodes


def test_what_was_recorded_comes_back(tmp_path):
    episodes = record(tmp_path / "a", [5, 1, 9])
    recording = Recording(tmp_path / "a")
    assert [info.path.name for info in recording.episodes] == ["000001.h5", "000002.h5", "000003.h5"]
    assert recording.damaged == []
    assert recording.env_id == "Drive-v0"
    assert recording.meta == META
    assert recording.step_count == 15
    for number, (info, one) in enumerate(zip(recording.episodes, episodes, strict=True)):
        data = recording.episode(number)
        for name in ("obs", "action", "reward", "manual"):
            found = getattr(data, name)
            np.testing.assert_array_equal(found, one[name])
            assert found.dtype == one[name].dtype
        assert data.terminated.tolist() == [False] * (info.length - 1) + [one["terminated"]]
        assert data.truncated.tolist() == [False] * (info.length - 1) + [one["truncated"]]
        assert info.length == len(one["action"])
        assert info.total_reward == pytest.approx(one["reward"].sum())
        assert info.manual_share == pytest.approx(one["manual"].mean())


def test_streaming_copies_what_environments_reuse(tmp_path, monkeypatch):
    monkeypatch.setattr(episode_file, "PENDING_BYTES", 1000)  # compressed on the way
    one = episode(1, 20)
    writer, obs, action = RecordingWriter(tmp_path, META), one["obs"][0].copy(), np.zeros(2, np.float32)
    writer.begin(obs)
    for t in range(20):
        obs[:], action[:] = one["obs"][t + 1], one["action"][t]
        writer.step(action, one["reward"][t], obs, manual=bool(one["manual"][t]))
        assert writer.length == t + 1
    writer.end(terminated=True, truncated=False)
    data = Recording(tmp_path).episode(0)
    np.testing.assert_array_equal(data.obs, one["obs"])
    np.testing.assert_array_equal(data.action, one["action"])


def test_episodes_are_discarded_and_empty_ones_not_written(tmp_path):
    writer, one = RecordingWriter(tmp_path, META), episode(0, 3)
    writer.begin(one["obs"][0])
    assert writer.end(False, True) is None
    writer.begin(one["obs"][0])
    writer.step(one["action"][0], 1.0, one["obs"][1], manual=True)
    writer.discard()
    assert writer.length == 0
    assert writer.end(False, True) is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError):
        writer.step(one["action"][0], 1.0, one["obs"][1], manual=True)


def test_discrete_actions_and_observations_and_nested_ones(tmp_path):
    writer = RecordingWriter(tmp_path, META)
    observations = [{"b": (np.full((2, 2), t, np.float64), t), "a": np.array([t], np.int8)} for t in range(4)]
    writer.begin(observations[0])
    for t in range(3):
        writer.step(t, 0.5, observations[t + 1], manual=False)
    writer.end(True, False)
    data = Recording(tmp_path).episode(0)
    assert list(data.obs) == ["b", "a"]
    assert data.obs["b"][0].shape == (4, 2, 2)
    assert data.obs["b"][1].tolist() == data.obs["a"][:, 0].tolist() == [0, 1, 2, 3]
    assert data.action.tolist() == [0, 1, 2]


def test_text_is_refused(tmp_path):
    with pytest.raises(UserError, match="only numbers"):
        RecordingWriter(tmp_path, META).begin("words")


def test_more_episodes_are_added_to_a_recording_of_the_same_environment_only(tmp_path):
    record(tmp_path, [3])
    record(tmp_path, [4])
    assert [info.length for info in Recording(tmp_path).episodes] == [3, 4]
    for name, value in (("env", "Fly-v0"), ("action_space", {"type": "Discrete"})):
        with pytest.raises(UserError, match="another name"):
            RecordingWriter(tmp_path, {**META, name: value})


def test_a_picture_is_read_alone(tmp_path):
    writer, one = RecordingWriter(tmp_path, META), episode(0, 4, (96, 96, 3))
    path = writer.add_episode(**one)
    with h5py.File(path) as file:
        assert file["obs"].chunks == (1, 96, 96, 3)
        assert file["obs"].compression == "lzf"


# Damage


def spoil(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut short":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "other file":
        path.write_bytes(b"not a recording" * 100)
    elif how == "foreign":
        with h5py.File(path, "w") as file:
            file["obs"] = np.zeros(3)
    else:
        with h5py.File(path, "r+") as file:
            if how == "version":
                file.attrs["version"] = 99
            elif how == "lengths":
                del file["reward"]
                file["reward"] = np.zeros(2)
            elif how == "missing":
                del file["action"]
            elif how == "link":
                del file["action"]
                file["action"] = h5py.ExternalLink("/etc/passwd", "/")
            elif how == "types":
                del file["reward"]
                file["reward"] = np.array([b"x"] * 4)
            elif how == "json":
                file.attrs["meta"] = "{"
            elif how == "another environment":
                file.attrs["meta"] = json.dumps({**META, "env": "Fly-v0"})


WAYS = ["cut short", "empty", "other file", "foreign", "version", "lengths", "missing", "link", "types", "json"]


@pytest.mark.parametrize("how", [*WAYS, "another environment"])
def test_damaged_episodes_are_named_and_skipped(tmp_path, how):
    record(tmp_path, [3, 4, 5])
    bad = tmp_path / "000002.h5"
    spoil(bad, how)
    recording = Recording(tmp_path)
    assert [info.length for info in recording.episodes] == [3, 5]
    ((path, reason),) = recording.damaged
    assert path == bad
    assert "000002.h5" in reason
    assert "\n" not in reason
    if how == "version":
        assert "99" in reason


@pytest.mark.parametrize("how", WAYS)
def test_a_recording_of_nothing_else_is_an_error(tmp_path, how):
    record(tmp_path, [4])
    spoil(tmp_path / "000001.h5", how)
    with pytest.raises(UserError, match=r"000001\.h5") as caught:
        Recording(tmp_path)
    assert "\n" not in str(caught.value)


def test_damage_inside_is_found_by_its_checksum(tmp_path):
    """A flipped bit in a picture is no picture: the listing cannot know, reading does."""
    episodes = record(tmp_path, [40, 5])
    path = tmp_path / "000001.h5"
    content = bytearray(path.read_bytes())
    place = content.find(episodes[0]["obs"][0].tobytes()[:30])  # incompressible, so stored as it is
    assert place > 0
    content[place + 12] ^= 1
    path.write_bytes(content)
    recording = Recording(tmp_path)
    with pytest.raises(UserError, match=r"000001\.h5: damaged"):
        recording.episode(0)
    with FrameStore((12, 12, 3), np.uint8, 2**20, tmp_path) as store:
        assert load_experience(recording, lambda raw: raw, 1, store).step_count == 5
    assert [p.name for p, _ in recording.damaged] == ["000001.h5"]
    assert len(recording) == 1


def test_missing_recordings_name_the_nearest(tmp_path):
    record(tmp_path / "evening-drive", [2])
    with pytest.raises(UserError, match=r"did you mean evening-drive\?"):
        Recording(tmp_path / "evening-drve")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="no episode"):
        Recording(tmp_path / "nothing")


@pytest.mark.parametrize("links", [True, False])
def test_two_who_add_to_one_recording_lose_no_episode(tmp_path, monkeypatch, links):
    """The second ends an episode while the first is writing one, which was to have the same number."""
    mine, other = RecordingWriter(tmp_path, META), RecordingWriter(tmp_path, META)
    written = recordings._write_bytes

    def write(path: Path, image: bytes) -> None:
        monkeypatch.setattr(recordings, "_write_bytes", written)
        other.add_episode(**episode(5, 5))
        written(path, image)

    if not links:

        def no_links(source: object, target: object) -> None:
            raise PermissionError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(recordings, "_write_bytes", write)
    path = mine.add_episode(**episode(3, 3))
    assert path is not None
    assert path.name == "000002.h5"
    assert [info.length for info in Recording(tmp_path).episodes] == [5, 3]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000001.h5", "000002.h5"]


def run(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_kill_costs_the_unfinished_episode_only(tmp_path):
    done = run(
        f"""
        import os, signal, sys
        import numpy as np
        from ewm_studio.data.recordings import RecordingWriter

        writer = RecordingWriter(sys.argv[1], {META!r})
        for number in range(4):
            writer.begin(np.zeros((12, 12, 3), np.uint8))
            for t in range(10):
                writer.step(np.zeros(2), 1.0, np.full((12, 12, 3), t, np.uint8), manual=True)
                if (number, t) == (3, 6):
                    os.kill(os.getpid(), signal.SIGKILL)
            writer.end(False, True)
        """,
        str(tmp_path),
    )
    assert done.returncode == -9
    recording = Recording(tmp_path)
    assert [info.length for info in recording.episodes] == [10, 10, 10]
    assert recording.damaged == []
    assert recording.episode(2).obs[:, 0, 0, 0].tolist() == [0, *range(10)]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_full_disk_is_one_line_and_the_rest_stays(tmp_path):
    record(tmp_path, [3])
    done = run(
        f"""
        import resource, sys
        import numpy as np
        from ewm_studio.data.recordings import RecordingWriter
        from ewm_studio.errors import JobError

        rng = np.random.default_rng(0)
        writer = RecordingWriter(sys.argv[1], {META!r})
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        obs = rng.integers(0, 256, (101, 12, 12, 3), dtype=np.uint8)
        try:
            writer.add_episode(obs, np.zeros((100, 2)), np.zeros(100), False, True)
        except JobError as error:
            print(error)
        """,
        str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert "000002.h5" in done.stdout
    assert done.stdout.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["000001.h5"]


# Experience from recordings


def by_hand(one: dict[str, Any], k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observations, mean actions and summed rewards of decisions k frames long, one by one."""
    obs, action, reward, t = [one["obs"][0]], [], [], 0
    while t < len(one["action"]):
        end = min(t + k, len(one["action"]))
        action.append(np.mean(one["action"][t:end].astype(np.float64), axis=0))
        reward.append(sum(one["reward"][t:end]))
        obs.append(one["obs"][end])
        t = end
    return np.stack(obs), np.array(action), np.array(reward)


@given(
    lengths=st.lists(st.integers(1, 25), min_size=1, max_size=3),
    k=st.integers(1, 9),
    rows=st.integers(1, 7),
    picture_bytes=st.sampled_from([1, 4096]),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_experience_is_what_an_agent_with_that_repeat_would_have_lived(
    tmp_path_factory, monkeypatch, lengths, k, rows, picture_bytes
):
    monkeypatch.setattr(episode_file, "READ_ROWS", rows)  # so that batches end inside an episode
    monkeypatch.setattr(episode_file, "PICTURE_BYTES", picture_bytes)  # a chunk a frame, and a chunk of many
    folder = tmp_path_factory.mktemp("recording")
    episodes = record(folder, lengths)
    seen = []

    def preprocess(raw: np.ndarray) -> np.ndarray:
        seen.append(len(raw))
        return raw[:, ::2, ::2].transpose(0, 3, 1, 2)

    with FrameStore((3, 6, 6), np.uint8, 2**20, folder) as store:
        experience = load_experience(Recording(folder), preprocess, k, store)
        assert experience.episode_count == len(lengths)
        for got, one in zip(experience.episodes, episodes, strict=True):
            obs, action, reward = by_hand(one, k)
            np.testing.assert_array_equal(store.read(got.frames), obs[:, ::2, ::2].transpose(0, 3, 1, 2))
            np.testing.assert_allclose(got.action, action, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(got.reward, reward, rtol=1e-5, atol=1e-6)
            assert got.action.dtype == np.float32
            assert got.terminated == one["terminated"]
    assert max(seen) <= rows


def test_of_discrete_actions_the_last_is_taken(tmp_path):
    writer = RecordingWriter(tmp_path, META)
    writer.add_episode(np.zeros((8, 4), np.float32), np.arange(7), np.ones(7), True, False)
    with FrameStore((4,), np.float32, 2**20, tmp_path) as store:
        (got,) = load_experience(Recording(tmp_path), lambda raw: raw, 3, store).episodes
    assert got.action.tolist() == [2, 5, 6]
    assert got.reward.tolist() == [3, 3, 1]
    assert isinstance(got.terminated, bool)


def test_a_fault_of_the_preparation_is_not_called_damage(tmp_path):
    record(tmp_path, [3])

    def preprocess(raw: np.ndarray) -> np.ndarray:
        raise ValueError("a bug")

    with FrameStore((4,), np.float32, 2**20, tmp_path) as store, pytest.raises(ValueError, match="a bug"):
        load_experience(Recording(tmp_path), preprocess, 1, store)


def test_nothing_readable_is_an_error(tmp_path):
    record(tmp_path, [3])
    recording = Recording(tmp_path)
    spoil(tmp_path / "000001.h5", "empty")
    with FrameStore((12, 12, 3), np.uint8, 2**20, tmp_path) as store, pytest.raises(UserError, match=r"000001\.h5"):
        load_experience(recording, lambda raw: raw, 1, store)
