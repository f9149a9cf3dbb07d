"""A job's events in words: lines for the log, what an evaluation came to, and how a job ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ewm_studio import formatting as format
from ewm_studio.analysis.figures import episodes as episodes_in_words
from ewm_studio.events import MEAN_OF, CheckpointSaved, EpisodeFinished, Event, Finished, Message, RunStarted
from ewm_studio.jobs.assessment_text import main_figures
from ewm_studio.jobs.kinds import job_kind


@dataclass(frozen=True)
class LogLine:
    """One line of the log."""

    text: str
    level: str = "info"  # info, warning or error
    good: bool = False


def log_lines(event: Event, kind: str) -> list[LogLine]:
    """What the log says of an event of a job of a kind; of most of them nothing."""
    if isinstance(event, EpisodeFinished) and job_kind(kind).plays:
        reward, length = format.significant(event.reward), format.count(event.length)
        return [LogLine(f"seed {event.seed}: reward {reward}, {length} steps")]
    if isinstance(event, RunStarted):
        return [LogLine(f"{event.job} started: {event.summary}", good=True)]
    if isinstance(event, CheckpointSaved):
        mean = f" (best reward {format.significant(event.mean_reward)})" if event.best and event.mean_reward else ""
        unit = "frames trained on" if kind == "pretrain" else "steps"
        return [LogLine(f"checkpoint at {format.count(event.step)} {unit} saved{mean}", good=True)]
    if isinstance(event, Message):
        return [LogLine(event.text, event.level)]
    if isinstance(event, Finished):
        return [*_worst(event.result, kind), LogLine(outcome(event, kind), good=True)]
    return []


def _worst(result: dict[str, Any], kind: str) -> list[LogLine]:
    if not job_kind(kind).plays or "worst" not in result:
        return []
    found = (f"seed {seed} ({format.significant(reward)})" for seed, reward in result["worst"].items())
    return [LogLine(f"worst: {', '.join(found)}")]


def evaluation_words(result: dict[str, Any]) -> tuple[str, str]:
    """What an evaluation came to: mean and deviation, and a line about its episodes."""
    title = f"{format.significant(result.get('mean'))} ± {format.significant(result.get('std'))}"
    low, high = format.significant(result.get("min")), format.significant(result.get("max"))
    median = format.significant(result.get("median"))
    words = f"evaluation over {_episodes(result)} episodes, from {low} to {high}, median {median}"
    if "laps_finished" in result:
        words += f", {result['laps_finished']:.0%} of laps finished"
    return title, words


def outcome(event: Finished, kind: str) -> str:
    """What a job came to, in a few words."""
    result = event.result
    if kind == "assess":
        return f"Assessed: {main_figures(result)}" if result else "Stopped before anything was measured"
    if job_kind(kind).plays:
        return f"Evaluated: {evaluation_words(result)[0]} over {_episodes(result)} episodes"
    mean = result.get("mean_reward")
    reward = f", mean reward {format.significant(mean)} of the {_last(result)}" if mean is not None else ""
    how = "Stopped" if event.stopped_by == "stop" else "Finished"
    return f"{how} after {format.duration(result.get('seconds'))}{reward}"


def _last(result: dict[str, Any]) -> str:
    """The episodes that a run's mean reward is taken over."""
    return episodes_in_words(min(MEAN_OF, result.get("episodes", MEAN_OF)))


def _episodes(result: dict[str, Any]) -> int:
    return len(result.get("episodes", []))
