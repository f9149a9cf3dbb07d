"""The commands of the command line and the parsers of their words."""

from __future__ import annotations

import argparse
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ewm_studio.jobs.kinds import KINDS, JobKind, job_kind, look_for_kinds
from ewm_studio.terminal.output import write_line

if TYPE_CHECKING:
    from ewm_studio.workspace import Workspace

LISTS = {
    "components": "List vision, memory and controller components.",
    "envs": "List environments.",
    "runs": "List the workspace's runs.",
    "models": "List the trained models that come with the studio; push models to the Hugging Face Hub, pull them.",
    "recordings": "List the workspace's recordings; merge them, export them to Minari and import from it.",
}
CARD, STUDY, EXPORT = "card", "study", "export"
_STUDY_HELP = "Compare parts and settings over seeds, by the same episodes, with intervals: run, status, report, stop."
_EXPORT_HELP = "Write a model as an ONNX file that other programs run, checked against the model over an episode."
_CARD_HELP = "Play runs of one preset on unseen episodes and write the best one's card."


@cache
def kinds_told() -> dict[str, JobKind]:
    """All kinds of jobs by name; a package that brings one amiss is named on stderr, once."""
    kinds, lines = look_for_kinds()
    for line in lines:
        write_line(f"ewm-studio: {line}", error=True)
    return kinds


def is_job(word: str) -> bool:
    """Whether a word is the command of a kind of job."""
    kind = KINDS.get(word) or (None if word.startswith("-") else kinds_told().get(word))
    return kind is not None and bool(kind.summary)


def commands() -> dict[str, str]:
    """All commands, each with its line of help."""
    jobs = {kind.name: kind.summary for kind in kinds_told().values() if kind.summary}
    return {**jobs, STUDY: _STUDY_HELP, **LISTS, CARD: _CARD_HELP, EXPORT: _EXPORT_HELP}


def job_parser(command: str) -> Any:
    """The parser of one of the jobs."""
    from ewm_studio.terminal.flags import Parser, add_common, add_flags

    kind = job_kind(command)
    parser = Parser(f"ewm-studio {command}", kind.summary, f"examples:\n{kind.examples}" if kind.examples else None)
    add_common(parser, command)
    add_flags(parser, command)
    return parser


def card_parser() -> Any:
    """The parser of `card`."""
    from ewm_studio.terminal.flags import TRUST_HELP, Parser, add_place

    parser = Parser(f"ewm-studio {CARD}", _CARD_HELP)
    parser.add_argument("--trust-env", action="store_true", help=TRUST_HELP)
    parser.add_argument("runs", metavar="RUN", nargs="+", help="Runs of the same settings, each of its own seed.")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="Takes model, settings, card and curve.")
    parser.add_argument("--episodes", type=_count, default=100, help="Episodes each plays in each way (default 100).")
    parser.add_argument(
        "--choosing",
        type=_count,
        default=20,
        help="Other episodes, by which the run that ships is chosen (default 20).",
    )
    parser.add_argument("--seed", type=_seed, default=100_000, help="Seed of the first episode (default 100000).")
    parser.add_argument(
        "--marks", type=float, nargs="*", default=(), help="Rewards of which the card says when training passed them."
    )
    parser.add_argument("--limits", metavar="TEXT", default="", help="What it cannot do, in words.")
    add_place(parser)
    return parser


def export_parser() -> Any:
    """The parser of `export`."""
    from ewm_studio.terminal.flags import TRUST_HELP, Parser, add_place

    parser = Parser(f"ewm-studio {EXPORT}", _EXPORT_HELP)
    parser.add_argument("--trust-env", action="store_true", help=TRUST_HELP)
    parser.add_argument("--load-path", metavar="MODEL", required=True, help="A model's file or name, or a run.")
    parser.add_argument("--onnx", metavar="FILE.onnx", required=True, help="The file to write; of the extra 'onnx'.")
    parser.add_argument("--seed", type=_seed, default=0, help="Of the episode by which it is checked (default 0).")
    add_place(parser)
    return parser


def _whole(least: int, text: str) -> int:
    """A whole number of this or more."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"should be a whole number (found {text!r:.60})") from None
    if number < least:
        raise argparse.ArgumentTypeError(f"should be {least} or more (found {text:.60})")
    return number


_count = partial(_whole, 2)  # of episodes: one has no spread
_seed = partial(_whole, 0)


def list_parser(command: str) -> Any:
    """The parser of one of the listing commands."""
    from ewm_studio.settings.experiment import COMPONENTS
    from ewm_studio.terminal.flags import Parser, add_place

    parser = Parser(f"ewm-studio {command}", LISTS[command], _actions(command))
    add_place(parser)
    if command == "components":
        parser.add_argument("--kind", choices=COMPONENTS, help="Only this kind.")
    elif command == "envs":
        parser.add_argument("part", nargs="?", help="Only ids that contain this, with their spaces.")
        parser.add_argument("--describe", action="store_true", help="Observations and actions of all of them: slow.")
    elif command == "runs":
        parser.add_argument(
            "--rebuild", action="store_true", help="Make the list again from the run folders; the old one is kept."
        )
    elif actions := actions_of(command):
        parser.add_argument("action", nargs="?", help=f"What to do instead of listing: {', '.join(actions)}.")
    return parser


def actions_of(command: str) -> dict[str, str]:
    """What a listing command does besides listing, each with its line of help."""
    if command == "recordings":
        from ewm_studio.terminal.recordings import ACTIONS

        return ACTIONS
    if command == "models":
        from ewm_studio.terminal.hub import ACTIONS as OF_THE_HUB

        return OF_THE_HUB
    return {}


def _actions(command: str) -> str | None:
    lines = "\n".join(f"  {name:<8}{text}" for name, text in actions_of(command).items())
    return f"actions:\n{lines}\n\n`ewm-studio {command} ACTION --help` tells more." if lines else None


def open_workspace(folder: str | None) -> Workspace:
    """The workspace in this folder, or the default one.

    Raises:
        UserError: it cannot be used.
    """
    from ewm_studio.workspace import Workspace
    from ewm_studio.workspace.leftovers import clean_temporary, clean_workspace

    workspace = Workspace(workspace_folder(folder))
    clean_workspace(workspace.path)
    clean_temporary()
    return workspace


def workspace_folder(folder: str | None) -> Path:
    """This folder, or the default workspace's; as with `EWM_WORKSPACE`, an empty text names none.

    Raises:
        UserError: nothing can be there.
    """
    from ewm_studio.settings.typed_path import typed_path
    from ewm_studio.workspace import default_workspace

    return typed_path(folder or default_workspace(), "workspace")
