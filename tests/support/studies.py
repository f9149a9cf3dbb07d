"""Studies whose records are written by hand: scores by cell, and which runs failed, run or are still to come."""

import contextlib
import os
import signal
import sys

from ewm_studio.jobs.studies.conditions import keep_conditions
from ewm_studio.jobs.studies.one_run import new_record
from ewm_studio.settings.study_file import read_study
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import StudyFolder

SMALL = """
[experiment]
env.batch_size = 4
ppo.rollout_steps = 16
ppo.epochs = 1
run.save_freq = 1
[vary.memory]
none = { memory.name = "NoMemory" }
"last two" = { memory.name = "History", memory.steps = 2 }
"""  # what a study is short with; seeds, budget, judge and place come after it

TWO_MEMORIES = """
title = "Which remembers?"
[vary.memory]
none = { memory.name = "NoMemory" }
LSTM = { memory.name = "LSTMMemory" }
[vary.controller]
linear = { controller.name = "LinearController" }
deep = { controller.name = "DeepDiscreteController" }
[seeds]
reported = "0-5"
[budget]
frames = 500
[judge]
episodes = 4
floor = 0
target = 100
"""


def written_study(workspace_path, text=TWO_MEMORIES, name="s", failed=(), waiting=(), running=()):
    """A study as it was left; the cells' scores rise from the first to the last, and with the seeds.

    Args:
        workspace_path: gets its file, its folder and its runs.
        text: of its file.
        name: of the study.
        failed, waiting, running: runs by (cell, seed) that are so; all others are finished.
    """
    workspace = Workspace(workspace_path)
    workspace.make()
    path = workspace.path / f"{name}.study.toml"
    path.write_text(text)
    file = read_study(path)
    folder = StudyFolder(workspace.path, file.name)
    (folder.path / "runs").mkdir(parents=True, exist_ok=True)
    keep_conditions(folder, text)
    order = [cell.name for cell in file.cells]
    for plan in file.plans():
        record, place = new_record(plan, file.study.judge), (plan.cell.name, plan.seed)
        if place in waiting:
            continue
        record.state = "failed" if place in failed else "running" if place in running else "finished"
        run = workspace.create_run(plan.experiment.env.id, "train", plan.experiment.to_toml(), seed=plan.seed)
        for step in range(1, 6):
            run.log_metrics(step * 100, step, step * 2.0, {"reward/mean_100": step * 8.0 + order.index(plan.cell.name)})
        run.finish("failed" if place in failed else "finished", steps=500)
        record.runs = [run.name]
        record.failures = ["it fell over"] * (2 if place in failed else 0)
        if record.state == "finished":
            score = 20.0 + plan.seed + 15 * order.index(plan.cell.name)
            rows = [(100_000 + e, score + e, 9) for e in range(file.study.judge.episodes)]
            record.scores = dict.fromkeys(file.study.judge.ways, rows)
            record.trained = {"steps": 500, "frames": 500, "seconds": 10.0, "model": "x"}
        folder.write(record)
    return file, folder, workspace


def end_study(beside):
    """End the process of a study and those of its runs at once."""
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            os.kill(beside.pid, signal.SIGTERM)
        else:
            os.killpg(beside.pid, signal.SIGKILL)
