"""What a setting may say of where a cluster is."""

from __future__ import annotations

import re

AUTO, SCHEME = "auto", "ray://"  # what an address may be, and what it begins with


def check_cluster_place(value: str) -> str:
    """Empty for this computer, `auto`, or `ray://HOST:PORT`.

    Raises:
        ValueError: it is none of them.
    """
    if value and value != AUTO and not re.fullmatch(rf"{SCHEME}[^/\s]+/?", value):
        raise ValueError(f"should be auto or an address such as {SCHEME}host:10001")
    return value
