"""Runs, metrics and checkpoints: nothing is lost, by whatever end, and several processes share one workspace."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from ewm_studio.errors import JobError, UserError
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Run, Workspace, default_workspace
from ewm_studio.workspace.database import BLOCK, Database
from ewm_studio.workspace.models import load_model, save_model
from ewm_studio.workspace.tree import load_tree
from ewm_studio.workspace.workspace import safe_name

TOML = Experiment().to_toml()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws")


def new_run(workspace: Workspace, env: str = "CartPole-v1") -> Run:
    return workspace.create_run(env, "train", TOML, {"vision": {"name": "Identity", "settings": {}}}, 3)


def save(run: Run, step: int, mean: float | None = None, keep: int = 3) -> bool:
    tensors = {"w": torch.full((4,), float(step))}
    path, best = run.save_checkpoint(step, tensors, {"counters": {"env_steps": step}}, {"step": step}, mean, keep=keep)
    assert path == run.folder / "checkpoints" / f"{step}.safetensors"
    return best


def steps_kept(run: Run) -> list[int]:
    names = os.listdir(run.folder / "checkpoints")
    models = sorted(int(n.removesuffix(".safetensors")) for n in names if n.endswith(".safetensors"))
    assert sorted(names) == sorted(f"{s}{end}" for s in models for end in (".safetensors", ".trainer"))
    return models


def script(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def end(process: subprocess.Popen[str], timeout: float = 120) -> str:
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    return out


# ---- the folder


def test_importing_a_workspace_imports_nothing_heavy() -> None:
    code = """
        import sys
        from ewm_studio.workspace import Workspace
        heavy = {"torch", "h5py", "safetensors", "tensorboardX", "PySide6", "gymnasium"} & set(sys.modules)
        assert not heavy and not any("training" in m for m in sys.modules if m.startswith("ewm_studio")), heavy
    """
    end(script(code))


def test_listing_runs_with_checkpoints_needs_no_torch(workspace: Workspace) -> None:
    run = new_run(workspace)
    save(run, 1, 2.0)
    code = """
        import sys
        from ewm_studio.workspace import Workspace
        ws = Workspace(sys.argv[1])
        print(ws.runs()[0].state, ws.resolve_model(ws.runs()[0].name))
        assert "torch" not in sys.modules
    """
    assert end(script(code, workspace.path)).split() == ["running", str(run.folder / "checkpoints/1.safetensors")]


@pytest.mark.parametrize("where", ["file", "file/below", "ws/runs"])
def test_a_file_in_the_way(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws/runs").write_text("")
    with pytest.raises(UserError, match="in the way"):
        Workspace(tmp_path / where.removesuffix("/runs"))


def test_looking_writes_nothing(tmp_path: Path) -> None:
    model = tmp_path / "a.safetensors"
    save_model(model, {"w": torch.ones(1)}, {})
    before = sorted(tmp_path.rglob("*"))
    workspace = Workspace(tmp_path / "ws")
    assert workspace.runs() == []
    assert workspace.resolve_model(model) == model
    with pytest.raises(UserError, match="no run"):
        workspace.run("some")
    workspace.close()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_workspace_that_cannot_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Workspace(tmp_path / "ws")
    run = first.create_run("CartPole-v1", "train", "")
    run.log_metrics(1, 1, 0.0, {"a": 2.0})
    run.finish("finished")
    first.close()
    before = sorted((tmp_path / "ws").rglob("*"))
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    second = Workspace(tmp_path / "ws")
    assert [info.name for info in second.runs()] == [run.name]
    assert list(second.run(run.name).metrics("a").value) == [2.0]
    with pytest.raises(UserError, match="readonly"):
        second.describe_run(run.name, note="x")
    second.close()
    assert sorted((tmp_path / "ws").rglob("*")) == before


def test_a_place_that_is_no_path() -> None:
    with pytest.raises(UserError):
        Workspace("a\0b")


def test_default_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EWM_WORKSPACE", raising=False)
    assert default_workspace() == Path("workspaces/default")
    monkeypatch.setenv("EWM_WORKSPACE", "/somewhere")
    assert default_workspace() == Path("/somewhere")


@pytest.mark.parametrize("content", [b"no database " * 99, b"SQLite format 3\0" + b"\1" * 4000])
def test_a_damaged_database_is_refused(workspace: Workspace, content: bytes) -> None:
    workspace.path.mkdir()
    (workspace.path / "workspace.sqlite").write_bytes(content)
    with pytest.raises(UserError, match=r"workspace\.sqlite: expected"):
        Workspace(workspace.path)


def test_a_newer_or_foreign_database_is_refused(workspace: Workspace) -> None:
    workspace.create_run("CartPole-v1", "train", "")
    workspace.close()
    with sqlite3.connect(workspace.path / "workspace.sqlite") as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(UserError, match="expected a workspace of version 1, found version 2; update"):
        Workspace(workspace.path)
    other = workspace.path.parent / "other"
    other.mkdir()
    with sqlite3.connect(other / "workspace.sqlite") as connection:
        connection.execute("CREATE TABLE theirs (a)")
    with pytest.raises(UserError, match="another program"):
        Workspace(other)


def test_locked_and_full_databases_are_the_jobs_misfortune(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ewm_studio.workspace.database.BUSY_SECONDS", 0.1)
    database = Database(workspace.path / "workspace.sqlite")
    with workspace._database.writing(make=True), pytest.raises(JobError, match="another process"), database.writing():
        pass

    def fill() -> None:
        with database.writing() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")
            connection.execute("INSERT INTO tags (name) VALUES (?)", ("x" * 1_000_000,))

    with pytest.raises(JobError, match="full"):
        fill()
    assert database.read("SELECT count(*) FROM tags")[0][0] == 1  # nothing of it lasts


# ---- runs


def test_a_run_and_its_row(workspace: Workspace) -> None:
    run = new_run(workspace)
    assert (run.folder / "experiment.toml").read_text() == TOML
    info = workspace.info(run.name)
    assert (info.state, info.env, info.seed, info.job, info.folder) == (
        "running",
        "CartPole-v1",
        3,
        "train",
        run.folder,
    )
    assert info.parts["vision"]["name"] == "Identity"
    run.log_metrics(64, 1, 0.5, {"ppo/value_loss": 1.0})
    run.log_episode(60, 0.4, 9.0, 9)
    save(run, 64, 9.0)
    run.finish("stopped", steps=64, episodes=1, epochs=1, mean_reward=9.0, best_reward=9.5)
    info = workspace.info(run.name)
    assert (info.state, info.steps, info.episodes, info.epochs) == ("stopped", 64, 1, 1)
    assert (info.mean_reward, info.best_reward, info.checkpoint) == (9.0, 9.5, "checkpoints/64.safetensors")
    assert info.finished is not None
    assert info.started is not None
    with pytest.raises(TypeError, match="nonsense"):
        run.finish("finished", nonsense=1)


def test_names_are_safe_and_counted(workspace: Workspace) -> None:
    names = [new_run(workspace, env).name for env in ("A-v1", "A-v1", "my.module:Id-v0", "ALE/Pong-v5", '..<>:"|?*\n')]
    assert [n[11:] for n in names] == ["A-v1-1", "A-v1-2", "my.module-Id-v0-1", "ALE-Pong-v5-1", "run-1"]
    assert [r.name for r in workspace.runs()] == names[::-1]
    assert len(safe_name("x" * 500)) == 80


def test_finding_a_run(workspace: Workspace, tmp_path: Path) -> None:
    a, b = new_run(workspace, "A-v1"), new_run(workspace, "A-v1")
    c = new_run(workspace, "B-v1")
    assert workspace.run(a.name).folder == workspace.run_meant(a.name).folder == a.folder
    assert workspace.run_meant(c.name[:12]).name == c.name
    assert workspace.run_meant(str(b.folder)).name == b.name
    assert workspace.run_meant(f"{b.folder}/").name == b.name
    with pytest.raises(UserError, match="begins the names of 2 runs"):
        workspace.run_meant(a.name[:-1])
    with pytest.raises(UserError, match=f"did you mean.*{c.name}"):
        workspace.run_meant(c.name.replace("B", "Bb"))
    with pytest.raises(UserError, match="another folder"):
        workspace.run_meant(str(tmp_path))
    for odd in ("", "\0", "x" * 5000, "*", "'; DROP TABLE runs"):
        with pytest.raises(UserError, match="no run"):
            workspace.run_meant(odd)
        with pytest.raises(UserError, match="no run"):
            workspace.run(odd)
    for typed in (c.name[:12], str(b.folder)):  # for people alone
        with pytest.raises(UserError, match="no run"):
            workspace.run(typed)


def test_a_run_that_is_gone_is_not_taken_for_another(workspace: Workspace) -> None:
    runs = [new_run(workspace, "A-v1") for _ in range(10)]
    first, tenth = runs[0].name, runs[9].name
    assert (first[-2:], tenth[-3:]) == ("-1", "-10")
    for run in runs:
        run.finish("stopped", steps=1)
        workspace.delete_run(run.name) if run.name != tenth else None
    (runs[9].folder / "checkpoints").mkdir(exist_ok=True)
    save_model(runs[9].folder / "checkpoints" / "1.safetensors", {"w": torch.ones(1)}, {})
    lookups = (
        workspace.run,
        workspace.run_meant,
        workspace.info,
        workspace.resolve_model,
        workspace.model_named,
        workspace.delete_run,
        lambda name: workspace.rename_run(name, "other"),
        lambda name: workspace.describe_run(name, note="gone"),
    )
    for look in lookups:
        with pytest.raises(UserError, match=f"no run '{first}'"):
            look(first)
    assert [run.name for run in workspace.runs()] == [tenth]
    workspace.rename_run(tenth, f"{first}-longer")
    assert workspace.run_meant(first).name == f"{first}-longer"
    with pytest.raises(UserError, match="no run"):
        workspace.model_named(first)


def test_deleting_goes_to_the_bin_and_back(workspace: Workspace) -> None:
    run = new_run(workspace)
    run.log_metrics(1, 1, 0.1, {"a": 2.0})
    with pytest.raises(UserError, match="is being trained"):
        workspace.delete_run(run.name)
    run.finish("finished")
    target = workspace.delete_run(run.name)
    assert target == workspace.path / "bin" / run.name
    assert (target / "experiment.toml").is_file()
    assert workspace.runs() == []
    with pytest.raises(UserError, match="no run"):
        workspace.run(run.name)
    assert new_run(workspace).name != run.name  # a name in the bin is not given again
    assert workspace.restore_run(run.name).metrics("a").value.tolist() == [2.0]
    with pytest.raises(UserError, match="in the bin"):
        workspace.restore_run(run.name)


def test_rename_title_and_note(workspace: Workspace) -> None:
    run = new_run(workspace)
    save(run, 1)
    with pytest.raises(UserError, match="is being trained"):
        workspace.rename_run(run.name, "good")
    run.finish("finished")
    other = new_run(workspace)
    for bad in ("", "a/b", "..", "a b", other.name):
        with pytest.raises(UserError):
            workspace.rename_run(run.name, bad)
    renamed = workspace.rename_run(run.name, "good")
    assert renamed.folder == workspace.runs_folder / "good"
    assert renamed.best_checkpoint() == renamed.folder / "checkpoints/1.safetensors"
    workspace.describe_run("good", title="Best so far", note="two\nlines")
    workspace.describe_run("good", title="The best")
    info = workspace.info("good")
    assert (info.title, info.note) == ("The best", "two\nlines")


def test_a_folder_copied_in_by_hand_is_a_run(workspace: Workspace, tmp_path: Path) -> None:
    import shutil

    run = new_run(workspace)
    save(run, 5, 1.0)
    run.finish("finished")
    other = Workspace(tmp_path / "other")
    shutil.copytree(run.folder, other.runs_folder / "copied")
    (other.runs_folder / "not-a-run").mkdir()
    (other.runs_folder / "damaged").mkdir()
    (other.runs_folder / "damaged/experiment.toml").write_text("= nonsense")
    assert [(r.name, r.env, r.state) for r in other.runs()] == [("copied", "CartPole-v1", "finished")]
    assert other.run("copied").latest_checkpoint() == other.runs_folder / "copied/checkpoints/5.safetensors"


def test_resolving_a_model(workspace: Workspace, tmp_path: Path) -> None:
    run = new_run(workspace)
    with pytest.raises(UserError, match="expected a run with a checkpoint"):
        workspace.resolve_model(run.name)
    save(run, 1, 5.0)
    save(run, 2, 4.0)
    best = run.folder / "checkpoints/1.safetensors"
    save_model(tmp_path / "m.safetensors", {}, {})
    assert workspace.resolve_model(run.name).resolve() == best.resolve()
    assert workspace.resolve_model(run.folder).resolve() == best.resolve()
    assert Workspace(tmp_path / "elsewhere").resolve_model(str(run.folder)).resolve() == best.resolve()
    assert workspace.resolve_model(str(tmp_path / "m.safetensors")) == tmp_path / "m.safetensors"
    for bad in ("none.safetensors", str(tmp_path), "nothing", "\0", "x" * 5000, "~nobody/x", "~nobody/x.safetensors"):
        with pytest.raises(UserError):
            workspace.resolve_model(bad)


# ---- metrics


def test_metrics_come_back_in_order(workspace: Workspace) -> None:
    run, count = new_run(workspace), 2 * BLOCK + 137
    rng = np.random.default_rng(0)
    values = rng.normal(size=count)
    values[3], values[4] = np.nan, np.inf
    for i, value in enumerate(values):
        run.log_metrics(i * 64, i, i / 8, {"a": float(value), **({"rare": 1.0} if i % 100 == 0 else {})})
        run.log_episode(i * 64 + 1, i / 4, -float(i), i + 1)
    run.flush()
    for reader in (run, Workspace(workspace.path).run(run.name)):
        points, episodes = reader.metrics("a"), reader.episodes()
        np.testing.assert_array_equal(points.value, values)
        np.testing.assert_array_equal(points.step, np.arange(count) * 64)
        np.testing.assert_array_equal(points.epoch, np.arange(count))
        np.testing.assert_array_equal(points.seconds, np.arange(count) / 8)
        np.testing.assert_array_equal(episodes.reward, -np.arange(count))
        np.testing.assert_array_equal(episodes.length, np.arange(count) + 1)
        np.testing.assert_array_equal(episodes.seconds, np.arange(count) / 4)
        assert reader.tags() == ["a", "rare"]
        assert len(reader.metrics("rare").step) == -(-count // 100)
        assert len(reader.metrics("never").step) == 0
    assert workspace.info(run.name).episodes == count
    plain = workspace._database.read("SELECT count(*) FROM metrics m JOIN tags t ON t.id = m.tag WHERE t.name = 'a'")
    assert plain[0][0] == count  # whole for anyone with an SQL prompt


@pytest.mark.parametrize(
    "sizes", [[1] * 5, [BLOCK], [BLOCK - 1, 2], [2 * BLOCK + 5, BLOCK - 5, 1], [BLOCK // 2 + 1] * 5]
)
def test_packed_blocks_agree_with_the_rows(workspace: Workspace, sizes: list[int]) -> None:
    run, start = new_run(workspace), 0
    for size in sizes:
        workspace._database.append(
            run.name, {"a": [(start + i, 0, 0.0, float(start + i)) for i in range(size)]}, [], {}
        )
        start += size
        np.testing.assert_array_equal(run.metrics("a").step, np.arange(start))
    assert workspace._database.read("SELECT count(*) FROM blocks")[0][0] == start // BLOCK


@pytest.mark.parametrize("at", [0, 1, BLOCK - 5, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 50])
def test_a_resumed_run_goes_on_from_its_checkpoint(workspace: Workspace, at: int) -> None:
    """What was logged after the checkpoint happens again, so it must not stand twice."""
    run, count = new_run(workspace), 2 * BLOCK + 100
    rows = [(i, i, 0.0, float(i)) for i in range(count)]
    workspace._database.append(run.name, {"a": rows, "b": rows[:3]}, rows, {})
    save(run, at, 1.0)
    run.finish("interrupted")
    again = Workspace(workspace.path).run(run.name)
    assert len(again.metrics("a").step) == count  # looking changes nothing
    for i in range(at + 1, at + 1 + BLOCK + 7):
        again.log_metrics(i, i, 0.0, {"a": float(i)})
        again.log_episode(i, 0.0, float(i), 1)
    again.flush()
    np.testing.assert_array_equal(again.metrics("a").step, np.arange(at + BLOCK + 8))
    np.testing.assert_array_equal(again.episodes().step, np.arange(at + BLOCK + 8))
    assert len(again.metrics("b").step) == min(3, at + 1)
    assert workspace.info(run.name).state == "running"
    assert workspace.info(run.name).episodes == at + BLOCK + 8


def test_logging_writes_in_batches(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run, now, flushed = new_run(workspace), [100.0], []
    append = workspace._database.append
    monkeypatch.setattr("ewm_studio.workspace.run.time.monotonic", lambda: now[0])
    monkeypatch.setattr(workspace._database, "append", lambda *a: (flushed.append(now[0]), append(*a)))
    for i in range(1000):  # a hundred a second, for ten seconds
        now[0] = 100 + i / 100
        run.log_metrics(i, i, i / 100, {"a": 1.0})
    assert 40 <= len(flushed) <= 51
    run.finish("finished")
    assert len(run.metrics("a").step) == 1000


def test_threads_read_while_one_writes(workspace: Workspace) -> None:
    run, done, lengths, errors = new_run(workspace), threading.Event(), [], []

    def read() -> None:
        try:
            while not done.is_set():
                points = run.metrics("a")
                np.testing.assert_array_equal(points.step, np.arange(len(points.step)))
                lengths.append(len(points.step))
        except BaseException as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(3000):
        run.log_metrics(i, i, 0.0, {"a": 1.0})
        if i % 20 == 0:
            run.flush()
    done.set()
    reader.join()
    assert not errors
    assert lengths == sorted(lengths)


WRITER = """
    import sys
    from ewm_studio.settings import Experiment
    from ewm_studio.workspace import Workspace
    ws = Workspace(sys.argv[1])
    toml = Experiment().to_toml()
    names = []
    for _ in range(10):
        run = ws.create_run("CartPole-v1", "train", toml, {}, 0)
        names.append(run.name)
        run.finish("finished")
    run = ws.create_run("Long-v0", "train", toml, {}, 0)
    for i in range(2500):
        run.log_metrics(i, i, i / 10, {"a": float(i), "b": -float(i)})
        run.log_episode(i, i / 10, float(i), 1)
        if i % 10 == 0:
            run.flush()
    run.finish("finished", steps=2500)
    print(run.name, *names)
