"""The store of frames: what goes in comes out, memory stays bounded, a full disk is said so."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ewm_studio.data import frames
from ewm_studio.data.frames import FrameStore
from ewm_studio.errors import JobError
from tests.support import ROOT

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits and figures of Linux")


def filled(rng: np.random.Generator, store: FrameStore, batches: list[int]) -> np.ndarray:
    """Append random batches of those sizes; gives all frames."""
    parts = []
    for size in batches:
        batch = rng.integers(0, 256, (size, *store.shape)).astype(store.dtype)
        first = len(store)
        assert store.append(batch).tolist() == list(range(first, first + size))
        parts.append(batch.copy())
        batch[:] = 0  # the caller's array is the caller's again
    return np.concatenate(parts)


@given(
    seed=st.integers(0, 10**6),
    batches=st.lists(st.integers(0, 30), min_size=1, max_size=12),
    limit=st.sampled_from([0, 100, 500, 2000, 10**6]),
    shape=st.sampled_from([(), (3,), (2, 4, 4)]),
    dtype=st.sampled_from([np.uint8, np.float32]),
    positioned=st.booleans(),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reads_what_was_appended(tmp_path, monkeypatch, seed, batches, limit, shape, dtype, positioned):
    """In any order, with repeats, from memory, disk and the part between; also without reads by position."""
    rng = np.random.default_rng(seed)
    with monkeypatch.context() as patch, FrameStore(shape, dtype, limit, tmp_path) as store:
        if not positioned:
            patch.delattr(os, "preadv", raising=False)
        everything = filled(rng, store, batches)
        assert len(store) == len(everything)
        for size in (0, 1, 50):
            index = rng.integers(0, len(everything), size) if len(everything) else np.empty(0, int)
            got = store.read(index)
            assert got.dtype == dtype
            np.testing.assert_array_equal(got, everything[index])
        np.testing.assert_array_equal(store.read(np.arange(len(everything))), everything)


def test_the_rest_goes_to_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "CHUNK_BYTES", 1000)
    with FrameStore((10, 10), np.uint8, 5000, tmp_path) as store:
        filled(np.random.default_rng(0), store, [8] * 25)
        assert sum(chunk.nbytes for chunk in store._chunks) + store._tail.nbytes <= 5000 + 1000
        assert store.disk_bytes >= 200 * 100 - 6000
        if sys.platform != "win32":
            assert list(tmp_path.iterdir()) == []  # nameless: a killed process leaves nothing behind
    assert list(tmp_path.iterdir()) == []


def test_neighbours_on_disk_are_read_at_once(tmp_path, monkeypatch):
    calls = []
    with FrameStore((2**20,), np.uint8, 0, tmp_path) as store:
        filled(np.random.default_rng(0), store, [12])
        inner = store._read_into
        monkeypatch.setattr(store, "_read_into", lambda view, offset: calls.append(len(view)) or inner(view, offset))
        store.read([7, 3, 4, 5, 9, 3])
    assert calls == [3 * 2**20, 2**20, 2**20]


def test_wrong_frames_and_numbers_are_refused(tmp_path):
    with FrameStore((2,), np.uint8, 10, tmp_path) as store:
        store.append(np.zeros((3, 2), np.uint8))
        with pytest.raises(ValueError, match="expected frames"):
            store.append(np.zeros((3, 3), np.uint8))
        with pytest.raises(ValueError, match="expected frames"):
            store.append(np.zeros((3, 2), np.float32))
        for wrong in ([3], [-1]):
            with pytest.raises(IndexError):
                store.read(wrong)
    with pytest.raises(ValueError, match="closed"):
        store.read([0])


def run(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )


@LINUX
def test_memory_stays_bounded(tmp_path):
    """256 MiB of frames through 16 MiB of memory: the process's own peak tells, file pages included."""
    done = run(
        """
        import sys
        import numpy as np
        from ewm_studio.data.frames import FrameStore

        def peak():
            line = next(l for l in open("/proc/self/status") if l.startswith("VmHWM"))
            return int(line.split()[1]) / 1024

        rng, batch = np.random.default_rng(0), np.zeros((8, 64, 64, 3), np.uint8)
        before = peak()
        with FrameStore((64, 64, 3), np.uint8, 16 * 2**20, sys.argv[1]) as store:
            for number in range(2730):
                batch[:] = number % 251
                store.append(batch)
            for index in rng.permutation(len(store)).reshape(-1, 65):
                assert (store.read(index)[:, 0, 0, 0] == index // 8 % 251).all()
        print(peak() - before)
        """,
        str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 48


@LINUX
def test_full_disk_is_one_line(tmp_path):
    done = run(
        """
        import resource, sys
        import numpy as np
        from ewm_studio.data.frames import FrameStore
        from ewm_studio.errors import JobError

        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
        store = FrameStore((1000, 1000), np.uint8, 2**20, sys.argv[1])
        try:
            for _ in range(10):
                store.append(np.zeros((1, 1000, 1000), np.uint8))
        except JobError as error:
            print(error)
        """,
        str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout
    assert "data.frames" in done.stdout
    assert done.stdout.count("\n") == 1


def test_missing_folder_is_one_line(tmp_path):
    store = FrameStore((8,), np.uint8, 8, tmp_path / "gone")
    with pytest.raises(JobError, match="gone"):
        store.append(np.zeros((100, 8), np.uint8))
