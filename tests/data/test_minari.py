"""Minari reads what is exported, bit for bit, and what Minari made is imported."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections import OrderedDict
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from ewm_studio.data.library import Library
from ewm_studio.data.minari import datasets, export_recording, import_dataset
from ewm_studio.data.recordings import RecordingWriter
from ewm_studio.envs.spaces import space_to_json
from ewm_studio.errors import UserError
from ewm_studio.jobs import record
from ewm_studio.workspace import Workspace
from tests.support.jobs import experiment, finish

minari = pytest.importorskip("minari")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:minari")  # its advice about metadata


@pytest.fixture(autouse=True)
def own_datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))


@pytest.fixture
def workspace(tmp_path):
    made = Workspace(tmp_path / "ws")
    yield made
    made.close()


@pytest.fixture
def library(workspace):
    return Library(workspace)


def equal(one, other):
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(equal(a, b) for a, b in zip(one, other, strict=True))
    return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())


def same_as_dataset(recording, dataset):
    """Every array of the recording as Minari itself reads it."""
    assert dataset.total_episodes == len(recording)
    assert dataset.total_steps == recording.step_count
    for number, found in enumerate(dataset):
        data = recording.episode(number)
        for ours, theirs in (
            (data.obs, found.observations),
            (data.action, found.actions),
            (data.reward, found.rewards),
            (data.terminated, found.terminations),
            (data.truncated, found.truncations),
        ):
            assert equal(ours, theirs)
        assert found.infos["manual"].tolist() == [False, *data.manual.tolist()]


def test_an_export_of_driving_is_read_back_by_minari_frame_by_frame(library, workspace):
    settings = experiment(env={"id": "CarRacing-v3"}, pretrain={"frames": 130, "recording": "laps"})
    settings = settings.with_values(("env.max_episode_steps", 60))
    finish(record(settings, workspace))
    recording = library.find("laps")
    told = []
    place = export_recording(recording, "carracing/laps-v0", lambda *done: told.append(done))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert datasets() == ["carracing/laps-v0"]
    assert not [p for p in place.parent.parent.iterdir() if p.name.startswith(".")]
    dataset = minari.load_dataset("carracing/laps-v0")
    same_as_dataset(recording, dataset)
    assert dataset.env_spec.id == "CarRacing-v3"
    assert space_to_json(dataset.observation_space) == recording.meta["observation_space"]
    assert not dataset.storage.jpeg_encoding
    import_dataset(library, "carracing/laps-v0", "back")
    same_as_dataset(library.find("back"), dataset)
    assert [e.manual_share for e in library.find("back").episodes] == [0, 0, 0]


def nested():
    """A recording's description and observations of a space of spaces."""
    inner = spaces.Tuple([spaces.Box(-1, 1, (2, 2), np.float64), spaces.Discrete(7)])
    space = spaces.Dict(OrderedDict(a=spaces.MultiBinary(3), b=inner))
    meta = {
        "env": "Nested-v0",
        "source": "manual",
        "observation_space": space_to_json(space),
        "action_space": space_to_json(spaces.Discrete(3)),
    }
    return meta, [space.sample() for _ in range(12)]


def test_spaces_of_spaces_and_who_drove_go_out_and_come_back(library):
    meta, observations = nested()
    writer = RecordingWriter(library.folder / "nested", meta)
    for length in (11, 4):
        writer.begin(observations[0])
        for t in range(length):
            writer.step(t % 3, t / 2, observations[t + 1], manual=t > 2)
        writer.end(length == 4, length == 11)
    export_recording(library.find("nested"), "nested-v3")
    same_as_dataset(library.find("nested"), minari.load_dataset("nested-v3"))
    import_dataset(library, "nested-v3", "back", "Nested-v0")
    back, first = library.find("back"), library.find("nested")
    assert [e.manual_share for e in back.episodes] == [e.manual_share for e in first.episodes]
    for number in range(2):
        assert equal(back.episode(number).obs, first.episode(number).obs)
    assert {k: back.meta[k] for k in ("env", "observation_space", "action_space")} == {
        k: meta[k] for k in ("env", "observation_space", "action_space")
    }


