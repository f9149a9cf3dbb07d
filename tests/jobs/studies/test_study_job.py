"""Studies by real processes: same episodes for all, every run kept, and nothing finished is lost by any kill."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ewm_studio.errors import UserError
from ewm_studio.events import Finished, JobControl, Message, StudyRunMoved
from ewm_studio.jobs.infer_job import infer
from ewm_studio.jobs.runners.process import ProcessRunner
from ewm_studio.jobs.studies.curves import curve_of
from ewm_studio.jobs.studies.outcome import write_outcome
from ewm_studio.jobs.studies.standing import standing
from ewm_studio.jobs.studies.study_job import run_study, stop_study
from ewm_studio.settings import Experiment
from ewm_studio.settings.study_file import read_study
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from ewm_studio.workspace.studies import StudyFolder
from tests.support import ROOT
from tests.support.studies import SMALL

STUDY = (
    SMALL
    + """
[seeds]
reported = [0, 1]
[budget]
frames = 320
[judge]
episodes = 3
floor = 0
target = 500
[place]
parallel = 2
"""
)
LONG = STUDY.replace("frames = 320", "frames = 20_000")
linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")


class SharedPool:
    """Processes that all tests share, since the first of them takes seconds; `made` are the runners."""

    machines = ""

    def __init__(self, processes, slots=2):
        self.slots, self._processes, self.made = slots, processes, []

    def runner(self, job):
        self.made.append(ProcessRunner(job, self._processes))
        return self.made[-1]

    def close(self):
        """They are the session's."""


@pytest.fixture
def pool(processes):
    return SharedPool(processes)


def study(folder, text=STUDY):
    path = folder / "small.study.toml"
    path.write_text(text)
    return read_study(path)


def go(file, workspace, pool, control=None, **options):
    events = list(run_study(file, workspace, control, pool=pool, **options))
    assert isinstance(events[-1], Finished)
    return events, events[-1].result


def kept(workspace):
    return StudyFolder(workspace.path, "small").records()


def weights(workspace, record):
    tensors, _ = load_model(workspace.run(record.run).folder / record.trained["model"])
    return {name: tensor.tolist() for name, tensor in tensors.items()}


def test_all_runs_are_judged_by_the_same_episodes_and_are_runs_like_any_other(tmp_path, pool):
    workspace = Workspace(tmp_path / "ws")
    _, result = go(study(tmp_path), workspace, pool)
    assert (result["runs"], result["finished"], result["failed"], result["left"]) == (4, 4, 0, 0)
    records = kept(workspace)
    for record in records.values():
        assert {way: [seed for seed, _, _ in rows] for way, rows in record.scores.items()} == {
            "greedy": [100_000, 100_001, 100_002],
            "sampled": [100_000, 100_001, 100_002],
        }
        assert (record.trained["frames"], record.trained["stopped_by"]) == (320, "total_steps")
        assert record.trained["seconds"] > 0
        info = workspace.info(record.run)
        assert info.title == f"{record.name}, seed {record.seed}"
        assert re.fullmatch(r"judged [-\d.,e]+ greedy, [-\d.,e]+ sampled #small", info.note)
        assert info.seed == record.seed
    with open(result["results"]) as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 2 * 3
    assert {row["memory"] for row in rows} == {"none", "last two"}
    assert sum(float(row["reward"]) for row in rows) == sum(
        reward for record in records.values() for way in record.scores.values() for _, reward, _ in way
    )
    page = Path(result["report"]).read_text()
    assert "last two" in page
    assert "http" not in page.replace("http-equiv", "")  # nothing to fetch


