"""Runs of a benchmark, each in a process of its own: what was broken off is gone on with, what is finished is read.

In the benchmark's workspace each trial has a folder `trials/<name>`: `asked.json` says what it is, `found.json` what is
known of it by now, `log.txt` what its process said, and the models of its marks lie there. Its run stands in the
workspace like any other, under the trial's name as its title.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch

from ewm_studio.errors import JobError, UserError
from ewm_studio.events import CheckpointSaved, Event, Finished, JobControl, Message, RunStarted
from ewm_studio.jobs import infer
from ewm_studio.settings import Experiment
from ewm_studio.settings.layers import Values, over
from ewm_studio.settings.paths import parse_assignment
from ewm_studio.workspace import Run, Workspace
from ewm_studio.workspace.files import write_text
from ewm_studio.workspace.replays import link_model
from tests.support import ROOT

BEST, LAST = "best", "last"
STOPPED = 3  # exit code of a trial that was asked to stop
UNSEEN = 100_000  # the first seed of the episodes that are played in the end: no training or judgement meets them
_MACHINE = {"workers", "threads", "device"}  # settings that change nothing but the speed


@dataclass(frozen=True)
class Play:
    """So many unseen episodes of a model of the trial: the `best` by the run's own scores, the `last`, or a mark's."""

    model: str = BEST
    greedy: bool = True
    episodes: int = 20
    seed: int = UNSEEN
    planned: bool = False  # by plans tried in its memory, by the settings of `planner`, in place of its controller

    @property
    def how(self) -> str:
        """Who decides, in a word."""
        return "planned" if self.planned else "greedy" if self.greedy else "sampled"

    @property
    def key(self) -> str:
        """Its name in `found.json`."""
        return f"{self.model} {self.how} {self.episodes} from {self.seed}"


def both(model: str = BEST, episodes: int = 20, seed: int = UNSEEN) -> tuple[Play, Play]:
    """Greedy and sampled."""
    return Play(model, True, episodes, seed), Play(model, False, episodes, seed)


@dataclass(frozen=True)
class Trial:
    """A run, and what is played of it.

    Attributes:
        name: of its folder, and the run's title.
        experiment: its settings.
        marks: steps; the checkpoint nearest to each is kept.
        plays: what is played once it is trained.
        job: `module:function` of what trains it, which takes and gives what `train` does.
    """

    name: str
    experiment: Experiment
    marks: tuple[int, ...] = ()
    plays: tuple[Play, ...] = ()
    job: str = "ewm_studio.jobs:train"

    @property
    def slug(self) -> str:
        """Its name as a folder's."""
        return "-".join("".join(c if c.isalnum() or c in ".+" else " " for c in self.name).split())


@dataclass(frozen=True)
class Found:
    """What is known of a trial by now."""

    values: dict[str, Any]

    @property
    def run(self) -> str:
        """The run's name; empty before there is one."""
        return str(self.values.get("run", ""))

    @property
    def trained(self) -> dict[str, Any]:
        """The job's result; empty before it is done."""
        return dict(self.values.get("trained", {}))

    @property
    def cpu_seconds(self) -> float:
        """Seconds of the processor that training took by now, those of its environments included."""
        return float(self.values["spent"][-1][1]) if self.values.get("spent") else 0.0

    @property
    def kept(self) -> dict[str, int]:
        """The step of the model that was kept for each mark."""
        return dict(self.values.get("kept", {}))

    def score(self, play: Play) -> dict[str, Any] | None:
        """What a play came to: mean, std, median, min, max, and the `rewards` by seed."""
        return self.values.get("scores", {}).get(play.key)


def changed(experiment: Experiment, assignments: Iterable[str]) -> Experiment:
    """The experiment with `section.field=value` set, as by `--set`; another component drops what was the old one's."""
    upper: Values = {}
    for text in assignments:
        path, value = parse_assignment(text)
        section, _, field = path.partition(".")
        upper.setdefault(section, {})[field] = value
    return Experiment.from_dict(over(experiment.model_dump(mode="json"), upper))


def alone(experiment: Experiment, seed: int, workers: str = "0") -> Experiment:
    """The experiment with a seed, on one thread."""
    return changed(experiment, [f"run.seed={seed}", "run.threads=1", f"env.workers={workers}"])


