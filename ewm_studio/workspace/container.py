"""The one file format for models and trainer states: safetensors, described by JSON and sealed by a digest.

The header's `__metadata__` holds two texts of ours: `ewm-studio`, a JSON object with `format` and `version`, and
`sha256`, the digest of the whole file taken with the digest's own 64 characters as zeros. So every flipped bit is
found, in the header too, while any program that reads safetensors reads the tensors. Needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ewm_studio.errors import UserError
from ewm_studio.machine import memory_bytes
from ewm_studio.workspace.files import write_aside

KEY = "ewm-studio"
_DIGEST = len(hashlib.sha256().hexdigest())
_ZEROS = "0" * _DIGEST
# The digest comes first, so that its place is known: after the 8 bytes of the header's length and this.
_PREFIX = b'{"__metadata__":{"sha256":"'
_START = 8 + len(_PREFIX)
_LONGEST_HEADER = 100_000_000  # what the safetensors library accepts


@dataclass(frozen=True)
class Entry:
    """One tensor's bytes, little-endian, with its safetensors dtype ("F32", "U8", ...) and shape."""

    dtype: str
    shape: tuple[int, ...]
    data: memoryview


@dataclass(frozen=True)
class Header:
    """What a file says about itself."""

    description: dict[str, Any]  # has `format` and `version`
    digest: str
    size: int  # bytes the whole file should have


def write_container(path: Path, entries: Mapping[str, Entry], description: dict[str, Any]) -> str:
    """Write tensors and their description aside, put the file in place, and give its digest.

    Raises:
        UserError or JobError: the file cannot be written.
    """
    header: dict[str, Any] = {"__metadata__": {"sha256": _ZEROS, "format": "pt", KEY: json.dumps(description)}}
    # Widest first keeps every tensor aligned to its own item size.
    order = sorted(entries, key=lambda n: (-_item_size(entries[n]), n))
    offset = 0
    for name in order:
        entry = entries[name]
        end = offset + entry.data.nbytes
        header[name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    pieces: list[bytes | memoryview] = [len(text).to_bytes(8, "little"), text, *(entries[n].data for n in order)]

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
            file.seek(_START)
            file.write(digest.hexdigest().encode("ascii"))

    write_aside(path, write)
    return digest.hexdigest()


def read_header(path: Path, expected: str, version: int) -> Header:
    """What the file says about itself, without reading its tensors and without checking the digest.

    Raises:
        UserError: it is missing, no file, unreadable, truncated, damaged, of another program, of another format of
            ours than `expected`, or of a newer version.
    """
    with _Opened(path) as file:
        return _read_header(path, file, expected, version)


def read_container(path: Path, expected: str, version: int) -> tuple[bytes, dict[str, Any]]:
    """The whole file, checked against its digest, and its description.

    Raises:
        UserError: as `read_header`, or the digest does not agree.
    """
    with _Opened(path) as file:
        header = _read_header(path, file, expected, version)
        if header.size > memory_bytes():
            raise UserError(f"{path}: {header.size:,} bytes are more than this machine's memory holds")
        file.seek(0)
        try:
            data = file.read(header.size)
        except MemoryError:
            raise UserError(f"{path}: there is no memory for its {header.size:,} bytes") from None
    view = memoryview(data)
    found = hashlib.sha256(view[:_START])
    found.update(_ZEROS.encode("ascii"))
    found.update(view[_START + _DIGEST :])
    if found.hexdigest() != header.digest or data[_START : _START + _DIGEST] != header.digest.encode():
        raise UserError(f"{path}: damaged, expected sha256 {header.digest:.12}..., found {found.hexdigest():.12}...")
    return data, header.description


def _item_size(entry: Entry) -> int:
    count = 1
    for size in entry.shape:
        count *= size
    return entry.data.nbytes // count if count else 0


class _Opened:
    """A regular file opened for reading; every failure of the file system becomes a `UserError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def __enter__(self) -> BinaryIO:
        path = self._path
        try:
            # Asked before opening: opening a named pipe would wait for a writer.
            mode = os.stat(path).st_mode
            if stat.S_ISDIR(mode):
                raise UserError(f"{path}: expected a .safetensors file, found a folder")
            if not stat.S_ISREG(mode):
                raise UserError(f"{path}: expected a .safetensors file, found something that is no file")
            self._file = open(path, "rb")
        except FileNotFoundError:
            raise UserError(f"{path}: expected a file, found nothing by that name") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise UserError(f"{path}: expected a readable file, found: {reason}") from None
        return self._file

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._file is not None:
            self._file.close()
        if isinstance(error, OSError):
            raise UserError(f"{self._path}: expected a readable file, found: {error.strerror or error}") from None


def _read_header(path: Path, file: BinaryIO, expected: str, version: int) -> Header:
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise UserError(f"{path}: expected {expected}, found an empty file")
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > _LONGEST_HEADER or (length > size - 8 and not file.read(1) == b"{"):
        raise UserError(f"{path}: expected {expected}, found a file that is no safetensors file")
    if length > size - 8:
        raise UserError(f"{path}: truncated, expected a header of {length} bytes, found {size - 8}")
    text = file.read(length)
    if not text.startswith(b"{"):
        raise UserError(f"{path}: expected {expected}, found a file that is no safetensors file")
    if len(text) < length:
        raise UserError(f"{path}: truncated, expected a header of {length} bytes, found {len(text)}")
    header = _parse(path, text, expected)
    texts = header.get("__metadata__")
    if not isinstance(texts, dict) or not isinstance(texts.get(KEY), str):
        raise UserError(f"{path}: expected {expected}, found a safetensors file of another program")
    description = _parse(path, texts[KEY].encode("utf-8", "replace"), expected)
    if description.get("format") != expected:
        raise UserError(f"{path}: expected {expected}, found {str(description.get('format'))[:60]}")
    _check_version(path, description.get("version"), version)
    digest = texts.get("sha256")
    if not text.startswith(_PREFIX) or not isinstance(digest, str) or len(digest) != _DIGEST:
        raise UserError(f"{path}: expected a file as EWM Studio writes it, found one without its sha256")
    total = 8 + length + max(_ends(path, header), default=0)
    if size != total:
        raise UserError(f"{path}: {'truncated' if size < total else 'damaged'}, expected {total} bytes, found {size}")
    return Header(description, digest, size)


def _parse(path: Path, text: bytes, expected: str) -> dict[str, Any]:
    """A JSON object; anything else is damage."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise UserError(f"{path}: damaged, expected {expected}, found a header that is no JSON") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: damaged, expected {expected}, found a header that is no JSON object")
    return value


def _check_version(path: Path, found: Any, newest: int) -> None:
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise UserError(f"{path}: damaged, expected a version from 1 to {newest}, found {str(found)[:40]}")
    if found > newest:
        raise UserError(
            f"{path}: expected a version up to {newest}, found {str(found)[:40]}; update EWM Studio to read it"
        )


def _ends(path: Path, header: dict[str, Any]) -> Iterator[int]:
    """Where each tensor's bytes end, from the end of the header."""
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(o) is int and o >= 0 for o in offsets):
            raise UserError(f"{path}: damaged, expected the place of tensor {name[:60]!r}, found none")
        yield offsets[1]
