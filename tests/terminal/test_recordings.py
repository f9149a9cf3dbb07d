"""`ewm-studio recordings`: lists, merges, exports and imports."""

from __future__ import annotations

import json

import pytest

from ewm_studio.cli import main

pytest.importorskip("minari")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("EWM_WORKSPACE", str(tmp_path / "ws"))
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))


def told(capsys, *words):
    """The last line of stdout as JSON."""
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def refused(capsys, *words):
    """The one line on stderr."""
    capsys.readouterr()
    assert main(["recordings", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_recordings_from_the_command_line(capsys):
    assert main(["recordings"]) == 0
    assert "no recordings yet" in capsys.readouterr().out
    assert told(capsys, "recordings") == []
    for name, seed in (("a", "0"), ("b", "9")):
        assert main(["record", "--frames", "60", "--recording", name, "--seed", seed]) == 0
    capsys.readouterr()
    assert told(capsys, "recordings", "merge", "a", "b", "--into", "c")["frames"] == 120
    assert told(capsys, "recordings", "export", "c", "cart/c-v0")["dataset"] == "cart/c-v0"
    assert told(capsys, "recordings", "import", "cart/c-v0", "--name", "d")["recording"] == "d"
    rows = told(capsys, "recordings")
    assert {row["name"]: row["frames"] for row in rows} == {"a": 60, "b": 60, "c": 120, "d": 120}
    assert main(["recordings"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in ("CartPole-v1", "minari", "random", "0%", "MB"))
    trained = told(capsys, "pretrain", "--recording", "a,b", "--random-share", "0.5", "--epochs", "1",
                   "--memory", "LSTMMemory", "--set", "memory.hidden_dim=8")  # fmt: skip
    assert trained["env_steps"] > 240


def test_bad_words_are_one_line(capsys):
    assert "did you mean export" in refused(capsys, "exprot")
    assert "--into" in refused(capsys, "merge", "a", "b")
    assert "no recording 'a'" in refused(capsys, "merge", "a", "b", "--into", "c")
    assert "no recording 'a'" in refused(capsys, "export", "a", "a-v0")
    assert "no Minari dataset" in refused(capsys, "import", "a-v0")
    assert "belongs to recordings merge" in refused(capsys, "--into", "c")
    assert main(["recordings", "--help"]) == 0
    assert "actions:" in capsys.readouterr().out
    assert main(["recordings", "merge", "--help"]) == 0


def test_datasets_tell_their_returns_by_which_an_import_chooses(capsys):
    for seed in ("0", "9"):
        assert main(["record", "--frames", "80", "--recording", "a", "--seed", seed]) == 0
    capsys.readouterr()
    told(capsys, "recordings", "export", "a", "cart/a-v0")
    (info,) = told(capsys, "recordings", "datasets")
    found = told(capsys, "recordings", "datasets", "cart/a-v0")
    assert (info["id"], info["env"], info["local"]) == ("cart/a-v0", "CartPole-v1", True)
    assert info["episodes"] == found["episodes"] == len(found["returns"])
    assert info["steps"] == sum(found["lengths"]) == sum(found["returns"])
    assert found["return_max"] == max(found["returns"])
    limit = found["return_median"] + 0.5
    got = told(capsys, "recordings", "import", "cart/a-v0", "--name", "good", "--min-return", str(limit))
    assert got["episodes"] == sum(each >= limit for each in found["returns"]) < found["episodes"]
    low = told(capsys, "recordings", "import", "cart/a-v0", "--name", "bad", "--max-return", str(limit))
    assert low["episodes"] + got["episodes"] == found["episodes"]
    assert main(["recordings", "import", "cart/a-v0", "--name", "none", "--min-return", "1000"]) == 2
    assert "no episode earned at least 1000; their returns go" in capsys.readouterr().err.splitlines()[-1]
    assert main(["recordings", "datasets"]) == 0
    assert "cart/a-v0" in capsys.readouterr().out
    assert "no Minari dataset" in refused(capsys, "datasets", "nothing-v0")
    assert [row["name"] for row in told(capsys, "recordings")] == ["bad", "good", "a"]


def test_public_datasets_are_asked_for_by_remote_alone(capsys, monkeypatch):
    import minari

    rows = {"far-v1": {"dataset_id": "far-v1", "total_episodes": 3, "env_spec": "{}", "dataset_size": "x"}}
    monkeypatch.setattr(minari, "list_remote_datasets", lambda **_: rows)
    assert told(capsys, "recordings", "datasets") == []
    (info,) = told(capsys, "recordings", "datasets", "--remote")
    assert (info["id"], info["episodes"], info["megabytes"], info["local"]) == ("far-v1", 3, 0, False)

    def fail(**_):
        raise OSError("no route")

    monkeypatch.setattr(minari, "list_remote_datasets", fail)
    assert main(["recordings", "datasets", "--remote"]) == 1
    assert "no route" in capsys.readouterr().err


def test_idle_ends_are_trimmed(capsys, tmp_path):
    import numpy as np
    from gymnasium.spaces import Box, Discrete

    from ewm_studio.data.recordings import RecordingWriter
    from ewm_studio.envs.spaces import space_to_json

    spaces = {"observation_space": space_to_json(Box(-1, 1, (3,))), "action_space": space_to_json(Discrete(3))}
    writer = RecordingWriter(tmp_path / "ws" / "recordings" / "car", {"env": "MountainCar-v0", **spaces})
    for actions in ([1, 1, 0, 2, 1], [0, 1, 2]):
        writer.add_episode(np.zeros((len(actions) + 1, 3)), np.array(actions), np.zeros(len(actions)), False, True)
    assert told(capsys, "recordings", "trim", "car")["trimmed"] == 1
    assert told(capsys, "recordings", "trim", "car") | {"folder": ""} == {
        "recording": "car", "episodes": 2, "frames": 5, "folder": "", "trimmed": 0,
    }  # fmt: skip
