"""What an evaluation came to stands beside the run whose model it played, whatever else runs."""

import numpy as np
import pytest
import torch
from PySide6.QtCore import Qt

from ewm_studio.events import Finished
from ewm_studio.settings import Experiment
from ewm_studio.ui.kit.dialogs import FailureDialog
from ewm_studio.workspace.models import save_model
from ewm_studio.workspace.replays import EvaluationWriter, Replay
from tests.support.scripted import ScriptedProcesses
from tests.ui.conftest import WAIT

LEFT = Qt.MouseButton.LeftButton
BETTER = Finished("episodes", {"mean": 90.0, "std": 0.0, "min": 90.0, "max": 90.0, "median": 90.0, "episodes": [1, 2]})


def put_model(path):
    save_model(path, {"w": torch.ones(2)}, {"parts": {}})


@pytest.fixture
def evaluated(open_studio):
    """A studio with two runs, each with a checkpoint and an evaluation: of 10 and of 20."""
    processes = ScriptedProcesses()
    studio = open_studio(begin=False, processes=processes)
    studio.processes, studio.runs = processes, []
    for seed, reward in enumerate((10.0, 20.0)):
        run = studio.services.workspace.create_run("CartPole-v1", "train", Experiment().to_toml(), {}, seed)
        run.save_checkpoint(20, {"w": torch.ones(2)}, {"parts": {}}, {}, reward)
        run.finish("finished")
        writer = EvaluationWriter(run.folder / "replays", run.name, "A + B + C", put_model)
        writer.add(Replay(Experiment().env, 0, True, np.zeros((1,), np.int64), np.array([reward]), 1, True))
        studio.runs.append(run)
    return studio


def result(studio):
    """What the side panel says an evaluation came to."""
    side = studio.window.pages["train"].side
    return "" if side._result_box.isHidden() else side._result.text()


def begin(qtbot, studio, kind, model=""):
    """Have a job run."""
    studio.services.document.set("start.load_path", model or None)
    count = len(studio.processes.taken)
    qtbot.mouseClick(studio.window.bar.buttons[kind], LEFT)
    qtbot.waitUntil(lambda: len(studio.processes.taken) > count)


def read(qtbot, studio):
    """Wait for what is read in the background."""
    qtbot.waitUntil(lambda: not studio.services.background.busy, timeout=WAIT)


def test_a_run_that_is_turned_to_while_something_else_runs_has_its_result(qtbot, evaluated):
    first, second = evaluated.runs
    for kind, model in (("train", ""), ("infer", first.name)):
        begin(qtbot, evaluated, kind, model)
        evaluated.services.show_run(second.name)
        read(qtbot, evaluated)
        assert result(evaluated) == "20 ± 0"
        evaluated.processes.last.finish(BETTER)  # of another run
        qtbot.waitUntil(lambda: not evaluated.jobs.running)
        assert result(evaluated) == "20 ± 0"


def test_a_run_that_is_being_evaluated_has_its_result_when_that_has_ended(qtbot, evaluated):
    run = evaluated.runs[1]
    begin(qtbot, evaluated, "infer", run.name)
    evaluated.services.show_run(run.name)
    read(qtbot, evaluated)
    assert result(evaluated) == ""  # the newest is not whole yet
    evaluated.processes.last.finish(BETTER)
    qtbot.waitUntil(lambda: not evaluated.jobs.running)
    assert result(evaluated) == "90 ± 0"


def test_the_result_that_is_kept_comes_where_an_evaluation_fails(qtbot, evaluated):
    run = evaluated.runs[1]
    begin(qtbot, evaluated, "infer", run.name)
    evaluated.services.show_run(run.name)
    evaluated.processes.last.fail(OSError(28, "No space left on device"))
    qtbot.waitUntil(lambda: not evaluated.jobs.running)
    read(qtbot, evaluated)
    assert result(evaluated) == "20 ± 0"
    for dialog in evaluated.window.findChildren(FailureDialog):
        dialog.accept()
