"""What a running job shows on stderr: bars on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from ewm_studio import events as ev
from ewm_studio.formatting import printable

LINE_SECONDS = 5.0  # between two plain lines


class View:
    """Follows a job's events. A broken stderr never stops a job: it only ends the view."""

    def __init__(self) -> None:
        self._rewards: deque[float] = deque(maxlen=ev.MEAN_OF)
        self._mean: float | None = None
        self._broken = False
        self._stages: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._guarded(self.close)

    @property
    def mean_reward(self) -> float | None:
        """Mean reward of the last 100 episodes: those of the whole run, where the job says it."""
        if self._mean is not None:
            return self._mean
        return sum(self._rewards) / len(self._rewards) if self._rewards else None

    def show(self, event: ev.Event) -> None:
        """Take in one event."""
        if isinstance(event, ev.EpisodeFinished):
            self._rewards.append(event.reward)
            self._mean = event.mean
        elif isinstance(event, ev.Progress):
            self._guarded(self.progress, event)
        elif isinstance(event, ev.RunStarted):
            self._stages = event.stages
            self._guarded(self.line, f"{event.job} {event.run}: {event.summary}" if event.run else event.summary)
        elif isinstance(event, ev.EvaluationKept):
            self._guarded(self.line, f"replays are kept in {event.folder}")
        elif isinstance(event, ev.Message):
            self._guarded(self.line, event.text if event.level == "info" else f"{event.level}: {event.text}")

    def stage(self, name: str) -> str:
        """A stage's name and, where there are several, its place: "2/4 vision"."""
        if len(self._stages) < 2 or name not in self._stages:
            return name
        return f"{self._stages.index(name) + 1}/{len(self._stages)} {name}"

    def say(self, text: str) -> None:
        """Show one line of the command line's own."""
        self._guarded(self.line, text)

    def line(self, text: str) -> None:
        """Write one line."""

    def progress(self, event: ev.Progress) -> None:
        """Show how far a stage is."""

    def close(self) -> None:
        """Leave the terminal as it was."""

    def _guarded(self, action: Any, *arguments: Any) -> None:
        if self._broken:
            return
        try:
            action(*arguments)
        except (OSError, ValueError):  # closed pipe, closed file
            self._broken = True


class PlainView(View):
    """Lines for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self._stage = ""
        self._next = 0.0

    def line(self, text: str) -> None:
        """Write one line at once."""
        print(printable(text), file=self.stream, flush=True)

    def progress(self, event: ev.Progress) -> None:
        """A line every few seconds, and one at the end of each stage."""
        over = event.total is not None and event.done >= event.total
        now = time.monotonic()
        if event.stage == self._stage and now < self._next and not over:
            return
        self._stage, self._next = event.stage, now + LINE_SECONDS
        self.line(f"{self.stage(event.stage)}: {describe(event, self.mean_reward)}")


class RichView(View):
    """Bars for a terminal: stage, share, done, speed, time left, mean reward."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.bars = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(), TextColumn("{task.fields[facts]}"), console=console
        )
        # Before the first stage there is only waiting, for torch above all.
        self._tasks: dict[str, TaskID] = {"": self.bars.add_task("starting", total=None, facts="")}

    def __enter__(self) -> Self:
        self._guarded(self.bars.start)
        return self

    def line(self, text: str) -> None:
        """Write a line above the bars."""
        self.bars.console.print(escape(printable(text)), highlight=False, soft_wrap=True)

    def progress(self, event: ev.Progress) -> None:
        """Move the stage's bar."""
        if "" in self._tasks:
            self.bars.remove_task(self._tasks.pop(""))
        if event.stage not in self._tasks:
            self._tasks[event.stage] = self.bars.add_task(self.stage(event.stage), total=event.total, facts="")
        facts = describe(event, self.mean_reward)
        self.bars.update(self._tasks[event.stage], completed=event.done, total=event.total, facts=facts)

    def close(self) -> None:
        """Stop drawing; a job that never came to a stage leaves no bar."""
        if "" in self._tasks:
            self.bars.remove_task(self._tasks.pop(""))
        self.bars.stop()


def make_view() -> View:
    """The view that suits stderr."""
    if sys.stderr is None:
        return View()
    console = Console(stderr=True)
    return RichView(console) if console.is_terminal and not console.is_dumb_terminal else PlainView(sys.stderr)


def describe(event: ev.Progress, mean_reward: float | None) -> str:
    """A stage's state in words: "12800/100000 steps, 4210 steps/s, 0:21 left, mean reward 45.2"."""
    done = f"{event.done}" if event.total is None else f"{event.done}/{event.total}"
    words = [f"{done} {event.unit}", _speed(event.per_second, event.unit)]
    if event.seconds_left is not None:
        words.append(f"{clock(event.seconds_left)} left")
    if mean_reward is not None:
        words.append(f"mean reward {mean_reward:.4g}")
    return ", ".join(words)


def _speed(per_second: float, unit: str) -> str:
    """A speed by the second, or by the hour where a second shows none of it."""
    if 0 < per_second < 0.1:
        return f"{3600 * per_second:.3g} {unit}/h"
    return f"{per_second:.0f} {unit}/s" if per_second >= 10 else f"{per_second:.2f} {unit}/s"


def clock(seconds: float) -> str:
    """Seconds as 0:21 or 1:02:03."""
    if not seconds < 1e9:  # also NaN
        return "?"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
