"""Small environments learned in dreams, beside PPO on real steps: how many real steps each needs, in one run.

    uv run python -m tests.benchmarks.dreaming cartpole --jobs 2     # CartPole-v1, 3,000 real steps, 475
    uv run python -m tests.benchmarks.dreaming novel --jobs 2        # without velocities, 6,000 real steps, 475
    uv run python -m tests.benchmarks.dreaming lunarlander --jobs 2  # LunarLander-v3, 60,000 real steps, 200

Trains resources/presets/cartpole-dream.toml (with what TASKS says) and PPO by the defaults with seeds 0 to 4. The same
yardstick on both sides: models are kept on the way and play 20 greedy episodes that nobody was trained or judged on;
the first whose mean passes the mark counts. The best checkpoint of each, by the run's own scores, then plays 100.
Nothing is picked: every seed named is shown. CarRacing has a command of its own, tests.benchmarks.carracing_dream.

Writes dreaming-<task>.md and .json. Both sides of a seed of cartpole take some 5 minutes of one core, of novel 10, of
lunarlander 40, most of it for the dreams. Ctrl-C stops it; the same command goes on where it was, also after a kill.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from dataclasses import asdict, dataclass
from statistics import mean, pstdev
from typing import Any

from ewm_studio.envs import NO_VELOCITY_ID
from ewm_studio.jobs.card import machine
from ewm_studio.resources import resource
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.versions import versions
from tests.benchmarks.curves import GREEDY, curve, first
from tests.benchmarks.peers.report import Table
from tests.benchmarks.trials import BEST, Found, Play, Trial, add_arguments, alone, changed, run_all

PLAY_SEED = 1_000_000  # far from what is acted and judged
LOOKED_AT = 20  # episodes of a model on the way
DREAMS, PPO = "in dreams", "PPO"
EPOCH = 512  # steps between two of PPO's updates, by the defaults


@dataclass(frozen=True)
class Task:
    """An environment, the mean reward that solves it, and for each side its steps, how often it is looked at, and what
    is set beside the preset or the defaults.
    """

    env: str
    solved: float
    steps: int
    every: int
    sets: tuple[str, ...] = ()
    ppo_steps: int = 20_480
    ppo_every: int = 1_024
    ppo_sets: tuple[str, ...] = ()


TASKS = {
    "cartpole": Task("CartPole-v1", 475.0, 3_000, 200),
    "novel": Task(NO_VELOCITY_ID, 475.0, 6_000, 400, (), 40_960, 2_048, ("memory.name=LSTMMemory",)),
    "lunarlander": Task(
        "LunarLander-v3",
        200.0,
        60_000,
        4_000,
        (
            "memory.hidden_dim=256",
            "controller.name=auto",
            "dream.random_steps=2000",
            "dream.round_steps=1000",
            "dream.memory_updates=100",
            "dream.recent_steps=5000",
            "dream.starts=256",
            "dream.actor_lr=3e-4",
            "dream.critic_lr=6e-4",
            "dream.judge_every=4",
        ),
        512_000,
        20_480,
    ),
}


def trial(task: Task, side: str, seed: int, args: argparse.Namespace) -> Trial:
    """The run of one side and seed, and all that is played of it."""
    if side == DREAMS:
        steps, every = args.steps or task.steps, task.every
        preset = Experiment.from_toml(resource("presets", "cartpole-dream.toml"))
        sets = [f"env.id={task.env}", *task.sets, *args.set]
    else:
        steps, every, preset = task.ppo_steps, task.ppo_every, Experiment()
        sets = [f"env.id={task.env}", f"run.save_freq={max(1, every // EPOCH)}", *task.ppo_sets]
    experiment = alone(changed(preset, [*sets, f"train.total_steps={steps}"]), seed, args.workers)
    marks = tuple(range(every, steps + 1, every))
    looks = tuple(Play(str(mark), True, LOOKED_AT, PLAY_SEED) for mark in marks)
    ends = tuple(Play(BEST, greedy, args.episodes, PLAY_SEED) for greedy in (True, False))
    return Trial(f"{args.task} {side}, seed {seed}", experiment, marks, (*looks, *ends))


def figures(task: Task, one: Trial, found: Found, workspace: Workspace) -> dict[str, Any]:
    """What is told of one run that is done."""
    looks = {
        found.kept[play.model]: scored["mean"]
        for play in one.plays
        if play.model != BEST and (scored := found.score(play)) is not None
    }
    passed = next((step for step, score in sorted(looks.items()) if score >= task.solved), None)
    judged = first(curve(workspace, found, GREEDY), task.solved)
    greedy, sampled = (found.score(play) or {} for play in one.plays[-2:])
    return {
        "seed": one.experiment.run.seed,
        "looks": looks,
        "solved_after": passed,
        "judged": asdict(judged) if judged else None,
        "best_at": found.values["best_step"],
        "greedy": {name: greedy[name] for name in ("mean", "std", "min")},
        "sampled": {name: sampled[name] for name in ("mean", "std", "min")},
        "steps": found.trained["env_steps"],
        "judged_steps": found.trained.get("judged_steps", 0),
        "minutes": found.trained["seconds"] / 60,
        "cpu_seconds": found.cpu_seconds,
    }


def table(task: Task, sides: dict[str, list[dict[str, Any]]], args: argparse.Namespace) -> Table:
    """Both sides, seed by seed."""
    made = Table(
        f"{task.env}, {task.solved:g} is solved",
        [
            "side",
            "seed",
            f"{LOOKED_AT} greedy unseen episodes pass it after",
            f"best checkpoint, {args.episodes} greedy",
            "sampled",
            "real steps (and judged by)",
            "minutes, CPU s",
        ],
    )
    for side, rows in sides.items():
        for row in rows:
            made.add(
                side,
                str(row["seed"]),
                f"{row['solved_after']:,} steps" if row["solved_after"] else "not reached",
                f"{_score(row['greedy'])}, at {row['best_at']:,}",
                _score(row["sampled"]),
                f"{row['steps']:,} ({row['judged_steps']:,})",
                f"{row['minutes']:.1f}, {row['cpu_seconds']:,.0f}",
            )
        if rows:
            means = [row["greedy"]["mean"] for row in rows]
            good = sum(value >= task.solved for value in means)
            made.notes.append(
                f"{side}: best checkpoints {mean(means):.1f} +- {pstdev(means):.1f} greedy over seeds, {good} of "
                f"{len(means)} at {task.solved:g} or above.\n"
            )
    return made


def _score(score: dict[str, float]) -> str:
    return f"{score['mean']:.1f} +- {score['std']:.1f} (least {score['min']:.0f})"


def main() -> None:
    """Train, play and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    add_arguments(parser, range(5), "runs/dreaming")
    parser.add_argument("--side", action="append", choices=(DREAMS, PPO), help="only this one")
    parser.add_argument("--steps", type=int, help="real steps in dreams, in place of the task's")
    parser.add_argument("--episodes", type=int, default=100, help="that the best checkpoint plays, unseen")
    args = parser.parse_args()
    task, chosen = TASKS[args.task], args.side or [DREAMS, PPO]
    trials = {(side, seed): trial(task, side, seed, args) for side in chosen for seed in args.seeds}
    found, done = run_all(list(trials.values()), args.workspace, args.jobs)
    sides: dict[str, list[dict[str, Any]]] = {side: [] for side in chosen}
    with contextlib.closing(Workspace(args.workspace)) as workspace:
        for (side, _), one in trials.items():
            if all(found[one.name].score(play) for play in one.plays):
                sides[side].append(figures(task, one, found[one.name], workspace))
    text = table(task, sides, args).markdown()
    print(f"\n{text}")
    out = args.out or args.workspace
    out.mkdir(parents=True, exist_ok=True)
    (out / f"dreaming-{args.task}.md").write_text(text, encoding="utf-8")
    report = {"machine": machine(), "versions": versions(), "task": asdict(task), "sides": sides}
    (out / f"dreaming-{args.task}.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    raise SystemExit(0 if done else 1)


if __name__ == "__main__":
    main()
