"""The trials of a search by runs of no weight: asked to stop, how far they are, and gone on with."""

from typing import ClassVar

import pytest

from ewm_studio.errors import UserError
from ewm_studio.events import JobControl, Message, Progress, StudyRunMoved
from ewm_studio.jobs.studies import crew, search
from ewm_studio.jobs.studies.crew import Crew
from ewm_studio.jobs.studies.search import Space, Trial
from ewm_studio.jobs.studies.tuned import found_values, searched
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import StudyFolder
from tests.jobs.studies.test_search import SEARCH, study, trials_of


class Played:
    """A run that is over as soon as it goes."""

    gone: ClassVar = []  # the keys of those that went

    def __init__(self, plan, record, judge, folder, *_):
        self.plan, self.record, self.judge, self.folder = plan, record, judge, folder
        self.say = lambda event: None

    def go(self):
        self._tell("running", 0.5)
        self.gone.append(self.record.key)
        score = float(self.record.key[6:9])  # the later trial is the better one
        self.record.scores[self.judge.ways[0]] = [(n, score, 1) for n in range(self.judge.episodes)]
        self.record.trained = {"steps": 1, "frames": 1, "seconds": 1.0}
        self.record.state = "finished"
        self.folder.write(self.record)
        self._tell("finished", 1.0)

    def _tell(self, state, share):
        record = self.record
        self.say(StudyRunMoved(record.key, record.name, record.seed, state, share, "a-run", 1.0))

    def stop(self):
        """It is over."""

    kill = stop


@pytest.fixture
def gone(monkeypatch):
    monkeypatch.setattr(search, "StudyRun", Played)
    monkeypatch.setattr(Played, "gone", [])
    return Played.gone


class Nowhere:
    """A pool that computes nothing."""

    machines, slots = "", 1


def trials(place, count=1):
    """So many trials of a search, on two tuning seeds each."""
    file, folder = study(place), StudyFolder(place, "tuned")
    (folder.path / "runs").mkdir(parents=True)
    known = trials_of(file, folder)
    return [Trial(known, file, folder, Workspace(place), None, number) for number in range(count)]


@pytest.mark.parametrize("ask", [Trial.stop, Trial.kill])
def test_a_word_to_stop_between_two_runs_is_heard(tmp_path, monkeypatch, gone, ask):
    (trial,) = trials(tmp_path)

    def read(folder, key):
        if key == "trial-000-seed-101":  # the run before is over, and this one is not made yet
            ask(trial)

    monkeypatch.setattr(StudyFolder, "read", read)
    trial.go()
    assert gone == ["trial-000-seed-100"]
    assert not trial.done


def test_how_far_a_search_is_counts_trials_by_the_seeds_they_were_tried_on(tmp_path, monkeypatch, gone):
    folder, kept = StudyFolder(tmp_path, "tuned"), []
    monkeypatch.setattr(StudyFolder, "keep_pace", lambda self, pace: kept.append(pace))
    monkeypatch.setattr(crew, "PACE_SECONDS", 0.0)
    work = trials(tmp_path, 2)
    events = list(Crew(work, 1).work(folder, JobControl()))
    moved = [(event.key, event.share) for event in events if isinstance(event, StudyRunMoved)]
    assert moved == [(trial.key, share) for trial in work for share in (0.25, 0.5, 0.75, 1.0)]
    told = [event for event in events if isinstance(event, Progress)]
    assert (told[-1].total, told[-1].seconds_left) == (2, 0.0)
    assert all(event.seconds_left is None or event.seconds_left >= 0 for event in told)
    assert {name for pace in kept for name in pace.shares} == {"trial-000", "trial-001"}
    assert all(pace.left is None or pace.left >= 0 for pace in kept)
    assert len(gone) == 4


