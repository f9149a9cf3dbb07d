"""Jobs in words, and the table of their kinds; one is added from outside the package and run in every way."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from ewm_studio import cli
from ewm_studio.errors import UserError
from ewm_studio.events import Finished, JobControl, Message, RunStarted
from ewm_studio.jobs.failure import JobFailed
from ewm_studio.jobs.kinds import KINDS, job_kind, job_kinds
from ewm_studio.jobs.runners.process import JobProcesses, ProcessRunner
from ewm_studio.jobs.runners.thread import ThreadRunner
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.settings.declare import EVERY
from tests.support.installed import installed
from tests.support.jobs import experiment

MODULE = '''
"""A job of another package."""

from ewm_studio.events import Finished, Message
from ewm_studio.jobs.kinds import JobKind


def calibrate(experiment, workspace, control):
    """Count to the number of the seed."""
    for number in range(experiment.run.seed):
        yield Message(f"{number} in {workspace.path.name}")
    yield Finished("done", {"counted": experiment.run.seed})


KIND = JobKind("calibrate", "Calibrate", "calibration:calibrate", "Calibrate a gamepad.")
'''
ENTRIES = """[ewm_studio.jobs]
calibrate = calibration:KIND
broken = calibration:MISSING
others = calibration:calibrate
"""


@pytest.fixture(autouse=True)
def calibration(tmp_path, monkeypatch):
    """A package that is installed for one test."""
    with installed(tmp_path / "site", monkeypatch, "calibration", {"calibration.py": MODULE}, ENTRIES):
        yield


def spec(tmp_path, kind="calibrate", **sections):
    return JobSpec(kind, str(tmp_path / "ws"), experiment(**sections).model_dump(mode="json"))


def said(runner):
    return [event for batch in runner.events() for _, event in batch]


WANTED = [Message("0 in ws"), Message("1 in ws"), Finished("done", {"counted": 2})]


def test_a_kind_of_another_package_runs_in_this_thread(tmp_path):
    assert said(ThreadRunner(spec(tmp_path, run={"seed": 2}).events)) == WANTED


def test_a_kind_of_another_package_runs_in_a_process(tmp_path):
    processes = JobProcesses()  # what waits already was started before the package was there
    try:
        assert said(ProcessRunner(spec(tmp_path, run={"seed": 2}), processes)) == WANTED
    finally:
        processes.end()


def test_a_kind_of_another_package_is_a_command(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("EWM_WORKSPACE", str(tmp_path / "ws"))
    assert cli.main(["--help"]) == 0
    assert "calibrate   Calibrate a gamepad." in capfd.readouterr().out
    assert cli.main(["calibrate", "--set", "run.seed=2", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"counted": 2}
    assert cli.main(["calibrate", "--resume", "x"]) == 2
    assert cli.main(["calibrat"]) == 2
    assert "calibrate" in capfd.readouterr().err


def test_what_another_package_breaks_or_would_replace_is_left_alone(monkeypatch):
    monkeypatch.setitem(KINDS, "calibrate", replace(KINDS["train"], name="calibrate"))
    assert list(job_kinds()) == [*KINDS]
    assert job_kinds()["calibrate"] is KINDS["calibrate"]


def test_an_unknown_kind_is_named_with_the_nearest(tmp_path, processes):
    with pytest.raises(UserError, match=r"'trian'.*train"):
        job_kind("trian")
    with pytest.raises(JobFailed, match="train"):
        said(ProcessRunner(spec(tmp_path, "trian"), processes))


def test_the_table_knows_each_command_that_has_flags():
    assert tuple(kind.name for kind in KINDS.values() if kind.summary) == EVERY


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_kind_is_there_under_its_name(kind):
    import ewm_studio.jobs

    assert getattr(ewm_studio.jobs, kind.name) is kind.load()
    assert kind.load().__name__ == kind.name


def test_the_table_costs_neither_torch_nor_qt():
    code = "import sys, ewm_studio.jobs.kinds as k; k.job_kinds(); print({'torch', 'PySide6'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_a_job_travels_as_json(tmp_path):
    for job in (spec(tmp_path), JobSpec("train", "ws", resume="2026"), JobSpec("infer", "ws", {}, model="m")):
        assert JobSpec.from_dict(json.loads(json.dumps(job.to_dict()))) == job


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "train"},
        {"workspace": "ws"},
        {"kind": "train", "workspace": "ws", "speed": "1"},
        {"kind": "train", "workspace": "ws", "resume": None},
        {"kind": "train", "workspace": "ws", "experiment": "x"},
    ],
)
def test_what_is_no_job_is_refused(values):
    with pytest.raises(UserError, match="not a job"):
        JobSpec.from_dict(values)


def test_what_cannot_resume_says_so(tmp_path):
    with pytest.raises(UserError, match="record does not go on"):
        list(JobSpec("record", str(tmp_path), resume="x").events(JobControl()))


def test_a_resumed_run_takes_its_own_settings_or_those_given(tmp_path):
    first = spec(tmp_path, "train")
    began = [event for event in first.events(JobControl()) if isinstance(event, RunStarted)]
    run = began[0].run
    more = spec(tmp_path, "train", train={"epochs": 3, "total_steps": None})
    own, longer = replace(first, experiment={}, resume=run), replace(more, resume=run)
    assert [list(job.events(JobControl()))[-1].result["epochs"] for job in (own, longer)] == [2, 3]
