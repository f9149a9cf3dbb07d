"""A study handed on without its runs: scores, curves and report in a workspace of their own, some hundred kilobytes.

What is there shows on the Study page and makes the same report again; only its runs, with their models, are not there.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from ewm_studio.errors import UserError
from ewm_studio.jobs.studies.conditions import NAME as CONDITIONS
from ewm_studio.jobs.studies.conditions import kept_conditions
from ewm_studio.jobs.studies.curves import curve_of
from ewm_studio.jobs.studies.figures import StudyFigures, study_figures
from ewm_studio.jobs.studies.found import studies_of, study_of
from ewm_studio.jobs.studies.outcome import write_outcome
from ewm_studio.jobs.studies.tables import Table, matrix, scores_table
from ewm_studio.jobs.studies.tuned import TUNED, searched
from ewm_studio.settings.study_file import ENDING, StudyFile
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.files import write_text
from ewm_studio.workspace.studies import COPY, StudyFolder

README = "README.md"
BEGIN, END = "<!-- study {} -->", "<!-- end of study {} -->"


def share_study(file: StudyFile, workspace: Workspace, target: Path) -> dict[str, Any]:
    """Put what there is of a study by now into another workspace; what was shared there of it before is replaced.

    Args:
        file: the study.
        workspace: in which it was run.
        target: the other workspace's folder; its README says how all studies in it stand.

    Raises:
        UserError: it was never run, the folder is the workspace itself, or something cannot be read. JobError: the disk
            is full.
    """
    if target.resolve() == workspace.path.resolve():
        raise UserError(f"{target}: this is the workspace that the study was run in; give another folder")
    source, shared = StudyFolder(workspace.path, file.name), StudyFolder(target, file.name)
    kept_conditions(source)
    _check_free(shared, Workspace(target))
    shutil.rmtree(shared.path, ignore_errors=True)
    with shared.held():
        for record in source.records().values():
            if not record.done:
                continue  # what is known of it is how to go on with a run that is not handed on
            if record.state == "finished" and (curve := curve_of(record, workspace)) is not None:
                record.curve = curve.kept()
            shared.write(record)
        for name in (CONDITIONS, COPY, TUNED):
            if (source.path / name).is_file():
                write_text(shared.path / name, (source.path / name).read_text("utf-8"))
        write_text(target / f"{file.name}{ENDING}", file.path.read_text("utf-8"))
        if file.study.base.endswith(".toml"):
            write_text(target / file.study.base, (file.path.parent / file.study.base).read_text("utf-8"))
        outcome = write_outcome(study_of(target, file.name), Workspace(target))
    write_text(target / README, _readme(Workspace(target)))
    return {**outcome, "readme": str(target / README)}


def _check_free(shared: StudyFolder, target: Workspace) -> None:
    """Refuse to replace a study that was run there.

    Raises:
        UserError: it was, or is being run.
    """
    names = {info.name for info in target.runs()}
    if shared.running or any(names & {*record.runs} for record in shared.records().values()):
        raise UserError(
            f"{target.path}: a study {shared.name} was run there, with runs of its own; give another folder"
        )


def write_into(path: Path, file: StudyFile, workspace: Workspace) -> None:
    """Write a study's table into a Markdown file, between `<!-- study NAME -->` and `<!-- end of study NAME -->`.

    Raises:
        UserError: the file cannot be read, or the two lines are not in it. UserError or JobError: it cannot be written.
    """
    begin, end = BEGIN.format(file.name), END.format(file.name)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not place.search(text):
        raise UserError(f"{path}: put {begin} and {end} where the table of the study is to stand")
    folder = StudyFolder(workspace.path, file.name)
    shown = searched(file, folder)
    block = "\n".join([begin, *_tables(shown, study_figures(shown, folder, workspace)), end])
    write_text(path, place.sub(lambda _: block, text))


def _readme(workspace: Workspace) -> str:
    """What a reader of the folder sees first: every study in it, as a table."""
    lines = [f"# {workspace.path.resolve().name}", ""]
    for name in sorted(studies_of(workspace.path)):
        folder = StudyFolder(workspace.path, name)
        if not folder.begun:
            continue
        file = searched(study_of(workspace.path, name), folder)
        place = f"studies/{name}"
        lines += [
            f"## {file.study.title or name}",
            "",
            f"[`{name}{ENDING}`]({name}{ENDING}), [report]({place}/report.html) (one page, opens in any browser), "
            f"[a row an episode]({place}/results.csv), a record a run in `{place}/runs`. "
            f"`uv run ewm-studio study run {name}{ENDING} --workspace FOLDER` repeats it.",
            "",
            *_tables(file, study_figures(file, folder, workspace)),
            "",
        ]
    return "\n".join(lines)


def _tables(file: StudyFile, figures: StudyFigures) -> list[str]:
    """The study as Markdown: how far it is, its scores, and two axes as a table of their own."""
    done, failed = sum(cell.done for cell in figures.cells), sum(cell.failed for cell in figures.cells)
    asked = sum(cell.asked for cell in figures.cells)
    runs = f"{asked} runs, {failed} of them failed" if done == asked else f"{done} of {asked} runs so far"
    said = f"{len(figures.cells)} cells x {len(file.study.seeds.reported)} seeds: {runs}."
    lines = [said, "", *_markdown(scores_table(file, figures))]
    two = matrix(figures)
    return lines if two is None else [*lines, "", f"IQM, {file.study.judge.ways[0]}:", "", *_markdown(two)]


def _markdown(table: Table) -> list[str]:
    def line(texts: Any) -> str:
        return "| " + " | ".join(text.replace("|", "\\|").replace("\n", ", ") for text in texts) + " |"

    return [line(table.heads), line(["---"] * len(table.heads)), *(line(row) for row in table.rows)]
