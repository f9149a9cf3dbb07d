"""Runners: the same job by either, told the same things; and the process that the others are forked from."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ewm_studio.errors import UserError
from ewm_studio.events import EpisodeFinished, Finished, Message
from ewm_studio.jobs.failure import JobFailed, failure_of
from ewm_studio.jobs.runners.process import JobProcesses, ProcessRunner
from ewm_studio.jobs.runners.thread import ThreadRunner
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.workspace import Workspace
from tests.support.jobs import experiment

LONG = {"epochs": None, "total_steps": 10**9}
linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no fork server for jobs, or no /proc")


def spec(path, **sections):
    return JobSpec("train", str(path), experiment(**sections).model_dump(mode="json"))


def runner_of(kind, job, processes):
    return ThreadRunner(job.events, "a") if kind == "thread" else ProcessRunner(job, processes, job_id="a")


def episodes(runner):
    return [event for batch in runner.events() for _, event in batch if isinstance(event, EpisodeFinished)]


def test_both_give_the_same_episodes(tmp_path, processes):
    one, other = (episodes(runner_of(k, spec(tmp_path / k), processes)) for k in ("thread", "process"))
    assert len(one) > 1
    assert one == other


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_events_come_with_the_id_of_their_job(kind, tmp_path, processes):
    assert {job for batch in runner_of(kind, spec(tmp_path), processes).events() for job, _ in batch} == {"a"}


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_stop_is_obeyed_also_before_the_start(kind, tmp_path, processes):
    runner = runner_of(kind, spec(tmp_path, train=LONG), processes)
    runner.tell("stop")
    *_, (_, last) = (pair for batch in runner.events() for pair in batch)
    assert isinstance(last, Finished)
    assert last.stopped_by == "stop"


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_bad_input_is_one_failure_wherever_it_is_found(kind, tmp_path, processes):
    with pytest.raises((UserError, JobFailed)) as raised:
        list(runner_of(kind, spec(tmp_path, env={"id": "CartPoll-v1"}), processes).events())
    failure = failure_of(raised.value)
    assert failure.title == "This cannot start"
    assert "CartPole-v1" in failure.what


def test_closing_ends_the_job_in_this_thread():
    closed = []

    def job(control):
        try:
            while True:
                yield Message("on")
        finally:
            closed.append(True)

    events = ThreadRunner(job).events()
    next(events)
    events.close()
    assert closed == [True]


def test_a_killed_job_is_is_gone(tmp_path, processes):
    runner = ProcessRunner(spec(tmp_path, train=LONG), processes)
    events = runner.events()
    next(events)
    runner.kill()
    with pytest.raises(JobFailed, match="signal 9"):
        list(events)


def stat(pid):
    """State, parent and more of a process; nothing where there is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def is_gone(pid):
    """Whether a process has ended."""
    return stat(pid)[:1] in ([], ["Z"])


@linux
def test_a_job_saves_when_its_process_is_asked_to_end(tmp_path, processes):
    runner, asked, seen = ProcessRunner(spec(tmp_path, train=LONG), processes), False, []
    for batch in runner.events():
        seen += [event for _, event in batch]
        if not asked:
            os.kill(runner.pid, signal.SIGTERM)
            asked = True
    assert isinstance(seen[-1], Finished)
    assert seen[-1].stopped_by == "stop"
    assert Path(seen[-1].result["checkpoint"]).is_file()


@linux
def test_one_process_imports_and_the_others_are_forked_from_it():
    processes = JobProcesses()
    process = processes.take()
    server = processes._context.server
    assert len(list(Path(f"/proc/{server}/task").iterdir())) == 1  # a thread would be lost in what it forks
    maps = Path(f"/proc/{server}/maps").read_text()
    assert "libtorch" in maps
    assert "libQt6" not in maps
    process.kill()
    process.end(5)
    processes.end()
    assert is_gone(server)


@linux
def test_two_threads_compute_in_a_forked_process(tmp_path, processes):
    """What OpenMP had ready in the process that forks would hang here."""
    sections = {
        "env": {"id": "CartPole-v1", "batch_size": 2, "workers": 0, "pixels": True, "image_size": 32},
        "run": {"threads": 2},
        "train": {"epochs": 1, "total_steps": None},
    }
    (*_, last) = (pair for batch in ProcessRunner(spec(tmp_path, **sections), processes).events() for pair in batch)
    assert isinstance(last[1], Finished)


def test_ended_processes_make_no_more():
    processes = JobProcesses()
    processes.prepare()
    end = time.monotonic() + 60
    while processes._ready is None and time.monotonic() < end:
        time.sleep(0.01)
    pid = processes._ready.pid
    processes.end()
    assert is_gone(pid)
    processes.prepare()
    time.sleep(0.2)
    assert processes._ready is None


def test_a_crash_tells_where(tmp_path, processes):
    child = processes.take()
    child.tell(spec(tmp_path, train={"epochs": 1_000_000}))  # long enough to crash in
    batches = child.batches()
    next(batches)
    os.kill(child.pid, signal.SIGSEGV)
    with pytest.raises(JobFailed) as failed:
        list(batches)
    child.end(5)
    assert "signal 11" in failed.value.failure.what
    assert "Segmentation fault" in failed.value.failure.details
    assert "child.py" in failed.value.failure.details


KILLED = """
import sys, time
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.jobs.failure import JobFailed
from ewm_studio.jobs.runners.process import JobProcesses, ProcessRunner
from tests.support.jobs import experiment
long = experiment(train={"epochs": None, "total_steps": 10**9}, env={"workers": 2})
running = ProcessRunner(JobSpec("train", sys.argv[1], long.model_dump(mode="json")), JobProcesses())
for batch in running.events():
    print(running.pid, flush=True)
"""


@linux
def test_the_job_saves_and_ends_when_the_window_is_killed(tmp_path):
    window = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    pid = int(window.stdout.readline())
    others = [*children(pid), int(stat(pid)[1])]  # workers, their fork server, and what the job was forked from
    window.kill()
    window.communicate()
    end = time.monotonic() + 60
    while not all(map(is_gone, [pid, *others])) and time.monotonic() < end:
        time.sleep(0.1)
    assert len(others) > 2
    assert [p for p in [pid, *others] if not is_gone(p)] == []
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