def test_of_a_trial_that_ended_early_nothing_is_left(tmp_path, monkeypatch, gone):
    monkeypatch.setattr(Played, "go", failed_at_first)
    events = list(Crew(trials(tmp_path, 2), 1).work(StudyFolder(tmp_path, "tuned"), JobControl()))
    told = [event for event in events if isinstance(event, Progress)]
    assert gone == ["trial-001-seed-100", "trial-001-seed-101"]
    assert told[-1].seconds_left == 0.0


def failed_at_first(run, go=Played.go):
    """The settings of the first trial do not hold."""
    if not run.record.key.startswith("trial-000"):
        go(run)
        return
    run.record.state = "failed"
    run.say(StudyRunMoved(run.record.key, run.record.name, run.record.seed, "failed", 1.0, "a-run", None, "it broke"))


def searching(place, text=SEARCH, retry_failed=False):
    """What a search says; and whether it has found something, in the end."""
    folder = StudyFolder(place, "tuned")
    (folder.path / "runs").mkdir(parents=True, exist_ok=True)
    found = []

    def whole():
        file, workspace = study(place, text), Workspace(place)
        found.append((yield from search.search(file, workspace, folder, Nowhere(), JobControl(), retry_failed)))

    events = list(whole())
    return [event for event in events if isinstance(event, Message) and event.text.startswith("search")], found[0]


def test_settings_of_failed_trials_are_tried_again_where_that_is_asked_for(tmp_path, monkeypatch, gone):
    with monkeypatch.context() as patch:
        patch.setattr(Played, "go", failed_at_first)
        searching(tmp_path)
    assert len(gone) == 3 * 2
    gone.clear()
    searching(tmp_path)
    assert not gone  # nobody asked
    for _ in range(2):  # the second time there is nothing to try again
        assert searching(tmp_path, retry_failed=True)[1]
        assert gone == ["trial-004-seed-100", "trial-004-seed-101"]
    records = StudyFolder(tmp_path, "tuned").records()
    first = trials_of(study(tmp_path), StudyFolder(tmp_path, "tuned")).cell(0)
    assert records["trial-004-seed-100"].asked["ppo.lr"] == first.values["ppo"]["lr"]
    assert found_in(tmp_path) == {"trial-004"}
    gone.clear()
    searching(tmp_path, MORE)  # what was tried again does not count among those asked for
    assert {key[:9] for key in gone} == {"trial-005", "trial-006"}
    report(tmp_path)
    assert searching(tmp_path, MORE, retry_failed=True)[1]


def test_a_trial_that_fails_again_may_be_tried_once_more(tmp_path):
    known = trials_of(study(tmp_path), StudyFolder(tmp_path, "tuned"))
    begun = [known.begin(number)[0] for number in range(2)]
    for trial in begun:
        known.end(trial, [], False)
    assert (known.retry_failed(), known.retry_failed(), known.retried) == (2, 0, 2)
    known = trials_of(study(tmp_path), StudyFolder(tmp_path, "tuned"))
    later, _ = known.begin(3)  # in any order
    again, _ = known.begin(2)
    assert [trial.params for trial in (again, later)] == [trial.params for trial in begun]
    known.end(later, [], False)
    known.end(again, [3.0], False)
    assert (known.retry_failed(), known.retried) == (1, 3)
    assert known.begin(4)[0].params == begun[1].params


OTHER = {
    "an option more": ("[0.9, 0.99]", "[0.9, 0.99, 0.999]", "ppo.gamma is searched for in 0.9, 0.99, 0.999, but"),
    "a setting less": ("ppo.gamma = [0.9, 0.99]", "", "ppo.gamma is searched for in nothing, but"),
    "a setting more": ("ppo.gamma", 'memory.name = ["NoMemory"]\nppo.gamma', "memory is searched for in NoMemory, but"),
    "another range": ("high = 1e-2", "high = 2e-2", "begun with 0.0001 to 0.01 (log): set it back, or give the file"),
    "another scale": (", log = true", "", "ppo.lr is searched for in 0.0001 to 0.01, but"),
    "another budget": ("frames = 192", "frames = 256", "train.total_steps is 256, but run trial-000-seed-100"),
}


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_trials_that_were_begun_with_others_are_refused_before_anything_begins(tmp_path, gone, change):
    searching(tmp_path)
    before, after, line = change
    kept = (tmp_path / "studies" / "tuned" / "study.toml").read_text()
    gone.clear()
    with pytest.raises(UserError) as refused:
        searching(tmp_path, SEARCH.replace(before, after).replace("trials = 4", "trials = 6"))
    assert line in str(refused.value)
    assert "set it back, or give the file another name" in str(refused.value)
    assert not gone
    assert (tmp_path / "studies" / "tuned" / "study.toml").read_text() == kept


