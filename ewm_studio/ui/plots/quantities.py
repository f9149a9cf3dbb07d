"""What can be plotted, and how plots are shown; without the plotting itself, so that the window opens before it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ewm_studio.analysis.history import LENGTH, REWARD, Axis, RunHistory
from ewm_studio.analysis.seeds import grouped
from ewm_studio.events import MEAN_OF
from ewm_studio.ui.plots.run_colors import RunColors

AXIS_UNITS: dict[Axis, str] = {"step": "steps", "epoch": "epochs", "seconds": ""}
STAYING = "Dashed: what it would be if what is seen stayed as it is. The mean of all that was seen is wrong by 1."


@dataclass(frozen=True)
class Quantity:
    """Something that can be plotted."""

    tag: str
    title: str
    color: str = "controller"  # a token
    unit: str = ""
    points: bool = False  # dots instead of a raw line
    beside: str = ""  # the tag of what it is to be compared with: drawn dashed
    beside_word: str = "staying"  # a word for that
    beside_words: str = STAYING  # and a sentence


QUANTITIES = {
    q.tag: q
    for q in (
        Quantity(REWARD, "Episode reward", "accent", "mean", points=True),
        Quantity(LENGTH, "Episode length", "accent", "steps"),
        Quantity("ppo/policy_loss", "Policy loss"),
        Quantity("ppo/value_loss", "Value loss"),
        Quantity("ppo/entropy", "Entropy", unit="nats"),
        Quantity("ppo/approx_kl", "KL divergence", unit="nats"),
        Quantity("ppo/clip_fraction", "Clip fraction"),
        Quantity("ppo/explained_variance", "Explained variance"),
        Quantity("ppo/lr", "Learning rate"),
        Quantity("ppo/grad_norm", "Controller gradient"),
        Quantity("vision/total", "Vision loss", "vision"),
        Quantity("vision/held_out_total", "Vision loss, held out", "vision"),
        Quantity("vision/held_out_mse", "Pixel error, held out", "vision"),
        Quantity("vision/kl", "Vision KL", "vision", "nats"),
        Quantity("memory/held_out_prediction_error", "Prediction error, held out", "memory"),
        Quantity("memory/total", "Memory loss", "memory"),
        Quantity("memory/held_out_total", "Memory loss, held out", "memory"),
        Quantity(
            "dream/reward",
            "Dreamt reward",
            "memory",
            beside="dream/real_reward",
            beside_word="real",
            beside_words="Dashed: what the same controller then earned for real. Both are means of a decision.",
        ),
        Quantity(
            "dream/worth",
            "Dreamt worth",
            "memory",
            beside="dream/real_worth",
            beside_word="real",
            beside_words="Dashed: what the same controller then was worth for real. Both are rewards of a decision, "
            "less what is lost where an episode ends with it.",
        ),
        Quantity("dream/gap", "Dreamt less real worth", "memory", "a decision"),
        Quantity("dream/correlation", "Dreamt and real changes, correlation", "memory"),
        Quantity(
            "real/greedy",
            "Judged, greedy",
            "accent",
            beside="real/sampled",
            beside_word="sampled",
            beside_words="Dashed: the same episodes with actions that are drawn.",
        ),
        Quantity("real/steps", "Decisions spent on judging", "accent"),
        Quantity("memory/dream_error_1", "Dream error after 1 decision", "memory", beside="memory/stays_error_1"),
        Quantity("memory/dream_error_4", "Dream error after 4", "memory", beside="memory/stays_error_4"),
        Quantity("memory/dream_error_16", "Dream error after 16", "memory", beside="memory/stays_error_16"),
        Quantity("memory/dream_error_64", "Dream error after 64", "memory", beside="memory/stays_error_64"),
        Quantity("memory/action_ratio", "Wrong actions over true ones", "memory", "1: ignored"),
        Quantity("speed/steps_per_second", "Speed", "accent", "steps/s"),
    )
}


def quantity(tag: str) -> Quantity:
    """How a tag is shown; unknown ones by their name and their part's color."""
    known = QUANTITIES.get(tag)
    if known is not None:
        return known
    part, _, name = tag.partition("/")
    words = name.replace("_", " ").replace("kl", "KL")
    shade = part if part in ("vision", "memory") else "controller" if part == "ppo" else "accent"
    return Quantity(tag, f"{part.capitalize()} {words}" if part != "ppo" else words.capitalize(), shade)


@dataclass
class PlotOptions:
    """What all plots of a page share."""

    axis: Axis = "step"
    smoothing: int = 50  # 0 to 100
    logarithmic: bool = False
    compared: list[RunHistory] = field(default_factory=list)
    colors: RunColors = field(default_factory=RunColors)
    over_seeds: bool = True  # runs that differ by their seed alone are drawn as one mean in its band, too

    def groups(self, shown: RunHistory) -> list[list[RunHistory]]:
        """Runs on the plots that differ by their seed alone, each group of two or more."""
        runs = (shown, *self.compared)
        return [group for group in grouped(runs) if len(group) > 1] if self.over_seeds else []

    def window(self, points: bool, rows: int) -> int:
        """Rows the running mean is taken over: 100 episodes, or 10 rows of metrics, in the middle of the slider.

        Of few rows of metrics it takes fewer, an eighth of them in the middle: it would lag behind all of them.
        """
        if points:
            return max(1, round(float(MEAN_OF) ** (self.smoothing / 50)))
        return max(1, min(round(10.0 ** (self.smoothing / 50)), round(rows * self.smoothing / 400)))

    @property
    def words(self) -> str:
        """What the lines are the mean of."""
        if self.window(True, 0) <= 1:
            return "lines: as it was logged"
        rows = self.window(False, 10**9)
        return f"lines: {self.few_words} episodes, {rows:,} row{'s' * (rows > 1)}"

    @property
    def few_words(self) -> str:
        """The same where there is little room: of episodes only, and without saying so."""
        episodes = self.window(True, 0)
        return f"mean of {episodes:,}" if episodes > 1 else "as logged"
