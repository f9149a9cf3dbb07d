"""What each part of learning in dreams is worth: carracing-dream.toml beside itself with one part other.

    uv run python -m tests.benchmarks.dream_ablation --jobs 2
    uv run python -m tests.benchmarks.dream_ablation --only "horizon 5" --only RSSM --seeds 0

Every variant is trained for 60,000 real frames with seeds 0, 1, 2, in dreams to the end unless it says otherwise; its
best checkpoint by its own judgements for real then drives 20 unseen tracks, greedily and sampled. Variants are
settings, in the table VARIANTS; those that come to the same settings share their runs. A run takes 10 to 20 minutes of
one core (TemporalTransformer and RSSM about twice as long), so all of them with three seeds take some 8 to 12 hours of
one core: variant by variant, the recipe itself first. Ctrl-C stops it and prints the table of what is done; the same
command goes on where it was, also after a kill.

Writes dream_ablation.md and .json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

from ewm_studio.jobs.card import machine
from ewm_studio.resources import resource
from ewm_studio.settings import Experiment
from ewm_studio.workspace.versions import versions
from tests.benchmarks.peers.report import Table
from tests.benchmarks.trials import BEST, Found, Trial, add_arguments, alone, both, changed, run_all

# What makes a memory's dreams hold, for memories whose own defaults are other.
WORLD = [
    "memory.hidden_dim=256",
    "memory.lr=5e-4",
    "memory.dropout=0.1",
    "memory.reward=distribution",
    "memory.reward_dropout=0.4",
    "memory.head_layers=1",
    "memory.end_layers=1",
    "memory.input_noise=0.1",
    "memory.log_spread_max=0",
    "memory.outliers=0.01",
    "memory.feedback_steps=16",
    "memory.feedback_draws=0.5",
]
KINDS = "greedy", "sampled", "training"  # of a run's mean rewards
WHOLE = "the recipe"
VARIANTS: dict[str, list[str]] = {
    WHOLE: [],
    "the last 46% for real": ["dream.real_share=0.46"],
    "what was acted has no say": ["dream.real_epochs=0"],
    "who has lost the road is cut off": ["env.idle_terminates=false"],
    "no fed-back loss": ["memory.feedback_steps=0"],
    "no dropout, in training and in dreams": ["memory.dropout=0"],
    "acting not disturbed": ["dream.bursts=0"],
    "random actions not disturbed": ["data.bursts=0"],
    "no starts all over the track": ["env.random_start=0"],
    "neither bursts nor such starts": ["data.bursts=0", "dream.bursts=0", "env.random_start=0"],
    "horizon 5": ["dream.horizon=5"],
    "horizon 15": ["dream.horizon=15"],
    "horizon 40": ["dream.horizon=40"],
    "ensemble of 3": ["dream.ensemble=3"],
    "ensemble of 3, pessimism 1": ["dream.ensemble=3", "dream.pessimism=1"],
    "actor-critic": ["dream.learner=actor_critic"],
    "PPO": [
        "dream.learner=ppo",
        "dream.real_epochs=0",
        "dream.updates=40",
        "ppo.epochs=4",
        "ppo.batch_size=512",
        "ppo.lr=3e-4",
        "ppo.gamma=0.985",
        "ppo.entropy_coef=0.003",
        "ppo.target_kl=0.02",
    ],
    "MDNRNN": ["memory.name=MDNRNN"],
    "RSSM": ["memory.name=RSSM", *WORLD],
    "TemporalTransformer": ["memory.name=TemporalTransformer", *WORLD],
}


def trials(names: list[str], args: argparse.Namespace) -> dict[tuple[str, int], Trial]:
    """The trial of each variant and seed, variant by variant; variants of the same settings have the same one."""
    preset = changed(Experiment.from_toml(resource("presets", "carracing-dream.toml")), args.set)
    whole = changed(preset, [f"train.total_steps={args.frames // preset.env.action_repeat}", "dream.real_share=0"])
    experiments = {name: changed(whole, VARIANTS[name]) for name in VARIANTS}
    named = {name: next(n for n, e in experiments.items() if e == experiments[name]) for name in names}
    return {
        (name, seed): Trial(
            f"{named[name]}, seed {seed}", alone(experiments[name], seed, args.workers), plays=both(BEST, args.tracks)
        )
        for name in names
        for seed in args.seeds
    }


def figures(found: Found, trial: Trial) -> dict[str, Any] | None:
    """What is told of one run; None where it is not done."""
    greedy, sampled = (found.score(play) for play in trial.plays)
    if greedy is None or sampled is None:
        return None
    return {
        "seed": trial.experiment.run.seed,
        "greedy": greedy["mean"],
        "sampled": sampled["mean"],
        "least": greedy["min"],
        "training": found.trained["mean_reward"],
        "best_at": found.values["best_step"] * trial.experiment.env.action_repeat,
        "cpu_seconds": found.cpu_seconds,
        "minutes": found.trained["seconds"] / 60,
    }


def table(found: dict[str, list[dict[str, Any]]], args: argparse.Namespace) -> Table:
    """Mean and spread over seeds, every seed's beside them."""
    made = Table(
        f"{args.frames:,} real frames, best checkpoint, {args.tracks} unseen tracks: mean +- deviation over seeds",
        ["variant", "greedy", "sampled", "last training episodes", "CPU seconds", "seeds"],
    )
    for name, rows in found.items():
        if rows:
            cells = (_cell([row[kind] for row in rows if row[kind] is not None]) for kind in KINDS)
            seconds = f"{mean(row['cpu_seconds'] for row in rows):,.0f}"
            made.add(name, *cells, seconds, ", ".join(str(row["seed"]) for row in rows))
    return made


def _cell(values: list[float]) -> str:
    if not values:  # no training episode came to its end
        return ""
    text = f"{mean(values):.0f}"
    return text if len(values) < 2 else f"{text} +- {pstdev(values):.0f} ({', '.join(f'{v:.0f}' for v in values)})"


def main() -> None:
    """Train, drive, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, (0, 1, 2), "runs/dream-ablation")
    parser.add_argument("--only", action="append", choices=VARIANTS, metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument("--frames", type=int, default=60_000, help="real frames to act in, each run")
    parser.add_argument("--tracks", type=int, default=20, help="unseen tracks for each run")
    args = parser.parse_args()
    asked = trials(args.only or list(VARIANTS), args)
    known, done = run_all(list({trial.name: trial for trial in asked.values()}.values()), args.workspace, args.jobs)
    found: dict[str, list[dict[str, Any]]] = {}
    for (name, _), trial in asked.items():
        rows = found.setdefault(name, [])
        if (row := figures(known[trial.name], trial)) is not None:
            rows.append(row)
    text = table(found, args).markdown()
    print(f"\n{text}")
    out: Path = args.out or args.workspace
    out.mkdir(parents=True, exist_ok=True)
    (out / "dream_ablation.md").write_text(text, encoding="utf-8")
    report = {"machine": machine(), "versions": versions(), "settings": VARIANTS, "found": found}
    (out / "dream_ablation.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    raise SystemExit(0 if done else 1)


if __name__ == "__main__":
    main()
