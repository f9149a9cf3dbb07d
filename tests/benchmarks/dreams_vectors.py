"""How far a memory of environments with vectors can be trusted as a world.

    uv run python -m tests.benchmarks.dreams_vectors [--task CartPole-v1] [--memory MDNRNN] [--seeds 3]

A random policy and an agent (shipped, or trained briefly here), its hand taken off in bursts and not, record; a memory
is trained on that by `pretrain` and measured by `assess` on other episodes of the same policies: the error of the state
open loop beside "it stays" and "it moves on as it did", and how many ends are dreamt within 2 steps of the true one.
The recordings are the same for every seed of the memory. Some ten minutes of one core an environment.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import torch

from ewm_studio.data.library import Library
from ewm_studio.jobs import assess, pretrain, record, train
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from tests.support.jobs import finish

KINDS = {"random": 0.2, "disturbed": 0.5, "agent": 0.3}  # shares of the decisions by who acts
BURSTS = 0.08
FAR = {"feedback_steps": 64, "feedback_context": 16}  # fed back for as long as is measured
FIRST_SEED, HELD_SEED = 500_000, 4_242


@dataclass(frozen=True)
class Task:
    """One environment: who acts in it, and how much is trained on."""

    agent: str  # a shipped model; empty: train one
    steps: int  # that it is trained for
    decisions: int  # to train memory on
    held: int  # to measure on
    epochs: int


TASKS = {
    "CartPole-v1": Task("cartpole", 0, 20_000, 4_000, 40),
    "LunarLander-v3": Task("", 40_000, 20_000, 5_000, 40),
    "Pendulum-v1": Task("", 20_000, 20_000, 4_000, 40),
}


def gather(workspace: Workspace, env: str, task: Task) -> tuple[str, str]:
    """The names of the recordings to train on and of those to measure on, made where they are not there yet."""
    there = {info.name for info in Library(workspace).recordings()}
    agent, names = task.agent, dict[str, list[str]](train=[], held=[])
    for part, decisions, seed in (("train", task.decisions, FIRST_SEED), ("held", task.held, HELD_SEED)):
        for number, (kind, share) in enumerate(KINDS.items()):
            name = f"{env}-{part}-{kind}"
            names[part].append(name)
            if name in there:
                continue
            if kind != "random" and not agent:
                agent = brief_agent(workspace, env, task.steps)
            values = {
                "env": {"id": env},
                "start": {"load_path": agent if kind != "random" else None},
                "infer": {"greedy": False},
                "data": {"recording": name, "frames": round(share * decisions), "bursts": BURSTS * (kind != "agent")},
                "run": {"seed": seed + 100_000 * number, "threads": 1},
            }
            finish(record(Experiment.from_dict(values), workspace))
    return ",".join(names["train"]), ",".join(names["held"])


def brief_agent(workspace: Workspace, env: str, steps: int) -> str:
    """A run of the defaults on this environment."""
    values = {"env": {"id": env}, "train": {"total_steps": steps}, "run": {"threads": 1}}
    result = finish(train(Experiment.from_dict(values), workspace))
    print(f"{env}: an agent of {steps:,} steps, mean reward {result['mean_reward']:.0f}", flush=True)
    return str(result["checkpoint"])


def figures(workspace: Workspace, env: str, task: Task, memory: dict[str, Any], seed: int) -> dict[str, Any]:
    """What `assess` finds of a memory trained here."""
    trained_on, held = gather(workspace, env, task)
    values = {
        "env": {"id": env},
        "memory": {**FAR, **memory} if memory["name"] in ("MDNRNN", "RSSM") else memory,
        "data": {"recording": trained_on, "held_out": 0.05},
        "pretrain": {"memory": True, "epochs": task.epochs},
        "world_model": {"memory_batch_size": 16, "sequence_length": 128},
        "run": {"seed": seed, "threads": 1},
    }
    run = finish(pretrain(Experiment.from_dict(values), workspace))["run"]
    asked = {"env": {"id": env}, "start": {"load_path": run}, "data": {"recording": held}, "run": {"threads": 1}}
    return finish(assess(Experiment.from_dict(asked), workspace))


def told(found: dict[str, Any]) -> str:
    """One line of a seed."""
    errors, horizons = found["z_error"], found["horizons"]
    parts = [f"{name} " + " ".join(f"{v:.3g}" for v in errors[name]) for name in ("mean_of_draws", "draw")]
    parts += [f"{name} " + " ".join(f"{v:.3g}" for v in errors[name]) for name in ("persistence", "last_motion")]
    parts.append(f"action ratio {found['action_ratio']:.2f}")
    parts.append(f"end AUC {found['end']['auc']:.3f}, calibration {found['end']['calibration']:.4f}")
    timing = found.get("end_timing")
    if timing:
        parts.append("ends within 2 steps " + " ".join(f"{k}: {v:.2f}" for k, v in timing["within"].items()))
        parts.append("late " + " ".join(f"{k}: {v:+.1f}" for k, v in timing["late"].items()))
    return f"{found['windows']} windows, steps {horizons}: " + "; ".join(parts)


def summary(env: str, found: list[dict[str, Any]]) -> str:
    """A row of the table: mean and spread over the seeds."""
    cells = []
    for i, k in enumerate(found[0]["horizons"]):
        ours = [one["z_error"]["mean_of_draws"][i] for one in found]
        best = min(found[0]["z_error"][name][i] for name in ("persistence", "last_motion"))
        cells.append(f"{k}: {mean(ours):.3g} +- {pstdev(ours):.2g} (beside {best:.3g})")
    shares = [one["end_timing"]["share"] for one in found if one.get("end_timing")]
    ends = f"{mean(shares):.2f} +- {pstdev(shares):.2f}" if shares else "no ends"
    return f"| {env} | {' | '.join(cells)} | {ends} |"


def main() -> None:
    """Record, train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=TASKS, help="only this environment")
    parser.add_argument("--memory", default="MDNRNN")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workspace", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(args.workspace or Path(folder))
        for env in (args.task,) if args.task else TASKS:
            found = []
            for seed in range(args.seeds):
                found.append(figures(workspace, env, TASKS[env], {"name": args.memory}, seed))
                print(f"{env} seed {seed}: {told(found[-1])}", flush=True)
            rows.append(summary(env, found))
    print("\nerror of the state over its variance, mean of 16 draws, by steps; ends dreamt within 2 steps")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
