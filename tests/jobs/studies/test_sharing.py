"""A study handed on without its runs says the same as with them."""

import re

import pytest

from ewm_studio.errors import UserError
from ewm_studio.jobs.studies.figures import study_figures
from ewm_studio.jobs.studies.found import study_of
from ewm_studio.jobs.studies.outcome import write_outcome
from ewm_studio.jobs.studies.sharing import share_study, write_into
from ewm_studio.jobs.studies.standing import standing
from ewm_studio.settings.study_file import read_study
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import StudyFolder
from tests.support.studies import written_study


@pytest.fixture
def run(tmp_path):
    """A study with one failed run and two still to come, of which one is begun, and the workspace of its runs."""
    place = tmp_path / "workspace"
    written_study(place, failed={("none + linear", 1)}, waiting={("LSTM + deep", 5)}, running={("LSTM + deep", 4)})
    return study_of(place, "s"), Workspace(place)


def test_its_report_is_the_same_without_its_runs_and_it_may_be_shared_again(run, tmp_path):
    file, workspace = run
    before = write_outcome(file, workspace)
    target = tmp_path / "shared"
    for _ in range(2):
        found = share_study(file, workspace, target)
    assert found["cells"] == before["cells"]
    assert not (target / "runs").exists()
    there = study_of(target, "s")
    assert there.path == target / "s.study.toml"
    for name in ("report.html", "results.csv"):
        here, source = ((place / "studies" / "s" / name).read_text() for place in (target, workspace.path))
        begun = re.sub(r"(LSTM,deep,4),running(,+)[^,\n]+,", r"\1,waiting\2,", source)  # its run is not handed on
        assert here == begun
    counts = {name: standing(there, StudyFolder(target, "s"))[name] for name in ("finished", "failed", "waiting")}
    assert counts == {"finished": 21, "failed": 1, "waiting": 2}
    assert "lstm-deep-seed-4" not in StudyFolder(target, "s").records()
    figures = study_figures(there, StudyFolder(target, "s"), Workspace(target))
    assert all(cell.by_frames is not None and cell.by_minutes is not None for cell in figures.cells)
    text = (target / "README.md").read_text()
    assert "4 cells x 6 seeds: 22 of 24 runs so far." in text
    assert "| none + linear | 6 of 6, 1 failed |" in text


def test_its_table_stands_where_a_text_has_room_for_it(run, tmp_path):
    file, workspace = run
    path = tmp_path / "text.md"
    path.write_text("before\n<!-- study s -->\nold\n<!-- end of study s -->\nafter\n")
    for _ in range(2):
        write_into(path, file, workspace)
    text = path.read_text()
    assert text.startswith("before\n<!-- study s -->\n4 cells x 6 seeds: 22 of 24 runs so far.\n")
    assert text.endswith("\n<!-- end of study s -->\nafter\n")
    assert "old" not in text
    path.write_text("nothing")
    with pytest.raises(UserError, match="put <!-- study s --> and <!-- end of study s --> where"):
        write_into(path, file, workspace)
    with pytest.raises(UserError, match="cannot be read"):
        write_into(tmp_path / "none.md", file, workspace)


def test_no_study_that_was_run_is_replaced(run, tmp_path):
    file, workspace = run
    with pytest.raises(UserError, match="was run in; give another folder"):
        share_study(file, workspace, workspace.path)
    written_study(tmp_path / "other")
    with pytest.raises(UserError, match="with runs of its own"):
        share_study(file, workspace, tmp_path / "other")
    (tmp_path / "new.study.toml").write_text("seeds.reported = [0]")
    with pytest.raises(UserError, match="was never run here"):
        share_study(read_study(tmp_path / "new.study.toml"), workspace, tmp_path / "third")
