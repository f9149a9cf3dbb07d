"""The card of a model that ships: every seed of a preset plays unseen episodes; the best of others ships."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ewm_studio.analysis.curve import Line, draw_curves
from ewm_studio.errors import UserError
from ewm_studio.events import Event, Finished, JobControl, Message, RunStarted
from ewm_studio.jobs.card_dreams import SCORES, judgements
from ewm_studio.jobs.card_text import card_text
from ewm_studio.jobs.failures import explains_failures
from ewm_studio.jobs.infer_job import infer
from ewm_studio.jobs.kept_assessment import PICTURES, kept_assessment, kept_pictures
from ewm_studio.machine import cores
from ewm_studio.settings import Experiment
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.settings.typed_path import typed_path
from ewm_studio.workspace import Run, Workspace
from ewm_studio.workspace.files import check_folder, write_aside, write_error, write_text
from ewm_studio.workspace.pretrained import CARD
from ewm_studio.workspace.record import SETTINGS
from ewm_studio.workspace.replays import MODEL_NAME
from ewm_studio.workspace.run import Episodes, Points
from ewm_studio.workspace.versions import versions

WORST = 5  # episodes that the card names
CURVE, TEXT = "curve.png", "card.md"
_OF_ONE_RUN: Any = {"run": True, "versions": True, "start": True, "env": {"workers", "render_mode"}}
MODES = {"greedy": True, "sampled": False}


@explains_failures
def write_card(
    runs: Sequence[str],
    folder: str | Path,
    workspace: Workspace,
    control: JobControl | None = None,
    *,
    episodes: int = 100,
    choosing: int = 20,
    seed: int = 100_000,
    marks: Sequence[float] = (),
    limits: str = "",
) -> Generator[Event, None, None]:
    """Play the best checkpoint of every run, greedily and sampled; ship the one that is best on other episodes.

    Whoever is chosen by the very episodes that the card shows is not as good as the card says.

    Args:
        runs: runs of one preset, a seed each.
        folder: where model, settings, card and curve go; its name is the model's.
        workspace: holds the runs.
        control: asks to stop; nothing is written then.
        episodes: how many each plays in each way.
        choosing: how many more each plays greedily, where there are several: the best mean of these is shipped.
        seed: of the first of all of them; training must not have seen these.
        marks: rewards; the card says when the mean of the last 100 training episodes first reached each.
        limits: what the model cannot do or was not tried on, in words.

    Raises:
        UserError: a run is missing or has no checkpoint, the runs are of different settings, or the folder cannot be
            written to or holds files of the same names that are no card's: all that is seen before anything is played.
    """
    control, folder = control or JobControl(), Path(os.path.abspath(typed_path(folder, "--out")))
    chosen = [workspace.run(name) for name in runs]
    experiments = [Experiment.from_toml(run.folder / SETTINGS) for run in chosen]
    _check_alike(chosen, experiments)
    _check_place(folder)
    rows = [_training_of(run, experiment, marks) for run, experiment in zip(chosen, experiments, strict=True)]
    models = [workspace.resolve_model(run.folder) for run in chosen]
    for run in chosen:
        kept_assessment(run.folder)
    yield RunStarted("infer", "", str(folder), f"card of {len(chosen)} runs, {episodes} unseen episodes each")
    for run, experiment, model, row in zip(chosen, experiments, models, rows, strict=True):
        plays = {mode: (greedy, episodes, seed) for mode, greedy in MODES.items()}
        if len(chosen) > 1:
            plays["choosing"] = (True, choosing, seed + episodes)
        for mode, (greedy, count, first) in plays.items():
            yield Message(f"{run.name}, {mode}")
            asked = experiment.with_values(
                ("start.load_path", str(model)),
                ("infer.episodes", count),
                ("infer.greedy", greedy),
                ("infer.keep_replays", False),
                ("run.seed", first),
                ("env.workers", "auto"),
            )
            result: dict[str, Any] = {}
            for event in infer(asked, workspace, control):
                if isinstance(event, Finished):
                    result = event.result
                elif not isinstance(event, RunStarted):
                    yield event
            if control.stop_requested:
                yield Finished("stop", {"folder": ""})
                return
            row.update({mode: _scores(result), "checkpoint_step": int(model.stem)})
    best = max(range(len(rows)), key=lambda i: rows[i]["choosing"]["mean"]) if len(rows) > 1 else 0
    evaluation: dict[str, Any] = {"episodes": episodes, "first_seed": seed, "reward": "unshaped"}
    if len(rows) > 1:
        evaluation["choosing"] = {"episodes": choosing, "first_seed": seed + episodes}
    card = _figures(experiments[best], rows, best, evaluation, limits)
    if judged := judgements(chosen[best], experiments[best].env.action_repeat):
        card["judgements"] = judged
    yield from _add_assessment(card, chosen[best], workspace)
    _write(folder, chosen, best, card, workspace)
    yield Message(f"card written: {folder / TEXT}")
    means = {mode: card["score"][mode]["mean"] for mode in MODES}
    yield Finished("episodes", {"folder": str(folder), **means, "shipped_seed": card["shipped_seed"], "seeds": rows})


def _check_place(folder: Path) -> None:
    """Refuse a folder that a card cannot be written to, and one in which it would replace what is no card's.

    Raises:
        UserError: it is such a one.
    """
    place = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    if not place.is_dir():
        raise UserError(f"{folder}: {place} is a file; give a folder for the card")
    check_folder(place, f"card {folder}")
    there = [name for name in (MODEL_NAME, SETTINGS, TEXT, CURVE) if os.path.lexists(folder / name)]
    if there and not (folder / CARD).is_file():
        raise UserError(
            f"{folder}: holds {', '.join(there)} and no card, and the card would replace them; give another"
        )


def _check_alike(runs: list[Run], experiments: list[Experiment]) -> None:
    plain = [e.model_dump(mode="json", exclude=_OF_ONE_RUN) for e in experiments]
    for run, values in zip(runs, plain, strict=True):
        if values != plain[0]:
            raise UserError(f"runs {runs[0].name} and {run.name} are of different settings: a card is of one preset")
    seeds = [e.run.seed for e in experiments]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"the runs are of seeds {', '.join(map(str, seeds))}: give runs of different seeds")


def _training_of(run: Run, experiment: Experiment, marks: Sequence[float]) -> dict[str, Any]:
    """What a run took."""
    (told, _), curve, episodes = _progress(run), run.metrics("reward/mean_100"), run.episodes()
    if not len(told.step):
        raise UserError(f"run {run.name}: has neither a finished episode nor a judgement to make a card of")
    return {
        "seed": experiment.run.seed,
        "env_steps": int(told.step[-1]),
        "frames": int(episodes.length.sum()),
        "episodes": len(episodes.step),
        "seconds": round(float(told.seconds[-1]), 1),
        "marks": {f"{mark:g}": _first_at(curve, episodes, mark) for mark in marks},
    }


def _progress(run: Run) -> tuple[Points, str]:
    """How a run got better, and what the figure is: its judgements for real where it learned in dreams."""
    judged = run.metrics(SCORES["greedy"])
    if len(judged.step):  # a driver who makes no mistake any more may never have ended an episode
        return judged, "greedy reward, judged for real on the way"
    return run.metrics("reward/mean_100"), "mean reward of the last 100 training episodes"


def _first_at(curve: Points, episodes: Episodes, mark: float) -> dict[str, Any] | None:
    """When training's mean reward first reached a mark; None if it never did."""
    reached = np.flatnonzero(curve.value >= mark)
    if not len(reached):
        return None
    step = int(curve.step[reached[0]])
    return {
        "env_steps": step,
        "frames": int(episodes.length[episodes.step <= step].sum()),
        "seconds": round(float(curve.seconds[reached[0]]), 1),
    }


