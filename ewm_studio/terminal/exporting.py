"""The command `export`: a model as an ONNX file, kept only where it decides as the model does."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ewm_studio.errors import JobError, UserError
from ewm_studio.terminal.output import print_json, stdout_to_stderr, summary, write_line
from ewm_studio.terminal.trust import settle_trust
from ewm_studio.workspace.files import check_path, write_bytes

if TYPE_CHECKING:
    from ewm_studio.workspace import Workspace


def export(options: Any, workspace: Workspace) -> int:
    """Write and check the file, and print how alike the two are.

    Raises:
        UserError: bad input, or a part that cannot be exported. JobError: the file decides differently, and is not
            kept; the environment failed; the disk is full.
    """
    from ewm_studio.workspace.models import read_metadata

    target = _target(options.onnx)
    source = workspace.resolve_model(options.load_path)
    settle_trust(str(read_metadata(source).get("env", {}).get("id", "")), meant=options.trust_env)
    with stdout_to_stderr():
        result = _exported(source, target, options.seed)
    if options.json:
        print_json(result)
    else:
        write_line(summary(result))
    return 0


def _exported(source: Path, target: Path, seed: int) -> dict[str, Any]:
    from ewm_studio.acting.agent import load_agent
    from ewm_studio.acting.onnx_check import compare
    from ewm_studio.acting.onnx_export import check_onnx, export_onnx

    check_onnx()
    agent = load_agent(source)
    with tempfile.TemporaryDirectory(prefix="ewm-studio-") as folder:
        made = Path(folder) / target.name
        export_onnx(agent, made)
        found = compare(agent, made, seed)
        if found.differing:
            raise JobError(
                f"{target}: not written, since {found.differing} of {found.decisions} decisions differ from the "
                f"model's, and numbers by up to {found.largest:.3g}"
            )
        data = made.read_bytes()
    write_bytes(target, data)
    return {
        "file": str(target),
        "bytes": len(data),
        "model": str(source),
        "decisions": found.decisions,
        "differing": found.differing,
        "largest_difference": found.largest,
        "seed": found.seed,
        "reward": found.reward,
    }


def _target(text: str) -> Path:
    """Where the file goes.

    Raises:
        UserError: nothing can be written there.
    """
    path = Path(os.path.expanduser(text))
    check_path(path, "--onnx")
    if path.is_dir():
        raise UserError(f"--onnx {path}: is a folder; give a file such as {path / 'model.onnx'}")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--onnx {path}: the folder {path.absolute().parent} does not exist")
    return path
