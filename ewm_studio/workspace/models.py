"""Model files: the weights and everything needed to build the model, in one `.safetensors` file that loads alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ewm_studio.workspace.container import read_container, read_header, write_container

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "ewm-studio-model"
VERSION = 1


def save_model(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> str:
    """Write a model file aside and put it in place; gives its sha256.

    Args:
        path: where it goes; what was there stays until the new file is whole.
        tensors: weights by name, of any device, layout and shape.
        metadata: what JSON can hold; `format` and `version` are added.

    Raises:
        UserError or JobError: the file cannot be written. TypeError: a tensor of a dtype no model has (complex).
    """
    from ewm_studio.workspace.tensors import DTYPES, dtype_name, to_entry

    for name, tensor in tensors.items():
        if dtype_name(tensor) not in DTYPES:
            raise TypeError(f"tensor {name!r}: no model file holds {tensor.dtype}")
    entries = {name: to_entry(tensor) for name, tensor in tensors.items()}
    return write_container(Path(path), entries, {**metadata, "format": FORMAT, "version": VERSION})


def load_model(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights (on the CPU) and metadata of a model file, whole and checked.

    Raises:
        UserError: which file, what was expected, what was found.
    """
    from ewm_studio.workspace.tensors import from_bytes

    path = Path(path)
    data, metadata = read_container(path, FORMAT, VERSION)
    return from_bytes(path, data), metadata


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata alone, for lists: quick, without torch, and without checking the digest.

    Raises:
        UserError: as `load_model`, as far as the header shows it.
    """
    return read_header(Path(path), FORMAT, VERSION).description
