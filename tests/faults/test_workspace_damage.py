"""Databases and run folders that are damaged, locked, full or gone: each run comes back with all that is left of it."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ewm_studio import cli
from ewm_studio.errors import JobError, UserError
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from tests.faults.test_workspace_kills import ENDLESS, SMALL

ROWS = 20
COLUMNS = (
    "name", "title", "note", "job", "env", "parts", "seed", "created", "started", "finished", "steps", "episodes",
    "epochs", "best_reward", "mean_reward", "checkpoint", "error", "deleted",
)  # fmt: skip
VALUES = ("x''", "x'ff00'", "'../x'", "'a/b'", "''", "'{'", "'[]'", "5", "-1", "1e308", "9e999", "2.5", "'nan'")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A workspace of three runs, of which two are listed."""
    workspace = Workspace(tmp_path_factory.mktemp("whole") / "ws")
    for number in range(3):
        run = workspace.create_run("CartPole-v1", "train", Experiment().to_toml(), {}, number)
        for i in range(ROWS):
            run.log_metrics(i, i, i / 4, {"a": float(i)})
        run.save_checkpoint(ROWS, {"w": torch.ones(2)}, {"counters": {}}, {"step": 1}, float(number))
        run.finish("finished", steps=ROWS)
        workspace.describe_run(run.name, title=f"run {number}")
    workspace.delete_run(run.name)
    return workspace.path


@pytest.fixture
def home(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "ws"))


def lost(workspace: Workspace) -> str:
    """What is missing of the three runs; empty where all is there."""
    titles = {info.title: info for info in workspace.runs()}
    if sorted(titles) != ["run 0", "run 1"] or len(workspace.binned_runs()) != 1:
        return f"listed {sorted(titles)}, binned {workspace.binned_runs()}"
    for number in range(2):
        info = titles[f"run {number}"]
        if (info.best_reward, info.seed, info.steps, info.state) != (float(number), number, ROWS, "finished"):
            return f"{info}"
        if workspace.run(info.name).metrics("a").step.tolist() != list(range(ROWS)):
            return "curves"
        if workspace.run(info.name).latest_checkpoint() is None:
            return "checkpoint"
    return ""


def test_databases_damaged_at_random_are_listed_or_rebuilt(home, tally):
    rng, database = random.Random(1), home / "workspace.sqlite"
    sound = database.read_bytes()
    for number in range(200):
        data = bytearray(sound)
        at = rng.randrange(len(data))
        if number % 4 == 0:
            data = data[:at]
        elif number % 4 == 1:
            data[at : at + 4096] = rng.randbytes(4096)
        else:
            for _ in range(1 if number % 4 == 2 else 40):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        database.write_bytes(data)
        with contextlib.suppress(UserError, JobError):  # one line, and nothing else
            Workspace(home).runs()
        try:
            shown = lost(Workspace.rebuild(home)[0])
        except (UserError, JobError) as error:
            shown = str(error)
        tally.count("damaged database", not shown, f"number {number}: {shown}")
        for kept in home.glob("workspace.sqlite.2*"):
            kept.unlink()


def test_rows_of_nonsense_cost_themselves(home, tally):
    rng, database = random.Random(2), home / "workspace.sqlite"
    sound = database.read_bytes()
    for _ in range(150):
        database.write_bytes(sound)
        column, value = rng.choice(COLUMNS), rng.choice(VALUES)
        with contextlib.closing(sqlite3.connect(database)) as connection:
            first = connection.execute("SELECT min(id) FROM runs").fetchone()[0]
            with contextlib.suppress(sqlite3.Error):
                connection.execute(f"UPDATE runs SET {column} = {value} WHERE id = ?", (first,))
            connection.commit()
        try:
            titles = {info.title for info in Workspace(home).runs()}
            said = "" if "run 1" in titles and len(titles) == 2 else f"listed {titles}"
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        tally.count("row of nonsense", not said, f"{column} = {value}: {said}")


@pytest.mark.parametrize("file", ["run.json", "note.json", "metrics.bin", "experiment.toml"])
def test_files_of_a_run_damaged_at_random(home, tally, file):
    """With the database gone too: the run is there, and its neighbours are whole."""
    rng, run = random.Random(3), sorted((home / "runs").iterdir())[0]
    sound = (run / file).read_bytes()
    for number in range(40):
        data = bytearray(sound)
        if number % 2:
            data = data[: rng.randrange(len(data))]
        else:
            for _ in range(1 + number % 7):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (run / file).write_bytes(data)
        (home / "workspace.sqlite").unlink(missing_ok=True)
        try:
            workspace = Workspace(home)
            names = {info.name for info in workspace.runs()}
            steps = workspace.run(run.name).metrics("a").step.tolist()
            said = "" if len(names) == 2 and steps == sorted(set(steps)) else f"{names}, {steps}"
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        tally.count("damaged file in a run's folder", not said, f"{file}, number {number}: {said}")


