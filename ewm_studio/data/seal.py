"""What an episode's file carries behind its HDF5 content: a checksum of all of it but the compressed observations.

HDF5 follows the addresses in a file wherever they lead: damage has it crash, run in circles, or hand out wrong numbers.
So what was damaged is found before it is opened. The chunks of observations have checksums of their own in HDF5.

Behind the content: JSON `{"end": bytes, "regions": [[begin, end], ...], "crc32": number}`, its length in 8 bytes,
little-endian, and 8 bytes by which all this is known. HDF5 itself reads over it.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

_MARK = b"EWMSEAL\x01"
_TAIL = 8 + len(_MARK)
_LONGEST = 2**24  # bytes of the JSON


def sealed(image: bytes, chunks: Iterable[tuple[int, int]]) -> bytes:
    """A file's content with its seal behind.

    Args:
        image: the content.
        chunks: where pieces lie that have checksums of their own, as (first byte, bytes).
    """
    regions = list(_between(sorted(chunks), len(image)))
    checksum = 0
    for begin, end in regions:
        checksum = zlib.crc32(memoryview(image)[begin:end], checksum)
    text = json.dumps({"end": len(image), "regions": regions, "crc32": checksum}).encode("ascii")
    # What the seal says is sealed too: it comes after itself.
    text += b" " + f"{zlib.crc32(text):08x}".encode("ascii")
    return b"".join([image, text, len(text).to_bytes(8, "little"), _MARK])


def is_sealed(path: Path) -> bool:
    """Whether a file has a seal; then its content agrees with it.

    Raises:
        OSError: it cannot be read. ValueError: it is damaged.
    """
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < _TAIL:
            return False
        file.seek(size - _TAIL)
        length, mark = int.from_bytes(file.read(8), "little"), file.read(len(_MARK))
        if mark != _MARK:
            return False
        if length > min(size - _TAIL, _LONGEST):
            raise ValueError("its seal is broken")
        file.seek(size - _TAIL - length)
        _check(file, file.read(length), size - _TAIL - length)
    return True


def _check(file: BinaryIO, text: bytes, size: int) -> None:
    """Compare the content with what the seal says of it."""
    said, _, own = text.rpartition(b" ")
    if own != f"{zlib.crc32(said):08x}".encode("ascii"):
        raise ValueError("its seal is broken")
    seal = json.loads(said)
    if seal["end"] != size:
        raise ValueError(f"expected {seal['end']} bytes, found {size}")
    checksum, last = 0, 0
    for begin, end in seal["regions"]:
        if not last <= begin <= end <= size:
            raise ValueError("its seal is broken")
        last = end
        file.seek(begin)
        checksum = zlib.crc32(file.read(end - begin), checksum)
    if checksum != seal["crc32"]:
        raise ValueError("its content does not agree with its checksum")


def _between(chunks: list[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """What lies before, between and behind the chunks."""
    at = 0
    for begin, length in chunks:
        if begin > at:
            yield at, begin
        at = max(at, begin + length)
    if at < size:
        yield at, size
