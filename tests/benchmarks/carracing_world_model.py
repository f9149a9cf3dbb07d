"""V and M on CarRacing-v3 from random data, each measured on episodes kept aside.

    uv run python -m tests.benchmarks.carracing_world_model [--frames 10000] [--vision ConvVAE] [--memory MDNRNN]

Every vision model is pretrained afresh; every memory is trained on the latents of the ConvVAE. `mse` is the mean
squared error of a pixel between 0 and 1. Prediction errors are of the next latent, as a share of its variance.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from ewm_studio.events import Event, Finished, Metrics
from ewm_studio.jobs import pretrain
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace

EPOCHS = {"ConvVAE": 10, "VQ_VAE": 6, "JEPA": 3}
MEMORIES = {"LSTMMemory": 30, "MDNRNN": 30, "TemporalTransformer": 30}


def run(workspace: Workspace, frames: int, seed: int, **sections: dict[str, Any]) -> dict[str, Any]:
    """One pretraining job; its result."""
    experiment = Experiment.from_dict(
        {"env": {"id": "CarRacing-v3", "action_repeat": 4}, "run": {"seed": seed}, **sections}
    )
    experiment = experiment.with_values(("data.frames", frames * experiment.env.action_repeat))  # so many decisions
    for event in pretrain(experiment, workspace):
        show(event)
        if isinstance(event, Finished):
            return event.result
    raise RuntimeError("the job did not finish")


def show(event: Event) -> None:
    """One line an epoch."""
    if isinstance(event, Metrics):
        kept = {k: v for k, v in event.values.items() if "held_out" in k or k.startswith("vision/e")}
        figures = ", ".join(f"{k.split('/')[1]} {v:.4g}" for k, v in kept.items())
        print(f"  {event.seconds:6.0f} s  epoch {event.epoch:3}: {figures}", flush=True)


def main() -> None:
    """Train everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vision", choices=EPOCHS, action="append")
    parser.add_argument("--memory", choices=MEMORIES, action="append")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        trained = {}
        for name in args.vision or EPOCHS:
            print(name, flush=True)
            asked = {"vision": True, "epochs": EPOCHS[name]}
            result = run(workspace, args.frames, args.seed, vision={"name": name}, pretrain=asked)
            trained[name] = result["run"]
            losses = result["losses"]
            figures = {k: losses.get(f"vision/{k}") for k in ("held_out_mse", "effective_rank", "codes_used")}
            rows.append((name, {k: v for k, v in figures.items() if v is not None}, result["seconds"]))
        if "ConvVAE" in trained:
            for name in args.memory or MEMORIES:
                print(name, flush=True)
                result = run(
                    workspace,
                    args.frames,
                    args.seed,
                    vision={"name": "ConvVAE"},
                    memory={"name": name},
                    pretrain={"memory": True, "epochs": MEMORIES[name]},
                    start={"patch_load_path": trained["ConvVAE"], "patch": "v"},
                )
                kept = ("prediction", "persistence", "untrained")
                figures = {f"{k}_error": result["losses"][f"memory/held_out_{k}_error"] for k in kept}
                rows.append((name, figures, result["seconds"]))
    print(f"\nCarRacing-v3, {args.frames:,} random frames, seed {args.seed}, held-out episodes")
    for name, figures, seconds in rows:
        print(f"{name:20} {seconds:5.0f} s  " + "  ".join(f"{k} {v:.5f}" for k, v in figures.items()))


if __name__ == "__main__":
    main()
