"""The command line: reads the arguments, starts what they ask for, and turns the outcome into an exit code.

0 done; 1 the job failed; 2 bad input, with one line on stderr; 130 interrupted, after saving. torch, Gymnasium and Qt
are imported only by what needs them, so that help is there at once.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ewm_studio.errors import JobError, UserError, nearest
from ewm_studio.terminal.parsers import (
    CARD,
    EXPORT,
    LISTS,
    STUDY,
    card_parser,
    commands,
    export_parser,
    is_job,
    job_parser,
    list_parser,
    open_workspace,
    workspace_folder,
)

if TYPE_CHECKING:
    from argparse import Namespace

    from ewm_studio.terminal.flags import Parser
    from ewm_studio.terminal.jobs import Outcome


def main(argv: Sequence[str] | None = None) -> int:
    """Run `ewm-studio` with these arguments (the process's own by default); returns the exit code."""
    from ewm_studio.terminal.stopping import end_at_signals, interrupts

    with interrupts() as seen:
        code = _guarded(list(sys.argv[1:] if argv is None else argv), seen)
    if argv is None:
        end_at_signals()
    return code


def _guarded(words: list[str], signals: list[int]) -> int:
    """Do what the words ask for; the exit code. `signals` takes those that come while there is nothing to save."""
    from ewm_studio.terminal.output import complain
    from ewm_studio.terminal.stopping import INTERRUPTED

    try:
        return _dispatch(words)
    except UserError as error:
        return complain(error, 2)
    except JobError as error:
        return complain(error, 1)
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as error:
        from ewm_studio.terminal.flags import Helped

        if isinstance(error, Helped):
            return 0
        return complain(f"{_importing(error)} called sys.exit({error.code!r}); nothing was done", 1)
    except Exception as error:
        if signals:  # what was interrupted may have made it another exception
            return INTERRUPTED
        from ewm_studio.terminal.jobs import fail

        return fail(error, None)


def _importing(error: BaseException) -> str:
    """The module whose import an exception ended."""
    name, trace = "something", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "<module>":
            name = f"{trace.tb_frame.f_globals.get('__name__')}, when it was imported,"
        trace = trace.tb_next
    return name


def _dispatch(words: list[str]) -> int:
    if words == ["--version"]:
        from importlib.metadata import version

        from ewm_studio.terminal.output import write_line

        write_line(f"ewm-studio {version('ewm-studio')}")
        return 0
    if words and words[0] in LISTS:
        return _run_list(words[0], words[1:])
    if words and words[0] == CARD:
        return _run_card(words[1:])
    if words and words[0] == EXPORT:
        return _run_export(words[1:])
    if words and words[0] == STUDY:
        return _run_study(words[1:])
    if words and is_job(words[0]):
        return _run_job(words[0], words[1:])
    return _open(words)


def _open(words: list[str]) -> int:
    """No command: the window, or the menu."""
    from ewm_studio.terminal.flags import Parser

    listed = "\n".join(f"  {name:<12}{text}" for name, text in commands().items())
    parser = Parser(
        "ewm-studio",
        "A desktop training studio for world-model agents: vision, memory and controller.\n"
        "Without a command it opens the window.",
        f"commands:\n{listed}\n\n`ewm-studio COMMAND --help` tells more.",
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--ui", action="store_true", help="Open the window (the same as no option).")
    way.add_argument("--cli", action="store_true", help="Open the terminal menu.")
    parser.add_argument("--config", metavar="FILE.toml", help="Settings the menu starts with.")
    parser.add_argument("--workspace", metavar="DIR", help="Folder that holds runs, recordings and models.")
    parser.add_argument("--version", action="store_true", help="Print the version.")
    word = next((w for w in words if not w.startswith("-")), None)
    if word is not None and words[0] == word:
        raise UserError(f"no command '{word}'; {nearest(word, list(commands()))}; see ewm-studio --help")
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
    from ewm_studio.machine import started_together

    options = job_parser(command).read(words, command)
    company = started_together()
    if company is not None and command != "pretrain":
        raise UserError(f"{command} is one process's; only pretrain is shared by those that torchrun starts")

    from ewm_studio.jobs.launch import build_experiment
    from ewm_studio.jobs.runners.thread import ThreadRunner
    from ewm_studio.terminal.jobs import asked_for, run_job
    from ewm_studio.terminal.trust import settle_trust

    resume = getattr(options, "resume", None)
    with contextlib.closing(open_workspace(options.workspace)) as workspace:
        if resume is not None and not options.overrides.get("start.load_path"):  # both together are refused
            resume = workspace.run_meant(resume).name
        launch = build_experiment(workspace, config=options.config, overrides=options.overrides, resume=resume)
        settle_trust(launch.experiment.env.id, meant=options.trust_env or "env.id" in options.overrides)
        runner = ThreadRunner(asked_for(command, launch.experiment, workspace, resume))
        if company is not None:
            from ewm_studio.jobs.company import check_shared

            check_shared(launch.experiment, resume)
        speaks = company is None or company[0] == 0
        outcome = run_job(runner, workspace.path, launch.notes if speaks else (), quiet=not speaks)
    return _report(outcome, options.json) if speaks else outcome.code


def _report(outcome: Outcome, as_json: bool) -> int:
    """Print what a job gave; returns the exit code."""
    from ewm_studio.terminal.output import OutputError, complain, print_json, summary, write_line

    try:
        if outcome.result is not None:
            if as_json:
                print_json(outcome.result)
            else:
                write_line(summary(outcome.result))
    except OutputError as error:  # how the job ended is the weightier news
        return complain(error, outcome.code or 1)
    return outcome.code


def _run_card(words: list[str]) -> int:
    options = card_parser().read(words)

    from ewm_studio.jobs.card import write_card
    from ewm_studio.jobs.runners.thread import ThreadRunner
    from ewm_studio.terminal.jobs import run_job
    from ewm_studio.terminal.trust import trust_runs

    chosen = {name: getattr(options, name) for name in ("episodes", "choosing", "seed", "marks", "limits")}
    with contextlib.closing(open_workspace(options.workspace)) as workspace:
        runs = [workspace.run_meant(typed).name for typed in options.runs]
        if options.trust_env:
            trust_runs(workspace, runs)
        job = ThreadRunner(lambda control: write_card(runs, options.out, workspace, control, **chosen))
        outcome = run_job(job, workspace.path)
    return _report(outcome, options.json)


def _run_export(words: list[str]) -> int:
    options = export_parser().read(words, EXPORT)

    from ewm_studio.terminal.exporting import export

    with contextlib.closing(open_workspace(options.workspace)) as workspace:
        return export(options, workspace)


def _run_study(words: list[str]) -> int:
    from ewm_studio.terminal.study import ACTIONS, act, overview, study_parser

    action = words[0] if words else ""
    if action not in ACTIONS:
        return overview(words)
    return act(action, study_parser(action).read(words[1:], f"study {action}"))


def _run_list(command: str, words: list[str]) -> int:
    if command == "recordings":
        return _run_recordings(words)
    if command == "models":
        return _run_models(words)
    parser = list_parser(command)
    options = parser.read(words, command)

    from ewm_studio.terminal import lists

    if command == "components":
        return lists.list_components(options.kind, options.json)
    if command == "envs":
        return lists.list_envs(options.part, options.describe, options.json)
    if options.rebuild:
        return lists.rebuild_runs(workspace_folder(options.workspace), options.json)
    with contextlib.closing(open_workspace(options.workspace)) as workspace:
        return lists.list_runs(workspace, options.json)


def _run_recordings(words: list[str]) -> int:
    from ewm_studio.terminal.recordings import ACTIONS, act, action_parser, list_recordings

    action, options = _acting("recordings", words, ACTIONS, action_parser)

    from ewm_studio.data.library import Library

    with contextlib.closing(open_workspace(options.workspace)) as workspace:
        library = Library(workspace)
        return act(action, options, library) if action else list_recordings(library, options.json)


def _run_models(words: list[str]) -> int:
    from ewm_studio.terminal.hub import ACTIONS, act, action_parser
    from ewm_studio.terminal.lists import list_models

    action, options = _acting("models", words, ACTIONS, action_parser)
    with contextlib.closing(open_workspace(options.workspace)) as workspace:
        return act(action, options, workspace) if action else list_models(workspace, options.json)


def _acting(
    command: str, words: list[str], actions: Mapping[str, str], parser_of: Callable[[str], Parser]
) -> tuple[str, Namespace]:
    """The action that a listing command's words name, empty for the list itself, and what else they say.

    Raises:
        UserError: there is no such action.
    """
    action = words[0] if words and words[0] in actions else ""
    parser = parser_of(action) if action else list_parser(command)
    options = parser.read(words[1:] if action else words, f"{command} {action}".strip())
    if not action and options.action:
        raise UserError(f"{command}: no action '{options.action}'; {nearest(options.action, list(actions))}")
    return action, options
