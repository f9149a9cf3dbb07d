"""What becomes of one run of a study where it, the machine or somebody is in its way; its jobs are played."""

import errno
import pickle
import shutil

import pytest
import torch

from ewm_studio.errors import JobError, UserError
from ewm_studio.events import CheckpointSaved, Finished, Progress, RunStarted, StudyRunMoved
from ewm_studio.jobs.failure import JobFailed, death_of, failure_of
from ewm_studio.jobs.failures import explained
from ewm_studio.jobs.studies.one_run import StudyRun, new_record
from ewm_studio.jobs.studies.study_job import run_study
from ewm_studio.settings import Experiment
from ewm_studio.settings.study_file import read_study
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.database import Busy
from ewm_studio.workspace.files import write_error
from ewm_studio.workspace.studies import StudyFolder
from tests.support.studies import SMALL

STUDY = (
    SMALL
    + """
[seeds]
reported = [0]
[budget]
frames = 320
[judge]
episodes = 2
moments = 2
moment_episodes = 1
[place]
parallel = 1
"""
)
SAVED = 192  # steps at the checkpoint: past half of 320, so that it is judged too


class Played:
    """A pool whose jobs only write what a job would; `misfortunes` are raised by its trainings, one by each.

    Attributes:
        asked: the run that each training went on with; empty for a new one.
    """

    slots, machines = 1, ""

    def __init__(self, workspace, misfortunes=()):
        self._workspace, self.misfortunes, self.asked = workspace, list(misfortunes), []

    def runner(self, job):
        return PlayedRunner(self, job)

    def close(self):
        pass

    def events(self, job):
        if job.kind == "infer":
            count = job.experiment["infer"]["episodes"]
            yield from (Progress("infer", n, count, "episodes", 1.0, None) for n in range(count + 1))
            episodes = [{"seed": 100_000 + n, "reward": 7.0, "steps": 9} for n in range(count)]
            yield Finished("episodes", {"episodes": episodes})
            return
        self.asked.append(job.resume)
        run = self._workspace.run(job.resume) if job.resume else self._made(job)
        yield RunStarted("train", run.name, str(run.folder), "")
        yield Progress("collect", 5, 10, "frames", 1.0, None)
        yield Progress("vision", 3, 4, "minibatches", 1.0, None)
        yield Progress("train", SAVED, 320, "steps", 1.0, None)
        if not job.resume:
            path, best = run.save_checkpoint(SAVED, {"w": torch.zeros(1)}, {}, {}, 1.0, keep=1)
            yield CheckpointSaved(str(path), SAVED, 1.0, best)
            run.finish("stopped", steps=SAVED)
        if self.misfortunes:
            raise self.misfortunes.pop(0)
        yield Finished("total_steps")

    def _made(self, job):
        experiment = Experiment.from_dict(job.experiment)
        return self._workspace.create_run("CartPole-v1", "train", experiment.to_toml())


class PlayedRunner:
    pid = 0

    def __init__(self, pool, job):
        self._pool, self._job = pool, job

    def events(self):
        for event in self._pool.events(self._job):
            yield [("", event)]

    def tell(self, command):
        pass

    def kill(self):
        pass


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A study of two runs, its folder, and the workspace."""
    monkeypatch.setattr("ewm_studio.jobs.studies.one_run.SAVING_SECONDS", 0.0)  # nobody is saving here
    path = tmp_path / "small.study.toml"
    path.write_text(STUDY)
    workspace = Workspace(tmp_path / "ws")
    folder = StudyFolder(workspace.path, "small")
    (folder.path / "runs").mkdir(parents=True)
    return read_study(path), folder, workspace


def run_of(place, pool, record=None):
    file, folder, workspace = place
    plan = file.plans()[0]
    record = record or folder.read(plan.key) or new_record(plan, file.study.judge)
    return StudyRun(plan, record, file.study.judge, folder, workspace, pool)


def told_by_a_process(error):
    """An error as it comes from a job's own process."""
    return JobFailed(pickle.loads(pickle.dumps(failure_of(explained(error)))))


def full(path="/ws/checkpoint"):
    return write_error(path, OSError(errno.ENOSPC, "No space left on device"))


