"""A workspace of an earlier version is brought up to date when it is opened."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ewm_studio.errors import UserError
from ewm_studio.workspace import Workspace, migrations

MADE = Path(__file__).parents[1] / "data" / "0.1.0" / "workspace"
NEXT = """
CREATE TABLE colours (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
INSERT INTO colours (name) VALUES ('red; or so');
ALTER TABLE runs ADD COLUMN colour INTEGER REFERENCES colours(id);
CREATE TRIGGER painted AFTER INSERT ON runs BEGIN
    UPDATE runs SET colour = 1 WHERE id = new.id;
    INSERT INTO tags (name) VALUES ('painted');
END;
"""
AFTER = "UPDATE colours SET name = upper(name)"


@pytest.fixture
def old(tmp_path):
    """The folder of a workspace as version 0.1.0 left it."""
    return Path(shutil.copytree(MADE, tmp_path / "old"))


def look(folder: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(folder / "workspace.sqlite")) as connection:
        return connection.execute(sql).fetchall()


def contents(folder: Path) -> list[list[tuple]]:
    return [look(folder, f"SELECT * FROM {table}") for table in ("runs", "tags", "metrics", "episodes", "blocks")]


def tables(folder: Path) -> list[tuple]:
    return look(folder, "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name")


def test_what_0_1_0_made_opens_and_loses_nothing(old):
    before = contents(old)
    with closing(Workspace(old)) as workspace:
        assert len(workspace.runs()) == 2
    assert look(old, "PRAGMA user_version") == [(len(migrations.MIGRATIONS),)]
    assert contents(old) == before


def test_steps_that_are_missing_are_applied_in_order(old, monkeypatch):
    before = contents(old)
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, NEXT, AFTER))
    with closing(Workspace(old)) as workspace:
        assert look(old, "SELECT name FROM colours") == [("RED; OR SO",)]
        runs, *others = contents(old)
        assert [run[:-1] for run in runs] == before[0]
        assert others == before[1:]
        workspace.create_run("CartPole-v1", "train", "")
    assert look(old, "PRAGMA user_version") == [(3,)]
    assert look(old, "SELECT count(*) FROM runs WHERE colour = 1") == [(1,)]  # by the trigger
    Workspace(old).close()  # nothing is applied twice


def test_a_step_may_make_a_table_anew_without_losing_what_hangs_on_it(old, monkeypatch):
    before = contents(old)
    anew = "CREATE TABLE again AS SELECT * FROM runs; DROP TABLE runs; ALTER TABLE again RENAME TO runs;"
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, anew))
    Workspace(old).close()
    assert contents(old) == before  # rows of metrics go with their run only where it is deleted


def test_a_new_workspace_is_like_one_that_grew(old, tmp_path, monkeypatch):
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, NEXT))
    Workspace(old).close()
    with closing(Workspace(tmp_path / "new")) as workspace:
        workspace.create_run("CartPole-v1", "train", "")
    assert tables(tmp_path / "new") == tables(old)


def test_a_step_that_fails_leaves_everything_as_it_was(old, monkeypatch):
    before = tables(old), contents(old)
    broken = (*migrations.MIGRATIONS, NEXT, "CREATE TABLE more (a); CREATE TABLE runs (a);")
    monkeypatch.setattr(migrations, "MIGRATIONS", broken)
    with pytest.raises(UserError, match="already exists"):
        Workspace(old)
    assert (tables(old), contents(old)) == before
    assert look(old, "PRAGMA user_version") == [(1,)]
    monkeypatch.setattr(migrations, "MIGRATIONS", broken[:1])
    Workspace(old).close()


def test_a_newer_one_is_refused_in_one_line(old, monkeypatch):
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, NEXT))
    Workspace(old).close()
    monkeypatch.undo()
    with pytest.raises(UserError, match="expected a workspace of version 1, found version 2; update EWM Studio"):
        Workspace(old)


def test_another_programs_database_is_left_alone(tmp_path, monkeypatch):
    with closing(sqlite3.connect(tmp_path / "workspace.sqlite")) as connection:
        connection.execute("CREATE TABLE theirs (a)")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, NEXT))
    with pytest.raises(UserError, match="another program"):
        Workspace(tmp_path)
    assert [name for name, _ in tables(tmp_path)] == ["theirs"]
    assert look(tmp_path, "PRAGMA user_version") == [(1,)]


def test_an_older_one_that_cannot_be_written_says_so(old, monkeypatch):
    Workspace(old).close()  # folds the write-ahead log in
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, NEXT))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UserError, match="found version 1, and it cannot be written to"):
        Workspace(old)


def test_processes_that_open_it_at_once_apply_each_step_once(old):
    script = (
        "import sys; from ewm_studio.workspace import Workspace, migrations;"
        f"migrations.MIGRATIONS = (*migrations.MIGRATIONS, {NEXT!r}, {AFTER!r});"
        "Workspace(sys.argv[1]).close()"
    )
    opening = [subprocess.Popen([sys.executable, "-c", script, str(old)]) for _ in range(4)]
    assert [process.wait(60) for process in opening] == [0] * 4
    assert look(old, "SELECT name FROM colours") == [("RED; OR SO",)]
