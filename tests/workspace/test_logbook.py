"""`metrics.bin`: what a run logged comes back row by row, whatever became of the rest of the file."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ewm_studio.errors import JobError, UserError
from ewm_studio.workspace.logbook import EPISODES, Logbook


def rows(first: int, count: int) -> list[tuple[int, int, float, float]]:
    return [(i, i // 2, i / 4, float(i)) for i in range(first, first + count)]


def steps(logbook: Logbook, tag: str = "a") -> list[int]:
    return logbook.read().get(tag, np.empty(0, [("step", "<i8")]))["step"].tolist()


@pytest.fixture
def logbook(tmp_path) -> Logbook:
    made = Logbook(tmp_path)
    made.write({})
    return made


def test_rows_come_back_as_they_were_logged(logbook):
    for first in range(0, 50, 10):
        logbook.append({"a": rows(first, 10), "größe/λ": rows(first, 1), EPISODES: rows(first, 3), "none": []})
    found = logbook.read()
    assert sorted(found) == ["", "a", "größe/λ"]
    assert found["a"].tolist() == rows(0, 50)
    assert found["größe/λ"]["step"].tolist() == [0, 10, 20, 30, 40]
    logbook.append({"nan": [(1, 1, 0.0, float("nan"))]})
    assert np.isnan(logbook.read()["nan"]["value"]).all()


def test_a_cut_forgets_what_came_after_a_step(logbook):
    logbook.append({"a": rows(0, 20), "late": rows(15, 5)})
    logbook.cut(9)
    assert sorted(logbook.read()) == ["a"]
    logbook.append({"a": rows(10, 3)})
    assert steps(logbook) == list(range(13))
    logbook.cut(-1)
    assert logbook.read() == {}


@given(cut=st.integers(0, 2000), flip=st.integers(0, 2000))
@settings(max_examples=60, deadline=None)
def test_damage_costs_the_piece_that_it_hits(tmp_path_factory, cut, flip):
    logbook = Logbook(tmp_path_factory.mktemp("log"))
    logbook.write({})
    for first in range(0, 40, 4):
        logbook.append({"a": rows(first, 4)})
    data = bytearray(logbook.path.read_bytes())
    piece = len(data) // 10
    data[flip % len(data)] ^= 0x20
    logbook.path.write_bytes(bytes(data[: len(data) - cut % len(data)]))
    logbook.append({"a": rows(100, 4)})  # what is logged after the damage is there too
    found = steps(logbook)
    assert found[-4:] == [100, 101, 102, 103]
    assert found == sorted(found)
    assert len(found) >= 4 * (1 + (len(data) - cut % len(data)) // piece - 1)


def test_a_full_disk_leaves_no_part_of_a_piece(logbook, monkeypatch):
    logbook.append({"a": rows(0, 4)})
    size, write = logbook.path.stat().st_size, os.write

    def full(descriptor, data):
        if len(data) <= 40:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:40])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(JobError, match="free some space"):
        logbook.append({"a": rows(4, 4)})
    monkeypatch.undo()
    assert logbook.path.stat().st_size == size
    assert steps(logbook) == [0, 1, 2, 3]


def test_a_file_that_is_gone_is_not_made_again(logbook):
    logbook.path.unlink()
    with pytest.raises(UserError):
        logbook.append({"a": rows(0, 1)})
    assert not logbook.exists
    assert logbook.read() == {}
