"""The database survives strangers: whoever opens and closes its file, holds it, or left it in another state."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from ewm_studio.workspace import Workspace
from ewm_studio.workspace import database as database_module
from ewm_studio.workspace.database import Busy
from ewm_studio.workspace.lock import locked

MADE = Path(__file__).parent.parent / "data" / "0.1.0" / "workspace"
WRITER = """
    import sys
    from ewm_studio.workspace import Workspace
    run = Workspace(sys.argv[1]).create_run("CartPole-v1", "train", "", {}, 0)
    for i in range(40):
        run.log_metrics(i, i, 0.0, {"a": float(i)})
        run.flush()
    run.finish("finished", steps=40)
    print(run.name)
"""


def script(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def integrity(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchone()[0]


def test_opening_and_closing_the_file_while_jobs_write_and_end_harms_nothing(tmp_path):
    """A file dialog in the workspace does that: the system then drops the process's own locks on the file."""
    home = Workspace(tmp_path / "ws")
    first = home.create_run("CartPole-v1", "train", "")
    first.finish("stopped")
    for number in range(2):
        job = script(WRITER, home.path)
        while job.poll() is None:
            with open(home.path / "workspace.sqlite", "rb") as file:
                file.read(16)
            home.runs()
        name, complaint = job.communicate()
        assert job.returncode == 0, complaint
        info = home.info(name.strip())
        assert (info.state, info.steps) == ("finished", 40)
        assert home.run(info.name).metrics("a").step.tolist() == list(range(40))
        home.describe_run(first.name, title=f"after {number}")
        assert home.info(first.name).title == f"after {number}"
    home.close()
    assert integrity(home.path / "workspace.sqlite") == "ok"
    assert len(Workspace(home.path).runs()) == 3


def test_nothing_lies_beside_the_database_between_two_uses(tmp_path):
    home = Workspace(tmp_path / "ws")
    home.create_run("CartPole-v1", "train", "").log_metrics(1, 1, 0.0, {"a": 1.0})
    assert sorted(p.name for p in home.path.iterdir() if p.is_file()) == ["workspace.sqlite", "workspace.sqlite-lock"]
    with contextlib.closing(sqlite3.connect(home.path / "workspace.sqlite")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_the_write_ahead_log_of_0_1_0_is_folded_in_at_the_first_opening(tmp_path):
    """With what a killed process left in it."""
    home = Path(shutil.copytree(MADE, tmp_path / "old"))
    code = """
        import os, sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE runs SET title = 'in the log'")
        os._exit(0)
    """
    assert script(code, home / "workspace.sqlite").wait() == 0
    assert (home / "workspace.sqlite-wal").stat().st_size > 0
    assert {info.title for info in Workspace(home).runs()} == {"in the log"}
    assert not (home / "workspace.sqlite-wal").exists()
    assert integrity(home / "workspace.sqlite") == "ok"


def test_an_older_program_that_has_it_open_is_waited_for_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.2)
    home = Path(shutil.copytree(MADE, tmp_path / "old"))
    with contextlib.closing(sqlite3.connect(home / "workspace.sqlite", isolation_level=None)) as older:
        older.execute("PRAGMA journal_mode = WAL")
        older.execute("BEGIN")
        older.execute("SELECT * FROM runs").fetchall()
        with pytest.raises(Busy, match="older EWM Studio"):
            Workspace(home)
    assert len(Workspace(home).runs()) == 2


def test_a_transaction_that_was_killed_is_rolled_back(tmp_path):
    home = Workspace(tmp_path / "ws")
    run = home.create_run("CartPole-v1", "train", "")
    run.finish("finished")
    code = """
        import os, sys
        from pathlib import Path
        from ewm_studio.workspace.database import Database
        with Database(Path(sys.argv[1])).writing() as connection:
            connection.execute("PRAGMA cache_size = 1")
            connection.execute("UPDATE runs SET title = 'half'")
            connection.execute("CREATE TABLE filler (x)")
            connection.executemany("INSERT INTO filler VALUES (?)", [("x" * 100,)] * 50_000)
            os._exit(0)
    """
    assert script(code, home.path / "workspace.sqlite").wait() == 0
    assert (home.path / "workspace.sqlite-journal").stat().st_size > 0
    assert home.info(run.name).title == ""
    assert integrity(home.path / "workspace.sqlite") == "ok"


def test_readers_share_the_lock_and_a_writer_has_it_alone(tmp_path):
    path = tmp_path / "lock"
    with locked(path, exclusive=False, patience=0) as first, locked(path, exclusive=False, patience=0) as second:
        assert first
        assert second
        with locked(path, exclusive=True, patience=0.05) as third:
            assert not third
    with locked(path, exclusive=True, patience=0) as alone:
        assert alone
        os.close(os.open(path, os.O_RDONLY))  # drops nothing
        with locked(path, exclusive=False, patience=0.05) as reader:
            assert not reader


def _share_a_lock_with_a_fork(path: Path) -> None:
    """A lock is held while a process is forked, and is given back while that one still lives."""
    with locked(path, exclusive=True, patience=0):
        child = os.fork()
        if child == 0:
            time.sleep(20)
            os._exit(0)
    try:
        with locked(path, exclusive=True, patience=0.2) as held:
            assert held
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is shared where there is no fork")
def test_a_lock_ends_with_its_block_even_where_a_forked_process_shares_it(warm, tmp_path):
    process = warm.start(_share_a_lock_with_a_fork, tmp_path / "lock")
    process.join()
    assert process.exitcode == 0


def test_a_place_without_a_lock_file_is_read_all_the_same(tmp_path):
    with locked(tmp_path / "missing" / "lock", exclusive=True, patience=0) as held:
        assert held
