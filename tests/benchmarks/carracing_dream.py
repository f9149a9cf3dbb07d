"""CarRacing-v3 learned in dreams, beside PPO on real frames: frames and minutes to each mark, and unseen tracks.

    uv run python -m tests.benchmarks.carracing_dream --jobs 2
    uv run python -m tests.benchmarks.carracing_dream --seeds 0 --workers auto  # one run on all cores

Trains resources/presets/carracing-dream.toml with seeds 0, 1, 2 to 300,000 real frames each. The best checkpoint by the
run's own judgements for real then drives 100 tracks, greedily and sampled; the checkpoints nearest to 50,000, 100,000,
150,000, 200,000 and 300,000 frames drive 20. Nobody was trained or judged on these tracks: the command looks at the
seeds. PPO's figures are those of the card of the `carracing` model that ships (three seeds, 3 million frames each): the
frames and minutes at which the mean of its last 100 training episodes first reached each mark.

Writes carracing_dream.md, .json and .png. Takes one to two hours of one core a seed, of which a quarter is driving the
unseen tracks (with `--planner` 10 minutes more). Ctrl-C stops it; the same command goes on where it was, also after a
kill.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import numpy as np

from ewm_studio.analysis.curve import COLORS, Line
from ewm_studio.envs.vector.group import episode_seed
from ewm_studio.jobs.card import machine
from ewm_studio.jobs.judgement import SEED as JUDGED
from ewm_studio.resources import resource
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.versions import versions
from tests.benchmarks.curves import GREEDY, SAMPLED, TRAINING, Point, curve, draw_panels, first
from tests.benchmarks.peers.report import Table
from tests.benchmarks.trials import BEST, UNSEEN, Found, Play, Trial, add_arguments, alone, both, changed, run_all

MARKS = (700.0, 860.0, 906.0)
ON_THE_WAY = (50_000, 100_000, 150_000, 200_000, 300_000)
RANDOM = 100  # episodes of an environment while its actions are random, which no log has: never more
FIGURES = {"training mean": TRAINING, "judged greedy": GREEDY, "judged sampled": SAMPLED}
PPO, DREAMS = "PPO, training mean", "in dreams, training mean"
PLAYED = "in dreams, greedy on unseen tracks"


def trial(experiment: Experiment, seed: int, args: argparse.Namespace) -> Trial:
    """The run of one seed, and all that is played of it."""
    repeat = experiment.env.action_repeat
    marks = tuple(round(frames / repeat) for frames in ON_THE_WAY if frames <= args.frames)
    plays: tuple[Play, ...] = both(BEST, args.tracks)
    if args.planner:
        plays += (Play(BEST, episodes=args.tracks_on_the_way, planned=True),)
    for mark in marks:
        plays += both(str(mark), args.tracks_on_the_way)
    settings = changed(experiment, [f"train.total_steps={args.frames // repeat}"])
    return Trial(f"carracing-dream, seed {seed}", alone(settings, seed, args.workers), marks, plays)


def met(experiment: Experiment, episodes: int) -> set[int]:
    """The seeds of all tracks that a run of so many episodes was trained or judged on."""
    envs, seed = experiment.env.batch_size, experiment.run.seed
    assert isinstance(envs, int)
    trained = {episode_seed(seed, env, number) for env in range(envs) for number in range(episodes + RANDOM)}
    judged = {episode_seed(JUDGED, env, 0) for env in range(experiment.dream.judge_episodes)}
    return trained | judged


def seed_figures(workspace: Workspace, one: Trial, found: Found) -> dict[str, Any]:
    """All that is told of one seed."""
    repeat, run = one.experiment.env.action_repeat, workspace.run(found.run)
    again = met(one.experiment, len(run.episodes().step)).intersection(
        range(UNSEEN, UNSEEN + max(play.episodes for play in one.plays))
    )
    if again:
        raise SystemExit(f"{run.name}: tracks {sorted(again)} were driven in training: nothing is unseen")
    curves = {name: curve(workspace, found, tag) for name, tag in FIGURES.items()}
    steps = {BEST: int(found.values["best_step"]), **found.kept}
    judged, rounds = run.metrics("real/steps").value, run.metrics("speed/cpu_seconds")
    return {
        "seed": one.experiment.run.seed,
        "run": run.name,
        "random_start": one.experiment.env.random_start,
        "frames": found.trained["env_steps"] * repeat,
        "judged_frames": int(judged[-1]) * repeat if len(judged) else 0,
        "minutes": found.trained["seconds"] / 60,
        "cpu_seconds": found.cpu_seconds,
        "marks": {
            name: {f"{mark:g}": _row(first(points, mark), repeat) for mark in MARKS} for name, points in curves.items()
        },
        "scores": [
            {
                "model": "best checkpoint" if play.model == BEST else _at(int(play.model) * repeat),
                "frames": steps[play.model] * repeat,
                "minutes": float(np.interp(steps[play.model], rounds.step, rounds.seconds)) / 60,
                "how": play.how,
                **{k: v for k, v in (found.score(play) or {}).items() if k != "worst"},
            }
            for play in one.plays
        ],
        "curve": [[p.steps * repeat, p.minutes, p.cpu_seconds, p.value] for p in curves["training mean"]],
    }


def _at(frames: int) -> str:
    """A mark, which decisions meet but nearly."""
    return f"at {round(frames, -3):,} frames"


def _row(point: Point | None, repeat: int) -> dict[str, float] | None:
    if point is None:
        return None
    return {
        "frames": point.steps * repeat,
        "with_judged": (point.steps + point.judged) * repeat,
        "minutes": point.minutes,
        "cpu_seconds": point.cpu_seconds,
    }


def ppo() -> list[dict[str, Any]]:
    """Each seed of the PPO preset by its card: minutes and frames at the marks, and its final scores."""
    card = json.loads(resource("pretrained", "carracing", "card.json").read_text(encoding="utf-8"))
    return list(card["seeds"])


def marks_table(seeds: list[dict[str, Any]]) -> Table:
    """Frames and minutes at each mark."""
    table = Table(
        "When a mark was first reached: real frames acted in (with those it was judged by), minutes, CPU seconds",
        ["what", "seed", *(f"{mark:g}" for mark in MARKS)],
    )
    for name in FIGURES:
        for one in seeds:
            table.add(f"in dreams, {name}", str(one["seed"]), *(_cell(m) for m in one["marks"][name].values()))
    for one in ppo():
        cells = [one["marks"].get(f"{mark:g}") for mark in MARKS]
        table.add(
            PPO,
            str(one["seed"]),
            *(f"{m['frames']:,}, {m['seconds'] / 60:.1f} min" if m else "not reached" for m in cells),
        )
    table.notes.append(
        "PPO's are of the card of `carracing`, which says no CPU seconds: one core each beside other work, 3 million "
        "frames in all. Training means are of the last 100 episodes, sampled; judgements of "
        "dream.judge_episodes whole tracks, the same each time. Of the dreams' training episodes a share of "
        f"{seeds[0]['random_start']:g} begins anywhere on the track, which PPO's do not."
    )
    return table


def _cell(mark: dict[str, float] | None) -> str:
    if mark is None:
        return "not reached"
    frames = f"{mark['frames']:,.0f} ({mark['with_judged']:,.0f})"
    return f"{frames}, {mark['minutes']:.1f} min, {mark['cpu_seconds']:,.0f} s"


def scores_table(seeds: list[dict[str, Any]], args: argparse.Namespace) -> Table:
    """Scores on unseen tracks, on the way and of the best checkpoint."""
    table = Table(
        f"Unseen tracks, from seed {UNSEEN}: mean +- deviation over tracks (least)",
        ["model", "tracks", *(f"seed {one['seed']}" for one in seeds), "over seeds"],
    )
    shown = dict.fromkeys((score["model"], score["how"]) for one in seeds for score in one["scores"])
    for model, how in shown:
        found = [s for one in seeds for s in one["scores"] if (s["model"], s["how"]) == (model, how)]
        cells = [f"{s['mean']:.1f} +- {s['std']:.1f} ({s['min']:.0f}), of {s['frames']:,}" for s in found]
        means = [s["mean"] for s in found]
        tracks = str(len(found[0]["rewards"]))
        overall = f"{mean(means):.1f} +- {pstdev(means):.1f}"
        table.add(f"{model}, {how}", tracks, *cells, overall)
    for mode in ("greedy", "sampled"):
        means = [one[mode]["mean"] for one in ppo()]
        overall = f"{mean(means):.1f} +- {pstdev(means):.1f} ({', '.join(f'{value:.1f}' for value in means)})"
        table.add(f"PPO after 3 million frames, {mode} (card, three seeds)", "100", *[""] * len(seeds), overall)
    for one in seeds:
        table.notes.append(
            f"Seed {one['seed']}: {one['frames']:,} frames acted in and {one['judged_frames']:,} judged by, "
            f"{one['minutes']:.1f} min, {one['cpu_seconds']:,.0f} CPU s ({args.workers} worker processes)."
        )
    return table


def draw(path: Path, seeds: list[dict[str, Any]]) -> None:
    """Score by frames, and by minutes; PPO's as far as its card tells."""
    panels = []
    for title, by in (("real frames", "frames"), ("minutes", "minutes")):
        lines = []
        for one in seeds:
            points = np.array(one["curve"], float).reshape(-1, 4)
            lines.append(Line(DREAMS, points[:, 0 if by == "frames" else 1], points[:, 3], COLORS[0]))
            played = [s for s in one["scores"] if s["how"] == "greedy" and s["model"] != "best checkpoint"]
            x, y = (np.array([score[name] for score in played], float) for name in (by, "mean"))
            lines.append(Line(PLAYED, x, y, COLORS[2]))
        for one in ppo():
            reached = [(one["marks"][f"{m:g}"], m) for m in MARKS if one["marks"].get(f"{m:g}")]
            x = [r["frames"] if by == "frames" else r["seconds"] / 60 for r, _ in reached]
            lines.append(Line(PPO, np.array(x, float), np.array([m for _, m in reached]), COLORS[1]))
        panels.append((lines, title, "reward"))
    draw_panels(path, panels)


