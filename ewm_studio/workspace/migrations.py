"""How `workspace.sqlite` grew: the SQL of each version, applied in order when a workspace is opened.

A released step stays as it is for ever; whatever a later version needs is a step of its own at the end. Steps run with
foreign keys switched off, so that a table can be made anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ewm_studio.errors import UserError
from ewm_studio.workspace.sql import pragma, transaction

APPLICATION_ID = 0x45574D53  # "EWMS"

_FIRST = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    job TEXT NOT NULL,
    env TEXT NOT NULL,
    parts TEXT NOT NULL DEFAULT '{}',
    seed INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('running', 'finished', 'stopped', 'failed', 'interrupted')),
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    steps INTEGER NOT NULL DEFAULT 0,
    episodes INTEGER NOT NULL DEFAULT 0,
    epochs INTEGER NOT NULL DEFAULT 0,
    best_reward REAL,
    mean_reward REAL,
    checkpoint TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    deleted REAL
);
CREATE TABLE tags (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE metrics (
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    tag INTEGER NOT NULL REFERENCES tags(id),
    n INTEGER NOT NULL,
    step INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    seconds REAL NOT NULL,
    value REAL,
    PRIMARY KEY (run, tag, n)
) WITHOUT ROWID;
CREATE TABLE episodes (
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    n INTEGER NOT NULL,
    step INTEGER NOT NULL,
    seconds REAL NOT NULL,
    reward REAL,
    length INTEGER NOT NULL,
    PRIMARY KEY (run, n)
) WITHOUT ROWID;
CREATE TABLE blocks (
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    tag INTEGER NOT NULL,
    n INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (run, tag, n)
);
INSERT INTO tags (id, name) VALUES (0, 'episodes');
"""

MIGRATIONS: tuple[str, ...] = (_FIRST,)  # the n-th makes version n


def bring_up_to_date(connection: sqlite3.Connection, path: Path, writable: bool) -> None:
    """Apply what is missing, in one transaction; an empty file becomes a workspace.

    Args:
        connection: to the database.
        path: its file, for complaints.
        writable: whether anything can be changed.

    Raises:
        UserError: the database is of another program or a newer version, or an older one that cannot be written.
    """
    latest = len(MIGRATIONS)
    if writable and not is_up_to_date(connection):
        with transaction(connection, "IMMEDIATE"):  # another process may have been first
            _apply_missing(connection)
    version = pragma(connection, "user_version")
    if pragma(connection, "application_id") != APPLICATION_ID:
        raise UserError(f"{path}: expected a workspace of EWM Studio, found a database of another program")
    if version > latest:
        raise UserError(f"{path}: expected a workspace of version {latest}, found version {version}; update EWM Studio")
    if version < latest:
        raise UserError(
            f"{path}: expected a workspace of version {latest}, found version {version}, and it cannot be written to; "
            "open it once where it can"
        )


def is_up_to_date(connection: sqlite3.Connection) -> bool:
    """Whether no step is missing."""
    return pragma(connection, "user_version") >= len(MIGRATIONS)


def _apply_missing(connection: sqlite3.Connection) -> None:
    version = pragma(connection, "user_version")
    empty = version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not empty and pragma(connection, "application_id") != APPLICATION_ID:
        return
    for sql in MIGRATIONS[version:]:
        for statement in _statements(sql):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {max(version, len(MIGRATIONS))}")


def _statements(sql: str) -> Iterator[str]:
    """The statements of a step; a trigger's holds semicolons of its own."""
    statement = ""
    for piece in sql.split(";"):
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):
            if piece.strip():
                yield statement
            statement = ""