def _scores(result: dict[str, Any]) -> dict[str, Any]:
    """The spread of one evaluation, its standard error, and its worst episodes."""
    rewards = [episode["reward"] for episode in result["episodes"]]
    worst = sorted(result["episodes"], key=lambda episode: episode["reward"])[:WORST]
    scores = {name: round(result[name], 2) for name in ("mean", "std", "median", "min", "max")}
    scores["standard_error"] = round(float(np.std(rewards, ddof=1)) / math.sqrt(len(rewards)), 2)
    if "laps_finished" in result:
        scores["laps_finished"] = result["laps_finished"]
    return scores | {"worst": [{"seed": e["seed"], "reward": round(e["reward"], 2)} for e in worst]}


def _figures(
    experiment: Experiment, rows: list[dict[str, Any]], best: int, evaluation: dict[str, Any], limits: str
) -> dict[str, Any]:
    parts = {kind: getattr(experiment, kind).model_dump(mode="json") for kind in COMPONENTS}
    return {
        "env": experiment.env.id,
        "action_repeat": experiment.env.action_repeat,
        "parts": parts,
        "evaluation": evaluation,
        "shipped_seed": rows[best]["seed"],
        "score": {mode: rows[best][mode] for mode in MODES},
        "over_seeds": {mode: _over_seeds([row[mode]["mean"] for row in rows]) for mode in MODES},
        "seeds": rows,
        "machine": machine(),
        "versions": {**versions(), **experiment.versions},
        "limits": limits,
        "license": "MIT",
    }


