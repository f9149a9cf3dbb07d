"""`train` with `train.learner = "cma_es"`: it runs, what it made plays, stopped and resumed it is the same run."""

import pytest
import torch

from ewm_studio.errors import UserError
from ewm_studio.events import Finished, JobControl, Metrics, Progress
from ewm_studio.jobs import infer, train
from ewm_studio.jobs.evolution_job import STEPS
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from tests.support.jobs import experiment, finish

EVOLVING = {
    "controller": {"name": "LinearController"},
    "memory": {"name": "LSTMMemory", "hidden_dim": 4},
    "evolution": {"population": 6, "episodes": 1, "sigma": 0.5},
    "train": {"learner": "cma_es", "epochs": 4},
}


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "ws")


def weights(result):
    return load_model(result["checkpoint"])[0]


def test_it_trains_saves_and_what_it_made_plays(workspace):
    done = finish(train(experiment(**EVOLVING), workspace))
    assert (done["epochs"], done["episodes"], done["stopped_by"]) == (4, 24, "epochs")
    assert done["env_steps"] >= 24 * 8
    assert {"evolution/best", "evolution/mean", "evolution/sigma"} <= set(done["losses"])
    played = finish(infer(experiment().with_values(("start.load_path", done["run"]), ("infer.episodes", 2)), workspace))
    assert len(played["episodes"]) == 2


def test_stopped_and_resumed_it_is_the_same_run(workspace, tmp_path):
    asked = experiment(**EVOLVING, run={"seed": 3})
    whole = finish(train(asked, workspace))
    other = Workspace(tmp_path / "other")
    stopped = stopped_in(asked, other, generation=2)
    assert stopped["epochs"] == 2
    resumed = finish(train(asked, other, resume=stopped["run"]))
    assert {k: whole[k] for k in ("env_steps", "episodes", "mean_reward")} == {
        k: resumed[k] for k in ("env_steps", "episodes", "mean_reward")
    }
    one, two = (load_model(w.run(r["run"]).newest_model())[0] for w, r in ((workspace, whole), (other, resumed)))
    assert all(torch.equal(one[name], two[name]) for name in one)


def stopped_in(asked, workspace, generation):
    """Train, and ask to stop amid a generation, by number from 0; the result."""
    control, learned, result = JobControl(), 0, None
    for event in train(asked, workspace, control):
        if isinstance(event, Metrics):
            learned += 1
        elif isinstance(event, Progress) and learned == generation:
            control.stop()
        elif isinstance(event, Finished):
            result = event.result
    return result


def test_a_generation_tells_how_far_it_is_and_is_stopped_amid(workspace):
    long = experiment(**{**EVOLVING, "evolution": {"population": 6, "episodes": 10_000}})
    control, told, result = JobControl(), [], None
    for event in train(long, workspace, control):
        if isinstance(event, Progress):
            told.append(event.done)
            if len(told) == 3:
                control.stop()
        if isinstance(event, Finished):
            result = event.result
    assert told == [4 * STEPS, 8 * STEPS, 12 * STEPS]  # of 4 environments; and none once it is to stop
    assert (result["stopped_by"], result["epochs"], result["env_steps"]) == ("stop", 0, 0)


class StopsLater(JobControl):
    """Asks to stop once it was looked at so many times."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks

    @property
    def stop_requested(self):
        self.looks -= 1
        return self.looks < 0


def test_a_generation_that_is_broken_off_counts_for_nothing(workspace):
    endless = experiment(**{**EVOLVING, "evolution": {"population": 6, "episodes": 10_000}})
    stopped = finish(train(endless, workspace, StopsLater(50)))
    assert (stopped["stopped_by"], stopped["epochs"], stopped["env_steps"]) == ("stop", 0, 0)


def test_vision_and_memory_stay_as_they_are(workspace):
    done = finish(train(experiment(**EVOLVING), workspace))
    again = finish(train(experiment(**{**EVOLVING, "train": {"learner": "cma_es", "epochs": 1}}), workspace))
    one, two = weights(done), weights(again)
    assert all(torch.equal(one[name], two[name]) for name in one if not name.startswith("controller"))
    assert any(not torch.equal(one[name], two[name]) for name in one if name.startswith("controller"))


def test_another_controller_is_refused_before_a_run_is_made(workspace):
    with pytest.raises(UserError, match="choose LinearController"):
        finish(train(experiment(**{**EVOLVING, "controller": {}}), workspace))
    assert workspace.runs() == []


def test_what_evolution_does_not_do_is_refused_in_a_line(workspace):
    plan = experiment(train={"learner": "cma_es"}, warm_up={"random_frames": 64}, world_model={"frame_buffer": 64})
    with pytest.raises(UserError, match="warm_up: evolution"):
        finish(train(plan, workspace))
    assert workspace.runs() == []
