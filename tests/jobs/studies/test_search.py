"""A study that searches: tuned on its own seeds and episodes, reported on others, stopped and gone on with."""

import errno
import json
import os
from pathlib import Path

import optuna
import pytest

from ewm_studio.errors import JobError, UserError
from ewm_studio.events import Finished, JobControl, Message, StudyRunMoved
from ewm_studio.jobs.studies.outcome import write_outcome
from ewm_studio.jobs.studies.search import TRIALS, Space, Trials
from ewm_studio.jobs.studies.standing import standing
from ewm_studio.jobs.studies.study_job import run_study
from ewm_studio.jobs.studies.tuned import write_preset
from ewm_studio.settings import Experiment
from ewm_studio.settings.study_file import read_study
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import StudyFolder
from tests.jobs.studies.test_study_job import SharedPool

SEARCH = """
[experiment]
env.batch_size = 4
ppo.rollout_steps = 16
ppo.epochs = 1
[vary]
ppo.gamma = [0.9, 0.99]
[search]
on = true
trials = 4
ranges."ppo.lr" = { low = 1e-4, high = 1e-2, log = true }
[seeds]
reported = [0, 1]
tuning = [100, 101]
[budget]
frames = 192
[judge]
episodes = 2
"""


def study(folder, text=SEARCH):
    path = folder / "tuned.study.toml"
    path.write_text(text)
    return read_study(path)


def trials_of(file, folder):
    """What was tried by now of a study, whose folder is made."""
    folder.path.mkdir(parents=True, exist_ok=True)
    return Trials(file, folder, Space(file))


def test_what_is_tuned_on_is_never_reported(tmp_path, processes):
    workspace, file, pool = Workspace(tmp_path / "ws"), study(tmp_path), SharedPool(processes, slots=1)
    events, control = [], JobControl()
    for event in run_study(file, workspace, control, pool=pool):  # stopped in its second trial
        if isinstance(event, StudyRunMoved) and event.key.startswith("trial-001") and event.run:
            control.stop()
    folder = StudyFolder(workspace.path, "tuned")
    assert event.stopped_by == "stop"
    assert {key.rpartition("-seed-")[0] for key in folder.records()} <= {"trial-000", "trial-001"}
    with pytest.raises(UserError, match="has found nothing yet"):
        write_preset(study(tmp_path, SEARCH.replace("tuned", "x")), Workspace(tmp_path / "other"), tmp_path / "p.toml")
    events = list(run_study(file, workspace, pool=pool))
    assert isinstance(events[-1], Finished)
    assert (events[-1].result["runs"], events[-1].result["finished"]) == (4, 4)
    records = folder.records()
    reported = {key: record for key, record in records.items() if not key.startswith("trial-")}
    trials = {key: record for key, record in records.items() if key.startswith("trial-")}
    assert set(reported) == {"base-seed-0", "base-seed-1", "tuned-seed-0", "tuned-seed-1"}
    assert {record.seed for record in trials.values()} == {100, 101}
    seeds = [{seed for r in some.values() for seed, _, _ in r.scores["greedy"]} for some in (trials, reported)]
    assert seeds == [{500_000, 500_001}, {100_000, 100_001}]
    assert {key[:9] for key in trials} == {"trial-000", "trial-001", "trial-002", "trial-003"}
    mean = {}
    for key, record in trials.items():
        mean.setdefault(key[:9], []).append(sum(r for _, r, _ in record.scores["greedy"]) / 2)
    best = max((name for name in mean if len(mean[name]) == 2), key=lambda name: sum(mean[name]))
    asked = trials[f"{best}-seed-100"].asked
    preset = tmp_path / "out.toml"
    write_preset(file, workspace, preset)
    chosen = Experiment.from_toml(preset)
    assert (chosen.ppo.lr, chosen.ppo.gamma) == (asked["ppo.lr"], asked["ppo.gamma"])
    assert [cell["cell"] for cell in write_outcome(file, workspace)["cells"]] == ["base", "tuned"]
    assert [cell["cell"] for cell in standing(file, folder)["cells"]] == ["base", "tuned"]
    assert any(isinstance(event, Message) and "best is ppo.gamma" in event.text for event in events)
    again = list(run_study(file, workspace, pool=pool))
    assert again[-1].result["finished"] == 4
    assert folder.records() == records