"""


def test_processes_write_at_once_and_another_reads(tmp_path: Path) -> None:
    """From the very first moment: both find no workspace and make it."""
    writers = [script(WRITER, tmp_path / "ws") for _ in range(2)]
    workspace, seen = Workspace(tmp_path / "ws"), 0
    while any(w.poll() is None for w in writers):
        for info in workspace.runs():
            if info.env == "Long-v0":
                points = workspace.run(info.name).metrics("a")
                np.testing.assert_array_equal(points.step, np.arange(len(points.step)))
                np.testing.assert_array_equal(points.value, points.step)
                seen += 0 < len(points.step) < 2500
    names = [end(w).split() for w in writers]
    made = {name for run in names for name in run}
    assert len(made) == 22
    assert {r.name for r in workspace.runs()} == made
    assert {r.state for r in workspace.runs()} == {"finished"}
    for long, *_ in names:
        run = workspace.run(long)
        np.testing.assert_array_equal(run.metrics("b").value, -np.arange(2500.0))
        np.testing.assert_array_equal(run.episodes().step, np.arange(2500))
    assert seen  # the reader did see them on their way


def test_a_dead_process_leaves_an_interrupted_run(workspace: Workspace) -> None:
    code = """
        import sys
        from ewm_studio.workspace import Workspace
        run = Workspace(sys.argv[1]).create_run("CartPole-v1", "train", "", {}, 0)
        run.log_metrics(1, 1, 0.1, {"a": 1.0})
        run.flush()
        print(run.name, flush=True)
        sys.stdin.read()
    """
    process = script(code, workspace.path)
    assert process.stdout
    name = process.stdout.readline().strip()
    try:
        assert workspace.info(name).state == "running"
        run = workspace.run(name)
        with pytest.raises(UserError, match="trained already"):
            run.log_metrics(2, 2, 0.2, {"a": 1.0})
        with pytest.raises(UserError, match="is being trained"):
            workspace.delete_run(name)
    finally:
        process.kill()
        process.communicate()
    assert workspace.info(name).state == "interrupted"
    assert run.metrics("a").step.tolist() == [1]
    run.log_metrics(2, 2, 0.2, {"a": 1.0})  # now it may go on
    assert workspace.info(name).state == "running"


# ---- checkpoints


def test_best_and_latest(workspace: Workspace) -> None:
    run = new_run(workspace)
    assert run.best_checkpoint() is None
    assert run.latest_checkpoint() is None
    assert save(run, 10) is True  # better than nothing
    assert save(run, 20) is True  # without any reward, the later
    assert save(run, 30, 1.0) is True
    assert save(run, 40, None) is False
    assert save(run, 50, float("nan")) is False
    assert save(run, 60, 0.5) is False
    assert save(run, 70, 1.0) is True  # ties go to the later
    assert save(run, 80, -5.0) is False
    assert run.best_checkpoint() == run.folder / "checkpoints/70.safetensors"
    assert run.latest_checkpoint() == run.folder / "checkpoints/80.safetensors"
    assert workspace.info(run.name).checkpoint == "checkpoints/70.safetensors"
    assert workspace.info(run.name).best_reward == 1.0


def test_the_best_and_the_last_few_are_kept(workspace: Workspace) -> None:
    run = new_run(workspace)
    for step, mean in [(2, 1.0), (10, 9.0), (9, 2.0), (100, 3.0), (1000, 4.0)]:
        save(run, step, mean, keep=2)
    assert steps_kept(run) == [10, 100, 1000]
    save(run, 2000, 10.0, keep=2)
    assert steps_kept(run) == [1000, 2000]
    save(run, 3000, 1.0, keep=1)
    assert steps_kept(run) == [2000, 3000]


def test_only_complete_pairs_are_latest(workspace: Workspace) -> None:
    run = new_run(workspace)
    folder = run.folder / "checkpoints"
    for step in (1, 2, 3):
        save(run, step, float(step))
    (folder / "3.trainer").unlink()
    assert run.latest_checkpoint() == folder / "2.safetensors"
    (folder / "2.trainer").write_bytes((folder / "1.trainer").read_bytes())  # of another model
    assert run.latest_checkpoint() == folder / "1.safetensors"
    (folder / "4.trainer").write_bytes((folder / "1.trainer").read_bytes())
    (folder / "5.safetensors").write_bytes(b"")
    (folder / "x.safetensors").write_bytes(b"")
    assert run.latest_checkpoint() == folder / "1.safetensors"
    assert run.best_checkpoint() == folder / "3.safetensors"


def test_a_failed_save_leaves_the_previous_pair(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    run = new_run(workspace)
    save(run, 1, 1.0)
    replace, calls = os.replace, []

    def fail(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(JobError, match="No space left"):
        save(run, 2, 2.0)
    assert [Path(c).suffix for c in calls] == [".trainer", ".safetensors"]
    latest = run.latest_checkpoint()
    assert latest == run.folder / "checkpoints/1.safetensors"
    assert load_tree(latest.with_suffix(".trainer")) == {"step": 1}
    monkeypatch.undo()
    save(run, 3, 1.0, keep=1)
    assert steps_kept(run) == [3]  # the lonely trainer state is gone


KILLED = """
    import os, random, signal, sys, time
    import torch
    from ewm_studio.workspace import Workspace
    from ewm_studio.workspace.models import load_model
    from ewm_studio.workspace.tree import load_tree
    torch.set_num_threads(1)
    path = sys.argv[1]

    def child(name, start, pipe, same_step):
        run = Workspace(path).run(name)
        n = start
        while True:
            n += 1
            tensors = {"w": torch.full((50,), float(n))}
            run.log_metrics(n, n, 0.0, {"a": float(n)})
            trainer = {"n": n, "t": torch.full((50,), n)}
            run.save_checkpoint(7 if same_step else n, tensors, {"n": n}, trainer, n % 5, keep=2)
            os.write(pipe, b"%d\\n" % n)

    import safetensors.torch  # once, not in every child
    for same_step in (False, True):
        ws = Workspace(path)
        name = ws.create_run("Killed-v0", "train", "", {}, 0)
        name.finish("stopped")
        name = name.name
        ws.close()
        random.seed(1)
        last = 0
        for kill in range(20):
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    os.close(read)
                    child(name, last, write, same_step)
                finally:
                    os._exit(1)
            os.close(write)
            os.read(read, 1)
            time.sleep(random.random() * 0.06)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            said = b""
            while piece := os.read(read, 65536):
                said += piece
            os.close(read)
            ws = Workspace(path)
            run = ws.run(name)
            assert ws.info(name).state == "interrupted", ws.info(name)
            latest = run.latest_checkpoint()
            tensors, metadata = load_model(latest)
            trainer = load_tree(latest.with_suffix(".trainer"))
            n = metadata["n"]
            assert trainer["n"] == n and (trainer["t"] == n).all() and (tensors["w"] == n).all(), (n, trainer)
            reported = [int(x) for x in said.split()[1:]]
            assert n >= max(reported, default=last), (n, reported)
            load_model(run.best_checkpoint())
            if not same_step:
                assert metadata["checkpoint"]["step"] == n
            last = n
            ws.close()
        print(last)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a warm process, to be quick")