def main() -> None:
    """Train, drive, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, (0, 1, 2), "runs/carracing-dream")
    parser.add_argument("--frames", type=int, default=300_000, help="real frames to act in, each seed")
    parser.add_argument("--tracks", type=int, default=100, help="unseen tracks for the best checkpoint")
    parser.add_argument("--tracks-on-the-way", type=int, default=20, help="for the checkpoints on the way")
    parser.add_argument("--planner", action="store_true", help="also drive by plans in the best checkpoint's memory")
    args = parser.parse_args()
    preset = changed(Experiment.from_toml(resource("presets", "carracing-dream.toml")), args.set)
    trials = [trial(preset, seed, args) for seed in args.seeds]
    found, done = run_all(trials, args.workspace, args.jobs)
    finished = [one for one in trials if all(found[one.name].score(play) for play in one.plays)]
    if finished:
        with contextlib.closing(Workspace(args.workspace)) as workspace:
            seeds = [seed_figures(workspace, one, found[one.name]) for one in finished]
        tables = [marks_table(seeds), scores_table(seeds, args)]
        text = "\n".join(table.markdown() for table in tables)
        print(f"\n{text}")
        out = args.out or args.workspace
        out.mkdir(parents=True, exist_ok=True)
        (out / "carracing_dream.md").write_text(text, encoding="utf-8")
        report = {"machine": machine(), "versions": versions(), "seeds": seeds, "ppo": ppo()}
        (out / "carracing_dream.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
        draw(out / "carracing_dream.png", seeds)
    raise SystemExit(0 if done else 1)


if __name__ == "__main__":
    main()
