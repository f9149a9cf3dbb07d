"""The command line: reads the arguments, starts what they ask for, and turns the outcome into an exit code.

0 done; 1 the job failed; 2 bad input, with one line on stderr; 130 interrupted, after saving. torch, Gymnasium and Qt
are imported only by what needs them, so that help is there at once.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from ewm_studio.errors import JobError, UserError, nearest

if TYPE_CHECKING:
    from ewm_studio.events import Event, JobControl
    from ewm_studio.settings import Experiment
    from ewm_studio.terminal.jobs import Outcome
    from ewm_studio.workspace import Workspace

JOBS = {
    "train": "Train the controller with PPO, and vision and memory along with it.",
    "pretrain": "Train vision and memory on random, recorded or driven data, before the controller.",
    "infer": "Play a saved model and report its rewards.",
    "record": "Write a recording: of a saved model's play, or of the random policy.",
}
LISTS = {
    "components": "List vision, memory and controller components.",
    "envs": "List environments.",
    "runs": "List the workspace's runs.",
    "models": "List the trained models that come with the studio, with what they score.",
    "recordings": "List the workspace's recordings; merge them, export them to Minari and import from it.",
}
CARD = "card"
COMMANDS = {**JOBS, **LISTS, CARD: "Play runs of one preset on unseen episodes and write the best one's card."}
_EXAMPLES = {
    "train": "  ewm-studio train --env CartPole-v1 --memory LSTMMemory --seed 1\n"
    "  ewm-studio train --env CarRacing-v3 --load-path PRETRAINED_RUN --total-steps 500000\n"
    "  ewm-studio train --resume RUN",
    "pretrain": "  ewm-studio pretrain --env CarRacing-v3 --vision ConvVAE --memory MDNRNN --frames 10000\n"
    "  ewm-studio pretrain --env CarRacing-v3 --pretrain-mode manual --frames 5000\n"
    "  ewm-studio pretrain --env CarRacing-v3 --recording monday,tuesday --random-share 0.3",
    "infer": "  ewm-studio infer --load-path RUN --episodes 100 --json",
    "record": "  ewm-studio record --env CarRacing-v3 --recording laps --frames 5000",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `ewm-studio` with these arguments (the process's own by default); returns the exit code."""
    from ewm_studio.terminal.output import complain

    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except UserError as error:
        return complain(error, 2)
    except JobError as error:
        return complain(error, 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    except SystemExit as error:  # argparse after --help
        return error.code if isinstance(error.code, int) else 0
    except Exception as error:
        from ewm_studio.terminal.jobs import fail

        return fail(error, None)


def _dispatch(words: list[str]) -> int:
    if words == ["--version"]:
        from importlib.metadata import version

        print(f"ewm-studio {version('ewm-studio')}")
        return 0
    if words and words[0] in JOBS:
        return _run_job(words[0], words[1:])
    if words and words[0] in LISTS:
        return _run_list(words[0], words[1:])
    if words and words[0] == CARD:
        return _run_card(words[1:])
    return _open(words)


def _open(words: list[str]) -> int:
    """No command: the window, or the menu."""
    from ewm_studio.terminal.flags import Parser

    commands = "\n".join(f"  {name:<12}{text}" for name, text in COMMANDS.items())
    parser = Parser(
        "ewm-studio",
        "A desktop training studio for world-model agents: vision, memory and controller.\n"
        "Without a command it opens the window.",
        f"commands:\n{commands}\n\n`ewm-studio COMMAND --help` tells more.",
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--ui", action="store_true", help="Open the window (the same as no option).")
    way.add_argument("--cli", action="store_true", help="Open the terminal menu.")
    parser.add_argument("--config", metavar="FILE.toml", help="Settings the menu starts with.")
    parser.add_argument("--workspace", metavar="DIR", help="Folder that holds runs, recordings and models.")
    parser.add_argument("--version", action="store_true", help="Print the version.")
    word = next((w for w in words if not w.startswith("-")), None)
    if word is not None and words[0] == word:
        raise UserError(f"no command '{word}'; {nearest(word, list(COMMANDS))}; see ewm-studio --help")
    options = parser.read(words)
    if options.version:
        return _dispatch(["--version"])
    if options.cli:
        from ewm_studio.terminal.menu import Menu

        with contextlib.closing(open_workspace(options.workspace)) as workspace:
            return Menu(workspace, options.config).run()
    if options.config:
        parser.error("--config goes with --cli or a command")
    from ewm_studio.terminal.window import open_window

    return open_window(options.workspace)


def _run_job(command: str, words: list[str]) -> int:
    options = job_parser(command).read(words, command)

    from ewm_studio.jobs.launch import build_experiment
    from ewm_studio.terminal.jobs import run_job

    resume = getattr(options, "resume", None)
    with contextlib.closing(open_workspace(options.workspace)) as workspace:
        launch = build_experiment(workspace, config=options.config, overrides=options.overrides, resume=resume)
        outcome = run_job(
            lambda control: job_events(command, launch.experiment, workspace, control, resume),
            workspace.path,
            notes=launch.notes,
        )
    return _report(outcome, options.json)


def _report(outcome: Outcome, as_json: bool) -> int:
    """Print what a job gave; returns the exit code."""
    from ewm_studio.terminal.output import print_json, summary, write_line

    if outcome.result is not None:
        if as_json:
            print_json(outcome.result)
        else:
            write_line(summary(outcome.result))
    return outcome.code


def _run_card(words: list[str]) -> int:
    options = card_parser().read(words)

    from ewm_studio.jobs import write_card
    from ewm_studio.terminal.jobs import run_job

    with contextlib.closing(open_workspace(options.workspace)) as workspace:
        outcome = run_job(
            lambda control: write_card(
                options.runs,
                options.out,
                workspace,
                control,
                episodes=options.episodes,
                seed=options.seed,
                marks=options.marks,
                limits=options.limits,
            ),
            workspace.path,
        )
    return _report(outcome, options.json)


def _run_list(command: str, words: list[str]) -> int:
    if command == "recordings":
        return _run_recordings(words)
    parser = list_parser(command)
    options = parser.read(words, command)

    from ewm_studio.terminal import lists

    if command == "components":
        return lists.list_components(options.kind, options.json)
    if command == "envs":
        return lists.list_envs(options.part, options.describe, options.json)
    if command == "models":
        return lists.list_models(options.json)
    with contextlib.closing(open_workspace(options.workspace)) as workspace:
        return lists.list_runs(workspace, options.json)


def _run_recordings(words: list[str]) -> int:
    from ewm_studio.terminal.recordings import ACTIONS, act, action_parser, list_recordings

    action = words[0] if words and words[0] in ACTIONS else ""
    parser = action_parser(action) if action else list_parser("recordings")
    options = parser.read(words[1:] if action else words, f"recordings {action}".strip())
    if not action and options.action:
        raise UserError(f"recordings: no action '{options.action}'; {nearest(options.action, list(ACTIONS))}")

    from ewm_studio.data.library import Library

    with contextlib.closing(open_workspace(options.workspace)) as workspace:
        library = Library(workspace)
        return act(action, options, library) if action else list_recordings(library, options.json)


def job_parser(command: str) -> Any:
    """The parser of one of the jobs."""
    from ewm_studio.terminal.flags import Parser, add_common, add_flags

    parser = Parser(f"ewm-studio {command}", JOBS[command], f"examples:\n{_EXAMPLES[command]}")
    add_common(parser, command)
    add_flags(parser, command)
    return parser


def card_parser() -> Any:
    """The parser of `card`."""
    from ewm_studio.terminal.flags import Parser, add_place

    parser = Parser(f"ewm-studio {CARD}", COMMANDS[CARD])
    parser.add_argument("runs", metavar="RUN", nargs="+", help="Runs of the same settings, each of its own seed.")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="Takes model, settings, card and curve.")
    parser.add_argument("--episodes", type=_count, default=100, help="Episodes each plays in each way (default 100).")
    parser.add_argument("--seed", type=int, default=100_000, help="Seed of the first episode (default 100000).")
    parser.add_argument(
        "--marks", type=float, nargs="*", default=(), help="Rewards of which the card says when training passed them."
    )
    parser.add_argument("--limits", metavar="TEXT", default="", help="What it cannot do, in words.")
    add_place(parser)
    return parser


def _count(text: str) -> int:
    """A number of episodes: two or more, since one has no spread."""
    number = int(text)
    if number < 2:
        raise ValueError
    return number


def list_parser(command: str) -> Any:
    """The parser of one of the listing commands."""
    from ewm_studio.jobs.launch import COMPONENTS
    from ewm_studio.terminal.flags import Parser, add_place

    parser = Parser(f"ewm-studio {command}", LISTS[command], _actions() if command == "recordings" else None)
    add_place(parser)
    if command == "components":
        parser.add_argument("--kind", choices=COMPONENTS, help="Only this kind.")
    elif command == "envs":
        parser.add_argument("part", nargs="?", help="Only ids that contain this, with their spaces.")
        parser.add_argument("--describe", action="store_true", help="Observations and actions of all of them: slow.")
    elif command == "recordings":
        parser.add_argument("action", nargs="?", help="What to do instead of listing: export, import or merge.")
    return parser


def _actions() -> str:
    """What `recordings` does besides listing."""
    from ewm_studio.terminal.recordings import ACTIONS

    lines = "\n".join(f"  {name:<8}{text}" for name, text in ACTIONS.items())
    return f"actions:\n{lines}\n\n`ewm-studio recordings ACTION --help` tells more."


def open_workspace(folder: str | None) -> Workspace:
    """The workspace in this folder, or the default one.

    Raises:
        UserError: it cannot be used.
    """
    from ewm_studio.workspace import Workspace, default_workspace

    return Workspace(folder if folder is not None else default_workspace())


def job_events(
    command: str, experiment: Experiment, workspace: Workspace, control: JobControl, resume: str | None = None
) -> Generator[Event, None, None]:
    """A job's events; imports the engine, and torch with it, only now."""
    from ewm_studio import jobs as training

    if command == "pretrain" and resume is None:
        from ewm_studio.terminal.drive import driven_first

        experiment = driven_first(experiment, workspace, control)
    if resume is not None:
        return getattr(training, command)(experiment, workspace, control, resume=resume)
    return getattr(training, command)(experiment, workspace, control)
