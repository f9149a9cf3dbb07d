"""The job of a study: all its runs, so many side by side, until all are done or it is asked to stop."""

from __future__ import annotations

import time
from collections.abc import Generator

from ewm_studio.errors import UserError
from ewm_studio.events import Event, Finished, JobControl, Message, RunStarted
from ewm_studio.jobs.failures import explains_failures
from ewm_studio.jobs.studies.checks import check_cells
from ewm_studio.jobs.studies.conditions import keep_conditions
from ewm_studio.jobs.studies.crew import LOOK_SECONDS, Crew
from ewm_studio.jobs.studies.one_run import StudyRun, begin_anew, new_record
from ewm_studio.jobs.studies.outcome import write_outcome
from ewm_studio.jobs.studies.pool import Pool, pool_of
from ewm_studio.jobs.studies.sameness import check_same
from ewm_studio.jobs.studies.search import search
from ewm_studio.jobs.studies.tuned import searched
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import RunRecord, StudyFolder


@explains_failures
def run_study(
    file: StudyFile,
    workspace: Workspace,
    control: JobControl | None = None,
    *,
    pool: Pool | None = None,
    retry_failed: bool = False,
) -> Generator[Event, None, None]:
    """Run a study, or go on with it: what is finished is kept, what was broken off goes on where it was saved.

    All is checked before anything begins. Closing the generator ends the runs at once; asked to stop, they save first.

    Args:
        file: the study.
        workspace: takes its runs, and its own folder.
        control: asks it to stop.
        pool: computes the runs; this computer's processes by default.
        retry_failed: runs that count as failed are begun anew.

    Raises:
        UserError: bad input, or it is being run already. JobError: its files cannot be written.
    """
    control = control or JobControl()
    workspace.make()
    folder = StudyFolder(workspace.path, file.name)
    with folder.held():
        if file.study.search.on:
            pool = pool or pool_of(file.study.place)
            found = False
            try:
                found = yield from search(file, workspace, folder, pool, control, retry_failed)
            finally:
                if not found:
                    pool.close()
            if not found:
                yield Finished("stop", {"study": file.name, "folder": str(folder.path)})
                return
            file = searched(file, folder)
        plans = file.plans()
        records = _records(file, folder, retry_failed)
        check_cells(file, [plan for plan in plans if not records[plan.key].done])
        judge = file.study.judge
        pool = pool or pool_of(file.study.place)
        keep_conditions(folder, file.text, pool.machines, file.base_text)
        runs = [StudyRun(plan, records[plan.key], judge, folder, workspace, pool) for plan in plans]
        yield RunStarted("study", "", str(folder.path), _summary(file, len(runs), pool.slots))
        yield from (run.moved() for run in runs)
        try:
            yield from Crew(runs, pool.slots).work(folder, control)
        finally:
            pool.close()
        outcome = write_outcome(file, workspace)
        yield Message(f"report: {outcome['report']}")
        states = [run.record.state for run in runs]
        finished, failed = states.count("finished"), states.count("failed")
        left = len(states) - finished - failed
        yield Finished(
            "stop" if left else "runs",
            {
                "study": file.name,
                "folder": str(folder.path),
                "runs": len(states),
                "finished": finished,
                "failed": failed,
                "left": left,
                "results": outcome["results"],
                "report": outcome["report"],
            },
        )


def _records(file: StudyFile, folder: StudyFolder, retry_failed: bool) -> dict[str, RunRecord]:
    """What is known of every run that is asked for.

    Raises:
        UserError: one was begun with other settings.
    """
    known, judge = folder.records(), file.study.judge
    records = {}
    for plan in file.plans():
        record = known.get(plan.key)
        if record is not None:
            check_same(record, plan, judge, file.path)
            if retry_failed and record.state == "failed":
                record.state, record.failures = "waiting", []
                begin_anew(record, folder)
        records[plan.key] = record or new_record(plan, judge)
    return records


def _summary(file: StudyFile, runs: int, slots: int) -> str:
    cells, seeds = len(file.cells), len(file.study.seeds.reported)
    judge = file.study.judge
    return (
        f"study {file.name}: {cells} cells x {seeds} seeds = {runs} runs, {slots} side by side; each judged by the "
        f"same {judge.episodes} episodes"
    )


def stop_study(folder: StudyFolder, seconds: float) -> bool:
    """Ask the process that runs a study to stop, and wait until it has; whether it has within so many seconds.

    Raises:
        UserError: nobody runs it.
    """
    if not folder.running:
        raise UserError(f"study {folder.name} is not being run")
    folder.ask_to_stop()
    until = time.monotonic() + seconds
    while folder.running:
        if time.monotonic() > until:
            return False
        time.sleep(LOOK_SECONDS)
    return True
