"""A study handed on without its runs says the same as with them."""

import re
import tomllib
from pathlib import Path

import pytest

from ewm_studio.errors import JobError, UserError
from ewm_studio.jobs.studies import sharing
from ewm_studio.jobs.studies.figures import study_figures
from ewm_studio.jobs.studies.found import study_of
from ewm_studio.jobs.studies.outcome import write_outcome
from ewm_studio.jobs.studies.sharing import share_study, write_into
from ewm_studio.jobs.studies.standing import standing
from ewm_studio.settings.study_file import read_study
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import StudyFolder
from tests.support.studies import TWO_MEMORIES, written_study


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


def all_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def based(tmp_path):
    """A study that begins with a settings file which lies above it, and the workspace of its runs."""
    place = tmp_path / "workspace"
    (tmp_path / "mine.toml").write_text("[ppo]\nepochs = 3\n")
    text = f"# base = 'no.toml' is not it\nbase = '../mine.toml'  # my own\n{TWO_MEMORIES}"
    written_study(place, text)
    return study_of(place, "s"), Workspace(place)


def test_its_base_goes_along_and_nothing_is_written_elsewhere(based, tmp_path):
    file, workspace = based
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.toml").write_text("another's")
    for _ in range(2):
        share_study(file, workspace, out / "shared")
    assert sorted(path.name for path in out.iterdir()) == ["mine.toml", "shared"]
    assert (out / "mine.toml").read_text() == "another's"
    assert sorted(path.name for path in (out / "shared").iterdir()) == ["README.md", "s.study.toml", "studies"]
    (tmp_path / "mine.toml").unlink()
    there = read_study(out / "shared" / "s.study.toml")
    assert there.plans()[0].experiment.ppo.epochs == 3
    assert there.path.read_text().startswith("# base = 'no.toml' is not it\nbase = \"studies/s/base.toml\"  # my own\n")
    assert {**tomllib.loads(file.path.read_text()), "base": "studies/s/base.toml"} == tomllib.loads(
        there.path.read_text()
    )


def test_a_share_that_fails_leaves_the_earlier_one(based, tmp_path, monkeypatch):
    file, workspace = based
    target = tmp_path / "shared"
    share_study(file, workspace, target)
    before = all_in(target)
    text = file.path.read_text()

    def full(*_: object) -> None:
        raise JobError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(sharing, "write_outcome", full)
        with pytest.raises(JobError, match="the disk is full"):
            share_study(file, workspace, target)
    with monkeypatch.context() as patch:
        patch.setattr(sharing, "move_new", lambda *_: (tmp_path / "no" / "such").read_text())
        with pytest.raises(UserError, match="cannot be written"):
            share_study(file, workspace, target)
    file.path.write_text(text.replace("base = '../mine.toml'", 'base = """../mine.toml"""'))
    with pytest.raises(UserError, match="write its base in a line of its own"):
        share_study(study_of(workspace.path, "s"), workspace, target)
    file.path.write_text(text)
    (tmp_path / "mine.toml").unlink()
    with pytest.raises(UserError, match=r"mine\.toml"):
        share_study(study_of(workspace.path, "s"), workspace, target)
    assert all_in(target) == before
    assert sorted(path.name for path in target.iterdir()) == ["README.md", "s.study.toml", "studies"]


def test_nothing_is_replaced_that_a_person_wrote(run, tmp_path):
    file, workspace = run
    target = tmp_path / "project"
    target.mkdir()
    (target / "README.md").write_text("# My project\n\n## Report\n")
    with pytest.raises(UserError, match=r"README.md: not written by study share"):
        share_study(file, workspace, target)
    assert all_in(target) == {"README.md": b"# My project\n\n## Report\n"}
    (target / "README.md").unlink()
    (target / "s.study.toml").write_text("title = 'mine'")
    with pytest.raises(UserError, match=r"s.study.toml: another study of this name"):
        share_study(file, workspace, target)
    assert all_in(target) == {"s.study.toml": b"title = 'mine'"}


def test_the_studys_own_file_stays_as_it_is_where_it_is_shared_beside_it(based, tmp_path):
    file, workspace = based
    mine = tmp_path / "project" / "s.study.toml"
    mine.parent.mkdir()
    mine.write_text(file.path.read_text())
    share_study(read_study(mine), workspace, mine.parent)
    assert mine.read_text() == file.path.read_text()
    assert (mine.parent / "studies" / "s" / "report.html").is_file()
