"""Curves of a study's runs."""

from ewm_studio.jobs.studies.curves import curve_of
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import RunRecord


def test_the_curve_of_a_run_that_is_gone_is_not_that_of_another(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    for _ in range(10):
        run = workspace.create_run("A-v1", "train", "")
        for step in (1, 2):
            run.log_metrics(step, step, 0.0, {"reward/mean_100": 1.0})
        run.finish("finished")
    first = run.name.removesuffix("0")
    record = RunRecord("k", {}, 0, runs=[first], trained={"frames": 2, "steps": 2})
    assert curve_of(record, workspace) is not None
    for info in workspace.runs():
        if info.name != run.name:
            workspace.delete_run(info.name)
    assert curve_of(record, workspace) is None