MISFORTUNES = {
    "full disk, in the job": told_by_a_process(full()),
    "no permission, in the job": told_by_a_process(write_error("/ws", PermissionError(errno.EACCES, "denied"))),
    "full disk, nobody said where": told_by_a_process(OSError(errno.ENOSPC, "No space left on device")),
    "no process, in the job": told_by_a_process(BlockingIOError(errno.EAGAIN, "no process")),
    "no memory, in the job": told_by_a_process(MemoryError()),
    "database held, in the job": told_by_a_process(Busy("held")),
    "no process": OSError("the process that makes the others has ended"),
    "no memory": MemoryError(),
    "database held": Busy("held"),
    "full disk": full(),
}
FAULTS = {
    "NaN": told_by_a_process(JobError("the loss is NaN")),
    "environment": told_by_a_process(JobError("environment X failed: ValueError")),
    "bad input": told_by_a_process(UserError("no such model")),
    "a file that a part wants": told_by_a_process(FileNotFoundError(errno.ENOENT, "no such file")),
    "killed": JobFailed(death_of(-9, "")),
}


@pytest.mark.parametrize("name", MISFORTUNES)
def test_a_misfortune_of_the_machine_stops_the_study_and_is_no_failure(place, name):
    pool = Played(place[2], [MISFORTUNES[name]])
    run = run_of(place, pool)
    with pytest.raises(JobError, match=r"none, seed 0: .*The study stops, and no run counts as failed for this: mend"):
        run.go()
    kept = place[1].read(run.key)
    assert (kept.state, kept.failures, len(pool.asked)) == ("stopped", [], 1)
    run_of(place, pool).go()
    kept = place[1].read(run.key)
    assert (kept.state, kept.failures, pool.asked) == ("finished", [], ["", kept.run])


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_run_is_tried_once_more_from_its_checkpoint_and_then_counts(place, name):
    pool = Played(place[2], [FAULTS[name]] * 2)
    run = run_of(place, pool)
    run.go()
    kept = place[1].read(run.key)
    assert (kept.state, len(kept.failures), pool.asked) == ("failed", 2, ["", kept.run])


