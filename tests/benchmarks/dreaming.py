"""What is learned in dreams, and after how much of the real: frames, minutes and seconds of the processor at each mark.

    uv run python -m tests.benchmarks.dreaming cartpole --seeds 0 1 2 3 4
    uv run python -m tests.benchmarks.dreaming carracing --seeds 0 1 2 --workspace runs/dreams

Each seed is trained by its preset; in a `--workspace` a run that was broken off is gone on with. The curve is that of
the judgements for real on the way; the best checkpoint by them is then played for 100 episodes that no run was trained
or judged on. Nothing is picked: every seed named is shown.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path
from statistics import mean, pstdev

import numpy as np
import torch

from ewm_studio.jobs import infer, train
from ewm_studio.resources import resource
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Run, Workspace
from tests.support.jobs import finish

PLAY_SEED = 1_000_000  # far from what is acted and judged
MARKS = {"cartpole": (475.0,), "carracing": (700.0, 860.0, 906.0)}


def trained(workspace: Workspace, experiment: Experiment) -> Run:
    """The run of this experiment's seed, gone on with where there is one."""
    seed = experiment.run.seed
    known = next((info for info in workspace.runs() if info.seed == seed), None)
    if known is not None and known.state == "finished":
        return workspace.run(known.name)
    result = finish(train(experiment, workspace, resume=known.name if known is not None else None))
    return workspace.run(result["run"])


def curve(run: Run) -> np.ndarray:
    """(N, 6) of every judgement: decisions acted, with those judged by, minutes, CPU seconds, greedy, sampled."""
    tags = ("real/greedy", "real/sampled", "speed/cpu_seconds", "real/steps")
    greedy, sampled, spent, judged = (run.metrics(tag) for tag in tags)
    cpu = np.interp(greedy.epoch, spent.epoch, spent.value)
    before = np.concatenate([[0], judged.value[:-1]])  # a judgement is of what was there before it
    columns = [greedy.step, greedy.step + before, greedy.seconds / 60, cpu, greedy.value, sampled.value]
    return np.stack(columns, axis=1)


def told(points: np.ndarray, marks: tuple[float, ...], repeat: int) -> list[str]:
    """When greedy and sampled episodes first passed each mark."""
    lines = []
    for mark in marks:
        for column, name in ((4, "greedy"), (5, "sampled")):
            passed = np.flatnonzero(points[:, column] >= mark)
            if not len(passed):
                lines.append(f"    {mark:.0f} {name}: not reached")
                continue
            acted, all_real, minutes, cpu = points[passed[0], :4]
            frames = f"{acted * repeat:,.0f} frames acted, {all_real * repeat:,.0f} with those judged by"
            lines.append(f"    {mark:.0f} {name}: {frames}, {minutes:.1f} min, {cpu:.0f} CPU s")
    return lines


def played(workspace: Workspace, run: Run, greedy: bool, episodes: int) -> dict[str, float]:
    """The scores of the best checkpoint on episodes unseen."""
    best = run.best_checkpoint()
    values = {"start.load_path": str(best), "infer.episodes": episodes, "infer.greedy": greedy, "run.seed": PLAY_SEED}
    experiment = Experiment.of_run(run.folder / "experiment.toml")
    return finish(infer(experiment.with_values(*values.items()), workspace))


def main() -> None:
    """Train, play and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=MARKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, help="decisions in all, in place of the preset's")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--workspace", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    preset = Experiment.from_toml(resource("presets", f"{args.task}-dream.toml")).with_values(("run.threads", 1))
    if args.steps:
        preset = preset.with_values(("train.total_steps", args.steps))
    scores: dict[str, list[float]] = {"greedy": [], "sampled": []}
    with contextlib.ExitStack() as stack:
        folder = args.workspace or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workspace = stack.enter_context(contextlib.closing(Workspace(folder)))
        for seed in args.seeds:
            run = trained(workspace, preset.with_values(("run.seed", seed)))
            points = curve(run)
            print(f"seed {seed}:", *told(points, MARKS[args.task], preset.env.action_repeat), sep="\n")
            for name, found in scores.items():
                result = played(workspace, run, name == "greedy", args.episodes)
                found.append(result["mean"])
                print(
                    f"    best checkpoint, {args.episodes} episodes {name}: {result['mean']:.1f} +- "
                    f"{result['std']:.1f} (least {result['min']:.0f})",
                    flush=True,
                )
    for name, found in scores.items():
        print(f"{name}: {mean(found):.1f} +- {pstdev(found):.1f} over seeds {args.seeds}")


if __name__ == "__main__":
    main()
