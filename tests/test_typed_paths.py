"""Paths and numbers as people type them: whatever they are, one line says what is wrong."""

import io
import json
import os
import sys
from pathlib import Path

import pytest

import ewm_studio
from ewm_studio import cli
from ewm_studio.errors import JobError, UserError
from ewm_studio.settings import Experiment
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.settings.typed_path import expanded, typed_path
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.files import write_text
from tests.support.studies import written_study

LONG, NOBODY = "x" * 300, "~nobody-of-this-name/x"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A workspace, a home folder and a current folder of the test's own, in which one folder may not be looked into."""
    monkeypatch.setenv("EWM_WORKSPACE", str(tmp_path / "ws"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    seen = os.stat

    def stat(path, **options):
        if "closed/" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return seen(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    return tmp_path


def test_only_one_file_knows_what_a_tilde_stands_for():
    package = Path(ewm_studio.__file__).parent
    own = {"workspace/leftovers.py"}  # Minari's default place, which nobody typed
    found = {
        path.relative_to(package).as_posix() for path in package.rglob("*.py") if "expanduser(" in path.read_text()
    }
    assert found - own == {"settings/typed_path.py"}


def test_a_path_that_is_typed_can_be_asked_for_afterwards(home):
    assert typed_path("~/a", "--out") == home / "a"
    assert typed_path(NOBODY, "--out") == expanded(NOBODY) == Path(NOBODY)
    for text in ("", " ", LONG, "a\0b", "closed/a"):
        with pytest.raises(UserError, match=r"^--out"):
            typed_path(text, "--out")


@pytest.mark.parametrize("text", ["", ".", "/", NOBODY, f"{NOBODY}/{LONG}", LONG, "x" * 250, "closed/a"])
@pytest.mark.parametrize(
    "words",
    [
        ("study", "status", "@"),
        ("study", "run", "@"),
        ("train", "--config", "@"),
        ("--cli", "--config", "@"),
        ("export", "--load-path", "none", "--onnx", "@"),
        ("infer", "--video", "@", "--load-path", "none"),
        ("infer", "--load-path", "@"),
        ("train", "--resume", "@"),
        ("card", "none", "--out", "@"),
        ("study", "status", "cartpole-quick", "--parallel", "@"),
    ],
    ids=lambda words: "-".join(words[:3]),
)
def test_a_path_that_is_none_is_refused_in_one_line(text, words, capsys):
    assert cli.main([text if word == "@" else word for word in words]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("ewm-studio: ")
    assert "traceback" not in err


@pytest.mark.parametrize("text", [LONG, "closed/a", "a\0b"])
@pytest.mark.parametrize("words", [("runs",), ("study", "status", "cartpole-quick"), ("recordings",), ("--cli",)])
def test_a_workspace_that_can_be_nowhere_is_refused_in_one_line(text, words, capsys):
    assert cli.main([*words, "--workspace", text]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "workspace" in err


def test_a_workspace_that_may_not_be_looked_into_is_refused_in_one_line(home, capsys):
    (home / "closed").mkdir()
    assert cli.main(["runs", "--workspace", "closed"]) == 2
    assert "closed/workspace.sqlite: cannot be read (Permission denied)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("card", "none", "--out", "x", "--episodes", "1"), "--episodes: should be 2 or more (found 1)"),
        (("card", "none", "--out", "x", "--choosing", "9" * 5000), "--choosing: should be a whole number"),
        (("study", "run", "cartpole-quick", "--parallel", "9" * 5000), "--parallel: should be 'auto' or"),
    ],
)
def test_a_number_that_is_none_is_refused_in_one_line(words, line, capsys):
    assert cli.main([*words]) == 2
    err = capsys.readouterr().err
    assert (line in err, len(err.splitlines())) == (True, 1), err


def test_the_menu_outlives_whatever_is_typed(home, monkeypatch, capsys):
    typed = ["run.seed=7", "9" * 5000]
    for text in (".", "/", NOBODY, LONG, "closed/a"):
        typed += ["save", text, "load", text]
    typed += ["save", "good.toml", "quit"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in typed)))
    assert cli.main(["--cli"]) == 0
    assert Experiment.from_toml(home / "good.toml").run.seed == 7
    assert "is a folder; give a file such as" in capsys.readouterr().out


def test_the_menu_outlives_a_full_disk(home, monkeypatch, capsys):
    monkeypatch.setattr(os, "fsync", no_room)
    monkeypatch.setattr(sys, "stdin", io.StringIO("save\nfull.toml\nrun.seed=7\nquit\n"))
    assert cli.main(["--cli"]) == 0
    out = capsys.readouterr().out
    assert ("free some space" in out, "run.seed = 7" in out) == (True, True)


def test_saving_follows_a_link_and_leaves_nothing_where_it_fails(home, monkeypatch):
    document = ExperimentDocument()
    (home / "there.toml").write_text("")
    (home / "link.toml").symlink_to("there.toml")
    document.save(home / "link.toml", write_text)
    assert (home / "link.toml").is_symlink()
    assert Experiment.from_toml(home / "there.toml") == document.experiment
    before = sorted(home.iterdir())
    document.set("run.seed", 3)
    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(JobError, match="free some space"):
        document.save(home / "there.toml", write_text)
    assert (sorted(home.iterdir()), document.edited) == (before, True)


def no_room(file):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("text", ['env = "CartPole-v1"', "ppo = 1", "[[warm_up]]\nrandom_frames = 1"])
def test_a_base_whose_sections_are_none_is_refused_in_one_line(home, text, capsys):
    (home / "base.toml").write_text(text)
    (home / "s.study.toml").write_text('base = "base.toml"\nbudget.frames = 64\nseeds.reported = [0]\n')
    run = Workspace(home / "ws").create_run("CartPole-v1", "train", text)
    run.finish("stopped")
    for words in (("study", "status", "s"), ("train", "--resume", run.name)):
        assert cli.main([*words]) == 2
        assert " should be a table of settings (found " in capsys.readouterr().err
    assert cli.main(["train", "--config", "base.toml"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_one_damaged_run_leaves_the_others_in_the_list(home, capsys):
    for name in ("good", "bad"):
        (home / "ws" / "runs" / name).mkdir(parents=True)
        (home / "ws" / "runs" / name / "experiment.toml").write_text(Experiment().to_toml())
    values = {"name": "bad", "best_reward": "@", "mean_reward": "@", "created": "@", "steps": "@"}
    for digits in (25, 400):
        (home / "ws/runs/bad/run.json").write_text(json.dumps(values).replace('"@"', "9" * digits))
        for words in (["runs"], ["runs", "--rebuild"]):
            assert cli.main([*words, "--json"]) == 0
            assert {run["name"] for run in json.loads(capsys.readouterr().out)} == {"good", "bad"}


HUGE = "9" * 400


@pytest.mark.parametrize(
    "change",
    [
        None,
        [],
        {"scores": []},
        {"scores": {"greedy": [[1, "@inf", 1]]}},
        {"scores": {"greedy": [["@inf", 1.0, 1]]}},
        {"scores": {"greedy": [["@huge", "@huge", 1]]}},
        {"scores": {"greedy": [[1, 1.0]]}},
        {"scores": None},
        {"cell": None},
        {"cell": {"memory": None}},
        {"seed": None},
        {"seed": "@inf"},
        {"trained": None},
        {"trained": {}},
        {"trained": {"steps": 1, "frames": None, "seconds": 1.0}},
        {"trained": {"steps": 1, "frames": "@huge", "seconds": 1.0}},
        {"runs": None},
        {"runs": [None]},
        {"failures": "x"},
        {"moments": [[1]]},
        {"asked": []},
        {"curve": []},
        {"state": "nothing"},
        {"key": "other"},
        {"cell": "@drop"},
    ],
    ids=str,
)
def test_a_damaged_record_of_a_study_is_said_in_one_line(home, change, capsys):
    _, folder, _ = written_study(home / "ws")
    path = next((folder.path / "runs").iterdir())
    values = {**json.loads(path.read_text()), **change} if isinstance(change, dict) else change
    if isinstance(values, dict) and values["cell"] == "@drop":
        values.pop("cell")
    path.write_text(json.dumps(values).replace('"@inf"', "Infinity").replace('"@huge"', HUGE))
    for action in ("status", "report"):
        assert cli.main(["study", action, "s"]) == 2
        err = capsys.readouterr().err
        assert (len(err.splitlines()), "not what a study keeps of a run (" in err) == (1, True), err


@pytest.mark.parametrize("words", ["runs", "recordings", "models", "study status s", "study report s"])
def test_closed_output_is_said_in_one_line(home, words, monkeypatch, capsys):
    written_study(home / "ws")
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(words.split()) == 1
    assert capsys.readouterr().err == "ewm-studio: standard output is closed: there is nowhere to print the result\n"