def read(folder: Path, trial: Trial) -> Found:
    """What is known of a trial.

    Raises:
        UserError: there was one of this name with other settings.
    """
    place = folder / "trials" / trial.slug
    if (place / "asked.json").exists():
        asked = json.loads((place / "asked.json").read_text(encoding="utf-8"))
        before, now = _fixed(asked["experiment"]), _fixed(trial.experiment.model_dump(mode="json"))
        if (
            other := next((p for p in sorted(before.keys() | now.keys()) if before.get(p) != now.get(p)), None)
        ) is not None:
            raise UserError(
                f"{place}: a trial with {other} {before.get(other)}, now it is to be {now.get(other)}: give another "
                f"--workspace, or delete that folder to begin anew"
            )
    path = place / "found.json"
    return Found(json.loads(path.read_text(encoding="utf-8")) if path.exists() else {})


def ask(folder: Path, trial: Trial) -> Path:
    """Write down what a trial is, for its process; gives its folder."""
    place = folder / "trials" / trial.slug
    place.mkdir(parents=True, exist_ok=True)
    asked = {
        "name": trial.name,
        "experiment": trial.experiment.model_dump(mode="json"),
        "marks": trial.marks,
        "plays": [asdict(play) for play in trial.plays],
        "job": trial.job,
    }
    write_text(place / "asked.json", json.dumps(asked, indent=1))
    return place


def _fixed(values: dict[str, Any]) -> dict[str, Any]:
    """Settings by path, without those of the machine and of the versions."""
    return {
        f"{section}.{name}": value
        for section, group in values.items()
        if section != "versions"
        for name, value in group.items()
        if name not in _MACHINE
    }


