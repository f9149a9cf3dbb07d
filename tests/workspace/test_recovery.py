"""The run folders hold the truth: whatever happens to the list of runs, it comes back from them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch

from ewm_studio import cli
from ewm_studio.errors import JobError, UserError
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Run, Workspace
from ewm_studio.workspace import database as database_module
from ewm_studio.workspace.database import BLOCK, Damaged
from tests.support.dying import dies_at

MADE = Path(__file__).parent.parent / "data" / "0.1.0" / "workspace"
TOML = Experiment().to_toml()
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="dies in a fork")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws")


def trained(workspace: Workspace, title: str = "A title", rows: int = 25) -> Run:
    run = workspace.create_run("CartPole-v1", "train", TOML, {"vision": {"name": "Identity"}}, 3)
    for i in range(rows):
        run.log_metrics(i, i, i / 4, {"a": float(i), "b": -float(i)})
        run.log_episode(i, i / 4, float(i), 1)
    run.save_checkpoint(rows - 1, {"w": torch.ones(2)}, {"counters": {"env_steps": rows - 1}}, {"step": 1}, 7.5)
    run.finish("finished", steps=rows - 1)
    workspace.describe_run(run.name, title=title, note="two\nlines")
    return run


def seen(workspace: Workspace, name: str) -> dict:
    """All that is known of a run, without what depends on its place."""
    info, run = workspace.info(name), workspace.run(name)
    kept = ("title", "note", "job", "env", "parts", "seed", "state", "created", "steps", "episodes", "best_reward")
    curves = {tag: np.stack(run.metrics(tag)).tolist() for tag in run.tags()}
    return {**{k: getattr(info, k) for k in kept}, "curves": curves, "played": np.stack(run.episodes()).tolist()}


def damage(workspace: Workspace) -> None:
    path = workspace.path / "workspace.sqlite"
    data = bytearray(path.read_bytes())
    data[: len(data) // 2] = b"\x55" * (len(data) // 2)
    path.write_bytes(data)


# ---- moves that are broken off


@needs_fork
@pytest.mark.parametrize("change", ["rename", "delete", "restore"])
def test_a_kill_at_any_instant_of_a_move_leaves_the_run_in_one_list_with_all_it_has(warm, workspace, change):
    run = trained(workspace)
    before, name, instant, died = seen(workspace, run.name), run.name, 0, True
    while died:
        if change == "restore":
            workspace.delete_run(name)
        new = f"moved-{instant}"
        died = dies_at(instant, warm, workspace.path, change, name, new)
        instant += 1
        again = Workspace(workspace.path)
        listed, binned = [info.name for info in again.runs()], again.binned_runs()
        assert len(listed) + len(binned) == 1, (instant, listed, binned)
        if binned:
            assert not (workspace.runs_folder / binned[0]).exists()
            again.restore_run(binned[0])
        (name,) = [info.name for info in again.runs()]
        assert seen(again, name) == before, instant
        assert name in (run.name, new, f"moved-{instant - 2}")
        run = again.run(name)
    assert instant > 5, "it was killed at too few instants"


def test_a_folder_that_a_person_renames_keeps_its_curves(workspace):
    run = trained(workspace)
    before = seen(workspace, run.name)
    os.rename(run.folder, workspace.runs_folder / "by hand")
    assert [info.name for info in workspace.runs()] == ["by hand"]
    assert seen(workspace, "by hand") == before


def test_a_copied_folder_is_a_run_of_its_own(workspace):
    run = trained(workspace)
    shutil.copytree(run.folder, workspace.runs_folder / "copy")
    assert {info.name for info in workspace.runs()} == {run.name, "copy"}
    assert seen(workspace, "copy") == seen(workspace, run.name)


# ---- rebuilding


@pytest.mark.parametrize("how", ["damaged", "missing", "whole", "empty"])
def test_every_run_comes_back_from_its_folder(workspace, how, capsys):
    runs = [trained(workspace, f"number {i}", rows) for i, rows in enumerate((25, BLOCK + 7))]
    binned = trained(workspace, "in the bin")
    before = {run.name: seen(workspace, run.name) for run in (*runs, binned)}
    workspace.delete_run(binned.name)
    database = workspace.path / "workspace.sqlite"
    if how == "damaged":
        damage(workspace)
        with pytest.raises(Damaged, match="runs --rebuild --workspace"):
            Workspace(workspace.path).runs()
    elif how == "missing":
        database.unlink()
    elif how == "empty":
        database.write_bytes(b"")
    assert cli.main(["runs", "--rebuild", "--workspace", str(workspace.path), "--json"]) == 0
    out, err = capsys.readouterr()
    assert {run["name"] for run in json.loads(out)} == {run.name for run in runs}
    kept = [p for p in workspace.path.iterdir() if p.name.startswith("workspace.sqlite.2")]
    assert len(kept) == (how != "missing")
    assert all(str(path) in err for path in kept)
    again = Workspace(workspace.path)
    assert again.binned_runs() == [binned.name]
    again.restore_run(binned.name)
    assert {name: seen(again, name) for name in before} == before


def test_a_missing_database_is_made_again_without_being_asked_for(workspace):
    run = trained(workspace)
    before = seen(workspace, run.name)
    (workspace.path / "workspace.sqlite").unlink()
    assert seen(Workspace(workspace.path), run.name) == before


def test_runs_of_0_1_0_keep_what_a_damaged_database_still_tells(tmp_path):
    home = Path(shutil.copytree(MADE, tmp_path / "old"))
    before = {info.name: seen(Workspace(home), info.name) for info in Workspace(home).runs()}
    with contextlib.closing(sqlite3.connect(home / "workspace.sqlite")) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'blocks'")
        connection.commit()
    assert {name: seen(Workspace.rebuild(home)[0], name) for name in before} == before


def test_runs_of_0_1_0_without_any_database_keep_their_settings_and_checkpoints(tmp_path):
    home = Path(shutil.copytree(MADE, tmp_path / "old"))
    before = {info.name: info for info in Workspace(home).runs()}
    (home / "workspace.sqlite").unlink()
    after = {info.name: info for info in Workspace(home).runs()}
    assert set(after) == set(before)
    for name, info in after.items():
        for field in ("env", "seed", "job", "best_reward", "mean_reward", "checkpoint", "steps"):
            assert getattr(info, field) == getattr(before[name], field), field


def test_a_run_that_goes_on_while_the_list_is_rebuilt_is_whole_afterwards(workspace):
    run = workspace.create_run("CartPole-v1", "train", TOML)
    for i in range(30):
        run.log_metrics(i, i, 0.0, {"a": float(i)})
        run.flush()
        if i == 10:
            damage(workspace)
        if i == 20:
            Workspace.rebuild(workspace.path)
    assert Workspace(workspace.path).info(run.name).state == "running"
    run.finish("finished")
    again = Workspace(workspace.path)
    assert again.info(run.name).state == "finished"
    assert again.run(run.name).metrics("a").step.tolist() == list(range(30))


# ---- rows that make no sense

NONSENSE = [
    "parts = '{'", "parts = '[1]'", "parts = x'ff'", "parts = '' ", "seed = 'many'", "seed = x'00'", "created = 'x'",
    "created = 1e300", "created = -1", "steps = 'x'", "steps = 1.5", "best_reward = 'high'", "mean_reward = x'01'",
    "title = x'ff00'", "env = CAST(x'ff' AS TEXT)", "note = 5", "error = x'80'", "finished = 'never'",
    "checkpoint = x'80'", "started = 9e99",
]  # fmt: skip


@pytest.mark.parametrize("change", NONSENSE)
def test_a_row_that_makes_no_sense_is_told_by_its_folder(workspace, change):
    good, bad = trained(workspace, "good"), trained(workspace, "bad")
    with workspace._database.writing() as connection:
        connection.execute(f"UPDATE runs SET {change} WHERE name = ?", (bad.name,))
    assert {info.name for info in workspace.runs()} == {good.name, bad.name}
    assert workspace.info(good.name).title == "good"
    assert workspace.info(bad.name).env


@pytest.mark.parametrize("name", ["'..'", "'../x'", "''", "'a/b'", "x'ff'", "'.'", "CAST(x'00' AS TEXT)", "5"])
def test_a_name_that_is_none_costs_its_row_only(workspace, name):
    good, bad = trained(workspace, "good"), trained(workspace, "bad")
    (workspace.path / "x").mkdir()
    with workspace._database.writing() as connection:
        connection.execute(f"UPDATE runs SET name = {name} WHERE name = ?", (bad.name,))
    assert {info.name for info in workspace.runs()} == {good.name, bad.name}  # its folder brings it back
    assert workspace.info(bad.name).title == "bad"


def test_rows_of_curves_that_make_no_sense_cost_themselves(workspace):
    run = trained(workspace, rows=BLOCK + 5)
    with workspace._database.writing() as connection:
        connection.execute("UPDATE blocks SET data = x'00'")
        connection.execute("UPDATE metrics SET value = 'x' WHERE n = 3")
        connection.execute("UPDATE episodes SET step = x'00' WHERE n = 4")
    assert run.metrics("a").step.tolist() == [i for i in range(BLOCK + 5) if i != 3]
    assert run.episodes().step.tolist() == [i for i in range(BLOCK + 5) if i != 4]


@pytest.mark.parametrize(
    "content", ["{", "[]", "null", "5", '{"state": 5, "created": "x", "name": "../a"}', "[" * 9999]
)
def test_a_record_that_makes_no_sense_costs_itself(workspace, content):
    run = trained(workspace)
    for file in ("run.json", "note.json"):
        (run.folder / file).write_text(content)
    (workspace.path / "workspace.sqlite").unlink()
    info = Workspace(workspace.path).info(run.name)
    assert (info.env, info.seed, info.best_reward, info.steps) == ("CartPole-v1", Experiment().run.seed, 7.5, 24)


# ---- a database that cannot be had


def test_a_locked_database_ends_no_run_and_loses_nothing(workspace):
    run = workspace.create_run("CartPole-v1", "train", TOML)
    with contextlib.closing(sqlite3.connect(workspace.path / "workspace.sqlite", isolation_level=None)) as other:
        for i in range(60):
            if i == 20:
                other.execute("BEGIN EXCLUSIVE")
            if i == 40:
                assert run.behind
                other.execute("ROLLBACK")
            run.log_metrics(i, i, 0.0, {"a": float(i)})
            run.log_episode(i, 0.0, float(i), 1)
            run.flush()
    assert not run.behind
    assert run.metrics("a").step.tolist() == list(range(60))
    run.finish("finished")
    assert workspace.info(run.name).episodes == 60


def test_a_run_that_ends_while_the_database_is_locked_is_taken_up_later(workspace, monkeypatch):
    monkeypatch.setattr("ewm_studio.workspace.history.END_SECONDS", 0.1)
    run = trained(workspace)
    with workspace._database.alone():
        run.resume()
        run.log_metrics(30, 1, 0.0, {"a": 30.0})
        run.log_episode(30, 1.0, 5.0, 2)
        run.save_checkpoint(30, {"w": torch.ones(2)}, {}, {"step": 2}, 9.0)
        run.finish("stopped", steps=30)
        assert run.behind
    info = workspace.info(run.name)
    assert (info.state, info.steps, info.episodes, info.best_reward) == ("stopped", 30, 26, 9.0)
    assert run.metrics("a").step.tolist() == [*range(25), 30]


def test_what_a_killed_run_logged_is_in_the_list(workspace, monkeypatch):
    monkeypatch.setattr("ewm_studio.workspace.history.PATIENCE", 0.0)
    run = workspace.create_run("CartPole-v1", "train", TOML)
    with workspace._database.alone():
        run.log_metrics(1, 1, 0.0, {"a": 1.0})
        run.flush()
    run.abandon()  # as a kill does
    info = workspace.info(run.name)
    assert (info.state, info.steps) == ("interrupted", 1)
    assert run.metrics("a").step.tolist() == [1]


@pytest.mark.parametrize("how", ["deleted", "moved", "made anew"])
def test_a_workspace_that_is_gone_ends_the_run_and_is_not_made_again(workspace, how):
    run = workspace.create_run("CartPole-v1", "train", TOML)
    run.log_metrics(1, 1, 0.0, {"a": 1.0})
    os.rename(workspace.path, workspace.path.with_name("elsewhere"))
    if how == "deleted":
        shutil.rmtree(workspace.path.with_name("elsewhere"))
    if how == "made anew":
        run.folder.mkdir(parents=True)
        (run.folder / ".lock").touch()
    for act in (
        run.flush,
        lambda: run.save_checkpoint(2, {"w": torch.ones(2)}, {}, {}, None),
        lambda: run.finish("failed"),
    ):
        with pytest.raises(JobError, match="gone; it was deleted, moved or unmounted"):
            act()
    assert how == "made anew" or not workspace.path.exists()
    assert not (run.folder / "checkpoints").exists()


def test_a_full_disk_lets_one_list_delete_and_restore(workspace, monkeypatch):
    """The database takes no page more, and nothing can be written aside."""
    run = trained(workspace)
    real = database_module.Database._open

    def full(self, patience, read_only):
        connection = real(self, patience, read_only)
        connection.execute("CREATE TEMP TRIGGER full BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'x'); END")
        return connection

    monkeypatch.setattr(database_module.Database, "_open", full)
    monkeypatch.setattr(database_module.Database, "_translated", lambda self, patience: _no_room(self.path))
    workspace.delete_run(run.name)
    assert workspace.runs() == []
    assert workspace.binned_runs() == [run.name]
    workspace.restore_run(run.name)
    assert [info.name for info in workspace.runs()] == [run.name]


@contextlib.contextmanager
def _no_room(path):
    try:
        yield
    except sqlite3.Error as error:
        raise JobError(f"{path}: full") from error


def test_a_run_of_which_nothing_is_known_is_refused_by_name(workspace):
    run = trained(workspace)
    (run.folder / "experiment.toml").write_text("= nonsense")
    (run.folder / "run.json").unlink()
    with workspace._database.writing() as connection:
        connection.execute("UPDATE runs SET parts = '{'")
    with pytest.raises(UserError, match="neither its row nor its folder"):
        workspace.info(run.name)
    assert workspace.runs() == []
