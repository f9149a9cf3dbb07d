"""The command `study`: runs a study, says how it stands, writes its report, stops it."""

from __future__ import annotations

import contextlib
from typing import Any

from ewm_studio.errors import UserError, nearest
from ewm_studio.terminal.flags import TRUST_HELP, Parser, add_place
from ewm_studio.terminal.output import OutputError, complain, print_json, summary, write_line

ACTIONS = {
    "run": "Run a study, or go on with it where it was stopped.",
    "status": "Say how a study stands.",
    "report": "Write the report of what there is by now.",
    "share": "Put a study's results into a workspace of their own, without its runs and models.",
    "stop": "Have a study that is being run stop; every run saves first.",
}
EXAMPLES = """  ewm-studio study run cartpole-memories --workspace workspaces/memories
  ewm-studio study status cartpole-memories --workspace workspaces/memories
  ewm-studio study report my.study.toml --json"""
STOP_SECONDS = 600.0  # that `stop` waits at most


def study_parser(action: str) -> Parser:
    """The parser of one of the actions."""
    parser = Parser(f"ewm-studio study {action}", ACTIONS[action])
    parser.add_argument("file", metavar="FILE", help="NAME.study.toml, or a study's name.")
    if action == "run":
        parser.add_argument("--parallel", metavar="N", help="Runs side by side, in place of what the file says.")
        parser.add_argument(
            "--on",
            metavar="PLACE",
            help="auto or ray://HOST:10001: a Ray cluster computes the runs (extra cluster); the studio hands them in "
            "and watches.",
        )
        parser.add_argument(
            "--retry-failed", action="store_true", help="Begin runs anew that failed twice and count as failed."
        )
        parser.add_argument("--trust-env", action="store_true", help=TRUST_HELP)
    if action == "report":
        parser.add_argument(
            "--out", metavar="FILE", help="FILE.html or FILE.pdf; by default a page in the study's own folder."
        )
        parser.add_argument(
            "--preset", metavar="OUT.toml", help="Also write the settings that a search has found, as a settings file."
        )
    if action == "share":
        parser.add_argument("--out", metavar="FOLDER", required=True, help="The workspace that takes the results.")
        parser.add_argument(
            "--into",
            metavar="FILE.md",
            help="Also write its table into this file, between <!-- study NAME --> and <!-- end of study NAME -->.",
        )
    add_place(parser)
    return parser


def overview(words: list[str]) -> int:
    """`study` without an action that is known: its help.

    Raises:
        UserError: a word was given that is no action.
    """
    listed = "\n".join(f"  {name:<8}{text}" for name, text in ACTIONS.items())
    parser = Parser(
        "ewm-studio study",
        "Compare parts and settings over seeds: which is better, and how sure that is.",
        f"actions:\n{listed}\n\nexamples:\n{EXAMPLES}\n\n`ewm-studio study ACTION --help` tells more.",
    )
    parser.add_argument("action", choices=list(ACTIONS), nargs="?", metavar="ACTION", help=", ".join(ACTIONS))
    parser.add_argument("file", nargs="?", metavar="FILE", help="NAME.study.toml, or a study's name.")
    if words and not words[0].startswith("-"):
        raise UserError(f"study: no action '{words[0]}'; {nearest(words[0], list(ACTIONS))}")
    parser.read(words)
    raise UserError("study: say what to do: ewm-studio study run|status|report|share|stop FILE")


def act(action: str, options: Any) -> int:
    """Do one of the actions and print what came of it; the exit code.

    Raises:
        UserError: bad input. JobError: something could not be written.
    """
    return {"run": _run, "status": _status, "report": _report, "share": _share, "stop": _stop}[action](options)


def _run(options: Any) -> int:
    from ewm_studio.jobs.runners.thread import ThreadRunner
    from ewm_studio.jobs.studies.study_job import run_study
    from ewm_studio.terminal.jobs import run_job
    from ewm_studio.terminal.parsers import open_workspace
    from ewm_studio.terminal.trust import settle_trust

    file = _file(options).placed(options.parallel, options.on)
    for id in dict.fromkeys(plan.experiment.env.id for plan in file.plans()):
        settle_trust(id, meant=options.trust_env)
    with contextlib.closing(open_workspace(options.workspace)) as workspace:
        job = ThreadRunner(lambda control: run_study(file, workspace, control, retry_failed=options.retry_failed))
        outcome = run_job(job, workspace.path)
    if outcome.result is not None:
        try:
            _print(outcome.result, options.json)
        except OutputError as error:  # how it ended is the weightier news
            return complain(error, outcome.code or 1)
    return outcome.code


