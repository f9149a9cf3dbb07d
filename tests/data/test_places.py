"""No name and no link leads out of the workspace's recordings."""

import os

import pytest

from ewm_studio.cli import main
from ewm_studio.data.library import Library
from ewm_studio.data.recordings import RecordingWriter
from ewm_studio.errors import UserError
from ewm_studio.workspace import Workspace
from tests.support.recorded import META, episode


@pytest.fixture
def elsewhere(tmp_path):
    folder = tmp_path / "elsewhere"
    RecordingWriter(folder, META).add_episode(**episode(1, 20))
    return folder


@pytest.fixture
def library(tmp_path, elsewhere):
    workspace = Workspace(tmp_path / "ws")
    library = Library(workspace)
    for name in ("a", "b"):
        RecordingWriter(library.folder / name, META).add_episode(**episode(2, 10))
    (library.folder / "link").symlink_to(elsewhere)
    (library.folder / "loop").symlink_to("loop")
    (library.folder / "a" / "000002.h5").symlink_to(elsewhere / "000001.h5")
    (library.folder / "a-file").touch()
    os.mkfifo(library.folder / "pipe")
    (library.folder / os.fsdecode(b"no-\xff-text")).mkdir()
    (library.folder / "\x1b[2J").mkdir()
    return library


def everything(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def outside(library, elsewhere):
    paths = ["../../elsewhere", "../recordings/../../elsewhere", f"{elsewhere}/../elsewhere", "..", "."]
    return [*paths, "link", str(library.folder / "link"), "loop", "pipe", "", "\0"]


def test_lists_are_of_what_is_here(library):
    assert library.names() == ["a", "b"]
    assert {info.name: info.episodes for info in library.recordings()} == {"a": 1, "b": 1}
    assert library.find(str(library.folder / "a")).folder == library.folder / "a"


def test_a_folder_named_in_full_is_read_and_never_changed(library, elsewhere):
    before = everything(elsewhere)
    assert library.find(str(elsewhere)).step_count == 20
    assert [r.folder for r in library.find_all(f"a,{elsewhere}")] == [library.folder / "a", elsewhere]
    for act in (library.delete, lambda name: library.rename(name, "c"), lambda name: library.merge(["a", "b"], name)):
        with pytest.raises(UserError):
            act(str(elsewhere))
    assert everything(elsewhere) == before


def test_nothing_outside_is_read_changed_or_deleted(library, elsewhere):
    before = everything(elsewhere)
    for name in outside(library, elsewhere):
        for act in (
            lambda name: library.find(name),
            lambda name: library.find_all(name),
            lambda name: library.delete(name),
            lambda name: library.rename(name, "c"),
            lambda name: library.rename("b", name),
            lambda name: library.merge(["a", name], "c"),
            lambda name: library.merge(["a", "b"], name),
        ):
            with pytest.raises(UserError):
                act(name)
    for path in (elsewhere / "000001.h5", library.folder / "link" / "000001.h5", library.folder / "a" / "000002.h5"):
        with pytest.raises(UserError):
            library.delete_episode(path)
        with pytest.raises(UserError):
            library.cut(path, 0, 3)
    assert everything(elsewhere) == before
    assert library.names() == ["a", "b"]


def test_nothing_is_recorded_outside(library, elsewhere, tmp_path, capsys):
    before = everything(elsewhere)
    for name in [str(elsewhere), *(n for n in outside(library, elsewhere) if n and n != "\0")]:
        words = ["record", "--recording", name, "--frames", "16", "--workspace", str(tmp_path / "ws")]
        assert main(words) == 2, name
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert everything(elsewhere) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["elsewhere", "ws"]


def test_an_episode_is_never_written_over_what_is_in_the_way(library):
    writer = RecordingWriter(library.folder / "a", META)
    assert writer.add_episode(**episode(4, 5)).name == "000003.h5"