HOLDER = """
import sqlite3, sys, time, random
from pathlib import Path
from ewm_studio.workspace.database import Database
rng = random.Random(int(sys.argv[2]))
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
print("ready", flush=True)
for number in range(8):
    if number % 2:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(rng.uniform(0.1, 0.6))
        connection.execute("ROLLBACK")
    else:
        with Database(Path(sys.argv[1])).alone():
            time.sleep(rng.uniform(0.1, 0.6))
    time.sleep(rng.uniform(0.05, 0.3))
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_database_locked_again_and_again_ends_no_run(home, tally, seed):
    workspace = Workspace(home)
    run = workspace.create_run("CartPole-v1", "train", Experiment().to_toml())
    database = str(home / "workspace.sqlite")
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, database, str(seed)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    holder.stdout.readline()
    count = 0
    while holder.poll() is None:
        run.log_metrics(count, count, 0.0, {"a": float(count)})
        count += 1
        time.sleep(0.02)
    assert holder.returncode == 0
    run.finish("finished")
    steps, state = run.metrics("a").step.tolist(), workspace.info(run.name).state
    for _ in range(8):
        tally.count("locked database", steps == list(range(count)) and state == "finished", f"{len(steps)} of {count}")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("how", ["deleted", "moved", "only the run"])
def test_a_workspace_that_goes_away_under_a_training(warm, tmp_path, monkeypatch, tally, how):
    for number in range(3):
        home = tmp_path / f"ws{number}"
        monkeypatch.setenv("EWM_WORKSPACE", str(home))
        process = warm.command("train", "--env", "CartPole-v1", *SMALL, *ENDLESS)
        deadline = time.monotonic() + 90
        while not list(home.glob("runs/*/checkpoints/*.trainer")) and time.monotonic() < deadline:
            time.sleep(0.02)
        (run,) = (home / "runs").iterdir()
        gone = tmp_path / f"gone{number}"
        os.rename(run if how == "only the run" else home, gone)
        if how == "deleted":
            shutil.rmtree(gone)
        process.join(deadline - time.monotonic())
        code = process.exitcode
        process.kill()
        process.join()
        stray = run.exists() if how == "only the run" else home.exists()
        tally.count("workspace gone under a training", code == 1 and not stray, f"{how}: exit {code}, stray {stray}")


def _full_list(home: Path) -> None:
    assert len(Workspace(home).runs()) == 2


def _full_infer(home: Path) -> None:
    name = Workspace(home).runs()[0].name
    assert cli.main(["infer", "--load-path", name, "--episodes", "1", "--workspace", str(home)]) == 0


def _full_delete(home: Path) -> None:
    workspace = Workspace(home)
    name = workspace.runs()[0].name
    workspace.delete_run(name)
    assert name in workspace.binned_runs()
    assert name not in [info.name for info in Workspace(home).runs()]


def _full_restore(home: Path) -> None:
    workspace = Workspace(home)
    name = workspace.binned_runs()[0]
    workspace.restore_run(name)
    assert name in [info.name for info in Workspace(home).runs()]


def _full_train(home: Path) -> None:
    assert cli.main(["train", "--env", "CartPole-v1", *SMALL, "--epochs", "1", "--workspace", str(home)]) == 1


def _without_room(act: Callable[[Path], None], home: Path) -> None:
    """Do something where no file may grow."""
    import resource

    with open(os.devnull, "w") as nowhere:
        sys.stdout = sys.stderr = nowhere  # what is printed goes to no file that is full
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        act(home)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
@pytest.mark.parametrize("act", [_full_list, _full_infer, _full_delete, _full_restore, _full_train])
def test_with_no_byte_free(warm, tmp_path, monkeypatch, tally, act):
    """No file may grow: every write to one fails as on a full disk."""
    home = tmp_path / "ws"
    monkeypatch.setenv("EWM_WORKSPACE", str(home))
    for _ in range(3):
        assert cli.main(["train", "--env", "CartPole-v1", *SMALL, "--epochs", "1"]) == 0
    Workspace(home).delete_run(Workspace(home).runs()[0].name)
    process = warm.start(_without_room, act, home)
    process.join()
    tally.count("full disk", process.exitcode == 0, f"{act.__name__}: {process.exitcode}")
    tally.count("full disk, when there is room again", len(Workspace(home).runs()) in (1, 2, 3), act.__name__)
