"""An assessment's figures as tables with words, for the window and for cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ewm_studio import formatting as format

GUESSES = {
    "mean_of_draws": "Mean of 16 draws",
    "draw": "One draw",
    "best_of_draws": "Best of 16 draws",
    "vision": "V's own reconstruction",
    "shuffled_actions": "Under the actions of others",
    "persistence": "What is seen stays",
    "last_motion": "Its last change goes on",
    "mean_latent": "The mean latent",
    "untrained": "An untrained memory",
}


@dataclass(frozen=True)
class Table:
    """Rows of texts under a title; the first column names, the others are figures."""

    title: str
    words: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def assessment_tables(found: Mapping[str, Any]) -> list[Table]:
    """The tables; figures that are not there, as in one of an earlier version, are left out."""
    made = [_by_horizon(found, "z_error"), _by_horizon(found, "psnr"), _main(found), _response(found), _trust(found)]
    return [table for table in made if table is not None and table.rows]


def main_figures(found: Mapping[str, Any]) -> str:
    """One line: error at each horizon, how long dreams are of use, and whether they hear actions."""
    errors = _list(_map(found, "z_error"), "mean_of_draws")
    parts = []
    if errors:
        steps = ", ".join(str(k) for k in _list(found, "horizons"))
        parts.append(f"z error {' '.join(_figure(value) for value in errors)} at {steps} decisions")
    if "usable_horizon" in found:
        parts.append(f"of use for {found['usable_horizon']} decisions")
    if "action_ratio" in found:
        parts.append(f"action ratio {_figure(found['action_ratio'])}")
    return "; ".join(parts)


def assessment_markdown(found: Mapping[str, Any]) -> list[str]:
    """The tables as lines of Markdown."""
    lines: list[str] = []
    for table in assessment_tables(found):
        lines += [f"### {table.title}", table.words, "", _row(table.columns), "|" + " --- |" * len(table.columns)]
        lines += [*(_row(cells) for cells in table.rows), ""]
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


_HORIZON_WORDS = {
    "z_error": (
        "Error of z",
        "Squared error as a share of the latents' variance: less is better, above the mean latent it is of no use.",
    ),
    "psnr": ("Pictures, in decibels", "Peak signal to noise: more is better, V's own reconstruction is the most."),
}


def _by_horizon(found: Mapping[str, Any], name: str) -> Table | None:
    by_guess = _map(found, name)
    if not by_guess:
        return None
    title, words = _HORIZON_WORDS[name]
    horizons = _list(found, "horizons")
    rows = [
        (text, *(_figure(value) for value in _list(by_guess, key))) for key, text in GUESSES.items() if key in by_guess
    ]
    if name == "psnr" and "sharpness" in found:
        rows.append(("Sharpness of a draw, over the real one", *(_figure(v) for v in _list(found, "sharpness"))))
    return Table(title, words, ("after decisions", *(str(k) for k in horizons)), tuple(rows))


def _main(found: Mapping[str, Any]) -> Table:
    end, reward, read = (_map(found, name) for name in ("end", "reward", "action_read_back"))
    rows = [
        ("Decisions until the mean latent is as near", found.get("usable_horizon")),
        ("Error under permuted actions over that under true ones; 1: ignored", found.get("action_ratio")),
        ("Actions read back from one drawn dream, over those from reality", read.get("share")),
        *(
            (f"Return of {steps} decisions, correlation with the true one", value)
            for steps, value in _map(found, "return_correlation").items()
        ),
        *((f"Reward won or not after {steps}, AUC", value) for steps, value in _map(reward, "won").items()),
        ("Told and true reward differ by, in shares of their spread", reward.get("calibration")),
        ("End or not, AUC", end.get("auc")),
        ("Told and true shares of ends differ by", end.get("calibration")),
        ("Dreams of 1,000 decisions that stay where latents are", found.get("stays_in_range")),
        ("Milliseconds of one decision", found.get("milliseconds")),
    ]
    told = tuple((text, _figure(value)) for text, value in rows if value is not None)
    return Table("Actions, rewards, ends", "How well it hears, and knows what is worth something.", ("", ""), told)


def _response(found: Mapping[str, Any]) -> Table | None:
    pairs = _map(found, "action_response")
    if not pairs:
        return None
    titles = {"share": "in latents", "sign": "signs right", "pictures": "in pictures", "scene": "in the scene alone"}
    titles["vision"] = "V itself"
    shown = [key for key in titles if any(key in pair for pair in pairs.values())]
    rows = tuple((name, *(_figure(pair.get(key)) for key in shown)) for name, pair in pairs.items())
    words = "The share of the real difference between two actions, each held for ten decisions, that the dream makes."
    if "scene" in shown:
        words += " The scene: pictures above the instruments, where there are some; V itself: reality, as V shows it."
    return Table("What actions do", words, ("actions", *(titles[key] for key in shown)), rows)


def _trust(found: Mapping[str, Any]) -> Table | None:
    trust = _map(found, "trust")
    if not trust:
        return None
    names = {
        "meter": "Over all steps",
        "at_horizons": "At the steps above alone",
        "across_steps": "Of the means at each step",
        "at_one_step": "Among dreams after the same step",
        "attainable": "The most, were the memory right: what comes is chance too",
        "pictures": "Spread of pictures with their mean error",
    }
    rows = tuple((text, _figure(trust[key])) for key, text in names.items() if key in trust)
    words = "Rank correlation of the trust meter, which knows nothing of what comes, with the error of the dream shown."
    return Table("Trust meter", words, ("", ""), rows)


def _map(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    return value if isinstance(value, Mapping) else {}


def _list(found: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = found.get(name)
    return value if isinstance(value, list | tuple) else ()


def _figure(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return format.count(value)
    if isinstance(value, float) and 1 <= abs(value) < 100:
        return f"{value:#.3g}"  # 2.00 below 2.11: columns of numbers keep their digits
    return format.significant(value if isinstance(value, float) else None)
