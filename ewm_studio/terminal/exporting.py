"""The command `export`: a model as an ONNX file, kept only where it decides as the model does."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ewm_studio.errors import JobError
from ewm_studio.terminal.output import print_json, stdout_to_stderr, summary, write_line
from ewm_studio.terminal.targets import file_to_write
from ewm_studio.terminal.trust import settle_trust
from ewm_studio.workspace.files import write_bytes

if TYPE_CHECKING:
    from ewm_studio.workspace import Workspace


def export(options: Any, workspace: Workspace) -> int:
    """Write and check the file, and print how alike the two are.

    Raises:
        UserError: bad input, or a part that cannot be exported. JobError: the file decides differently, and is not
            kept; the environment failed; the disk is full.
    """
    from ewm_studio.workspace.models import read_metadata

    source = workspace.resolve_model(options.load_path)
    target = file_to_write("--onnx", options.onnx, ("model.onnx",), {"model": source})
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
