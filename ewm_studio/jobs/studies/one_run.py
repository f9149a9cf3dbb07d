"""One run of a study: trained, judged, and tried once more where it dies."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ewm_studio.analysis.run_tags import tags_of, with_tags, words_without
from ewm_studio.errors import JobError, UserError
from ewm_studio.events import CheckpointSaved, Event, Finished, Progress, RunStarted, StudyRunMoved
from ewm_studio.formatting import significant
from ewm_studio.jobs.failure import failure_of, is_misfortune
from ewm_studio.jobs.runners.runner import PlaceLost, Runner
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.jobs.studies.moments import Moments
from ewm_studio.jobs.studies.pool import Pool
from ewm_studio.jobs.studies.sameness import asked_for
from ewm_studio.settings import Experiment
from ewm_studio.settings.study import JudgeSettings
from ewm_studio.settings.study_file import RunPlan
from ewm_studio.workspace import Run, Workspace
from ewm_studio.workspace.studies import RunRecord, StudyFolder

TRIES = 2  # a run that dies is tried once more, and then counted as failed
TOLD_SECONDS = 1.0  # between two words on how far a run is
SAVING_SECONDS = 30.0  # that a process whose study was killed may still be saving
TRAINING_SHARE = 0.9  # of a run's work; the rest is judging
_STAGES = {"collect": "frames", "encode": "frames", "vision": "V", "memory": "M", "together": "V, M", "clone": "C"}

Say = Callable[[Event], None]


class StudyRun:
    """Brings one run to its end; all that is known of it is kept in the study's folder as it becomes known."""

    def __init__(
        self,
        plan: RunPlan,
        record: RunRecord,
        judge: JudgeSettings,
        folder: StudyFolder,
        workspace: Workspace,
        pool: Pool,
    ) -> None:
        self.plan, self.record, self.judge = plan, record, judge
        self._folder, self._workspace, self._pool = folder, workspace, pool
        self._lock = threading.Lock()
        self._moments = Moments(folder, record.key, judge.moments, plan.experiment.train.total_steps)
        self._runner: Runner | None = None
        self._stopping = self._killed = False
        self._told = float("-inf")
        self._share, self._doing = self._behind(), ""
        self._to_play = self._played_before = 0  # episodes of all judging
        self.say: Say = lambda event: None

    @property
    def key(self) -> str:
        """Its name in the study."""
        return self.record.key

    @property
    def cell(self) -> str:
        """The name of its cell."""
        return self.record.name

    @property
    def took(self) -> float | None:
        """Seconds that all of it took, about; None where it is not finished."""
        seconds = self.record.trained.get("seconds") if self.record.state == "finished" else None
        return seconds / TRAINING_SHARE if seconds else None

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.record.done

    def go(self) -> None:
        """Train and judge what is missing.

        Raises:
            UserError or JobError: the study's own files cannot be written, whatever computes the runs is out of reach,
                or the machine has no room or process for one. The run is then left as it was saved.
        """
        while not (self.record.done or self._stopping):
            try:
                self._forget_gone()
                self._share, self._doing = self._behind(), ""
                self._note("running")
                self._train()
                if not self._stopping:
                    self._play()
            except _Stopped:
                break
            except PlaceLost:
                self._leave()
                raise
            except Exception as error:  # of whatever kind: where it is the run's, the study goes on
                if self._killed:
                    return
                clear = _explained(error)
                # Here, where nothing is computed, the system's errors are of files and processes.
                if isinstance(clear, OSError) or is_misfortune(clear):
                    self._leave()
                    raise self._unlucky(clear) from error
                self._failed(" ".join(failure_of(clear).what.split()))
        if not self.record.done:
            self._note("stopped")

    def stop(self) -> None:
        """Have it save and stop; returns at once."""
        with self._lock:
            self._stopping = True
            if self._runner is not None:
                self._runner.tell("stop")

    def kill(self) -> None:
        """End its process at once: what it has saved stands."""
        with self._lock:
            self._stopping = self._killed = True
            if self._runner is not None:
                self._runner.kill()

    def _leave(self) -> None:
        """Note that it is to be gone on with, if there is room even for that."""
        with contextlib.suppress(UserError, JobError):
            self._note("stopped")

    def _unlucky(self, error: BaseException) -> JobError:
        """Why the study stops."""
        what = " ".join(failure_of(error, "run the job").what.split()).rstrip(".")
        return JobError(
            f"{self.record.name}, seed {self.plan.seed}: {what}. The study stops, and no run counts as failed for "
            "this: mend it, then go on with the study"
        )

    def _failed(self, reason: str) -> None:
        self.record.failures.append(reason)
        last = len(self.record.failures) >= TRIES
        self._note("failed" if last else "running", reason)

    # Training

    def _behind(self) -> float:
        """How far it was brought before; 0 where that cannot be read, which the run itself will say."""
        if self._is_gone():
            return 0.0
        if self.record.trained:
            return TRAINING_SHARE
        total, run = self.plan.experiment.train.total_steps, self.record.run
        found = None
        with contextlib.suppress(UserError, JobError, OSError):
            found = self._workspace.run(run).latest_checkpoint() if run else None
        return TRAINING_SHARE * min(1.0, int(found.stem) / total) if total and found else 0.0

    def _forget_gone(self) -> None:
        """Begin anew where its run was deleted, or was never here: a study handed on comes without its runs."""
        if self._is_gone():
            begin_anew(self.record, self._folder)

    def _is_gone(self) -> bool:
        run = self.record.run
        return bool(run) and not (self._workspace.runs_folder / run / "experiment.toml").is_file()

    def _train(self) -> None:
        if self.record.trained:
            return
        stopped_by = ""
        for event in self._events(self._job()):
            if isinstance(event, RunStarted):
                self._began(event.run)
            elif isinstance(event, Progress) and event.stage == "train" and event.total:
                self._tell(TRAINING_SHARE * min(1.0, event.done / event.total))
            elif isinstance(event, Progress) and event.total and event.stage in _STAGES and not self._share:
                self._tell(0.0, f"{_STAGES[event.stage]} {min(1.0, event.done / event.total):.0%}")
            elif isinstance(event, CheckpointSaved):
                checkpoints = self._workspace.run(self.record.run).folder / "checkpoints"
                self._moments.see(checkpoints / Path(event.path).name, event.step)
            elif isinstance(event, Finished):
                stopped_by = event.stopped_by
        if stopped_by == "stop":
            raise _Stopped
        self.record.trained = self._training(self._workspace.run(self.record.run), stopped_by)
        self._tell(TRAINING_SHARE, "plays", now=True)

    def _job(self) -> JobSpec:
        """What is left to train: the run that is there from its last checkpoint on, or a new one."""
        place = str(self._workspace.path)
        if self.record.run:
            run = self._workspace.run(self.record.run)
            until = time.monotonic() + SAVING_SECONDS
            while run.alive and not self._stopping and time.monotonic() < until:
                time.sleep(TOLD_SECONDS / 10)
            if run.latest_checkpoint() is not None:
                return JobSpec("train", place, {}, run.name)
        return JobSpec("train", place, self.plan.experiment.model_dump(mode="json"))

    def _began(self, run: str) -> None:
        if run == self.record.run:
            return
        self.record.runs.append(run)
        self._note("running")
        # The study's name is a tag: before the title it would hide, in a narrow column, what the run is of.
        tag = re.sub(r"[^\w.-]+", "-", self._folder.name)
        title = f"{self.record.name}, seed {self.plan.seed}"
        self._workspace.describe_run(run, title=title, note=with_tags("", [tag]))

    def _training(self, run: Run, stopped_by: str) -> dict[str, Any]:
        """What learning took, and the model that is judged."""
        info = self._workspace.info(run.name)
        model = run.best_checkpoint() if self.judge.model == "best" else run.latest_checkpoint()
        if model is None:
            raise JobError(f"run {run.name} has no model to judge")
        seconds = run.metrics("speed/steps_per_second").seconds
        repeat = self.plan.experiment.env.action_repeat
        before = self.plan.experiment.warm_up.random_frames * repeat  # a run in dreams counts its own among its steps
        return {
            "steps": info.steps,
            "frames": before + info.steps * repeat,
            "frames_before": before,
            "seconds": round(float(seconds[-1]), 3) if len(seconds) else 0.0,
            "stopped_by": stopped_by,
            "model": model.relative_to(run.folder).as_posix(),
        }

    # Judging

    def _play(self) -> None:
        run = self._workspace.run(self.record.run)
        judged = {step for step, *_ in self.record.moments}
        moments = {step: model for step, model in self._moments.kept().items() if step not in judged}
        ways = [way for way in self.judge.ways if way not in self.record.scores]
        self._to_play = len(moments) * self.judge.moment_episodes + len(ways) * self.judge.episodes
        self._played_before = 0
        self._play_moments(run, moments)
        for way in ways:
            model = run.folder / self.record.trained["model"]
            self.record.scores[way] = self._played(run, model, way, self.judge.episodes)
            self._folder.write(self.record)
        self._moments.forget()
        self._note_scores()
        self._note("finished")

    def _note_scores(self) -> None:
        """Say beside the run, among all others of the workspace, what it was judged to be: a nicety, which may fail."""
        scores = self.record.scores
        means = (f"{significant(float(np.mean([reward for _, reward, _ in scores[w]])))} {w}" for w in self.judge.ways)
        with contextlib.suppress(UserError, JobError):
            note = self._workspace.info(self.record.run).note
            words, judged = words_without(note), f"judged {', '.join(means)}"
            if judged not in words:
                note = with_tags(f"{words} {judged}".strip(), tags_of(note))
                self._workspace.describe_run(self.record.run, note=note)

    def _play_moments(self, run: Run, models: Mapping[int, Path]) -> None:
        """Judge the models that were kept on the way, by their steps."""
        speed = run.metrics("speed/steps_per_second")
        for step, model in models.items():
            rows = self._played(run, model, self.judge.ways[0], self.judge.moment_episodes)
            repeat = self.plan.experiment.env.action_repeat
            frames = self.record.trained.get("frames_before", 0) + step * repeat
            minutes = float(np.interp(step, speed.step, speed.seconds)) / 60 if len(speed.step) else 0.0
            self.record.moments.append((step, frames, minutes, sum(reward for _, reward, _ in rows) / len(rows)))
            self.record.moments.sort()
            self._folder.write(self.record)

    def _played(self, run: Run, model: Path, way: str, episodes: int) -> list[tuple[int, float, int]]:
        """What a model plays, by the run's own environment and the study's episodes: seed, reward and steps of each.

        Args:
            run: the model's.
            model: its file.
            way: greedy or sampled.
            episodes: how many.
        """
        values: dict[str, Any] = {
            "start.load_path": str(model),
            "start.patch_load_path": None,
            "start.patch": None,
            "infer.episodes": episodes,
            "infer.greedy": way == "greedy",
            "infer.policy": "controller",
            "infer.keep_replays": False,
            "infer.video": None,
            "run.seed": self.judge.seed,
        }
        experiment = Experiment.of_run(run.folder / "experiment.toml").with_values(*values.items())
        result: dict[str, Any] = {}
        for event in self._events(JobSpec("infer", str(self._workspace.path), experiment.model_dump(mode="json"))):
            if isinstance(event, Progress) and event.total:
                done = (self._played_before + event.done) / self._to_play
                self._tell(TRAINING_SHARE + (1 - TRAINING_SHARE) * done, f"plays {done:.0%}")
            elif isinstance(event, Finished):
                result = event.result
        played = result.get("episodes", [])
        if len(played) < episodes:
            raise _Stopped
        self._played_before += episodes
        return [(e["seed"], e["reward"], e["steps"]) for e in played]

    # Running a job, and telling

    def _events(self, job: JobSpec) -> Any:
        """The events of a job, which can be stopped and killed meanwhile."""
        runner = self._pool.runner(job)
        with self._lock:
            if self._stopping:
                raise _Stopped
            self._runner = runner
        try:
            for batch in runner.events():
                yield from (event for _, event in batch)
        finally:
            with self._lock:
                self._runner = None

    def _note(self, state: Any, reason: str = "") -> None:
        """Keep how it stands, and tell."""
        self.record.state = state
        self._folder.write(self.record)
        self.say(self.moved(reason))

    def _tell(self, share: float, doing: str = "", now: bool = False) -> None:
        self._share, self._doing = share, doing
        if now or time.monotonic() - self._told >= TOLD_SECONDS:
            self._told = time.monotonic()
            self.say(self.moved())

    def moved(self, reason: str = "") -> StudyRunMoved:
        """How it stands, as an event."""
        record = self.record
        share = 1.0 if record.done else self._share
        score, doing = score_of(record, self.judge), self._doing if record.state == "running" else ""
        return StudyRunMoved(
            record.key, record.name, record.seed, record.state, share, record.run, score, reason, doing
        )


def _explained(error: BaseException) -> BaseException:
    from ewm_studio.jobs.failures import explained  # only now: who looks at a study imports this file too

    return explained(error)


class _Stopped(Exception):
    """It was asked to stop, and has saved."""


def score_of(record: RunRecord, judge: JudgeSettings) -> float | None:
    """The mean reward of the episodes that a run is compared by; None before they are played."""
    episodes = record.scores.get(judge.ways[0])
    return sum(reward for _, reward, _ in episodes) / len(episodes) if episodes else None


def new_record(plan: RunPlan, judge: JudgeSettings) -> RunRecord:
    """What is known of a run before it begins."""
    return RunRecord(plan.key, dict(plan.cell.options), plan.seed, asked_for(plan, judge))


def begin_anew(record: RunRecord, folder: StudyFolder) -> None:
    """Forget all that a run came to; its former runs stay in the workspace."""
    record.runs, record.trained, record.scores, record.moments = [], {}, {}, []
    Moments(folder, record.key, 0, None).forget()
