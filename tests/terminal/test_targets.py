"""A file that a command writes replaces none of another kind, and never what it is made from."""

from __future__ import annotations

import shutil

import pytest

from ewm_studio.cli import main
from ewm_studio.workspace.pretrained import pretrained_model


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("m.safetensors", "give a file that ends in .onnx, such as model.onnx"),
        ("m.onnx", "is the model itself"),
        ("link.onnx", "is the model itself"),
    ],
)
def test_no_other_file_is_replaced_by_an_exported_one(tmp_path, capsys, name, line):
    model = pretrained_model("cartpole").model
    path = tmp_path / name
    if name == "link.onnx":
        shutil.copyfile(model, tmp_path / "m.onnx")
        path.symlink_to(tmp_path / "m.onnx")
    else:
        shutil.copyfile(model, path)
    words = ["--load-path", str(path), "--workspace", str(tmp_path / "ws"), "--onnx", str(path)]
    assert main(["export", *words]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said
    assert path.read_bytes() == model.read_bytes()
