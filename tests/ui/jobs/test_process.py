"""Jobs in processes of their own: real jobs, really paused, stopped, killed and left."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from ewm_studio.events import EpisodeFinished, Finished, RunStarted
from ewm_studio.jobs.runners.process import JobFailed, ProcessJob, Spares
from ewm_studio.jobs.spec import Job
from ewm_studio.ui.kit.dialogs import FailureDialog, Question
from ewm_studio.workspace import Workspace
from tests.support.jobs import experiment

WAIT = 120_000
ENTROPY = "ppo/entropy"


def job(path, **sections):
    """A small job."""
    return Job("train", str(path), experiment(**sections).model_dump(mode="json"))


def gone(pid):
    """Whether a process has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def failure_dialog():
    """The dialog about a failure, if it is open."""
    return next((w for w in QApplication.topLevelWidgets() if isinstance(w, FailureDialog) and w.isVisible()), None)


@pytest.fixture
def training(qtbot, studio):
    """A studio in the middle of a long run."""
    studio.services.document.set("train.total_steps", 1_000_000_000)
    studio.services.start("train")
    qtbot.waitUntil(lambda: len(studio.services.shown.history[ENTROPY]) > 1, timeout=WAIT)
    return studio


def test_a_job_runs_to_its_end_in_another_process(qtbot, studio):
    seen = []
    studio.jobs.events.connect(seen.extend)
    pids = set()
    studio.jobs.events.connect(lambda _: pids.add(studio.jobs.pid))
    studio.services.document.set("train.total_steps", 4096)
    studio.services.start("train")
    qtbot.waitUntil(lambda: bool(seen), timeout=WAIT)
    loaded = Path(f"/proc/{studio.jobs.pid}/maps").read_text()
    assert "libtorch" in loaded
    assert "libQt6" not in loaded
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    (pid,) = pids - {0}
    assert pid != os.getpid()
    assert gone(pid)
    assert isinstance(seen[0], RunStarted)
    assert isinstance(seen[-1], Finished)
    (run,) = studio.services.workspace.runs()
    assert (run.state, run.steps) == ("finished", 4096)
    assert sum(isinstance(event, EpisodeFinished) for event in seen) == run.episodes


def test_events_are_those_of_the_same_job_here(tmp_path, spares):
    def plain(events):
        return [event for event in events if isinstance(event, EpisodeFinished)]

    from ewm_studio.events import JobControl

    there = [e for batch in ProcessJob(job(tmp_path / "there"), spares).batches() for e in batch]
    here = list(job(tmp_path / "here").events(JobControl()))
    assert [type(e) for e in there] == [type(e) for e in here]
    assert plain(there) == plain(here)


def test_pause_stops_the_steps(qtbot, training):
    studio = training
    studio.jobs.toggle_pause()
    qtbot.wait(1000)  # what was on its way arrives
    rows, used = len(studio.services.shown.history[ENTROPY]), cpu_seconds(studio.jobs.pid)
    qtbot.wait(1500)
    assert len(studio.services.shown.history[ENTROPY]) == rows
    assert cpu_seconds(studio.jobs.pid) - used < 0.2
    studio.jobs.toggle_pause()
    qtbot.waitUntil(lambda: len(studio.services.shown.history[ENTROPY]) > rows, timeout=WAIT)
    studio.jobs.toggle_pause()
    studio.jobs.stop()
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    (run,) = studio.services.workspace.runs()
    assert run.state == "stopped"
    assert Path(studio.services.workspace.run(run.name).latest_checkpoint()).is_file()


def cpu_seconds(pid):
    """What a process has used of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_killed_process_gives_a_dialog_and_the_window_trains_again(qtbot, training):
    studio = training
    os.kill(studio.jobs.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: failure_dialog() is not None, timeout=WAIT)
    assert "signal 9" in failure_dialog()._failure.what
    assert not studio.jobs.running
    failure_dialog().accept()
    assert studio.services.workspace.runs()[0].state == "interrupted"
    studio.services.document.set("train.total_steps", 1024)
    studio.services.start("train")
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    assert failure_dialog() is None
    assert sorted(run.state for run in studio.services.workspace.runs()) == ["finished", "interrupted"]


def test_a_crash_tells_where(tmp_path, spares):
    child = spares.take()
    child.tell(job(tmp_path))
    batches = child.batches()
    next(batches)
    os.kill(child.pid, signal.SIGSEGV)
    with pytest.raises(JobFailed) as failed:
        list(batches)
    child.end(5)
    assert "signal 11" in failed.value.failure.what
    assert "Segmentation fault" in failed.value.failure.details
    assert "child.py" in failed.value.failure.details


def test_bad_input_arrives_as_it_is(tmp_path, spares):
    with pytest.raises(JobFailed) as failed:
        list(ProcessJob(job(tmp_path, env={"id": "CartPoll-v1"}), spares).batches())
    assert failed.value.failure.title == "This cannot start"
    assert "CartPole-v1" in failed.value.failure.what
    assert "Traceback" in failed.value.failure.details


def test_stop_before_the_process_is_there_still_stops(tmp_path, spares):
    running = ProcessJob(job(tmp_path, train={"epochs": None, "total_steps": 10**9}), spares)
    running.tell("stop")
    events = [event for batch in running.batches() for event in batch]
    assert events[-1].stopped_by == "stop"


def test_closing_during_a_run_leaves_no_process(qtbot, training):
    studio = training
    pid = studio.jobs.pid
    studio.window.close()
    question = next(w for w in QApplication.topLevelWidgets() if isinstance(w, Question) and w.isVisible())
    qtbot.mouseClick(question.yes, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not studio.window.isVisible(), timeout=WAIT)
    assert gone(pid)
    assert studio.services.workspace.runs()[0].state == "stopped"


def test_spares_end_with_their_owner(qtbot):
    spares = Spares()
    spares.prepare()
    qtbot.waitUntil(lambda: spares._spare is not None, timeout=WAIT)
    pid = spares._spare.pid
    assert not gone(pid)
    spares.end()
    assert gone(pid)
    spares.prepare()
    time.sleep(0.2)
    assert spares._spare is None


KILLED = """
import sys, time
from ewm_studio.jobs.spec import Job
from ewm_studio.jobs.runners.process import ProcessJob, Spares
from tests.support.jobs import experiment
long = experiment(train={"epochs": None, "total_steps": 10**9}, env={"workers": 2})
running = ProcessJob(Job("train", sys.argv[1], long.model_dump(mode="json")), Spares())
for batch in running.batches():
    print(running.pid, flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_the_job_saves_and_ends_when_the_window_is_killed(tmp_path):
    window = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    pid = int(window.stdout.readline())
    workers = children(pid)
    window.kill()
    window.communicate()
    end = time.monotonic() + 60
    while not (gone(pid) and all(map(gone, workers))) and time.monotonic() < end:
        time.sleep(0.1)
    assert workers
    assert [p for p in [pid, *workers] if not gone(p)] == []
    (run,) = Workspace(tmp_path).runs()
    assert run.state == "stopped"
    assert run.checkpoint


def children(pid):
    """Ids of the processes below one."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # threads come and go
            for child in (task / "children").read_text().split():
                found += [int(child), *children(int(child))]
    return found
