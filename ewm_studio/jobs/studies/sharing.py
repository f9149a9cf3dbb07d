"""A study handed on without its runs: scores, curves and report in a workspace of their own, some hundred kilobytes.

What is there shows on the Study page and makes the same report again; only its runs, with their models, are not there.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tomllib
from collections.abc import Mapping
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
from ewm_studio.processes.living import owner
from ewm_studio.settings.study_file import ENDING, StudyFile
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.files import move_new, write_error, write_text
from ewm_studio.workspace.studies import BASE, COPY, RECORDS, STUDIES, StudyFolder

README = "README.md"
_BASE_LINE = re.compile(r"""^([ \t]*base[ \t]*=[ \t]*)("[^"\n]*"|'[^'\n]*')""", re.MULTILINE)
_OURS = re.compile(
    r"# .*\n\n## .*\n\n\[`[^`\n]+\.study\.toml`\]\([^)\n]+\), \[report\]\(studies/"
)  # how _readme begins
BEGIN, END = "<!-- study {} -->", "<!-- end of study {} -->"


def share_study(file: StudyFile, workspace: Workspace, target: Path) -> dict[str, Any]:
    """Put what there is of a study by now into another workspace; what was shared there of it before is replaced.

    Args:
        file: the study.
        workspace: in which it was run.
        target: the other workspace's folder; its README says how all studies in it stand.

    Raises:
        UserError: it was never run, the folder is the workspace itself or holds what the studio did not write, or
            something cannot be read. JobError: the disk is full. What was shared there before is then as it was.
    """
    if target.resolve() == workspace.path.resolve():
        raise UserError(f"{target}: this is the workspace that the study was run in; give another folder")
    source, shared = StudyFolder(workspace.path, file.name), StudyFolder(target, file.name)
    kept_conditions(source)
    text = _moved(file)
    place = target / f"{file.name}{ENDING}"
    itself = place.exists() and place.samefile(file.path)
    _check_free(shared, Workspace(target))
    _check_ours(target / README, place if not itself and not shared.begun else None, text)
    aside = target / f".{file.name}.{owner()}"
    try:
        try:
            (aside / shared.path.relative_to(target) / RECORDS).mkdir(parents=True)
            write_text(aside / place.name, text)
            _fill(StudyFolder(aside, file.name), source, file, workspace)
            outcome = write_outcome(study_of(aside, file.name), Workspace(aside))
            readme = _readme(Workspace(target), {file.name: Workspace(aside)})
            _swap(aside, shared.path)
        except OSError as error:
            raise write_error(shared.path, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    if not itself:
        write_text(place, text)
    write_text(target / README, readme)
    made = {name: str(shared.path / Path(outcome[name]).name) for name in ("results", "report")}
    return {**outcome, **made, "readme": str(target / README)}


def _moved(file: StudyFile) -> str:
    """The text of a study that lies beside its folder, in which its base is.

    Raises:
        UserError: it cannot be read, or its base does not stand where it is looked for.
    """
    text = file.text
    if not file.study.base.endswith(".toml"):
        return text
    base = f"{STUDIES}/{file.name}/{BASE}"
    moved = _BASE_LINE.sub(lambda found: f'{found[1]}"{base}"', text, count=1)
    with contextlib.suppress(tomllib.TOMLDecodeError):
        if tomllib.loads(moved) == {**tomllib.loads(text), "base": base}:
            return moved
    raise UserError(f'{file.path}: to share it, write its base in a line of its own at the top, as base = "FILE.toml"')


def _fill(shared: StudyFolder, source: StudyFolder, file: StudyFile, workspace: Workspace) -> None:
    """Put what there is of a study into the folder that is handed on."""
    for record in source.records().values():
        if not record.done:
            continue  # what is known of it is how to go on with a run that is not handed on
        if record.state == "finished" and (curve := curve_of(record, workspace)) is not None:
            record.curve = curve.kept()
        shared.write(record)
    for name in (CONDITIONS, COPY, TUNED):
        if (source.path / name).is_file():
            write_text(shared.path / name, _read(source.path / name))
    if file.study.base.endswith(".toml"):
        write_text(shared.path / BASE, file.base_text)


def _swap(aside: Path, place: Path) -> None:
    """Put a study's folder that was made aside in the place of an earlier one."""
    made, earlier = aside / STUDIES / place.name, aside / "earlier"
    place.parent.mkdir(exist_ok=True)
    if place.exists():
        os.rename(place, earlier)
    try:
        move_new(made, [place])
    except OSError:
        if earlier.exists():
            os.rename(earlier, place)
        raise


def _check_ours(readme: Path, study: Path | None, text: str) -> None:
    """Refuse to replace what a person wrote.

    Raises:
        UserError: the README, or the study's file where that is looked at, is not what is written here.
    """
    if os.path.lexists(readme) and not _OURS.match(_read(readme)):
        raise UserError(f"{readme}: not written by study share, which would replace it; give another folder")
    if study is not None and os.path.lexists(study) and _read(study) != text:
        raise UserError(f"{study}: another study of this name; give another folder")


def _read(path: Path) -> str:
    """A text.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None


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
    text = _read(path)
    place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not place.search(text):
        raise UserError(f"{path}: put {begin} and {end} where the table of the study is to stand")
    folder = StudyFolder(workspace.path, file.name)
    shown = searched(file, folder)
    block = "\n".join([begin, *_tables(shown, study_figures(shown, folder, workspace)), end])
    write_text(path, place.sub(lambda _: block, text))


def _readme(target: Workspace, fresh: Mapping[str, Workspace]) -> str:
    """What a reader of the folder sees first: every study in it, as a table, and those that are about to be there."""
    lines = [f"# {target.path.resolve().name}", ""]
    for name in sorted({*studies_of(target.path), *fresh}):
        workspace = fresh.get(name, target)
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
