"""Damage of many kinds to the bytes of a file, every piece of it repeatable by its seed."""

from collections.abc import Callable

import numpy as np

Mutation = Callable[[bytes, np.random.Generator], bytes]


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bits, anywhere."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        changed[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def flip_near_start(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bits where files say what is in them."""
    head = min(len(data), 4096)
    return flip(data[:head], rng) + data[head:]


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    """Only the beginning."""
    return data[: int(rng.integers(len(data)))]


def randomize(data: bytes, rng: np.random.Generator) -> bytes:
    """A stretch of noise."""
    begin = int(rng.integers(len(data)))
    noise = rng.bytes(int(rng.integers(1, 200)))
    return (data[:begin] + noise + data[begin + len(noise) :])[: len(data)]


def grow_size(data: bytes, rng: np.random.Generator) -> bytes:
    """A field of eight bytes says something huge."""
    at = 8 * int(rng.integers(max(1, len(data) // 8)))
    huge = int(rng.choice([2**31, 2**33, 2**40, 2**62, 2**63 - 1])) + int(rng.integers(9))
    return data[:at] + huge.to_bytes(8, "little")[: len(data) - at] + data[at + 8 :]


def swap_fields(data: bytes, rng: np.random.Generator) -> bytes:
    """A field of eight bytes says what another says: addresses that lead in a circle."""
    fields = np.frombuffer(data[: len(data) // 8 * 8], np.uint64)
    places = np.flatnonzero((fields > 0) & (fields < len(data)))
    if len(places) < 2:
        return flip(data, rng)
    changed = fields.copy()
    one, other = rng.choice(places, 2)
    changed[one] = fields[other]
    return changed.tobytes() + data[len(data) // 8 * 8 :]


def insert(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes that were not there."""
    at = int(rng.integers(len(data)))
    return data[:at] + rng.bytes(int(rng.integers(1, 64))) + data[at:]


MUTATIONS: tuple[Mutation, ...] = (flip, flip_near_start, cut, randomize, grow_size, swap_fields, insert)