def test_a_kill_at_any_instant_leaves_a_good_pair(tmp_path: Path) -> None:
    """Twenty times for steps that rise, twenty times for one step saved again and again."""
    assert all(int(saves) >= 20 for saves in end(script(KILLED, tmp_path / "ws")).split())


@pytest.mark.parametrize("instant", range(12))
def test_a_kill_between_any_two_calls_of_the_system(workspace: Workspace, instant: int) -> None:
    """The process 'dies' at the n-th rename or removal while it saves one step a second time."""
    run = new_run(workspace)
    save(run, 1, 1.0)
    save(run, 7, 2.0)
    calls = [0]

    class Died(BaseException):
        pass

    def dying(real: object) -> object:
        def call(*arguments: object, **named: object) -> object:
            calls[0] += 1
            if calls[0] > instant:
                raise Died
            return real(*arguments, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "unlink"):
            patch.setattr(os, name, dying(getattr(os, name)))
        patch.setattr(Path, "unlink", dying(Path.unlink))
        with contextlib.suppress(Died):
            run.save_checkpoint(7, {"w": torch.full((4,), 8.0)}, {"n": 8}, {"step": 8}, 3.0, keep=1)
    latest = run.latest_checkpoint()
    assert latest == run.folder / "checkpoints/7.safetensors"
    value = load_model(latest)[0]["w"][0].item()
    assert value in (7.0, 8.0)
    assert load_tree(latest.with_suffix(".trainer")) == {"step": int(value)}


# ---- TensorBoard


def test_tensorboard_files_hold_what_was_logged(workspace: Workspace) -> None:
    from tensorboardX.proto.event_pb2 import Event

    from ewm_studio.workspace.tensorboard import TensorBoardLog

    run = new_run(workspace)
    log = TensorBoardLog(run.folder)
    log.scalars(64, {"ppo/value_loss": 0.5, "reward/mean_100": 20.0})
    log.images(64, {"original": np.zeros((3, 8, 8, 3), np.uint8)})
    log.close()
    (path,) = run.folder.glob("events.*")
    data, found = path.read_bytes(), {}
    while data:  # records: length (8), its checksum (4), the event, its checksum (4)
        length = int.from_bytes(data[:8], "little")
        for value in Event.FromString(data[12 : 12 + length]).summary.value:
            found[value.tag] = value.simple_value if value.HasField("simple_value") else value.image.width
        data = data[16 + length :]
    assert found["ppo/value_loss"] == 0.5
    assert found["reward/mean_100"] == 20.0
    assert any(tag.startswith("pictures/original") and width >= 8 for tag, width in found.items())
