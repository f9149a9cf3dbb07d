"""What killed processes leave behind is removed by the next start; what a live one holds stays."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from ewm_studio.cli import main
from ewm_studio.processes import living
from ewm_studio.processes.living import lives, owner, owner_died
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.files import write_text
from ewm_studio.workspace.leftovers import clean_temporary, clean_workspace


def of_dead(count: int = 1) -> list[str]:
    """Names of owners that are dead by now."""
    code = f"from ewm_studio.processes.living import owner\nfor _ in range({count}): print(owner())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture(scope="module")
def dead() -> str:
    return of_dead()[0]


def test_who_lives(dead):
    assert lives(os.getpid())
    assert not lives(int(dead.partition("-")[0]))
    assert not lives(0)
    assert not lives(2**40)
    assert owner_died(f".a.{dead}.tmp")
    assert owner_died(f"ewm-studio-x_1-{dead}.txt")
    assert not owner_died(f".a.{owner()}.tmp")
    for other in (".a.tmp", "a-12", ".99999999-aaaaaaaa.tmp", "ewm-studio-abc.txt", ""):
        assert not owner_died(other)


def test_an_owner_on_another_machine_cannot_be_asked(dead, monkeypatch):
    monkeypatch.setattr(living, "_MACHINE", "00000000")
    assert not owner_died(f".a.{dead}.tmp")


def test_a_workspace_is_cleaned_of_what_dead_processes_made(tmp_path, dead):
    workspace = Workspace(tmp_path)
    run = workspace.create_run("CartPole-v1", "train", "")
    run.finish("finished")
    (run.folder / "checkpoints").mkdir()
    (tmp_path / "recordings" / "laps").mkdir(parents=True)
    gone = [
        run.folder / f".run.json.{dead}.tmp",
        run.folder / "checkpoints" / f".5.trainer.{dead}.tmp",
        tmp_path / "recordings" / f".aside-{dead}",
        tmp_path / "recordings" / "laps" / f".000001.h5.{dead}.tmp",
    ]
    kept = [
        run.folder / "checkpoints" / f".6.trainer.{owner()}.tmp",
        tmp_path / "recordings" / f".aside-{owner()}",
        tmp_path / "recordings" / "laps" / ".000002.h5.123-abcdabcd.tmp",  # of 0.1.0, and young
        tmp_path / "recordings" / "laps" / "notes.tmp",
    ]
    for path in (*gone, *kept):
        if "aside" in path.name:
            (path / "deep").mkdir(parents=True)
            (path / "deep" / "000001.h5").touch()
        else:
            path.touch()
    clean_workspace(tmp_path)
    assert [path.name for path in gone if path.exists()] == []
    assert [path.name for path in kept if not path.exists()] == []
    assert len(workspace.runs()) == 1


def aged(path: Path, seconds: float = 7200.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def test_what_the_first_version_left_goes_once_it_is_old_from_where_only_ours_lies(tmp_path):
    run = Workspace(tmp_path).create_run("CartPole-v1", "train", "")
    run.finish("finished")
    laps = tmp_path / "recordings" / "laps"
    aged(laps / "000001.h5")
    gone = [aged(folder / ".a.123-abcdabcd.tmp") for folder in (run.folder, run.folder / "checkpoints", laps)]
    kept = [aged(folder / ".a.123-abcdabcd.tmp") for folder in (tmp_path, tmp_path / "notes", tmp_path / "recordings")]
    kept += [aged(laps / ".b.123-abcdabcd.tmp", 60.0), aged(laps / ".a.tmp"), aged(laps / f".a.{owner()}.tmp")]
    clean_workspace(tmp_path)
    assert [path for path in gone if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []


@pytest.mark.parametrize("workspace", [True, False])
def test_what_others_left_survives_a_look_at_the_list(tmp_path, dead, monkeypatch, workspace):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    place = tmp_path / "proj"
    if workspace:
        Workspace(place).create_run("CartPole-v1", "train", "").finish("finished")
    pid = dead.partition("-")[0]
    others = (".draft.tmp", ".syncthing.thesis.pdf.tmp", ".x.123-abcdabcd.tmp", f".m.{pid}-deadbeef-12345678.tmp")
    files = [aged(place / folder / name) for folder in ("", "notes/2026", "runs", "runs/x") for name in others]
    if not workspace:
        files.append(aged(place / "notes" / f".a.{dead}.tmp"))  # as ours would look, but it is no place of ours
        (place / "runs" / "empty").mkdir()
        os.utime(place / "runs" / "empty", (1, 1))
        files.append(place / "runs" / "empty")
    assert main(["runs", "--workspace", str(place)]) == 0
    assert [path for path in files if not path.exists()] == []


def test_a_write_removes_what_an_earlier_one_of_the_same_file_left(tmp_path, dead):
    kept = [
        aged(tmp_path / name) for name in (f".b.{dead}.tmp", f".a.{owner()}.tmp", ".a.123-abcdabcd.tmp", ".a.x.tmp")
    ]
    left = aged(tmp_path / f".a.{dead}.tmp", 0.0)
    write_text(tmp_path / "a", "x")
    assert not left.exists()
    assert [path for path in kept if not path.exists()] == []


def test_a_link_to_elsewhere_is_not_followed(tmp_path, dead):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / f".a.{dead}.tmp").touch()
    Workspace(tmp_path / "ws").create_run("CartPole-v1", "train", "").finish("finished")
    (tmp_path / "ws" / "recordings").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "ws" / "runs" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "ws" / f".aside-{dead}").symlink_to(tmp_path / "elsewhere")
    clean_workspace(tmp_path / "ws")
    assert os.listdir(tmp_path / "elsewhere") == [f".a.{dead}.tmp"]
    assert not os.path.lexists(tmp_path / "ws" / f".aside-{dead}")


def test_folders_of_runs_that_never_began_are_removed(tmp_path):
    workspace = Workspace(tmp_path)
    being_made = workspace.create_run("CartPole-v1", "train", "")
    for name in ("old", "locked", "young"):
        (workspace.runs_folder / name).mkdir()
    (workspace.runs_folder / "locked" / ".lock").touch()
    for name in ("old", "locked"):
        os.utime(workspace.runs_folder / name, (time.time() - 3600,) * 2)
    clean_workspace(tmp_path)
    assert sorted(os.listdir(workspace.runs_folder)) == sorted([being_made.name, "young"])


def test_the_systems_temporary_files_are_cleaned_of_ours_only(tmp_path, dead, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    for name in ("pymp-dead", "pymp-ours", "pymp-other", f"minari/.{dead}", f"minari/.{owner()}", "minari/laps-v0"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "pymp-dead" / f"ewm-studio-{dead}").touch()
    (tmp_path / "pymp-dead" / "listener-x").touch()
    (tmp_path / "pymp-ours" / f"ewm-studio-{dead}").touch()
    (tmp_path / "pymp-ours" / f"ewm-studio-{owner()}").touch()  # of a job that outlives its window
    for name in (f"ewm-studio-a-{dead}.txt", f"ewm-studio-b-{owner()}.txt", "ewm-studio-old.txt", "other.txt"):
        (tmp_path / name).touch()
    clean_temporary()
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert not {name for name in left if dead in name and "pymp-ours" not in name}
    assert "pymp-dead" not in left
    assert {"pymp-ours", "pymp-other", "minari/laps-v0", "ewm-studio-old.txt", "other.txt"} <= left
    assert len(list(tmp_path.glob("ewm-studio-b-*"))) == len(list(tmp_path.glob("minari/.*"))) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork server")
def test_the_fork_servers_folder_says_whose_it_is(tmp_path, monkeypatch):
    code = """
import os, signal
from ewm_studio.processes.context import forking
context = forking()
process = context.Process(target=print)
process.start(); process.join()
os.kill(os.getpid(), signal.SIGKILL)
"""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == -9
    (folder,) = tmp_path.glob("pymp-*")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clean_temporary()
    assert not folder.exists()


def test_what_is_written_aside_names_its_maker(tmp_path, monkeypatch):
    seen = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append(Path(a).name), replace(a, b)))
    write_text(tmp_path / "a", "x")
    assert seen[0].startswith(f".a.{os.getpid()}-")
