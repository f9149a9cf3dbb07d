"""Torch tensors to and from the bytes of a container."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ewm_studio.errors import UserError
from ewm_studio.workspace.container import Entry

if TYPE_CHECKING:
    from torch import Tensor

# safetensors' name of each torch dtype; the others travel as bytes where the caller keeps their dtype.
DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "int16": "I16",
    "uint16": "U16",
    "int32": "I32",
    "uint32": "U32",
    "int64": "I64",
    "uint64": "U64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
}


def dtype_name(tensor: Tensor) -> str:
    """The dtype as torch spells it, without `torch.`."""
    return str(tensor.dtype).removeprefix("torch.")


def to_entry(tensor: Tensor) -> Entry:
    """A dense tensor of any device and layout; a dtype that safetensors does not name is given as its bytes.

    Raises:
        TypeError: a sparse or quantized tensor.
    """
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized:
        raise TypeError(f"a dense tensor is needed, not {tensor.layout} of {tensor.dtype}")
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    data = plain.reshape(-1).view(torch.uint8).numpy().data
    name = DTYPES.get(dtype_name(tensor))
    return Entry(name, tuple(plain.shape), data) if name else Entry("U8", (data.nbytes,), data)


def from_bytes(path: Path, data: bytes) -> dict[str, Tensor]:
    """The tensors of a container whose digest agreed, on the CPU.

    Raises:
        UserError: the file describes tensors that cannot be.
    """
    import safetensors.torch

    try:
        return safetensors.torch.load(data)
    except Exception as error:
        raise UserError(f"{path}: damaged, expected tensors, found: {str(error)[:200]}") from None