def test_a_disk_that_fills_while_a_model_is_kept_is_said_and_is_no_failure(place, monkeypatch):
    def fill(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", fill)
        with pytest.raises(JobError, match=r"192\.safetensors: cannot be written .*free some space"):
            run_of(place, Played(place[2])).go()
    assert place[1].read("none-seed-0").failures == []


def test_a_disk_without_room_even_for_the_record_is_said(place, monkeypatch):
    _, folder, workspace = place
    run = run_of(place, Played(workspace, [MISFORTUNES["full disk, in the job"]]))
    write = folder.write

    def fill(record):
        if record.state == "stopped":
            raise full("the record")
        write(record)

    monkeypatch.setattr(folder, "write", fill)
    with pytest.raises(JobError, match="/ws/checkpoint: cannot be written"):
        run.go()


def test_the_whole_study_stops_and_goes_on(place):
    file, _, workspace = place
    pool = Played(workspace, [MISFORTUNES["full disk, in the job"]])
    with pytest.raises(JobError, match="free some space, then resume"):
        list(run_study(file, workspace, pool=pool))
    assert len(pool.asked) == 1
    *_, end = run_study(file, workspace, pool=pool)
    assert (end.result["finished"], end.result["failed"]) == (2, 0)


@pytest.mark.parametrize("trained", [False, True])
def test_a_run_that_is_gone_is_begun_anew(place, trained):
    """Deleted on the Runs page, or never there: a study that was handed on."""
    _, folder, workspace = place
    pool = Played(workspace, [MISFORTUNES["full disk, in the job"]])
    with pytest.raises(JobError):
        run_of(place, pool).go()
    record = folder.read("none-seed-0")
    first = record.run
    if trained:
        record.trained = {"steps": 1, "frames": 1, "frames_before": 0, "seconds": 0.0, "model": "gone"}
        record.scores = {"greedy": [(100_000, 1.0, 1)] * 2}
        record.moments = [(SAVED, SAVED, 0.0, -1.0)]
    folder.write(record)
    kept = folder.path / "moments" / record.key
    (kept / "170.safetensors").write_bytes(b"of the run that is gone")
    workspace.delete_run(first)
    run_of(place, pool).go()
    record = folder.read("none-seed-0")
    assert (record.state, record.failures, pool.asked) == ("finished", [], ["", ""])
    assert record.run != first
    assert record.scores == {way: [(100_000, 7.0, 9), (100_001, 7.0, 9)] for way in ("greedy", "sampled")}
    assert [(step, value) for step, _, _, value in record.moments] == [(SAVED, 7.0)]
    assert not kept.exists()


def test_a_run_whose_name_begins_like_another_is_not_taken_for_it(place):
    file, _, workspace = place
    for _ in range(12):
        run = workspace.create_run("CartPole-v1", "train", file.plans()[0].experiment.to_toml())
        run.finish("finished")
    record = new_record(file.plans()[0], file.study.judge)
    record.state, record.runs = "stopped", [run.name[:-1]]  # "...-1" of "...-12"
    for number in (1, 10, 11):
        workspace.delete_run(f"{run.name[:-2]}{number}")
    pool = Played(workspace)
    run_of(place, pool, record).go()
    assert pool.asked == [""]


def test_failed_runs_are_begun_anew_where_that_is_asked_for(place):
    file, folder, workspace = place
    pool = Played(workspace, [FAULTS["NaN"]] * 2)
    *_, end = run_study(file, workspace, pool=pool)
    assert (end.result["finished"], end.result["failed"]) == (1, 1)
    first = folder.read("none-seed-0").run
    stale = folder.path / "moments" / "none-seed-0" / "170.safetensors"
    stale.write_bytes(b"of the run that failed")
    *_, end = run_study(file, workspace, pool=pool, retry_failed=True)
    assert (end.result["finished"], end.result["failed"]) == (2, 0)
    record = folder.read("none-seed-0")
    assert pool.asked == ["", first, "", ""]  # twice the failed one, the other, and the failed one anew
    assert record.run not in ("", first)
    assert [step for step, *_ in record.moments] == [SAVED]


def test_what_a_run_is_at_is_told_from_its_first_frames_to_its_last_episode(place, monkeypatch):
    monkeypatch.setattr("ewm_studio.jobs.studies.one_run.TOLD_SECONDS", 0.0)
    told = []
    run = run_of(place, Played(place[2]))
    run.say = told.append
    run.go()
    moved = [(event.doing, round(event.share, 3)) for event in told if isinstance(event, StudyRunMoved)]
    at = [found for found in moved if found != ("", 0.0)]
    assert at[:4] == [("frames 50%", 0.0), ("V 75%", 0.0), ("", 0.54), ("plays", 0.9)]
    # One episode of the model on its way, then two greedy and two sampled.
    played = [("plays 0%", 0.9), ("plays 20%", 0.92), ("plays 40%", 0.94), ("plays 60%", 0.96), ("plays 80%", 0.98)]
    assert [*dict.fromkeys(at[4:])] == [*played, ("plays 100%", 1.0), ("", 1.0)]
    assert place[2].info(run.record.run).note == "judged 7 greedy, 7 sampled #small"


def test_a_note_that_somebody_wrote_beside_a_run_stays(place):
    _, _, workspace = place
    run = run_of(place, Played(workspace))
    run.say = lambda event: run.record.run and workspace.describe_run(run.record.run, note="look at this #mine")
    run.go()
    run.say = lambda event: None
    run._note_scores()
    run._note_scores()
    assert workspace.info(run.record.run).note == "look at this judged 7 greedy, 7 sampled #mine"


def test_a_run_that_was_judged_is_finished_though_nothing_can_be_noted_beside_it(place, monkeypatch):
    run = run_of(place, Played(place[2]))
    describe = place[2].describe_run

    def refuse(name, *, title=None, note=None):
        if title is None:
            raise Busy("held")
        describe(name, title=title, note=note)

    monkeypatch.setattr(place[2], "describe_run", refuse)
    run.go()
    assert (run.record.state, run.record.failures) == ("finished", [])
