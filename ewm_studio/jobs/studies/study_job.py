"""The job of a study: all its runs, so many side by side, until all are done or it is asked to stop."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable

from ewm_studio.errors import UserError
from ewm_studio.events import Event, Finished, JobControl, Message, Progress, RunStarted, StudyRunMoved
from ewm_studio.jobs.failures import explains_failures
from ewm_studio.jobs.studies.checks import check_cells
from ewm_studio.jobs.studies.conditions import keep_conditions
from ewm_studio.jobs.studies.one_run import StudyRun, check_same, new_record
from ewm_studio.jobs.studies.outcome import write_outcome
from ewm_studio.jobs.studies.pool import Pool, pool_of
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import Pace, RunRecord, StudyFolder

LOOK_SECONDS = 0.2  # how soon a request to stop is noticed
PACE_SECONDS = 1.0  # between two notes of how far the runs are


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
        plans = file.plans()
        records = _records(file, folder, retry_failed)
        check_cells(file, [plan for plan in plans if not records[plan.key].done])
        judge = file.study.judge
        pool = pool or pool_of(file.study.place)
        keep_conditions(folder, file.path.read_text("utf-8"), pool.machines)
        runs = [StudyRun(plan, records[plan.key], judge, folder, workspace, pool) for plan in plans]
        yield RunStarted("study", "", str(folder.path), _summary(file, len(runs), pool.slots))
        yield from (run.moved() for run in runs)
        try:
            yield from _Crew(runs, pool.slots).work(folder, control)
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
        records[plan.key] = record or new_record(plan, judge)
    return records


def _summary(file: StudyFile, runs: int, slots: int) -> str:
    cells, seeds = len(file.cells), len(file.study.seeds.reported)
    judge = file.study.judge
    return (
        f"study {file.name}: {cells} cells x {seeds} seeds = {runs} runs, {slots} side by side; each judged by the "
        f"same {judge.episodes} episodes"
    )


class _Crew:
    """Threads that each bring one run after the other to its end."""

    def __init__(self, runs: Iterable[StudyRun], slots: int) -> None:
        self._runs = list(runs)
        self._waiting = deque(run for run in self._runs if not run.record.done)
        self._events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
        self._shares = {run.plan.key: float(run.record.done) for run in self._runs}
        self._began, self._before = time.monotonic(), sum(self._shares.values())
        self._stopping = False
        self._noted = float("-inf")
        count = min(slots, len(self._waiting))
        self._threads = [threading.Thread(target=self._serve, name=f"study-{n}", daemon=True) for n in range(count)]

    def work(self, folder: StudyFolder, control: JobControl) -> Generator[Event, None, None]:
        """All runs to their ends, or until asked to stop."""
        for run in self._waiting:
            run.say = self._events.put
        for thread in self._threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in self._threads) or not self._events.empty():
                yield from self._told()
                self._note_pace(folder)
                if not self._stopping and (control.stop_requested or folder.stop_asked):
                    self._stop()
                    yield Message("stopping: every run saves first")
        finally:
            self._end()

    def _told(self) -> Generator[Event, None, None]:
        """What happened, if anything does soon."""
        try:
            event = self._events.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            return
        if isinstance(event, BaseException):
            raise event
        yield event
        if isinstance(event, StudyRunMoved):
            self._shares[event.key] = event.share
            if event.reason:
                again = "it is counted as failed" if event.state == "failed" else "it is tried once more"
                yield Message(f"{event.cell}, seed {event.seed}: {event.reason}; {again}", "warning")
            elif event.state == "finished":
                yield Message(f"{event.cell}, seed {event.seed}: {event.score:.4g}")
            yield self._progress()

    def _progress(self) -> Progress:
        done = sum(run.record.done for run in self._runs)
        seconds, gained = time.monotonic() - self._began, sum(self._shares.values()) - self._before
        return Progress("study", done, len(self._runs), "runs", gained / max(seconds, 1e-9), self._left())

    def _left(self) -> float | None:
        """Seconds until all are done, if it goes on as it went since it was begun or gone on with."""
        share = sum(self._shares.values())
        seconds, gained = time.monotonic() - self._began, share - self._before
        return (len(self._runs) - share) * seconds / gained if gained > 0 else None

    def _note_pace(self, folder: StudyFolder) -> None:
        if time.monotonic() - self._noted >= PACE_SECONDS:
            self._noted = time.monotonic()
            folder.keep_pace(Pace(dict(self._shares), self._left(), time.time()))

    def _serve(self) -> None:
        """The life of a thread."""
        try:
            while not self._stopping:
                try:
                    run = self._waiting.popleft()
                except IndexError:
                    return
                run.go()
        except BaseException as error:
            self._stop()
            self._events.put(error)

    def _stop(self) -> None:
        self._stopping = True
        for run in self._runs:
            run.stop()

    def _end(self) -> None:
        """Wait for all threads; where runs are under way still, they are ended at once."""
        if any(thread.is_alive() for thread in self._threads):
            self._stopping = True
            for run in self._runs:
                run.kill()
        for thread in self._threads:
            thread.join()


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