def test_a_dataset_that_minari_collected_is_imported(library):
    pytest.importorskip("jax")  # its collector needs it
    from minari import DataCollector

    env = DataCollector(gym.make("CartPole-v1"), record_infos=True)
    for seed in range(5):
        env.reset(seed=seed)
        over, step = False, 0
        while not over:
            _, _, terminated, truncated, _ = env.step(step % 2)
            over, step = terminated or truncated, step + 1
    dataset = env.create_dataset("cartpole/steps-v0", algorithm_name="alternating")
    env.close()
    place = import_dataset(library, "cartpole/steps-v0")
    assert place.name == "cartpole-steps-v0"
    recording = library.find(place.name)
    assert recording.env_id == "CartPole-v1"
    assert len(recording) == 5
    for number, theirs in enumerate(dataset):
        data = recording.episode(number)
        assert equal(data.obs, theirs.observations)
        assert equal(data.action, theirs.actions)
        assert data.reward.tolist() == theirs.rewards.tolist()
        assert bool(data.terminated[-1])
        assert not data.manual.any()


def test_a_dataset_with_lossy_pictures_is_imported_as_minari_shows_it(library):
    space = spaces.Box(0, 255, (48, 48, 3), np.uint8)
    rng = np.random.default_rng(0)
    buffer = minari.data_collector.EpisodeBuffer(
        id=0,
        observations=list(rng.integers(0, 256, (6, 48, 48, 3), dtype=np.uint8)),
        actions=list(range(5)),
        rewards=[1.0] * 5,
        terminations=[False] * 5,
        truncations=[False] * 4 + [True],
    )
    dataset = minari.create_dataset_from_buffers(
        "pictures-v0", [buffer], observation_space=space, action_space=spaces.Discrete(5)
    )
    with pytest.raises(UserError, match="give --env"):
        import_dataset(library, "pictures-v0")
    import_dataset(library, "pictures-v0", "p", "Some-v0")
    np.testing.assert_array_equal(library.find("p").episode(0).obs, dataset[0].observations)


def test_what_is_refused_leaves_nothing_behind(library):
    meta, observations = nested()
    writer = RecordingWriter(library.folder / "a", meta)
    writer.begin(observations[0])
    writer.step(1, 0.0, observations[1], manual=False)
    writer.end(True, False)
    for wrong in ("nested", "a/../b-v0", "", "x y-v0"):
        with pytest.raises(UserError, match="no id of a Minari dataset"):
            export_recording(library.find("a"), wrong)
    export_recording(library.find("a"), "one-v0")
    with pytest.raises(UserError, match="already"):
        export_recording(library.find("a"), "one-v0")
    with pytest.raises(UserError, match=r"did you mean one-v0\?"):
        import_dataset(library, "one-v1")
    with pytest.raises(UserError, match="called 'a' already"):
        import_dataset(library, "one-v0", "a", "Nested-v0")
    assert datasets() == ["one-v0"]
    assert sorted(p.name for p in library.folder.iterdir()) == ["a"]


def test_a_damaged_episode_stops_an_export_and_no_half_dataset_stays(library):
    meta, observations = nested()
    writer = RecordingWriter(library.folder / "a", meta)
    for _ in range(2):
        writer.begin(observations[0])
        for t in range(11):
            writer.step(1, 0.0, observations[t + 1], manual=False)
        writer.end(True, False)
    recording = library.find("a")
    recording.episodes[1].path.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"000002\.h5"):
        export_recording(recording, "half-v0")
    assert datasets() == []
    root = Path(minari.storage.datasets_root_dir.get_dataset_path())
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("missing", ["minari", "h5py"])
def test_without_minari_there_is_one_line(missing, tmp_path):
    code = f"""
        import sys
        if {missing!r} == "minari":
            sys.modules["minari"] = None
        else:
            sys.modules["minari.dataset._storages.hdf5_storage"] = None
        from ewm_studio.cli import main
        sys.exit(main(["recordings", "import", "x-v0", "--workspace", sys.argv[1]]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Minari is not installed" in done.stderr
    assert "ewm-studio[minari]" in done.stderr
