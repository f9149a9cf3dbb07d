"""What a job says is of the run that it writes, whichever run is looked at meanwhile."""

import numpy as np
import pytest
from PySide6.QtCore import Qt

from ewm_studio.analysis.history import REWARD, RunHistory
from ewm_studio.events import CheckpointSaved, EpisodeFinished, Images, Metrics, RunStarted
from ewm_studio.settings import Experiment
from tests.support.scripted import ScriptedProcesses
from tests.ui.conftest import WAIT

LEFT = Qt.MouseButton.LeftButton


def made(workspace, seed, episodes):
    """A run of the workspace that goes on."""
    experiment = Experiment().with_values(("run.seed", seed), ("vision.name", "IdentityVision"))
    run = workspace.create_run("CartPole-v1", "train", experiment.to_toml(), {}, seed)
    for number in range(episodes):
        run.log_episode(20 * (number + 1), 0.1 * number, float(10 * seed + number), 20)
    return run


class Training:
    """A studio with a run that has ended and one that a job writes, as the tests have it go on."""

    def __init__(self, qtbot, open_studio):
        self.processes = ScriptedProcesses()
        self.studio = open_studio(begin=False, processes=self.processes)
        self.services, self.window, self.shown = self.studio.services, self.studio.window, self.studio.services.shown
        self.other = made(self.services.workspace, 1, 50)
        self.other.finish("finished")
        qtbot.mouseClick(self.window.bar.train, LEFT)
        qtbot.waitUntil(lambda: bool(self.processes.taken))
        self.run = made(self.services.workspace, 2, 0)
        self.processes.last.say(RunStarted("train", self.run.name, str(self.run.folder), "x"))
        qtbot.waitUntil(lambda: self.shown.history.name == self.run.name)
        self._qtbot, self._step = qtbot, 0

    def go_on(self, *more):
        """The job logs an episode and a row, says so and more, and the window hears it."""
        self._step += 20
        self.run.log_episode(self._step, 0.0, float(self._step), 20)
        self.run.log_metrics(self._step, 1, 0.0, {"ppo/entropy": 0.5})
        row = Metrics(self._step, 1, 0.0, {"ppo/entropy": 0.5})
        self.processes.last.say(EpisodeFinished(self._step, float(self._step), 20), row, *more)
        self._qtbot.waitUntil(lambda: self.shown.written.end("step") == self._step)

    def turn_to(self, run):
        """Have a run shown by its button on the Runs page."""
        self.window.show_page("runs")
        page = self.window.pages["runs"].widget
        page.choose(run.name)
        self._qtbot.mouseClick(page._buttons["show"], LEFT)
        assert self.shown.history.name == run.name

    def check(self, history, run):
        """A run's curves are those of its database."""
        run.flush()
        stored = RunHistory.load(run)
        assert history.tags == stored.tags
        for tag in stored.tags:
            assert history[tag].x("step").tolist() == stored[tag].x("step").tolist()
            assert history[tag].value.tolist() == stored[tag].value.tolist()

    def end(self):
        """The job ends."""
        self.run.finish("finished")
        self.processes.last.finish()
        self._qtbot.waitUntil(lambda: not self.studio.jobs.running)


@pytest.fixture
def training(qtbot, open_studio):
    """A job that writes a run, beside another run."""
    return Training(qtbot, open_studio)


def test_rows_of_the_job_are_of_its_run_alone(training):
    training.go_on()
    training.turn_to(training.other)
    training.go_on()
    training.check(training.shown.history, training.other)
    training.turn_to(training.run)  # what came meanwhile is there
    training.go_on()
    training.check(training.shown.history, training.run)
    training.turn_to(training.other)
    training.end()
    training.check(training.shown.history, training.other)
    training.turn_to(training.run)
    assert len(training.shown.history[REWARD]) == 3
    training.check(training.shown.history, training.run)


def test_a_run_that_is_laid_over_another_goes_on_growing(training):
    training.go_on()
    training.turn_to(training.other)
    training.shown.toggle_compared(training.run)
    card = training.window.pages["train"].widget.cards[0]
    card.redraw()
    training.go_on()
    assert card.dirty
    (laid,) = training.shown.plots.compared
    training.check(laid, training.run)
    training.check(training.shown.history, training.other)
    training.end()


def test_pictures_and_models_of_the_job_are_not_shown_beside_another_run(training):
    side, vision = training.window.pages["train"].side, training.window.pages["vision"]
    pictures = {"original": np.zeros((8, 16, 16, 3), np.uint8), "reconstruction": np.ones((8, 16, 16, 3), np.uint8)}
    seen = []
    vision.controller.inspector.show_model = seen.append
    saved = CheckpointSaved("model.safetensors", 20, None, False)
    training.go_on(Images(20, pictures), saved)
    assert vision.widget.frames is not None
    assert not side._pictures.isHidden()
    assert not side.play.isHidden()
    assert len(seen) == 1
    training.turn_to(training.other)
    assert side._pictures.isHidden()
    training.go_on(Images(40, pictures), saved)
    assert vision.widget.frames is None
    assert side._pictures.isHidden()
    assert side.play.isHidden()
    assert len(seen) == 1
    training.turn_to(training.run)
    training.go_on(Images(60, pictures))
    assert vision.widget.frames is not None
    training.end()


def test_what_is_evaluated_after_a_training_is_the_run_in_training(training):
    training.go_on()
    training.turn_to(training.other)
    training.services.enqueue("infer")
    assert training.studio.jobs.waiting[-1].job.model == training.run.name
    training.studio.jobs.clear()
    training.end()


def test_a_run_that_only_begins_cannot_be_named_to_be_evaluated(qtbot, open_studio):
    processes = ScriptedProcesses()
    studio = open_studio(begin=False, processes=processes)
    made(studio.services.workspace, 1, 5).finish("finished")
    studio.services.show_last_run()
    failures = []
    studio.services.notices.failed.disconnect()
    studio.services.notices.failed.connect(failures.append)
    studio.services.enqueue("train")
    studio.services.enqueue("infer")
    assert ["has no name yet" in failure.what for failure in failures] == [True]
    assert not studio.jobs.waiting
    qtbot.waitUntil(lambda: bool(processes.taken), timeout=WAIT)
    processes.last.finish()
    qtbot.waitUntil(lambda: not studio.jobs.running)
