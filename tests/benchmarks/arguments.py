"""Arguments that several benchmarks take."""

from __future__ import annotations

import argparse
from pathlib import Path

from ewm_studio.errors import UserError
from ewm_studio.workspace.models import read_metadata


def model_file(text: str) -> Path:
    """A model's file that can be read: what is wrong with it is said before anything is opened, with exit code 2."""
    path = Path(text).resolve()
    try:
        read_metadata(path)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return path