def _status(options: Any) -> int:
    from ewm_studio.jobs.studies.standing import standing
    from ewm_studio.terminal.lists import print_table

    file, folder = _found(options)
    found = standing(file, folder)
    if options.json:
        print_json(found)
        return 0
    print_table(("cell", "finished", "failed", "running", "waiting", "mean"), found["cells"])
    words = ("finished", "failed", "running", "waiting")
    counts = ", ".join(f"{found[word]} {word}" for word in words)
    write_line(f"study {file.name} of {file.path} {found['state']}: {counts}")
    for run in found["runs"]:
        if run["failures"]:
            write_line(f"  {run['cell']}, seed {run['seed']}: {run['failures'][-1]}")
    return 0


def _report(options: Any) -> int:
    from pathlib import Path

    from ewm_studio.jobs.studies.outcome import write_outcome
    from ewm_studio.settings.study_file import ENDING
    from ewm_studio.terminal.lists import print_table
    from ewm_studio.terminal.parsers import open_workspace
    from ewm_studio.terminal.targets import file_to_write

    file = _file(options)
    mine = {"study": file.path} | ({"study's base": file.base_path} if file.study.base.endswith(".toml") else {})
    out = file_to_write("--out", options.out, ("report.html", "report.pdf"), mine) if options.out is not None else None
    preset = file_to_write("--preset", options.preset, ("settings.toml",), mine) if options.preset is not None else None
    if preset is not None and preset.name.endswith(ENDING):
        raise UserError(f"--preset {preset}: this ending is a study's; give a file such as settings.toml")
    with contextlib.closing(open_workspace(options.workspace)) as workspace:
        if preset is not None:
            from ewm_studio.jobs.studies.tuned import write_preset

            write_preset(file, workspace, preset)
        pdf = out if out is not None and out.suffix.lower() == ".pdf" else None
        found = write_outcome(file, workspace, None if pdf is not None else out)
    if pdf is not None:
        from ewm_studio.ui.study.pdf import write_pdf

        found["report"] = str(write_pdf(Path(found["report"]), pdf))
    if options.json:
        print_json(found)
    else:
        columns = (
            *(("cell",) if file.study.search.on else file.cells[0].options),
            "runs",
            "failed",
            "iqm",
            "low",
            "high",
            "frames",
            "minutes",
        )
        print_table(columns, found["cells"])
        write_line(f"report: {found['report']}")
    return 0


def _share(options: Any) -> int:

    from ewm_studio.jobs.studies.sharing import share_study, write_into
    from ewm_studio.settings.typed_path import typed_path
    from ewm_studio.terminal.parsers import open_workspace

    file = _file(options)
    with contextlib.closing(open_workspace(options.workspace)) as workspace:
        found = share_study(file, workspace, typed_path(options.out, "--out"))
        if options.into:
            write_into(typed_path(options.into, "--into"), file, workspace)
    if options.json:
        print_json(found)
    else:
        write_line(f"shared in {found['readme']}")
    return 0


def _stop(options: Any) -> int:
    from ewm_studio.jobs.studies.study_job import stop_study

    file, folder = _found(options)
    stopped = stop_study(folder, STOP_SECONDS)
    _print({"study": file.name, "stopped": stopped}, options.json)
    return 0 if stopped else 1


def _found(options: Any) -> tuple[Any, Any]:
    """The study and its folder."""
    from ewm_studio.terminal.parsers import workspace_folder
    from ewm_studio.workspace.studies import StudyFolder

    file = _file(options)
    return file, StudyFolder(workspace_folder(options.workspace), file.name)


def _file(options: Any) -> Any:
    """The study that is meant."""
    from ewm_studio.jobs.studies.found import study_meant
    from ewm_studio.terminal.parsers import workspace_folder

    return study_meant(workspace_folder(options.workspace), options.file)


def _print(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(result)
    else:
        write_line(summary(result))
