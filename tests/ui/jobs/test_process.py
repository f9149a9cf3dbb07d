"""Jobs in processes of their own: real jobs, really paused, stopped, killed and left."""

import contextlib
import os
import signal
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from ewm_studio.events import EpisodeFinished, Finished, RunStarted
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.ui.kit.dialogs import FailureDialog, Question
from tests.support.jobs import experiment

WAIT = 120_000
ENTROPY = "ppo/entropy"


def job(path, **sections):
    """A small job."""
    return JobSpec("train", str(path), experiment(**sections).model_dump(mode="json"))


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
    said = failure_dialog()._failure.what
    assert "signal 9, by the system or by someone" in said
    assert "Where nobody did, the machine most likely ran out of memory" in said
    assert not studio.jobs.running
    failure_dialog().accept()
    assert studio.services.workspace.runs()[0].state == "interrupted"
    studio.services.document.set("train.total_steps", 1024)
    studio.services.start("train")
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    assert failure_dialog() is None
    assert sorted(run.state for run in studio.services.workspace.runs()) == ["finished", "interrupted"]


def test_closing_during_a_run_leaves_no_process(qtbot, training):
    studio = training
    pid = studio.jobs.pid
    studio.window.close()
    question = next(w for w in QApplication.topLevelWidgets() if isinstance(w, Question) and w.isVisible())
    qtbot.mouseClick(question.yes, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not studio.window.isVisible(), timeout=WAIT)
    assert gone(pid)
    assert studio.services.workspace.runs()[0].state == "stopped"
