"""What each part of CarRacing's preset is worth: the preset beside itself with one part other, on CarRacing-v3.

    uv run python -m tests.benchmarks.ablation [--steps 40000] [--seeds 1] [--jobs 2] [--only "no idle limit"]

Every variant trains from scratch for as many decisions, on one core each, `--jobs` side by side; its last weights then
play unseen tracks, greedily and sampled. The preset itself runs with two seeds more than the variants, so that the
table shows how much of a difference is chance. Ctrl-C ends it with a table of what is done.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from ewm_studio.jobs import infer, train
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from tests.benchmarks.driven_data import record_laps
from tests.support import ROOT
from tests.support.jobs import finish

PRESET = ROOT / "resources" / "presets" / "carracing.toml"
TRACKS = 20
PLAY_SEED = 100_000  # far from every training seed
RECORDED = 10_000  # frames of the scripted driver
RECORDING = "the scripted driver's recording"  # stands for its folder
WHOLE = "the preset"
VARIANTS: dict[str, dict[str, Any]] = {
    WHOLE: {},
    "action repeat 8": {"env.action_repeat": 8},
    "no idle limit": {"env.idle_limit": None},
    "an idle end is a failure": {"env.idle_terminates": True},
    "no end with the round": {"env.round_end": "played"},
    "no penalty for tiles left out": {"env.skip_penalty": 0.0},
    "no reward scaling": {"ppo.scale_reward": False},
    "Beta head": {"controller.head": "beta"},
    "no past latents and actions": {"memory": {"name": "NoMemory"}},
    "constant learning rates": {"ppo.lr_schedule": "constant", "world_model.lr_schedule": "constant"},
    "falling clip range": {"ppo.clip_schedule": "linear"},
    "no KL stop": {"ppo.target_kl": None},
    "instruments cropped": {"env.crop_bottom": 12},
    "vision's KL at its full weight": {"vision.kl_weight": 1.0},
    "vision frozen after the random frames": {"world_model.vision_updates": 0},
    "frames drawn evenly over motion": {"world_model.balance": True},
    f"begun from {RECORDED:,} driven frames": {"warm_up.recording": RECORDING},
}


def changed(experiment: Experiment, changes: dict[str, Any]) -> Experiment:
    """The experiment with settings `section.field`, or whole sections, replaced."""
    values = experiment.model_dump(mode="json")
    for path, value in changes.items():
        section, _, field = path.partition(".")
        if field:
            values[section][field] = value
        else:
            values[section] = value
    return Experiment.from_dict(values)


def score(name: str, seed: int, steps: int, recording: Path) -> tuple[str, int, dict[str, float]]:
    """Train a variant with one seed; its mean training reward at the end, and its scores on unseen tracks."""
    torch.set_num_threads(1)
    alone = {"env.workers": 0, "run.threads": 1, "run.seed": seed, "train.total_steps": steps}
    changes = {path: str(recording) if value == RECORDING else value for path, value in VARIANTS[name].items()}
    experiment = changed(Experiment.from_toml(PRESET), {**alone, **changes})
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        trained = finish(train(experiment, workspace))
        last = max(Path(folder).glob("runs/*/checkpoints/*.safetensors"), key=lambda path: int(path.stem))
        figures = {"training": trained["mean_reward"], "seconds": trained["seconds"]}
        for greedy in (True, False):
            asked = {"start.load_path": str(last), "infer.episodes": TRACKS, "infer.greedy": greedy}
            played = finish(infer(changed(experiment, {**asked, "run.seed": PLAY_SEED}), workspace))
            figures["greedy" if greedy else "sampled"] = played["mean"]
    return name, seed, figures


def main() -> None:
    """Train all variants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", action="append", choices=VARIANTS, help="only these variants")
    args = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in args.only or VARIANTS}
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(args.jobs, get_context("spawn")) as pool:
        recording = Path(folder) / "driven"
        if any(RECORDING in VARIANTS[name].values() for name in found):
            record_laps(recording, RECORDED)
        jobs = [
            pool.submit(score, name, seed, args.steps, recording)
            for name in found
            for seed in range(args.seeds + (2 if name == WHOLE else 0))
        ]
        try:
            for job in as_completed(jobs):
                name, seed, figures = job.result()
                found[name].append(figures)
                print(f"{name}, seed {seed}: " + ", ".join(f"{k} {v:.0f}" for k, v in figures.items()), flush=True)
        except KeyboardInterrupt:
            print("broken off; the table has what is done", flush=True)
            pool.shutdown(cancel_futures=True)
    print(f"\n{args.steps:,} decisions each; mean reward (every seed's)\n")
    print("| variant | last 100 training episodes | greedy, unseen tracks | sampled | seconds |")
    print("| --- | --- | --- | --- | --- |")
    for name, rows in ((name, rows) for name, rows in found.items() if rows):
        cells = (_cell([row[kind] for row in rows]) for kind in ("training", "greedy", "sampled", "seconds"))
        print(f"| {name} | " + " | ".join(cells) + " |")


def _cell(values: list[float]) -> str:
    text = f"{mean(values):.0f}"
    return f"{text} ({', '.join(f'{value:.0f}' for value in values)})" if len(values) > 1 else text


if __name__ == "__main__":
    main()
