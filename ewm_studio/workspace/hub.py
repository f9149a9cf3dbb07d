"""Models handed on by the Hugging Face Hub: a folder goes up or comes down, when that is asked for and never else.

What is taken from the Hub is a `.safetensors` file, which only holds numbers, and texts and pictures beside it; nothing
is unpickled, no code comes along, and the file is read through before the folder is put in its place.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ewm_studio.errors import JobError, UserError
from ewm_studio.processes.living import owner
from ewm_studio.resources import resource
from ewm_studio.workspace.files import move_new, write_error
from ewm_studio.workspace.models import load_model
from ewm_studio.workspace.pretrained import FOLDER
from ewm_studio.workspace.record import SETTINGS
from ewm_studio.workspace.replays import MODEL_NAME
from ewm_studio.workspace.workspace import Workspace

README, CARD_TEXT = "README.md", "card.md"
TAKEN = (MODEL_NAME, SETTINGS, CARD_TEXT, "card.json", README, "*.png")  # of a folder, in either direction
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_HEAD = """---
library_name: ewm-studio
tags:
- reinforcement-learning
- world-model
{license}---
"""


def hub_api() -> Any:
    """What talks to the Hub: huggingface_hub's own, with the token that its login has stored, if any.

    Raises:
        UserError: the extra is missing.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise UserError(
            f"the Hub needs {error.name or error}; install it with the extra 'hub': uv sync --extra hub, or "
            "pip install 'ewm-studio[hub]'"
        ) from None
    return HfApi(library_name="ewm-studio")


def push_model(
    model: Path,
    repo: str,
    api: Any,
    workspace: Workspace,
    private: bool = False,
    before: Callable[[list[str]], object] = lambda names: None,
) -> list[str]:
    """Put a model and what belongs to it into a repository of the Hub, which is made where it is missing.

    Args:
        model: the file. Of a shipped or a pulled one its folder goes along, of a run's its settings; any other goes
            alone, since nobody knows what lies beside it.
        repo: `owner/name`.
        api: an `HfApi`, or what does the same.
        workspace: holds the runs and what was pulled.
        private: a repository that is made is seen by its owner alone.
        before: told the names of the files before the first of them goes.

    Returns:
        the names of the files.

    Raises:
        UserError: the name is none, the model is damaged, or the Hub does not let one in. JobError: it failed.
    """
    _check_repo(repo)
    load_model(model)
    with tempfile.TemporaryDirectory(prefix="ewm-studio-") as text:
        folder = Path(text)
        _gather(model, _belonging(model, workspace), folder, repo)
        names = sorted(path.name for path in folder.iterdir())
        before(names)
        with _of_the_hub(repo):
            api.create_repo(repo, private=private, exist_ok=True, repo_type="model")
            api.upload_folder(repo_id=repo, folder_path=folder, commit_message="A model of EWM Studio")
        return names


def pull_model(
    repo: str, folder: Path, api: Any, check: Callable[[Path], object] = load_model, revision: str | None = None
) -> Path:
    """Bring a model's folder from the Hub to `folder`, which must not exist; gives the model file.

    Args:
        repo: `owner/name`.
        folder: where it goes, once it is whole and checked.
        api: an `HfApi`, or what does the same.
        check: reads the model file through, and raises a UserError for one that is none.
        revision: a branch, a tag or a commit; None is the newest.

    Raises:
        UserError: the name is none, there is no such repository, it holds no model of ours, or the folder is there.
        JobError: the Hub failed, or the disk is full.
    """
    _check_repo(repo)
    if os.path.lexists(folder):
        raise UserError(f"{folder} is there already; delete it to pull {repo} again")
    aside = folder.with_name(f".{folder.name}.{owner()}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _of_the_hub(repo):
            api.snapshot_download(repo, revision=revision, local_dir=aside / "all", allow_patterns=list(TAKEN))
        (aside / "kept").mkdir(exist_ok=True)
        for pattern in TAKEN:
            for path in sorted((aside / "all").glob(pattern)):
                if path.is_file() and not path.is_symlink():
                    os.replace(path, aside / "kept" / path.name)
        if not (aside / "kept" / MODEL_NAME).is_file():
            raise UserError(f"{repo}: expected a {MODEL_NAME} of EWM Studio, found none")
        check(aside / "kept" / MODEL_NAME)
        move_new(aside / "kept", [folder])
    except OSError as error:
        raise write_error(folder, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder / MODEL_NAME


def _belonging(model: Path, workspace: Workspace) -> list[Path]:
    """The files that go up with a model: those of a folder that the studio keeps for it, and of nobody else's."""
    place, patterns = model.resolve().parent, list(TAKEN[1:])
    if run := workspace.run_of(model):
        place, patterns = workspace.runs_folder / run, [SETTINGS]
    elif place.parent not in (resource(FOLDER).resolve(), workspace.models_folder.resolve()):
        return []
    found = [path for pattern in patterns for path in place.glob(pattern)]
    return [path for path in found if path.is_file() and not path.is_symlink()]


def _gather(model: Path, beside: list[Path], folder: Path, repo: str) -> None:
    """Copy what goes up into a folder."""
    for path, name in ((model, MODEL_NAME), *((each, each.name) for each in beside)):
        shutil.copyfile(path, folder / name)
    if not (folder / README).exists():
        card = folder / CARD_TEXT
        told = card.read_text(encoding="utf-8") if card.exists() else f"# {repo.rpartition('/')[2]}\n"
        head = _HEAD.format(license="license: mit\n" if "Licence: MIT" in told else "")
        told += f"\nTo have it: `ewm-studio models pull {repo}`.\n"
        (folder / README).write_text(head + told, encoding="utf-8")


def _check_repo(repo: str) -> None:
    if not _REPO.fullmatch(repo):
        raise UserError(f"'{repo[:80]}' is no repository of the Hub; give one such as my-name/my-driver")


@contextlib.contextmanager
def _of_the_hub(repo: str) -> Iterator[None]:
    """What the Hub or the way to it fails with, as one line of ours.

    Raises:
        UserError: the person can mend it: no such repository, not let in. JobError: nobody here can.
    """
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        kinds = {cls.__name__ for cls in type(error).__mro__}
        line = " ".join(str(error).split())[:300]
        status = getattr(getattr(error, "response", None), "status_code", None)
        if kinds & {"GatedRepoError", "LocalTokenNotFoundError"} or status in (401, 403):
            raise UserError(
                f"{repo}: the Hub does not let you in, or there is no such repository; log in with `hf auth login` "
                f"({line})"
            ) from error
        if kinds & {"RepositoryNotFoundError", "RevisionNotFoundError"} or status == 404:
            raise UserError(f"{repo}: no such repository or revision on the Hub ({line})") from error
        if kinds & {"HFValidationError"}:
            raise UserError(f"{repo}: {line}") from error
        raise JobError(f"{repo}: the Hub cannot be reached or failed ({type(error).__name__}: {line})") from error