def test_runs_may_be_judged_on_their_way_by_the_same_episodes(tmp_path, pool):
    file = study(tmp_path, STUDY.replace("episodes = 3", "episodes = 3\nmoments = 2\nmoment_episodes = 2"))
    workspace = Workspace(tmp_path / "ws")
    _, result = go(file, workspace, pool)
    assert result["finished"] == 4
    folder = StudyFolder(workspace.path, "small")
    for record in folder.records().values():
        ((step, frames, minutes, score),) = record.moments
        assert (step, frames) == (192, 192)  # a model is saved every 64 steps: the first at or after half of 320
        assert 0 < minutes * 60 <= record.trained["seconds"]
        curve = curve_of(record, workspace)
        assert curve.frames.tolist() == [192, 320]
        last = [reward for _, reward, _ in record.scores["greedy"][:2]]
        assert curve.value.tolist() == [score, sum(last) / 2]
    assert not list((folder.path / "moments").iterdir())
    assert "judged on the way" in Path(result["report"]).read_text()
    again = workspace.run(record.run).folder / "checkpoints" / "192.safetensors"  # is what was judged
    played = Experiment.of_run(again.parents[1] / "experiment.toml").with_values(
        ("start.load_path", str(again)), ("infer.episodes", 2), ("run.seed", 100_000), ("infer.keep_replays", False)
    )
    *_, end = infer(played, workspace)
    assert sum(episode["reward"] for episode in end.result["episodes"]) / 2 == score


def test_what_is_done_is_only_read_and_seeds_may_be_added(tmp_path, pool):
    workspace = Workspace(tmp_path / "ws")
    go(study(tmp_path), workspace, pool)
    before, made = kept(workspace), len(pool.made)
    go(study(tmp_path), workspace, pool)
    assert len(pool.made) == made
    _, result = go(study(tmp_path, STUDY.replace("[0, 1]", "[0, 1, 2]")), workspace, pool)
    assert result["finished"] == 6
    assert {key: kept(workspace)[key] for key in before} == before


def test_other_settings_and_cells_that_fit_nothing_are_refused_before_anything_begins(tmp_path, pool):
    workspace = Workspace(tmp_path / "ws")
    bad = study(tmp_path, STUDY.replace("memory.steps = 2", "memory.stepz = 2"))
    with pytest.raises(UserError, match=r"cell 'last two': memory History has no setting 'stepz'"):
        go(bad, workspace, pool)
    assert not pool.made
    go(study(tmp_path), workspace, pool)
    with pytest.raises(UserError, match=r"train\.total_steps is 640, but run .* was begun with 320"):
        go(study(tmp_path, STUDY.replace("320", "640")), workspace, pool)
    with pytest.raises(UserError, match=r"judge\.episodes is 4"):
        go(study(tmp_path, STUDY.replace("episodes = 3", "episodes = 4")), workspace, pool)


def test_stopped_and_gone_on_with_it_comes_to_the_same_weights(tmp_path, pool):
    whole, parts = Workspace(tmp_path / "whole"), Workspace(tmp_path / "parts")
    text = STUDY.replace("frames = 320", "frames = 3_200")
    go(study(tmp_path, text), whole, pool)
    control = JobControl()
    stopped = False
    for event in run_study(study(tmp_path, text), parts, control, pool=pool):
        if isinstance(event, StudyRunMoved) and event.share > 0 and not stopped:
            stopped = True
            control.stop()
    assert event.stopped_by == "stop"
    assert event.result["left"] > 0
    begun = [record for record in kept(parts).values() if record.run and not record.trained]
    behind = {record.key: int(parts.run(record.run).latest_checkpoint().stem) for record in begun}
    events, _ = go(study(tmp_path, text), parts, pool)
    first = {}
    for moved in events:
        if isinstance(moved, StudyRunMoved):
            first.setdefault(moved.key, moved.share)
    assert behind
    assert [first[key] for key in behind] == [pytest.approx(0.9 * steps / 3_200) for steps in behind.values()]
    one, two = kept(whole), kept(parts)
    assert [record.scores for record in two.values()] == [record.scores for record in one.values()]
    assert all(weights(whole, one[key]) == weights(parts, two[key]) for key in one)


