"""The crew of a study by work of no weight: what stops all, and how far it is."""

import threading

import pytest

from ewm_studio.errors import JobError
from ewm_studio.events import JobControl, Message
from ewm_studio.jobs.studies.crew import Crew
from ewm_studio.workspace.studies import StudyFolder

LONG = 60.0  # seconds that nothing here takes unless it hangs


class Saving:
    """Goes on until it is asked to stop, and then saves, for as long as the test has it save."""

    def __init__(self, key):
        self.key, self.done, self.say = key, False, lambda event: None
        self.cell, self.took = "a cell", None
        self.began, self.asked, self.may_end = threading.Event(), threading.Event(), threading.Event()
        self.saved = self.killed = False

    def go(self):
        self.began.set()
        assert self.asked.wait(LONG)
        assert self.may_end.wait(LONG)
        self.saved = not self.killed

    def stop(self):
        self.asked.set()

    def kill(self):
        self.killed = True
        self.asked.set()
        self.may_end.set()


class Broken(Saving):
    """Cannot go on once another has begun."""

    def __init__(self, other, error):
        super().__init__("broken")
        self._other, self._error = other, error

    def go(self):
        assert self._other.began.wait(LONG)
        raise self._error


@pytest.fixture
def folder(tmp_path):
    found = StudyFolder(tmp_path, "s")
    found.path.mkdir(parents=True)
    return found


def test_a_run_that_stops_all_lets_every_other_save_first(folder):
    saving = Saving("saving")
    events = Crew([saving, Broken(saving, JobError("the disk is full"))], 2).work(folder, JobControl())
    assert next(events) == Message("a run cannot go on; stopping: every other run saves first", "warning")
    saving.may_end.set()
    with pytest.raises(JobError, match="the disk is full"):
        list(events)
    assert (saving.saved, saving.killed) == (True, False)


def test_while_the_others_save_they_can_still_be_ended_at_once(folder):
    saving = Saving("saving")
    events = Crew([saving, Broken(saving, JobError("the disk is full"))], 2).work(folder, JobControl())
    assert "saves first" in next(events).text
    events.close()
    assert (saving.saved, saving.killed) == (False, True)
