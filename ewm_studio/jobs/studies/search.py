"""A study that searches: Optuna proposes settings, tried on the tuning seeds; the best is then reported on others.

The grid's place is taken by two cells, the base and what was found. Trials are kept in the study's folder, and their
runs are runs like any other, so that a search that is broken off goes on.
"""

from __future__ import annotations

import importlib.util
import threading
import tomllib
import warnings
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w

from ewm_studio.errors import JobError, UserError
from ewm_studio.events import Event, JobControl, Message, StudyRunMoved
from ewm_studio.jobs.studies.checks import check_cells
from ewm_studio.jobs.studies.conditions import keep_conditions
from ewm_studio.jobs.studies.crew import Crew
from ewm_studio.jobs.studies.one_run import Say, StudyRun, new_record, score_of
from ewm_studio.jobs.studies.pool import Pool
from ewm_studio.jobs.studies.sameness import check_same
from ewm_studio.jobs.studies.trials_log import TrialsLog
from ewm_studio.jobs.studies.tuned import TUNED, found_values, is_reported, reported_records
from ewm_studio.settings.cells import Cell, axes_of, settings_of
from ewm_studio.settings.experiment import none_to_empty
from ewm_studio.settings.layers import Values, over
from ewm_studio.settings.study_file import RunPlan, StudyFile
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.files import write_text
from ewm_studio.workspace.studies import RunRecord, StudyFolder

TRIALS = "trials.log"  # in the study's folder
_AGAIN = "again"  # of a trial: the number of the one that failed with its settings


def search(
    file: StudyFile,
    workspace: Workspace,
    folder: StudyFolder,
    pool: Pool,
    control: JobControl,
    retry_failed: bool = False,
) -> Generator[Event, None, bool]:
    """Try settings until there are as many trials as asked for, and keep the best; stopped, it is gone on with.

    With `retry_failed` the settings of trials that failed are tried again, each as a trial of its own, as long as
    nothing is reported yet.

    Returns:
        Whether all trials are over, and something was found.

    Raises:
        UserError: Optuna is not installed, there is nothing to search, a trial's settings fit nothing, trials were
            begun with others, or more of them are asked for after what was found is reported.
    """
    space = Space(file)
    trials = Trials(file, folder, space)
    check_cells(file, [RunPlan("", cell, 0, file.experiment(cell, 0)) for cell in space.corners()])
    if retry_failed and not is_reported(folder) and (again := trials.retry_failed()):
        yield Message(f"search: settings of {again} failed trials are tried again")
    count = file.study.search.trials + trials.retried
    work = [Trial(trials, file, folder, workspace, pool, number) for number in range(count)]
    for trial in work:
        trial.check()
    left = sum(not trial.done for trial in work)
    how = f"delete {folder.path / TUNED} and {reported_records(folder)}"
    if left and is_reported(folder):
        raise UserError(
            f"{file.path}: search.trials asks for {left} more, but what was found before is reported: set it back, or "
            f"{how} to take up more trials"
        )
    keep_conditions(folder, file.text, pool.machines, file.base_text)
    seeds = len(file.study.seeds.tuning)
    if left:
        yield Message(f"search: {left} of {len(work)} trials to go, each on {seeds} tuning seeds")
        yield from Crew(work, pool.slots).work(folder, control)
    if not all(trial.done for trial in work):
        return False
    best = trials.best()
    if best is None:
        raise UserError(f"{file.path}: no trial came to its end; see their runs, then --retry-failed")
    text, kept = tomli_w.dumps(none_to_empty(best.values)), found_values(folder)
    if kept == tomllib.loads(text):
        return True
    told = f"search: {trials.counts()}; best is " + ", ".join(f"{name} {value}" for name, value in best.options.items())
    if kept is not None and is_reported(folder):
        yield Message(f"{told}, but what was found before is reported, and stays; {how} to report this one", "warning")
    else:
        write_text(folder.path / TUNED, text)
        yield Message(told)
    return True