@linux
def test_a_run_that_is_killed_is_tried_once_more_and_then_counts_as_failed(tmp_path, pool):
    """The first run dies once and comes to its end; the second always dies."""
    workspace, killed = Workspace(tmp_path / "ws"), {}
    file = study(tmp_path, LONG.replace("[0, 1]", "[0]").replace("20_000", "60_000"))
    doomed, unlucky = (plan.key for plan in file.plans())
    for event in run_study(file, workspace, pool=pool):
        if not (isinstance(event, StudyRunMoved) and event.run and event.share < 0.9):
            continue
        times = killed.get(event.key, 0)
        if times < (2 if event.key == doomed else 1) and event.share > 0:
            runner = next((r for r in pool.made if r.pid and _works_on(r, workspace, event.run)), None)
            if runner is not None:
                os.kill(runner.pid, signal.SIGKILL)
                killed[event.key] = times + 1
    records = kept(workspace)
    assert (records[unlucky].state, len(records[unlucky].failures)) == ("finished", 1)
    assert "signal 9" in records[unlucky].failures[0]
    assert (records[doomed].state, len(records[doomed].failures)) == ("failed", 2)
    found = write_outcome(file, workspace)
    cell = found["cells"][0]
    assert (cell["failed"], cell["scores"], cell["iqm"]) == (1, [0.0], 0.0)  # a failed run counts with the floor
    assert workspace.runs()  # and is kept
    _, again = go(file, workspace, pool, retry_failed=True)
    assert (again["finished"], again["failed"]) == (2, 0)


def _works_on(runner, workspace, run):
    """Whether a job's process is the one that writes a run: it holds the lock of its folder."""
    place = str(workspace.run(run).folder)
    try:
        return any(os.path.realpath(link).startswith(place) for link in Path(f"/proc/{runner.pid}/fd").iterdir())
    except OSError:  # it has ended meanwhile
        return False


@linux
def test_the_study_itself_is_killed_and_nothing_finished_is_lost(tmp_path, pool):
    text = LONG.replace("20_000", "2_000")
    file, place = study(tmp_path, text), tmp_path / "ws"
    folder = StudyFolder(place, "small")
    command = [sys.executable, "-m", "ewm_studio", "study", "run", str(file.path), "--workspace", str(place)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 240
    while time.monotonic() < until and not any(r.state == "finished" for r in folder.records().values()):
        time.sleep(0.05)
    child.kill()
    child.wait()
    before = {key: record for key, record in folder.records().items() if record.done}
    assert before
    assert not folder.running
    assert standing(file, folder)["state"] in ("is stopped", "is done")
    workspace = Workspace(place)
    _, result = go(file, workspace, pool)
    assert result["finished"] == 4
    after = folder.records()
    assert {key: after[key] for key in before} == before
    reference = Workspace(tmp_path / "reference")
    go(file, reference, pool)
    assert [r.scores for r in kept(reference).values()] == [r.scores for r in after.values()]


def test_one_process_runs_a_study_and_another_may_stop_it(tmp_path, pool):
    workspace, file = Workspace(tmp_path / "ws"), study(tmp_path, LONG)
    folder = StudyFolder(workspace.path, "small")
    with pytest.raises(UserError, match="is not being run"):
        stop_study(folder, 1)
    found = []
    running = threading.Thread(target=lambda: found.extend(run_study(file, workspace, pool=pool)))
    running.start()
    until = time.monotonic() + 120
    while time.monotonic() < until and not any(r.run for r in folder.records().values()):
        time.sleep(0.05)
    with pytest.raises(UserError, match="is being run already"):
        next(run_study(file, workspace, pool=pool))
    assert stop_study(StudyFolder(workspace.path, "small"), 120)
    running.join()
    assert found[-1].stopped_by == "stop"
    assert any(isinstance(event, Message) and "saves first" in event.text for event in found)
    assert standing(file, folder)["state"] == "is stopped"


def test_a_record_that_is_damaged_is_named(tmp_path, pool):
    workspace, file = Workspace(tmp_path / "ws"), study(tmp_path)
    go(file, workspace, pool)
    record = workspace.path / "studies" / "small" / "runs" / "none-seed-0.json"
    for text in ("{", json.dumps({"key": "none-seed-0"}), json.dumps({**json.loads(record.read_text()), "state": 3})):
        record.write_text(text)
        with pytest.raises(UserError, match=r"none-seed-0\.json: not what a study keeps"):
            go(file, workspace, pool)


def test_a_budget_of_minutes_ends_every_run_by_the_clock(tmp_path, pool):
    workspace = Workspace(tmp_path / "ws")
    go(study(tmp_path, STUDY.replace("frames = 320", "minutes = 0.03")), workspace, pool)
    assert {record.trained["stopped_by"] for record in kept(workspace).values()} == {"minutes"}
    assert all(record.trained["steps"] > 0 for record in kept(workspace).values())