def test_a_trial_that_was_broken_off_while_it_chose_is_gone_on_with(tmp_path, gone):
    known = trials_of(study(tmp_path), StudyFolder(tmp_path, "tuned"))
    known.space = Space(study(tmp_path, SEARCH.replace('ranges."ppo.lr"', '# "')))
    known.begin(0)  # of its settings one is not chosen yet
    searching(tmp_path)
    assert len(gone) == 4 * 2


MORE = SEARCH.replace("trials = 4", "trials = 6")


def found_in(place):
    """What is kept as found, and of which trial it is."""
    folder = StudyFolder(place, "tuned")
    kept = found_values(folder)
    asked = {key: record.asked for key, record in folder.records().items() if key.startswith("trial-")}
    return {key[:9] for key, one in asked.items() if one["ppo.lr"] == kept["ppo"]["lr"]}


def report(place):
    """Have a run of what was found begin."""
    (place / "studies" / "tuned" / "runs" / "tuned-seed-0.json").write_text("{}")


def test_before_what_was_found_is_reported_more_trials_may_find_better(tmp_path, gone):
    searching(tmp_path)
    assert found_in(tmp_path) == {"trial-003"}
    said, _ = searching(tmp_path)
    assert said == []  # nothing is new
    said, found = searching(tmp_path, MORE)
    assert found
    assert said[-1].text.startswith("search: 6 complete; best is ppo.gamma ")
    assert found_in(tmp_path) == {"trial-005"}


def test_after_what_was_found_is_reported_more_trials_are_refused_before_any(tmp_path, gone):
    searching(tmp_path)
    report(tmp_path)
    gone.clear()
    with pytest.raises(UserError, match=r"search\.trials asks for 2 more, .* set it back, or delete .*tuned\.toml and"):
        searching(tmp_path, MORE)
    assert not gone
    assert searching(tmp_path) == ([], True)  # set back
    (tmp_path / "studies" / "tuned" / "tuned.toml").unlink()
    (tmp_path / "studies" / "tuned" / "runs" / "tuned-seed-0.json").unlink()
    searching(tmp_path, MORE)
    assert found_in(tmp_path) == {"trial-005"}


def test_what_is_reported_stays_and_where_a_trial_was_better_that_is_said(tmp_path, gone):
    searching(tmp_path)
    kept = tmp_path / "studies" / "tuned" / "tuned.toml"
    before = kept.read_text()
    searching(tmp_path, MORE)
    kept.write_text(before)  # as it was left by more trials that were tried and not looked at
    report(tmp_path)
    said, found = searching(tmp_path, MORE)
    assert found
    assert [(message.level, "what was found before is reported, and stays" in message.text) for message in said] == [
        ("warning", True)
    ]
    assert kept.read_text() == before


def test_a_setting_that_is_empty_may_be_found(tmp_path, gone):
    text = SEARCH.replace("[0.9, 0.99]", "[0.9]\nppo.clip_range_vf = ['']")
    searching(tmp_path, text)
    folder = StudyFolder(tmp_path, "tuned")
    assert found_values(folder)["ppo"]["clip_range_vf"] == ""
    assert searched(study(tmp_path, text), folder).cells[1].values["ppo"]["clip_range_vf"] is None
    assert searching(tmp_path, text) == ([], True)