class Space:
    """What a search chooses from: the options of every axis of `vary`, and numbers from ranges."""

    def __init__(self, file: StudyFile) -> None:
        source = str(file.path)
        self._axes = axes_of(file.study, source)
        self._ranges = {path: _Range(path, given, source) for path, given in file.study.search.ranges.items()}
        if not self._axes and not self._ranges:
            raise UserError(f"{source}: search.on, and nothing to search: give vary or search.ranges")

    def propose(self, trial: Any) -> Cell:
        """The settings that Optuna's trial stands for."""
        options, values = dict[str, str](), Values()
        for axis, choices in self._axes.items():
            options[axis] = trial.suggest_categorical(axis, list(choices))
            values = over(values, choices[options[axis]])
        for path, span in self._ranges.items():
            number = span.of(trial)
            options[path] = f"{number:.4g}" if isinstance(number, float) else str(number)
            values = over(values, settings_of({path: number}, span.source))
        return Cell(options, values)

    def corners(self) -> list[Cell]:
        """Cells that hold every option and both ends of every range: what fits, fits everywhere."""
        rows = max([len(choices) for choices in self._axes.values()] + [2 for _ in self._ranges])
        found = []
        for row in range(rows):
            options, values = dict[str, str](), Values()
            for axis, choices in self._axes.items():
                options[axis] = list(choices)[row % len(choices)]
                values = over(values, choices[options[axis]])
            for path, span in self._ranges.items():
                end = span.ends[row % 2]
                options[path] = str(end)
                values = over(values, settings_of({path: end}, span.source))
            found.append(Cell(options, values))
        return found


class _Range:
    """Numbers from low to high of one setting."""

    def __init__(self, path: str, given: Any, source: str) -> None:
        self.path, self.source = path, f'{source}: search.ranges."{path}"'
        known = isinstance(given, dict) and {"low", "high"} <= given.keys() <= {"low", "high", "log"}
        numbers = [given[name] for name in ("low", "high")] if known else []
        if not known or any(type(n) not in (int, float) for n in numbers) or not numbers[0] < numbers[1]:
            raise UserError(
                f"{self.source} should be two numbers, such as {{ low = 1e-4, high = 1e-2, log = true }} "
                f"(found {given!r:.60})"
            )
        self._log = given.get("log") is True
        if self._log and numbers[0] <= 0:
            raise UserError(f"{self.source}: log needs a low above 0 (found {numbers[0]})")
        self.ends: tuple[float, float] = (numbers[0], numbers[1])
        for end in self.ends:
            settings_of({path: end}, self.source)

    def of(self, trial: Any) -> float:
        """The trial's number."""
        if all(isinstance(end, int) for end in self.ends):
            return int(trial.suggest_int(self.path, *self.ends, log=self._log))
        return float(trial.suggest_float(self.path, *self.ends, log=self._log))


