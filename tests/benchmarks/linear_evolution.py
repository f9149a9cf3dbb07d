"""The controller of World Models (Ha & Schmidhuber 2018): one linear layer on [z, h], found by CMA-ES.

    uv run python -m tests.benchmarks.linear_evolution --jobs 2
    uv run python -m tests.benchmarks.linear_evolution --model RUN --only "in the dream, z and h"

Five ways: for real on z and h of a trained M, of an untrained M, and on z alone; and in the dream of the trained M on z
and h, and on z alone (an untrained M dreams of nothing). What comes of each, the mean of the last generation, drives
100 unseen tracks. V is that of the model that ships; M, an MDNRNN of 256, is trained as by tests.benchmarks.dreams, on
20,000 decisions, or comes with its V from `--model`, of the workspace. Dreams begin where the recordings have been.

The layer has 963 weights: the paper's 867, and 96 on the latent that M expects next, which is part of h here.

The paper has 64 candidates, 16 episodes each, some 1,800 generations, without action repeat; here by default 64, 2 and
100 (300 in the dream), three frames a decision. Recording and M take some 10 minutes of one core, an evolution for
real half an hour to three hours (the better it drives, the longer its episodes), one in the dream some 10 minutes, the
tracks 5 minutes each. Ctrl-C stops it; the same command goes on where it was, also after a kill.

Writes linear_evolution.md and .json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ewm_studio.acting.agent import load_agent
from ewm_studio.data.experience import Experience
from ewm_studio.dreams.simulator import DreamSimulator
from ewm_studio.envs.probe import EnvProbe
from ewm_studio.envs.simulator import Step
from ewm_studio.events import Event, JobControl
from ewm_studio.jobs.card import machine
from ewm_studio.jobs.collect import encode_all, find_recordings, frame_store, read_recordings
from ewm_studio.jobs.evolution_job import EvolutionJob
from ewm_studio.jobs.lifecycle import PreparedJob, execute, prepare
from ewm_studio.jobs.resuming import going_on
from ewm_studio.jobs.setup import load_for
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.belief import Belief
from ewm_studio.models.randomness import make_generator
from ewm_studio.settings import Experiment
from ewm_studio.training.replayed import Replayed
from ewm_studio.training.sequences import to_sequence_batch
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import read_metadata
from ewm_studio.workspace.versions import versions
from tests.benchmarks import dreams
from tests.benchmarks.peers.report import Table
from tests.benchmarks.trials import LAST, UNSEEN, Found, Play, Trial, add_arguments, alone, changed, run_all

REAL, DREAM = "for real", "in the dream"
# What is evolved where, which parts are the trained model's, and whether there is an M.
WAYS: dict[str, tuple[str, str, bool]] = {
    f"{REAL}, z and h": (REAL, "vm", True),
    f"{REAL}, z and h of an untrained M": (REAL, "v", True),
    f"{REAL}, z alone": (REAL, "v", False),
    f"{DREAM}, z and h": (DREAM, "vm", True),
    f"{DREAM}, z alone": (DREAM, "v", False),
}
ACTIONS = 3
MEMORY = "M of linear evolution"  # the title of its run
STARTS, ROWS, ROW = 4096, 64, 32  # where dreams may begin: drawn from so many rows of so many decisions at a time


class Blind(DreamSimulator):
    """A dream of which an agent is told the latents alone."""

    def reset(self, seed: int | None = None) -> Belief:
        """Begin."""
        return _latents(super().reset(seed))

    def step(self, action: Any) -> Step:
        """Dream on."""
        step = super().step(action)
        return replace(step, obs=_latents(step.obs))


def _latents(belief: Belief) -> Belief:
    return Belief(belief.z, belief.h[:, :0], {})


def evolve_in_dreams(
    experiment: Experiment, workspace: Workspace, control: JobControl | None = None, resume: str | None = None
) -> Generator[Event, None, None]:
    """As `train --learner cma_es`, with the dreams of the model at `start.patch_load_path` in the environment's place.

    They begin where `data.recording` has been, last `dream.horizon` decisions, and are drawn at `dream.temperature`.
    """
    control = control or JobControl()
    experiment, previous = going_on("train", experiment, workspace, resume)
    with contextlib.closing(EnvProbe(experiment.env)) as probe:
        start = prepare(experiment, workspace, previous, probe, spreads=False)
    world = load_for(str(experiment.start.patch_load_path), start.spaces, experiment.env, workspace).eval()
    starts = yield from lived(world, start, workspace, control)
    make = DreamSimulator if start.model.memory.hidden_dim else Blind
    dream = make(
        world,
        starts,
        experiment.evolution.population * experiment.evolution.episodes,
        horizon=experiment.dream.horizon,
        temperature=experiment.dream.temperature,
        action_repeat=experiment.env.action_repeat,
    )
    job = EvolutionJob(start.experiment, start.spaces, start.model, dream)
    yield from execute("train", start, workspace, job, lambda run: job.run(run, control))


def lived(
    world: AgentModel, start: PreparedJob, workspace: Workspace, control: JobControl
) -> Generator[Event, None, Belief]:
    """Beliefs at moments of the recordings."""
    experiment = start.experiment
    recordings = find_recordings(str(experiment.data.recording), experiment, workspace)
    store = frame_store(experiment, start.spaces, workspace.path)
    experience = Experience(store, (yield from read_recordings(recordings, start.spaces, experiment, store)))
    settled = experience.without_starts(-(-start.spaces.settling_frames // experiment.env.action_repeat))
    latents = yield from encode_all(store, world, control)
    rows = next(settled.sequence_batches(np.random.default_rng(experiment.run.seed), ROWS * ROW, ROW))
    real = Replayed.of(world, to_sequence_batch(rows, latents, world.action_encoding), ROW // 2)
    return real.starts(STARTS, make_generator(experiment.run.seed))


def trained_memory(workspace: Workspace, epochs: int) -> str:
    """The run with the shipped V and an M trained on the recordings; begun anew where it was broken off."""
    known = [info for info in workspace.runs() if info.title == MEMORY]
    if known and known[0].state == "finished":
        return known[0].name
    print("training M", flush=True)
    run = dreams.train(workspace, "MDNRNN", 0, False, epochs)
    workspace.describe_run(run, title=MEMORY)
    return run


def trial(way: str, seed: int, model: Path, args: argparse.Namespace) -> Trial:
    """The evolution of one way and seed, and what is played of it."""
    where, parts, remembers = WAYS[way]
    memory = read_metadata(model)["parts"]["memory"]
    values = {
        "env": {
            "id": "CarRacing-v3",
            "action_repeat": 3,
            "batch_size": 16,
            "idle_limit": 105,
            "round_end": "cut",
        },
        "vision": {"name": "ConvVAE"},
        "memory": {"name": memory["name"], **memory["settings"]} if remembers else {"name": "NoMemory"},
        "controller": {"name": "LinearController"},
        "train": {
            "learner": "cma_es",
            "total_steps": None,
            "epochs": args.generations if where == REAL else args.dream_generations,
        },
        "evolution": {"population": args.population, "episodes": args.episodes},
        "dream": {"horizon": args.horizon, "temperature": 0.5},
        "data": {"recording": f"{dreams.DISTURBED},{dreams.CLEAN}"},
        "start": {"patch_load_path": str(model), "patch": parts},
        "run": {"save_freq": 5},
    }
    job = "ewm_studio.jobs:train" if where == REAL else "tests.benchmarks.linear_evolution:evolve_in_dreams"
    experiment = alone(changed(Experiment.from_dict(values), args.set), seed, args.workers)
    return Trial(f"{way}, seed {seed}", experiment, (), (Play(LAST, True, args.tracks),), job)


def figures(way: str, one: Trial, found: Found, sizes: tuple[int, int]) -> dict[str, Any] | None:
    """What is told of one evolution; None where it is not done."""
    score = found.score(one.plays[0])
    if score is None:
        return None
    _, _, remembers = WAYS[way]
    return {
        "seed": one.experiment.run.seed,
        "weights": ACTIONS * (sizes[0] + sizes[1] * remembers + 1),
        "score": {name: score[name] for name in ("mean", "std", "median", "min", "max")},
        "last_episodes": found.trained["mean_reward"],
        "generations": found.trained["epochs"],
        "decisions": found.trained["env_steps"],
        "cpu_seconds": found.cpu_seconds,
        "minutes": found.trained["seconds"] / 60,
    }


def table(found: dict[str, list[dict[str, Any]]], args: argparse.Namespace) -> Table:
    """One row an evolution."""
    columns = ["evolved", "seed", "weights", f"{args.tracks} unseen tracks, greedy", "its last 100 episodes"]
    made = Table("LinearController by CMA-ES", [*columns, "generations", "decisions", "CPU s"])
    for way, rows in found.items():
        for row in rows:
            score = row["score"]
            made.add(
                way,
                str(row["seed"]),
                str(row["weights"]),
                f"{score['mean']:.1f} +- {score['std']:.1f} (median {score['median']:.0f}, least {score['min']:.0f})",
                f"{row['last_episodes']:.1f}",
                f"{row['generations']:,}",
                f"{row['decisions']:,}",
                f"{row['cpu_seconds']:,.0f}",
            )
    made.notes.append(
        f"{args.population} candidates, {args.episodes} episodes each. The last episodes are its candidates'; in "
        f"the dream they are dreamt, {args.horizon} decisions long."
    )
    return made


def main() -> None:
    """Evolve, drive and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, (0,), "runs/linear-evolution")
    parser.add_argument("--only", action="append", choices=WAYS, metavar="WAY", help="; ".join(WAYS))
    parser.add_argument("--model", help="run of the workspace, or model file, with the V and the M to evolve on")
    parser.add_argument("--epochs", type=int, default=75, help="passes that M is trained for, without --model")
    parser.add_argument("--population", type=int, default=64)
    parser.add_argument("--episodes", type=int, default=2, help="that a candidate is judged by")
    parser.add_argument("--generations", type=int, default=100, help="for real")
    parser.add_argument("--dream-generations", type=int, default=300)
    parser.add_argument("--horizon", type=int, default=100, help="decisions of a dream")
    parser.add_argument("--tracks", type=int, default=100)
    args = parser.parse_args()
    chosen = args.only or list(WAYS)
    with contextlib.closing(Workspace(args.workspace)) as workspace:
        if not args.model or any(WAYS[way][0] == DREAM for way in chosen):
            dreams.gather(workspace)
        model = workspace.resolve_model(args.model or trained_memory(workspace, args.epochs)).resolve()
    world = load_agent(model).model
    sizes = world.vision.latent_dim, world.memory.hidden_dim
    trials = {(way, seed): trial(way, seed, model, args) for way in chosen for seed in args.seeds}
    known, done = run_all(list(trials.values()), args.workspace, args.jobs)
    found: dict[str, list[dict[str, Any]]] = {}
    for (way, _), one in trials.items():
        rows = found.setdefault(way, [])
        if (row := figures(way, one, known[one.name], sizes)) is not None:
            rows.append(row)
    text = table(found, args).markdown()
    print(f"\n{text}")
    out = args.out or args.workspace
    out.mkdir(parents=True, exist_ok=True)
    (out / "linear_evolution.md").write_text(text, encoding="utf-8")
    report = {"machine": machine(), "versions": versions(), "tracks_from": UNSEEN, "model": str(model), "found": found}
    (out / "linear_evolution.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    raise SystemExit(0 if done else 1)


if __name__ == "__main__":
    main()
