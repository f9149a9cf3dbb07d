"""Settings files of any content end in one line, quickly."""

import os

import pytest

from ewm_studio.cli import main
from ewm_studio.errors import UserError
from ewm_studio.settings.experiment import LARGEST_FILE, read_settings

HOSTILE = {
    "deep list": "a = " + "[" * 100_000 + "]" * 100_000,
    "deep table": "[vision]\nname = 'auto'\nx = " + "{a=" * 400 + "1" + "}" * 400,
    "deep header": "[" + ".".join("a" * 9000) + "]",
    "digits": "[ppo]\nlr = " + "9" * 5000,
    "fewer digits": "[vision]\nname = 'auto'\nlatent_dim = " + "9" * 4000,
    "hex digits": "[run]\nseed = 0x" + "f" * 5000,
    "a date that is none": "a = 1979-99-99",
    "a date": "[run]\nseed = 1979-01-01",
    "a null": "\0",
    "large": "#" * (LARGEST_FILE + 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_text(tmp_path, capsys, name):
    path = tmp_path / "experiment.toml"
    path.write_text(HOSTILE[name])
    assert main(["train", "--config", str(path), "--workspace", str(tmp_path / "ws")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert str(path) in lines[0]
    assert len(lines[0]) < 500


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_bytes(b"\xc3\x28\x00")
    with pytest.raises(UserError, match="not a TOML file"):
        read_settings(path)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for place in (tmp_path / "pipe", tmp_path / "loop", tmp_path, "/dev/zero", "/dev/null", "/no\0where", "a" * 5000):
        with pytest.raises(UserError):
            read_settings(type(tmp_path)(place))


def test_a_sparse_file(tmp_path):
    path = tmp_path / "experiment.toml"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(UserError, match="at most"):
        read_settings(path)