class Trials:
    """What was tried, as Optuna keeps it in the study's folder."""

    def __init__(self, file: StudyFile, folder: StudyFolder, space: Space) -> None:
        if importlib.util.find_spec("optuna") is None or importlib.util.find_spec("scipy") is None:
            raise UserError("a search needs Optuna, which is not installed: uv sync --extra search (pip: [search])")
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        search = file.study.search
        self._optuna, self.space, self.prune = optuna, space, search.prune
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # it says so of the pruner
            wilcoxon = optuna.pruners.WilcoxonPruner(p_threshold=search.prune or 0.1)
        log: Any = TrialsLog(folder.path / TRIALS)
        try:
            self._study = optuna.create_study(
                storage=optuna.storages.JournalStorage(log),
                pruner=wilcoxon if search.prune else optuna.pruners.NopPruner(),
                study_name=file.name,
                direction="maximize",
                load_if_exists=True,
            )
        except (UserError, JobError):
            raise
        except Exception as error:  # whatever Optuna makes of entries that it did not write
            raise log.damaged(error) from None
        known = len(self._study.get_trials(deepcopy=False))
        seed = (search.seed + known) % 2**32  # gone on with, it would else propose what it did at first once more
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self._lock = threading.Lock()
        self._check_space(file.path)

    def _check_space(self, source: Path) -> None:
        """Refuse to go on with trials that chose from something else.

        Raises:
            UserError: names the first that differs.
        """
        asked = self._optuna.create_study(sampler=self._optuna.samplers.RandomSampler()).ask()  # kept nowhere
        self.space.propose(asked)
        now = asked.distributions
        self._names = now.keys()
        for trial in self._study.get_trials(deepcopy=False):
            before = trial.distributions
            for name in dict.fromkeys([*now, *before]):
                to_come = name not in before and not trial.state.is_finished()  # it was broken off while it chose
                if now.get(name) != before.get(name) and not to_come:
                    raise UserError(
                        f"{source}: {name} is searched for in {_options_of(now.get(name)):.60}, but the trials of this "
                        f"study were begun with {_options_of(before.get(name)):.60}: set it back, or give the file "
                        "another name to begin a new study"
                    )

    def cell(self, number: int) -> Cell | None:
        """The settings of a trial that has chosen all of them; else None."""
        known = self._study.get_trials(deepcopy=False)
        if number >= len(known) or known[number].params.keys() != self._names:
            return None
        return self.space.propose(self._optuna.trial.FixedTrial(known[number].params))

    def done(self, number: int) -> bool:
        """Whether a trial is over."""
        known = self._study.get_trials(deepcopy=False)
        return number < len(known) and known[number].state.is_finished()

    @property
    def retried(self) -> int:
        """How many trials are of settings that failed before."""
        return sum(_AGAIN in trial.user_attrs for trial in self._study.get_trials(deepcopy=False))

    def retry_failed(self) -> int:
        """Propose the settings of every failed trial once more; gives how many. Those proposed before are not again."""
        states = self._optuna.trial.TrialState
        known = self._study.get_trials(deepcopy=False)
        before = {trial.user_attrs.get(_AGAIN) for trial in known}
        failed = [trial for trial in known if trial.state == states.FAIL and trial.number not in before]
        for trial in failed:
            self._study.enqueue_trial(trial.params, user_attrs={_AGAIN: trial.number})
        return len(failed)

    def begin(self, number: int) -> tuple[Any, Cell]:
        """A trial and its settings; one that was broken off is gone on with.

        Threads come here in any order: the trials before this one are then begun as well, and wait for theirs.
        """
        waiting = self._optuna.trial.TrialState.WAITING
        with self._lock:
            while len(known := self._study.get_trials(deepcopy=False)) <= number or known[number].state == waiting:
                self._study.ask()
            trial = self._optuna.trial.Trial(self._study, known[number]._trial_id)
            return trial, self.space.propose(trial)

    def end(self, trial: Any, scores: list[float], pruned: bool) -> None:
        """A trial is over: by the mean score of its runs, early, or failed where none is to be had."""
        states = self._optuna.trial.TrialState
        with self._lock:
            if not scores:
                self._study.tell(trial, state=states.FAIL)
            elif pruned:
                self._study.tell(trial, state=states.PRUNED)
            else:
                self._study.tell(trial, sum(scores) / len(scores))

    def best(self) -> Cell | None:
        """The settings of the best trial that was tried on all seeds; None before the first."""
        complete = self._optuna.trial.TrialState.COMPLETE
        known = self._study.get_trials(deepcopy=False, states=(complete,))
        if not known:
            return None
        best = max(known, key=lambda trial: (trial.value, -trial.number))
        return self.space.propose(self._optuna.trial.FixedTrial(best.params))

    def counts(self) -> str:
        """How many were tried, and how they ended."""
        known = self._study.get_trials(deepcopy=False)
        names = {"COMPLETE": "complete", "PRUNED": "ended early", "FAIL": "failed"}
        found = {said: sum(trial.state.name == name for trial in known) for name, said in names.items()}
        return ", ".join(f"{count} {said}" for said, count in found.items() if count)