def test_a_trial_that_is_worse_in_every_episode_ends_early(tmp_path):
    file = study(tmp_path, SEARCH.replace("episodes = 2", "episodes = 20"))
    folder = StudyFolder(tmp_path, "tuned")
    trials = trials_of(file, folder)
    good, _ = trials.begin(0)
    for step in range(40):
        good.report(100.0 + step, step)
    trials.end(good, [110.0, 130.0], False)
    bad, _ = trials.begin(1)
    for step in range(20):
        bad.report(50.0 + step, step)
    assert bad.should_prune()
    trials.end(bad, [60.0], True)
    alike, _ = trials.begin(2)
    for step in range(20):
        alike.report(100.5 + step - (step % 2), step)
    assert not alike.should_prune()
    trials.end(alike, [], False)
    assert trials.counts() == "1 complete, 1 ended early, 1 failed"
    assert [trials.done(number) for number in range(4)] == [True, True, True, False]
    assert (folder.path / TRIALS).is_file()
    assert isinstance(json.loads((folder.path / TRIALS).read_text().splitlines()[0]), dict)
    assert optuna.__version__


def test_trials_may_begin_in_any_order_and_each_is_one_of_its_own(tmp_path):
    trials = trials_of(study(tmp_path), StudyFolder(tmp_path, "tuned"))
    second, _ = trials.begin(1)
    first, _ = trials.begin(0)
    again, _ = trials.begin(1)  # as it is when it was broken off
    assert [trial.number for trial in (first, second, again)] == [0, 1, 1]
    assert again.params == second.params != first.params
    trials.end(second, [1.0], False)
    trials.end(first, [2.0], False)
    assert [trials.done(number) for number in range(3)] == [True, True, False]


def test_a_search_that_is_gone_on_with_proposes_nothing_twice(tmp_path):
    proposed = []
    for numbers in ((0, 1), (2, 3)):
        trials = trials_of(study(tmp_path), StudyFolder(tmp_path, "tuned"))
        proposed += [trials.begin(number)[0].params["ppo.lr"] for number in numbers]
    assert len(set(proposed)) == 4


def test_a_search_goes_on_after_a_write_that_was_broken_off(tmp_path, monkeypatch):
    """A kill or a full disk in the middle of a line; and a search needs no links, which Windows may refuse."""
    monkeypatch.setattr(os, "symlink", no_links)
    monkeypatch.chdir(tmp_path)
    folder = StudyFolder(Path("ws"), "tuned")  # named as the default workspace is
    trials = trials_of(study(tmp_path), folder)
    trial, _ = trials.begin(0)
    trials.end(trial, [1.0], False)
    log = folder.path / TRIALS
    log.with_name(f"{TRIALS}.lock").write_text("")  # left by a process that was killed
    log.write_bytes(log.read_bytes()[:-9])
    trials = trials_of(study(tmp_path), folder)
    assert not trials.done(0)
    trial, _ = trials.begin(0)
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_room)
        with pytest.raises(JobError, match=r"trials\.log: cannot be written .* free some space"):
            trial.report(1.0, 0)
    with open(log, "ab") as file:
        file.write(b'{"op_co')  # as much as there was room for
    trials.end(trial, [1.0], False)
    assert trials_of(study(tmp_path), folder).done(0)


@pytest.mark.parametrize("line", ["null", "[]", "{}", '{"op_code": 99}', '{"op_code": 4}', "{", "[" * 10_000, "\0"])
def test_a_damaged_log_of_trials_is_said_in_one_line(tmp_path, line):
    folder = StudyFolder(tmp_path, "tuned")
    trials_of(study(tmp_path), folder)
    with open(folder.path / TRIALS, "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(UserError, match=r"trials\.log: not what a search keeps of its trials .* anew"):
        trials_of(study(tmp_path), folder)


def no_links(*places):
    raise PermissionError(errno.EPERM, "a required privilege is not held")


def no_room(file):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("low = 1e-4, high = 1e-2", "low = 1e-2, high = 1e-4"), r'search\.ranges\."ppo\.lr" should be two numbers'),
        (("low = 1e-4", "low = 0.0"), "log needs a low above 0"),
        (('"ppo.lr"', '"ppo.lrr"'), "no setting 'ppo.lrr'"),
        (("high = 1e-2", "high = 1e9"), "ppo.lr: should be less"),
        (("on = true", "on = true\njudge_seed = 100_001"), "share episodes"),
        (("[vary]\nppo.gamma = [0.9, 0.99]", '[[cells]]\nname = "a"'), "give what varies by vary or search.ranges"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_before_anything_begins(tmp_path, processes, change, line):
    pool = SharedPool(processes)
    with pytest.raises(UserError, match=line):
        list(run_study(study(tmp_path, SEARCH.replace(*change)), Workspace(tmp_path / "ws"), pool=pool))
    assert not pool.made
