"""`kill -9` of real trainings at random instants: the run is listed, its latest checkpoint loads, no row is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from ewm_studio import cli
from ewm_studio.errors import JobError, UserError
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from ewm_studio.workspace.tree import load_tree
from tests.support.dying import dies_at

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="signals of POSIX")
KILLS = 150  # of each of two tests, which two cores share
SMALL = (
    "--batch-size",
    "2",
    "--rollout-steps",
    "8",
    "--ppo-epochs",
    "1",
    "--set",
    "env.workers=0",
    "--set",
    "run.threads=1",
)
ENDLESS = ("--save-freq", "1", "--epochs", "none", "--total-steps", "100000000")


def complaint(home: Path, step: int) -> tuple[str, int]:
    """What is wrong with the workspace's one run after a kill, and the step of its latest checkpoint."""
    workspace = Workspace(home)
    try:
        infos = workspace.runs()
        if len(infos) != 1:
            return f"{len(infos)} runs are listed", step
        info, run = infos[0], workspace.run(infos[0].name)
        latest = run.latest_checkpoint()
        begun = latest is not None and int(latest.stem) > step  # else it may have been killed before it took up the run
        if info.title != "kept" or info.state not in (("interrupted",) if begun else ("interrupted", "finished")):
            return f"shown as {info.state}, {info.title!r}", step
        if latest is None or int(latest.stem) < step:
            return f"the latest checkpoint is {latest}, and it was {step}", step
        counters = load_model(latest)[1]["counters"]
        load_tree(latest.with_suffix(".trainer"))
        load_model(run.best_checkpoint())
        for tag in run.tags():
            points = run.metrics(tag)
            until = points.epoch[points.step <= int(latest.stem)]
            if not (np.diff(points.step) > 0).all():
                return f"{tag} goes back", step
            if tag == "ppo/policy_loss" and until.tolist() != list(range(1, counters["epochs"] + 1)):
                return f"{tag} has {len(until)} rows of {counters['epochs']} epochs", step
        episodes = run.episodes()
        if not (np.diff(episodes.step) >= 0).all() or (episodes.step <= int(latest.stem)).sum() < counters["episodes"]:
            return "episodes are missing", step
        return "", int(latest.stem)
    except (UserError, JobError) as error:
        return str(error), step


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_of_a_training_at_random_instants(warm, tmp_path, monkeypatch, tally, seed):
    home, rng, step = tmp_path / "ws", np.random.default_rng(seed), 0
    monkeypatch.setenv("EWM_WORKSPACE", str(home))
    assert cli.main(["train", "--env", "CartPole-v1", *SMALL, "--epochs", "2", "--save-freq", "1"]) == 0
    name = Workspace(home).runs()[0].name
    Workspace(home).describe_run(name, title="kept")
    model = home / "runs" / name / "checkpoints"
    kept = Workspace(home).run(name).latest_checkpoint()
    step = int(kept.stem)
    for number in range(KILLS):
        process = warm.command("train", "--resume", name, *ENDLESS)
        begun, deadline = model.stat().st_mtime_ns, time.monotonic() + 60
        if number % 5:  # one in five is killed while it starts
            while model.stat().st_mtime_ns == begun and time.monotonic() < deadline:
                time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.25))
        process.kill()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            tally.count("kill -9 of a training", False, f"it ended by itself with {process.exitcode}")
            continue
        said, step = complaint(home, step)
        tally.count("kill -9 of a training", not said, f"kill {number}: {said}")
    with closing(sqlite3.connect(home / "workspace.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert cli.main(["train", "--resume", name, "--epochs", "none", "--total-steps", str(step + 64)]) == 0


@pytest.mark.parametrize("change", ["rename", "delete", "restore", "note", "create"])
def test_kills_of_every_change_to_the_list_at_every_instant(warm, tmp_path, tally, change):
    workspace = Workspace(tmp_path / "ws")
    run = workspace.create_run("CartPole-v1", "train", "")
    run.log_metrics(1, 1, 0.0, {"a": 1.0})
    run.finish("finished")
    workspace.describe_run(run.name, title="kept", note="kept")
    name, instant, died, made = run.name, 0, True, 1
    while died:
        if change == "restore":
            workspace.delete_run(name)
        died = dies_at(instant, warm, workspace.path, change, name, f"to-{instant}")
        instant += 1
        again = Workspace(workspace.path)
        there = [info.name for info in again.runs() if info.title == "kept"]
        binned = [n for n in again.binned_runs() if again.restore_run(n)]
        held = len(there) + len(binned) == 1 and len(again.runs()) >= made
        made = len(again.runs())
        name = (there + binned or [name])[0]
        held = held and (again.info(name).title, again.info(name).note) == ("kept", "kept")
        held = held and again.run(name).metrics("a").step.tolist() == [1]
        tally.count("kill while the list is changed", held, f"{change}, instant {instant}: {there} {binned}")
