"""A trial of a search by runs of no weight: asked to stop, and how far it is."""

import pytest

from ewm_studio.jobs.studies import search
from ewm_studio.jobs.studies.search import Trial
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import StudyFolder
from tests.jobs.studies.test_search import study, trials_of


class Played:
    """A run that is over as soon as it goes."""

    gone = []  # the keys of those that went

    def __init__(self, plan, record, judge, *_):
        self.plan, self.record, self.judge = plan, record, judge
        self.say = lambda event: None

    def go(self):
        self.gone.append(self.record.key)
        self.record.scores[self.judge.ways[0]] = [(n, 1.0, 1) for n in range(self.judge.episodes)]
        self.record.state = "finished"

    def stop(self):
        """It is over."""

    kill = stop


@pytest.fixture
def gone(monkeypatch):
    monkeypatch.setattr(search, "StudyRun", Played)
    monkeypatch.setattr(Played, "gone", [])
    return Played.gone


def trials(place, count=1):
    """So many trials of a search, on two tuning seeds each."""
    file, folder = study(place), StudyFolder(place, "tuned")
    known = trials_of(file, place)
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
