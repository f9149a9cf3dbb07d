"""A card's figures as a page for people."""

from __future__ import annotations

from typing import Any

from ewm_studio.jobs.assessment_text import assessment_markdown
from ewm_studio.jobs.card_dreams import dreams_markdown
from ewm_studio.resources import resource
from ewm_studio.settings.experiment import COMPONENTS

COLUMNS = ("mean", "std", "median", "min", "max", "standard_error")


def card_text(name: str, card: dict[str, Any]) -> str:
    """The card in Markdown: what the model is, what it scores, what it took, and how to repeat both."""
    parts = " + ".join(card["parts"][kind]["name"] for kind in COMPONENTS)
    evaluation, count = card["evaluation"], len(card["seeds"])
    last_seed = evaluation["first_seed"] + evaluation["episodes"] - 1
    played = (
        f"{evaluation['episodes']} episodes that training never saw (seeds {evaluation['first_seed']} to {last_seed})"
    )
    lines = [
        f"# {name}",
        "",
        f"{parts} on `{card['env']}`, action repeat {card['action_repeat']}. {card['bytes'] / 1e6:.2f} MB, "
        f"sha256 `{card['sha256']}`. Licence: {card['license']}.",
        "",
        "## Score",
        f"Unshaped reward over {played}.",
        "",
        *_table(card["score"]),
        "",
        _chosen(evaluation, count),
        "",
        *_seeds(card["seeds"]),
        "",
        *(_over_seeds(card["over_seeds"], count) if count > 1 else []),
        "![How it learned](curve.png)",
        "",
        "## What it took",
        *_cost(card),
        *_marks(card["seeds"]),
        "",
        *(dreams_markdown(card["judgements"]) if "judgements" in card else []),
        *_dreams(card),
        "## Limits",
        *_limits(card),
        "",
        "## Repeat it",
        "```",
        *_commands(name, card),
        "```",
        "",
    ]
    return "\n".join(lines)


def _chosen(evaluation: dict[str, Any], count: int) -> str:
    if count == 1:
        return "One seed was trained:"
    others = evaluation["choosing"]
    last = others["first_seed"] + others["episodes"] - 1
    return (
        f"It is the best of {count} seeds by the greedy mean of {others['episodes']} other unseen episodes (seeds "
        f"{others['first_seed']} to {last}); all of them:"
    )


def _table(score: dict[str, dict[str, Any]]) -> list[str]:
    laps = "laps_finished" in score["greedy"]
    heads = [column.replace("_", " ") for column in COLUMNS] + (["laps finished"] if laps else [])
    rows = [f"| played | {' | '.join(heads)} |", "| --- |" + " --- |" * len(heads)]
    for mode, found in score.items():
        cells = [f"{found[column]:.1f}" for column in COLUMNS] + ([f"{found['laps_finished']:.0%}"] if laps else [])
        rows.append(f"| {mode} | {' | '.join(cells)} |")
    return rows


def _seeds(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| seed | greedy | median | sampled | other episodes | decisions | frames in finished episodes | minutes | "
        "best checkpoint at |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        greedy, sampled = row["greedy"], row["sampled"]
        others = f"{row['choosing']['mean']:.1f}" if "choosing" in row else ""
        lines.append(
            f"| {row['seed']} | {greedy['mean']:.1f} +- {greedy['std']:.1f} | {greedy['median']:.1f} | "
            f"{sampled['mean']:.1f} +- {sampled['std']:.1f} | {others} | {row['env_steps']:,} | {row['frames']:,} | "
            f"{row['seconds'] / 60:.1f} | {row['checkpoint_step']:,} |"
        )
    return lines


def _over_seeds(over: dict[str, dict[str, float]], count: int) -> list[str]:
    told = [
        f"{mode} {found['mean']:.1f} +- {found['std']:.1f} (least {found['min']:.1f})" for mode, found in over.items()
    ]
    return [f"Mean and spread over the {count} seeds: {', '.join(told)}.", ""]


def _cost(card: dict[str, Any]) -> list[str]:
    machine, versions = card["machine"], card["versions"]
    return [
        f"Trained from scratch; every seed's time stands above. Machine: {machine['processor']}, {machine['cores']} "
        f"cores, GPU: {machine['gpu']}; {machine['system']}; "
        + ", ".join(f"{package} {version}" for package, version in versions.items())
        + ".",
        "All settings: `experiment.toml` beside this card.",
    ]


def _marks(rows: list[dict[str, Any]]) -> list[str]:
    """When each seed's training passed each mark."""
    marks = list(rows[0]["marks"])
    if not marks:
        return []
    lines = [
        "",
        "When the mean of the last 100 training episodes, sampled, first reached a mark: minutes, decisions, frames.",
        "",
        f"| seed | {' | '.join(marks)} |",
        "| --- |" + " --- |" * len(marks),
    ]
    for row in rows:
        lines.append(f"| {row['seed']} | {' | '.join(_moment(row['marks'][mark]) for mark in marks)} |")
    return lines


def _moment(at: dict[str, Any] | None) -> str:
    return f"{at['seconds'] / 60:.1f} min, {at['env_steps']:,}, {at['frames']:,}" if at else "never"


def _dreams(card: dict[str, Any]) -> list[str]:
    """How far the memory can be trusted as a world, where that was measured."""
    found = card.get("assessment")
    if not found:
        return []
    lines = ["## Dreams", f"Its memory as a world, measured on {found['on']}.", "", *assessment_markdown(found)]
    for file, words in card.get("pictures", {}).items():
        lines += [f"![{words}]({file})", ""]
    return lines


def _limits(card: dict[str, Any]) -> list[str]:
    found = card["score"]["greedy"]
    worst = ", ".join(f"{episode['seed']} ({episode['reward']:.0f})" for episode in found["worst"])
    lines = [f"Its worst greedy episodes, by seed (reward): {worst}."] if found["min"] < found["max"] else []
    lines.append(f"Trained and tried on `{card['env']}` alone, at the action repeat above.")
    return lines + ([card["limits"]] if card["limits"] else [])


def _commands(name: str, card: dict[str, Any]) -> list[str]:
    evaluation, lines = card["evaluation"], []
    if resource("presets", f"{name}.toml").is_file():
        lines.append(f"uv run ewm-studio train --config resources/presets/{name}.toml --seed {card['shipped_seed']}")
    for flag in ("--greedy", "--sample"):
        lines.append(
            f"uv run ewm-studio infer --load-path {name} {flag} --episodes {evaluation['episodes']} "
            f"--seed {evaluation['first_seed']}"
        )
    return lines