def run_all(trials: Sequence[Trial], folder: Path, jobs: int = 1) -> tuple[dict[str, Found], bool]:
    """Bring trials to their end, so many side by side; what is known of each then, and whether all are done.

    Asked to stop, by Ctrl-C or a signal, they stop at their next safe point, to be gone on with by the next call.

    Raises:
        UserError: a trial is there with other settings.
    """
    for trial in trials:  # all, before the first begins
        read(folder, trial)
    children = _Children(folder)
    before = {number: signal.signal(number, children.stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with ThreadPoolExecutor(jobs) as pool:
            done = list(pool.map(children.go, trials))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return {trial.name: read(folder, trial) for trial in trials}, all(done)


class _Children:
    """The processes of trials."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stopping = folder, False
        self.alive: set[subprocess.Popen[bytes]] = set()

    def stop(self, *_: Any) -> None:
        """Ask them all to end; no other begins. A signal may come more than once."""
        if not self.stopping:
            print("stopping; the same command goes on", flush=True)
        self.stopping = True
        for child in list(self.alive):
            child.send_signal(signal.SIGINT)

    def go(self, trial: Trial) -> bool:
        """Bring one to its end; whether it got there."""
        if _is_done(trial, read(self.folder, trial)):
            return True
        if self.stopping:
            return False
        place = ask(self.folder, trial)
        print(f"{trial.name}: begun, see {place / 'log.txt'}", flush=True)
        command = [sys.executable, "-u", "-m", "tests.benchmarks.trials", str(self.folder.resolve()), trial.slug]
        with (place / "log.txt").open("ab") as log:
            child = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )
            self.alive.add(child)
            code = child.wait()
            self.alive.discard(child)
        if code not in (0, STOPPED) and not self.stopping:
            said = (place / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            print(f"{trial.name}: failed: {said[-1] if said else f'exit code {code}'}", flush=True)
        elif code == 0:
            print(f"{trial.name}: done", flush=True)
        return code == 0


def _is_done(trial: Trial, found: Found) -> bool:
    return bool(found.trained) and all(found.score(play) for play in trial.plays)


class Work:
    """One trial in its own process."""

    def __init__(self, folder: Path, slug: str, workspace: Workspace) -> None:
        self.place, self.workspace, self.control = folder / "trials" / slug, workspace, JobControl()
        asked = json.loads((self.place / "asked.json").read_text(encoding="utf-8"))
        plays = tuple(Play(**play) for play in asked["plays"])
        experiment = Experiment.from_dict(asked["experiment"])
        self.trial = Trial(asked["name"], experiment, tuple(asked["marks"]), plays, asked["job"])
        self.found = dict(read(folder, self.trial).values)
        self._cpu_before = Found(self.found).cpu_seconds
        self._cpu_began = _cpu_seconds()

    def go(self) -> bool:
        """Train and play what is missing; False when asked to stop."""
        if "trained" not in self.found and not self._train():
            return False
        for play in self.trial.plays:
            if play.key not in self.found.setdefault("scores", {}) and not self._play(play):
                return False
        return True

    def _train(self) -> bool:
        job = resolve_name(self.trial.job)
        for event in job(self.trial.experiment, self.workspace, self.control, resume=self._known()):
            if isinstance(event, RunStarted):
                self._note(run=event.run)
                self.workspace.describe_run(event.run, title=self.trial.name)
            elif isinstance(event, CheckpointSaved):
                self._keep(event)
            _say(event)
            if isinstance(event, Finished):
                self._spent(event.result["env_steps"])
                if event.stopped_by == "stop":
                    return False
                self._note(trained={k: v for k, v in event.result.items() if k != "losses"})
        return True

    def _known(self) -> str | None:
        """The run to go on with; one that came to no checkpoint is begun anew."""
        name = self.found.get("run")
        if name is None or self.workspace.run(name).latest_checkpoint() is not None:
            return name
        self.workspace.delete_run(name)
        return None

    def _keep(self, saved: CheckpointSaved) -> None:
        """Keep a checkpoint for each mark that none before came nearer to."""
        kept: dict[str, int] = self.found.get("kept", {})
        for mark in self.trial.marks:
            if str(mark) in kept and abs(kept[str(mark)] - mark) <= abs(saved.step - mark):
                continue
            aside = self.place / "next"
            aside.unlink(missing_ok=True)
            link_model(Path(saved.path), aside)
            os.replace(aside, self.place / f"{mark}.safetensors")
            kept[str(mark)] = saved.step
        self._spent(saved.step)
        self._note(kept=kept)

    def _spent(self, step: int) -> None:
        """Note what training has taken up to a step."""
        rows = [row for row in self.found.get("spent", []) if row[0] < step]  # a resumed run may go back
        seconds = self._cpu_before + _cpu_seconds() - self._cpu_began
        self._note(spent=[*rows, [step, round(seconds, 2)]])

    def _play(self, play: Play) -> bool:
        run = self.workspace.run(self.found["run"])
        values: dict[str, Any] = {
            "start.load_path": str(self._model(play, run)),
            "start.patch_load_path": None,
            "start.patch": None,
            "infer.episodes": play.episodes,
            "infer.greedy": play.greedy,
            "infer.policy": "planner" if play.planned else "controller",
            "infer.keep_replays": False,
            "run.seed": play.seed,
        }
        print(f"{play.key}: {values['start.load_path']}", flush=True)
        experiment = Experiment.of_run(run.folder / "experiment.toml").with_values(*values.items())
        for event in infer(experiment, self.workspace, self.control):
            if isinstance(event, Finished):
                if event.stopped_by == "stop":
                    return False
                result = event.result
        rewards = {str(episode["seed"]): round(episode["reward"], 2) for episode in result.pop("episodes")}
        self.found["scores"][play.key] = {**result, "rewards": rewards}
        self._note()
        print(f"{play.key}: {result['mean']:.1f} +- {result['std']:.1f} (least {result['min']:.1f})", flush=True)
        return True

    def _model(self, play: Play, run: Run) -> Path:
        if play.model not in (BEST, LAST):
            return self.place / f"{play.model}.safetensors"
        found = run.best_checkpoint() if play.model == BEST else run.newest_model()
        assert found is not None
        if play.model == BEST:
            self._note(best_step=int(found.stem))
        return found

    def _note(self, **values: Any) -> None:
        self.found |= values
        write_text(self.place / "found.json", json.dumps(self.found, indent=1))


def _say(event: Event) -> None:
    if isinstance(event, Message):
        print(event.text, flush=True)
    elif isinstance(event, CheckpointSaved):
        score = "" if event.mean_reward is None else f", score {event.mean_reward:.1f}{' (best)' * event.best}"
        print(f"{time.strftime('%H:%M:%S')} {event.step:,} steps{score}", flush=True)


def _cpu_seconds() -> float:
    """Of this process, and of those it has waited for."""
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def add_arguments(parser: argparse.ArgumentParser, seeds: Sequence[int], workspace: str) -> None:
    """What every benchmark of trials can be told."""
    parser.add_argument("--seeds", type=int, nargs="+", default=list(seeds), metavar="SEED")
    parser.add_argument("--workspace", type=Path, default=Path(workspace), help="where runs are and go on")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, on one thread each")
    parser.add_argument("--workers", default="0", help="processes for the environments of each run; 0: none, or auto")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="a setting of all runs; repeatable"
    )
    parser.add_argument("--out", type=Path, help="folder of the report; without it the workspace")


def main(folder: Path, slug: str) -> int:
    """One trial's own process."""
    torch.set_num_threads(1)
    with contextlib.closing(Workspace(folder)) as workspace:
        work = Work(folder, slug, workspace)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: work.control.stop())
        try:
            return 0 if work.go() else STOPPED
        except (UserError, JobError) as error:
            print(error, flush=True)
            return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
