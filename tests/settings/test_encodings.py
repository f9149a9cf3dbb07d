"""Settings files as editors of Windows write them."""

import pytest

from ewm_studio import cli
from ewm_studio.errors import UserError
from ewm_studio.jobs.launch import build_experiment
from ewm_studio.settings import Experiment
from ewm_studio.settings.study_file import read_study
from ewm_studio.workspace import Workspace

SETTINGS = "[ppo]\r\nlr = 0.25\r\n"
STUDY = "seeds.reported = [0]\r\nbudget.frames = 64\r\n"


def test_a_mark_before_the_text_is_no_part_of_it(tmp_path):
    (tmp_path / "x.toml").write_bytes(SETTINGS.encode("utf-8-sig"))
    assert Experiment.from_toml(tmp_path / "x.toml").ppo.lr == 0.25
    (tmp_path / "x.study.toml").write_bytes(f'base = "x.toml"\r\n{STUDY}'.encode("utf-8-sig"))
    file = read_study(tmp_path / "x.study.toml")
    assert file.check()[0].experiment.ppo.lr == 0.25
    assert file.text.startswith("base")
    assert file.base_text.startswith("[ppo]")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "latin-1"])
def test_another_encoding_is_said_with_what_to_do(tmp_path, encoding):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    for name, read in (("x.toml", Experiment.from_toml), ("x.study.toml", read_study)):
        (tmp_path / name).write_bytes(f'{mark}title = "é"\r\n'.encode(encoding))
        with pytest.raises(UserError, match=r"not a TOML file \(.*\); save it as UTF-8$"):
            read(tmp_path / name)


def test_a_settings_file_may_lie_in_the_home_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "x.toml").write_text(SETTINGS)
    assert build_experiment(Workspace(tmp_path / "ws"), config="~/x.toml").experiment.ppo.lr == 0.25
    assert cli.main(["train", "--config", "~/none.toml", "--workspace", str(tmp_path / "ws")]) == 2
    assert f"{tmp_path / 'none.toml'}: no such file" in capsys.readouterr().err
