"""Small helpers of SQLite: a pragma's value, a transaction."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """The value of a pragma that is a number."""
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, kind: str) -> Iterator[sqlite3.Connection]:
    """One transaction, of the kind DEFERRED or IMMEDIATE: all of it lasts, or nothing."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield connection
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