def _add_assessment(card: dict[str, Any], run: Run, workspace: Workspace) -> Generator[Event, None, None]:
    """What `assess` found of the model that ships, where it was assessed as it is."""
    found, model = kept_assessment(run.folder), workspace.resolve_model(run.folder)
    if found is None:
        return
    if found.get("checkpoint") != model.stem:
        yield Message(f"{run.name} was assessed at another checkpoint: the card says nothing of its dreams", "warning")
        return
    card["assessment"] = found


def _over_seeds(means: list[float]) -> dict[str, float]:
    return {
        "mean": round(float(np.mean(means)), 2),
        "std": round(float(np.std(means)), 2),
        "min": min(means),
        "max": max(means),
    }


def machine() -> dict[str, Any]:
    """What this computer is, as far as it matters to how long training takes."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _copy(source: Path, target: Path) -> None:
    def copy(aside: Path) -> None:
        shutil.copyfile(source, aside)

    write_aside(target, copy)


def _copy_pictures(folder: Path, run: Run, card: dict[str, Any]) -> None:
    """Take the assessment's pictures along, and none of an earlier card's."""
    there = kept_pictures(run.folder, card["assessment"]) if "assessment" in card else {}
    for name, (file, _) in PICTURES.items():
        if name in there:
            _copy(there[name][0], folder / file)
        else:
            (folder / file).unlink(missing_ok=True)
    if there:
        card["pictures"] = {path.name: words for path, words in there.values()}


def _write(folder: Path, runs: list[Run], best: int, card: dict[str, Any], workspace: Workspace) -> None:
    """Write the files; the card comes last, since a folder without one ships nothing.

    Raises:
        UserError or JobError: they cannot be written.
    """
    source = workspace.resolve_model(runs[best].folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _copy(source, folder / MODEL_NAME)
        plan = Experiment.from_toml(runs[best].folder / SETTINGS)
        # How many processes step the environments changes nothing but the speed, and is each machine's own affair.
        write_text(folder / SETTINGS, plan.with_values(("env.workers", "auto")).to_toml())
        lines = []
        for run, row in zip(runs, card["seeds"], strict=True):
            curve, what = _progress(run)
            lines.append(Line(f"seed {row['seed']}", curve.step, curve.value))
        write_aside(folder / CURVE, lambda aside: draw_curves(aside, lines, "decisions", what))
        data = (folder / MODEL_NAME).read_bytes()
        card |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        _copy_pictures(folder, runs[best], card)
        write_text(folder / TEXT, card_text(folder.name, card))
        write_text(folder / CARD, json.dumps(card, indent=2) + "\n")
    except OSError as error:
        raise write_error(folder, error) from error