def _options_of(distribution: Any) -> str:
    """What Optuna chooses from, in words."""
    if distribution is None:
        return "nothing"
    if hasattr(distribution, "choices"):
        return ", ".join(distribution.choices)
    return f"{distribution.low} to {distribution.high}" + (" (log)" if distribution.log else "")


class Trial:
    """One proposal on all tuning seeds, one after the other; it ends early where it is plainly worse than the best."""

    def __init__(
        self, trials: Trials, file: StudyFile, folder: StudyFolder, workspace: Workspace, pool: Pool, number: int
    ) -> None:
        self._trials, self._file, self._folder = trials, file, folder
        self._workspace, self._pool, self._number = workspace, pool, number
        self._judge = file.study.judge.model_copy(update={"seed": file.study.search.judge_seed, "moments": 0})
        self.key = f"trial-{number:03d}"
        self.cell, self.took = "", None  # of settings that nobody tried before
        self.done = trials.done(number)
        self._lock = threading.Lock()
        self._run: StudyRun | None = None
        self._stopping = False
        self.say: Say = lambda event: None

    def go(self) -> None:
        """Try it; asked to stop, what is there is kept and gone on with another time."""
        trial, cell = self._trials.begin(self._number)
        judge = self._judge
        scores: list[float] = []
        pruned = False
        for place, seed in enumerate(self._file.study.seeds.tuning):
            plan, record = self._asked(cell, seed)
            run = StudyRun(plan, record, judge, self._folder, self._workspace, self._pool)
            run.say = partial(self._told, place)
            with self._lock:  # a word to stop comes before, or finds the run
                if self._stopping:
                    return
                self._run = run
            run.go()
            score = score_of(record, judge)
            if record.state == "failed":
                scores = []  # settings that do not hold are not what is looked for
                break
            if score is None:
                return
            scores.append(score)
            for n, (_, reward, _) in enumerate(record.scores[judge.ways[0]]):
                trial.report(reward, place * judge.episodes + n)
            if place + 1 < len(self._file.study.seeds.tuning) and self._trials.prune and trial.should_prune():
                pruned = True
                break
        self._trials.end(trial, scores, pruned)
        self.done = True

    def check(self) -> None:
        """See whether its runs were begun with the settings that the file has now.

        Raises:
            UserError: one was not.
        """
        cell = self._trials.cell(self._number)
        if cell is not None:
            for seed in self._file.study.seeds.tuning:
                self._asked(cell, seed)

    def _asked(self, cell: Cell, seed: int) -> tuple[RunPlan, RunRecord]:
        """One of its runs, and what is known of it.

        Raises:
            UserError: it was begun with other settings.
        """
        plan = RunPlan(f"{self.key}-seed-{seed}", cell, seed, self._file.experiment(cell, seed))
        record = self._folder.read(plan.key)
        if record is not None:
            check_same(record, plan, self._judge, self._file.path)
        return plan, record or new_record(plan, self._judge)

    def _told(self, place: int, event: Event) -> None:
        """Pass on what a run says: how far that is, is a part of how far this is."""
        if isinstance(event, StudyRunMoved):
            share = (place + event.share) / len(self._file.study.seeds.tuning)
            event = replace(event, key=self.key, share=share)
        self.say(event)

    def stop(self) -> None:
        """Have its run save and stop; returns at once."""
        with self._lock:
            self._stopping = True
            if self._run is not None:
                self._run.stop()

    def kill(self) -> None:
        """End its run at once."""
        with self._lock:
            self._stopping = True
            if self._run is not None:
                self._run.kill()
