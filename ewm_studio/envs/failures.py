"""What an environment raises becomes one line that names it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ewm_studio.errors import JobError, UserError


@contextlib.contextmanager
def environment_at_work(env_id: str) -> Iterator[None]:
    """Where a single environment is stepped: what it raises becomes a `JobError` that names it.

    What is one clear line already stays as it is.
    """
    try:
        yield
    except (JobError, UserError):
        raise
    except Exception as error:
        raise JobError(f"environment {env_id} failed: {type(error).__name__}: {error}") from error
