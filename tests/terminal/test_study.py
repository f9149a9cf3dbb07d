"""The command `study`: its words, its results, and one line for what is wrong."""

import json
import shutil

import pytest

from ewm_studio import cli
from ewm_studio.jobs.studies.found import study_meant, with_file
from ewm_studio.settings.study_file import find_study, read_study
from tests.support.studies import written_study

TEXT = """
experiment.env.batch_size = 4
experiment.ppo.rollout_steps = 16
vary.memory.name = ["NoMemory"]
seeds.reported = [0]
budget.frames = 64
judge.episodes = 2
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "one.study.toml").write_text(TEXT)
    return tmp_path


def said(capsys, *words):
    code = cli.main(["study", *map(str, words)])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_run_status_and_report_print_one_object_each(place, capsys):
    words = (place / "one.study.toml", "--workspace", place / "ws", "--json")
    code, out, _ = said(capsys, "status", *words)
    assert (code, json.loads(out)["state"]) == (0, "was never run")
    code, out, err = said(capsys, "run", *words, "--parallel", "1")
    assert code == 0, err
    assert json.loads(out)["finished"] == 1
    code, out, _ = said(capsys, "status", *words)
    assert (code, json.loads(out)["state"]) == (0, "is done")
    elsewhere = place / "elsewhere.html"
    code, out, _ = said(capsys, "report", *words, "--out", elsewhere)
    found = json.loads(out)
    assert (code, found["report"], found["cells"][0]["memory"]) == (0, str(elsewhere), "NoMemory")
    assert len(found["cells"][0]["scores"]) == 1
    assert elsewhere.read_text().startswith("<!doctype html>")
    code, _, err = said(capsys, "stop", *words)
    assert (code, "is not being run" in err) == (2, True)


def test_a_study_of_the_workspace_is_found_by_its_name(place, capsys):
    """Such as the window makes."""
    workspace = place / "ws"
    workspace.mkdir()
    (workspace / "mine.study.toml").write_text(TEXT)
    code, out, err = said(capsys, "status", "mine", "--workspace", workspace, "--json")
    assert code == 0, err
    assert (json.loads(out)["study"], json.loads(out)["state"]) == ("mine", "was never run")
    code, _, err = said(capsys, "status", "another", "--workspace", workspace)
    assert (code, "no such study" in err) == (2, True)


def test_a_name_means_the_workspaces_own_study_before_a_ready_made_one(place, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("USERPROFILE", str(place))
    (place / "win").mkdir()
    (place / "win" / "cartpole-quick.study.toml").write_text(TEXT)
    code, out, err = said(capsys, "status", "cartpole-quick", "--workspace", "~/win", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["file"] == str(place / "win" / "cartpole-quick.study.toml")
    assert found["folder"] == str(place / "win" / "studies" / "cartpole-quick")
    code, out, _ = said(capsys, "status", "cartpole-quick", "--workspace", place / "win")
    assert f"study cartpole-quick of {found['file']} was never run: " in out
    code, out, _ = said(capsys, "status", "cartpole-quick", "--workspace", place / "other", "--json")
    assert "presets" in json.loads(out)["file"]


def test_a_file_at_hand_is_meant_before_what_was_kept_of_it(place, capsys, monkeypatch):
    monkeypatch.chdir(place)
    (place / "cartpole-quick.study.toml").write_text(TEXT)
    written_study(place / "elsewhere", TEXT, "cartpole-quick")
    (place / "elsewhere" / "cartpole-quick.study.toml").unlink()
    where = ("cartpole-quick", "--workspace", "elsewhere", "--json")
    assert json.loads(said(capsys, "status", *where)[1])["file"] == "cartpole-quick.study.toml"
    (place / "cartpole-quick.study.toml").unlink()
    assert json.loads(said(capsys, "status", *where)[1])["file"] == "elsewhere/studies/cartpole-quick/study.toml"
    ready = find_study("cartpole-quick")
    (place / "elsewhere/studies/cartpole-quick/study.toml").write_bytes(ready.read_bytes())
    assert json.loads(said(capsys, "status", *where)[1])["file"] == str(ready)


def test_the_base_of_a_study_is_kept_with_it(place, capsys):
    (place / "files").mkdir()
    (place / "files" / "my-base.toml").write_text("[env]\nbatch_size = 4\n[ppo]\nrollout_steps = 16\n")
    mine = place / "files" / "mine.study.toml"
    mine.write_text('base = "my-base.toml"\n' + "\n".join(TEXT.splitlines()[3:]))
    where = ("--workspace", place / "ws", "--json")
    code, _, err = said(capsys, "run", mine, *where, "--parallel", "1")
    assert code == 0, err
    shutil.rmtree(place / "files")
    for action in ("status", "report"):
        code, out, err = said(capsys, action, "mine", *where)
        assert code == 0, err
    code, out, err = said(capsys, "share", "mine", *where, "--out", place / "shared")
    assert code == 0, err
    assert (place / "shared" / "studies" / "mine" / "base.toml").is_file()
    kept = study_meant(place / "ws", "mine")
    again = with_file(kept, place / "ws")
    assert (again.path, again.path.with_name("my-base.toml").is_file()) == (place / "ws" / "mine.study.toml", True)
    assert read_study(again.path).check()[0].experiment == kept.check()[0].experiment
    code, out, err = said(capsys, "run", "mine", *where)
    assert (code, json.loads(out)["finished"]) == (0, 1), err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "say what to do"),
        (["runn"], "no action 'runn'; did you mean run"),
        (["run"], "FILE"),
        (["run", "nothing"], "no such study; ready-made ones: carracing-memories"),
        (["run", "cartpole-quick", "--parallel", "none"], "--parallel: should be"),
        (["report", "cartpole-quick"], "was never run here"),
        (
            ["status", "cartpole-quick", "--retry-failed"],
            "--retry-failed has no meaning for study status; it belongs to study run",
        ),
    ],
)
def test_what_is_wrong_is_one_line(words, line, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("EWM_WORKSPACE", str(tmp_path))
    code, out, err = said(capsys, *words)
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["..", "", ".hidden", "a b", "x" * 90])
def test_a_study_needs_a_name_that_its_folder_can_have(name, place, capsys):
    (place / f"{name}.study.toml").write_text(TEXT)
    for action in ("run", "status", "report", "stop"):
        code, out, err = said(capsys, action, place / f"{name}.study.toml", "--workspace", place / "ws")
        assert (code, out) == (2, "")
        assert "cannot name a study" in err
        assert err.count("\n") == 1
    assert {path.name for path in place.iterdir()} == {"one.study.toml", f"{name}.study.toml"}


@pytest.mark.parametrize(
    ("flag", "name", "line"),
    [
        ("--out", "folder", "is a folder; give a file such as"),
        ("--out", "mine.toml", "give a file that ends in .html or .pdf, such as report.html"),
        ("--out", "no/report.html", "does not exist"),
        ("--out", "", "expected a path, found an empty text"),
        ("--preset", "mine.toml", "is the study's base itself"),
        ("--preset", "s.study.toml", "is the study itself"),
        ("--preset", "other.study.toml", "this ending is a study's"),
        ("--preset", "notes.txt", "give a file that ends in .toml"),
    ],
)
def test_a_report_replaces_nothing_that_is_none(flag, name, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    written_study(tmp_path / "ws", TEXT)
    (tmp_path / "folder").mkdir()
    files = {"mine.toml": "", "s.study.toml": f"base = 'mine.toml'\n{TEXT}", "other.study.toml": TEXT, "notes.txt": "a"}
    for each, text in files.items():
        (tmp_path / each).write_text(text)
    code, out, err = said(capsys, "report", "s.study.toml", "--workspace", "ws", flag, name)
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1
    assert {each: (tmp_path / each).read_text() for each in files} == files


def test_help_names_the_actions(capsys):
    code, out, _ = said(capsys, "--help")
    assert code == 0
    assert all(action in out for action in ("run", "status", "report", "share", "stop"))
