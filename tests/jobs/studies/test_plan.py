"""What a study would come to, the studies of a workspace, and how far one is."""

import pytest

from ewm_studio.errors import UserError
from ewm_studio.jobs.studies.found import studies_of, study_of
from ewm_studio.jobs.studies.plan import BEGINNING_SECONDS, GUESSED_SPEED, plan_of
from ewm_studio.jobs.studies.standing import standing
from ewm_studio.settings import Experiment
from ewm_studio.settings.study_file import read_study
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import Pace, StudyFolder
from tests.support.studies import TWO_MEMORIES, written_study


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "s.study.toml"
    path.write_text(TWO_MEMORIES + "[place]\nparallel = 3\n")
    return read_study(path)


def test_a_plan_counts_runs_and_says_whether_its_time_is_a_guess(tmp_path, file):
    workspace = Workspace(tmp_path / "ws")
    plan = plan_of(file, workspace)
    assert (plan.axes, plan.runs, plan.slots) == ({"memory": 2, "controller": 2}, 24, 3)
    assert plan.cells[0] == "none + linear"
    assert not plan.measured
    assert plan.seconds == pytest.approx(8 * (500 / GUESSED_SPEED + BEGINNING_SECONDS))
    run = workspace.create_run("CartPole-v1", "train", Experiment().to_toml())
    run.finish("finished", steps=1000)
    info = workspace.info(run.name)
    assert plan_of(file, workspace) == plan  # it took no time that says anything
    with workspace._database.writing() as database:
        database.execute("UPDATE runs SET started = ?, finished = ? WHERE name = ?", (0.0, 10.0, info.name))
    measured = plan_of(file, workspace)
    assert measured.measured
    assert measured.seconds == pytest.approx(8 * (5.0 + BEGINNING_SECONDS))


def test_what_is_left_out_is_no_run_and_a_search_has_trials(tmp_path, file):
    left_out = TWO_MEMORIES + '[[leave_out]]\nmemory = "none"\ncontroller = "deep"\n'
    file.path.write_text(left_out)
    assert plan_of(read_study(file.path), Workspace(tmp_path / "ws")).runs == 18
    file.path.write_text(TWO_MEMORIES + "[search]\non = true\ntrials = 7\n")
    assert plan_of(read_study(file.path), Workspace(tmp_path / "ws")).runs == 7 * 3 + 2 * 6


def test_a_study_that_nothing_ends_has_no_time(tmp_path):
    path = tmp_path / "s.study.toml"
    path.write_text("experiment.train.total_steps = ''\nexperiment.train.epochs = 3\n")
    assert plan_of(read_study(path), Workspace(tmp_path / "ws")).seconds is None


def test_the_studies_of_a_workspace_are_found_with_and_without_their_files(tmp_path):
    _, folder, workspace = written_study(tmp_path / "ws")
    (workspace.path / "later.study.toml").write_text(TWO_MEMORIES)
    assert studies_of(workspace.path) == ["s", "later"]
    assert study_of(workspace.path, "s").path.parent == workspace.path
    (workspace.path / "s.study.toml").unlink()
    kept = study_of(workspace.path, "s")
    assert kept.path == folder.path / "study.toml"
    assert [run["state"] for run in standing(kept, folder)["runs"]] == ["finished"] * 24
    with pytest.raises(UserError, match="no study other"):
        study_of(workspace.path, "other")


def test_how_far_runs_are_is_kept_and_damage_says_nothing(tmp_path):
    file, folder, _ = written_study(tmp_path / "ws", running={("none + linear", 0)})
    pace = Pace({"none-linear-seed-0": 0.25}, 40.0, 1.0)
    folder.keep_pace(pace)
    assert StudyFolder(tmp_path / "ws", "s").pace() == pace
    found = standing(file, folder)
    assert found["seconds_left"] is None  # nobody runs it
    assert {run["share"] for run in found["runs"]} == {0.25, 1.0}
    for text in ("", "{", "[]", '{"shares": {"a": null}, "left": 1, "at": 2}'):
        (folder.path / "pace.json").write_text(text)
        assert folder.pace() == Pace()
