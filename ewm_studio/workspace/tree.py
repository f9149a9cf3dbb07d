"""Trainer states: nested Python values with tensors and arrays among them, saved without pickle.

JSON holds the structure; tensors lie beside it under the numbers "0", "1", ... What JSON cannot tell apart is
written as an object with one tag: `{"tuple": [...]}`, `{"dict": [[key, value], ...]}`, `{"int": "0x..."}`,
`{"float": "nan"}`, `{"bytes": "..."}`, `{"tensor": [number, dtype, shape]}`, `{"array": [number, dtype, shape]}`,
`{"scalar": [number, dtype]}`.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ewm_studio.errors import UserError
from ewm_studio.workspace.container import Entry, read_container, write_container

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "ewm-studio-trainer"
VERSION = 1
_SAFE_INT = 2**53  # JSON readers other than Python's keep no more


def save_tree(path: str | Path, tree: Any, kind: str = FORMAT) -> str:
    """Write any nesting of dict (str and int keys), list, tuple, str, bytes, bool, int, float, None, torch tensors
    and NumPy arrays and scalars; gives the file's sha256.

    Raises:
        UserError or JobError: the file cannot be written. TypeError: a value of another kind; says where.
    """
    entries: dict[str, Entry] = {}
    structure = _encode(tree, "tree", entries)
    return write_container(Path(path), entries, {"format": kind, "version": VERSION, "tree": structure})


def load_tree(path: str | Path, kind: str = FORMAT) -> Any:
    """What `save_tree` was given: same types, same bits; tensors are on the CPU. `kind` is the file's format.

    Raises:
        UserError: which file, what was expected, what was found.
    """
    from ewm_studio.workspace.tensors import from_bytes

    path = Path(path)
    data, description = read_container(path, kind, VERSION)
    tensors = from_bytes(path, data)
    try:
        return _decode(description["tree"], tensors)
    except Exception as error:
        # The digest agreed, so this is no damage; but a file can be made with any content.
        raise UserError(
            f"{path}: expected a tree of values, found one that cannot be read ({type(error).__name__})"
        ) from None


def _encode(value: Any, where: str, entries: dict[str, Entry]) -> Any:
    """The JSON of one value; tensors go to `entries`."""
    if isinstance(value, np.ndarray | np.generic):
        return _encode_array(value, where, entries)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value) if -_SAFE_INT < value < _SAFE_INT else {"int": hex(value)}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, dict):
        for key in value:
            if type(key) not in (str, int):
                raise TypeError(f"{where}: keys are str or int, not {type(key).__name__}")
        return {
            "dict": [[_encode(k, where, entries), _encode(v, f"{where}[{k!r}]", entries)] for k, v in value.items()]
        }
    if isinstance(value, list | tuple):
        items = [_encode(v, f"{where}[{i}]", entries) for i, v in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    torch = sys.modules.get("torch")  # a value can only be a tensor if torch is there
    if torch is not None and isinstance(value, torch.Tensor):
        from ewm_studio.workspace.tensors import dtype_name, to_entry

        number = str(len(entries))
        entries[number] = to_entry(value)
        return {"tensor": [number, dtype_name(value), list(value.shape)]}
    raise TypeError(f"{where}: a {type(value).__name__} cannot be saved")


def _encode_array(value: np.ndarray | np.generic, where: str, entries: dict[str, Entry]) -> Any:
    array = np.asarray(value)
    if array.dtype.hasobject or array.dtype.names is not None:
        raise TypeError(f"{where}: an array of {array.dtype} cannot be saved")
    number, data = str(len(entries)), np.frombuffer(array.tobytes(), np.uint8)
    entries[number] = Entry("U8", data.shape, data.data)
    if isinstance(value, np.generic):
        return {"scalar": [number, array.dtype.str]}
    return {"array": [number, array.dtype.str, list(array.shape)]}


def _decode(node: Any, tensors: dict[str, Tensor]) -> Any:
    """The value of one piece of JSON."""
    if isinstance(node, list):
        return [_decode(item, tensors) for item in node]
    if not isinstance(node, dict):
        return node
    ((tag, content),) = node.items()
    if tag == "dict":
        return {_decode(key, tensors): _decode(value, tensors) for key, value in content}
    if tag == "tuple":
        return tuple(_decode(item, tensors) for item in content)
    if tag == "int":
        return int(content, 16)
    if tag == "float":
        return float(content)
    if tag == "bytes":
        return bytes.fromhex(content)
    if tag == "tensor":
        return _decode_tensor(content, tensors)
    if tag in ("array", "scalar"):
        number, dtype, *shape = content
        # Each lies in the file for one place only: named twice, a small file would fill the memory.
        array = np.frombuffer(tensors.pop(number).numpy().tobytes(), np.dtype(dtype)).reshape(shape[0] if shape else ())
        return array.copy() if tag == "array" else array[()]
    raise ValueError(f"unknown tag {tag}")


def _decode_tensor(content: list[Any], tensors: dict[str, Tensor]) -> Tensor:
    import torch

    number, dtype, shape = content

    kind = getattr(torch, dtype)
    if not isinstance(kind, torch.dtype):
        raise ValueError(f"no dtype {dtype}")
    tensor = tensors.pop(number)
    return (tensor if tensor.dtype == kind else tensor.view(kind)).reshape(shape)
