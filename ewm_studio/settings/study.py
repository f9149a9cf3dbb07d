"""A study's file, `NAME.study.toml`: what is compared, over which seeds, for how long, how it is judged, where it runs.

Everything in it is plain settings; `study_file` reads it with its base, and says in one line what is wrong with it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import Field, field_validator, model_validator

from ewm_studio.settings.clusters import check_cluster_place
from ewm_studio.settings.declare import Settings, setting

MOST_SEEDS = 10_000
MOST_EPISODES = 100_000
JUDGED_ON_THE_WAY = 770_000  # the first seed of the episodes by which a run's own checkpoints are chosen
_RANGE = re.compile(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?")


def seeds_of(text: str) -> list[int]:
    """Seeds as a person writes them: "0-4", "0, 1, 7", "0-2, 10-12".

    Raises:
        ValueError: it is none.
    """
    seeds: list[int] = []
    for part in filter(str.strip, text.split(",")):
        found = _RANGE.fullmatch(part)
        if found is None:
            raise ValueError('should be seeds, such as "0-4" or "0, 1, 7"')
        first, last = int(found[1]), int(found[2] or found[1])
        if last - first >= MOST_SEEDS:
            raise ValueError(f"should be at most {MOST_SEEDS:,} seeds")
        seeds += range(first, last + 1)
    return seeds


def seeds_text(seeds: list[int]) -> str:
    """Seeds as `seeds_of` reads them: "0-4, 7"."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][1] + 1:
            parts[-1][1] = seed
        else:
            parts.append([seed, seed])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


Seeds = Annotated[list[Annotated[int, Field(ge=0, le=2**32 - 1)]], Field(max_length=MOST_SEEDS)]


class SeedSettings(Settings):
    """The seeds of the runs. What is tuned is tuned on others than those that are reported."""

    reported: Seeds = setting(
        [0, 1, 2, 3, 4], "Seeds of the runs that are reported: five or more for an interval; with fewer, points."
    )
    tuning: Seeds = setting(
        [100, 101, 102], "Seeds that a search may try settings on; they are never reported.", advanced=True
    )

    @field_validator("reported", "tuning", mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        return seeds_of(value) if isinstance(value, str) else [value] if isinstance(value, int) else value

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if not self.reported:
            raise ValueError("seeds.reported should name at least one seed")
        for name in ("reported", "tuning"):
            seeds = getattr(self, name)
            twice = next((seed for seed in seeds if seeds.count(seed) > 1), None)
            if twice is not None:
                raise ValueError(f"seeds.{name} has {twice} twice")
        if shared := sorted({*self.reported} & {*self.tuning}):
            raise ValueError(f"seed {shared[0]} is tuned on and reported: what was tuned on cannot be the proof")
        return self


class BudgetSettings(Settings):
    """How long each run learns: the same for all."""

    frames: int | None = setting(
        None,
        "Frames of the environment that each run learns from (decisions times action repeat); empty: as the base says.",
        unit="frames",
        ge=1,
        le=1_000_000_000_000,
    )
    minutes: float | None = setting(
        None,
        "Minutes that each run learns, by the clock of the machine it runs on; empty: no limit.",
        unit="minutes",
        gt=0,
        le=1_000_000,
    )


class JudgeSettings(Settings):
    """How each run is judged: by episodes that no run has learned from, the same for all."""

    episodes: int = setting(20, "Episodes that each model plays.", unit="episodes", ge=1, le=MOST_EPISODES)
    seed: int = setting(100_000, "Seed of the first of them; the others follow.", ge=0, le=2**32 - 1)
    ways: list[Literal["greedy", "sampled"]] = setting(
        ["greedy", "sampled"],
        "greedy: the likeliest action; sampled: drawn from the policy. The first is the one that is compared.",
        min_length=1,
        max_length=2,
    )
    model: Literal["last", "best"] = setting(
        "last", "last: as learning ended; best: the checkpoint with the best score of the run's own training."
    )
    moments: int = setting(
        0,
        "Even shares of the budget after each of which a run is judged on its way, as ways says first: curves are of "
        "these then. A model is saved every run.save_freq epochs. 0: curves are of what the run itself logs.",
        ge=0,
        le=1000,
    )
    moment_episodes: int = setting(
        5, "Of the episodes, the first so many are played at each moment.", unit="episodes", ge=1, le=MOST_EPISODES
    )
    floor: float | None = setting(
        None,
        "The score of who can do nothing, such as random actions: 0 when scores are put on one scale, and what a "
        "failed run counts with. Empty: a failed run counts with the worst score of all.",
    )
    target: float | None = setting(
        None, "The score at which the task counts as solved: 1 on that scale. Needed for an optimality gap."
    )
    level: float = setting(0.95, "Of the intervals.", gt=0, lt=1, advanced=True)
    resamples: int = setting(2_000, "Bootstrap samples behind each interval.", ge=100, le=1_000_000, advanced=True)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if len(set(self.ways)) < len(self.ways):
            raise ValueError("judge.ways has one of them twice")
        if self.target is not None and self.target <= (self.floor or 0.0):
            raise ValueError("judge.target should be above judge.floor")
        if self.moments and self.moment_episodes > self.episodes:
            raise ValueError("judge.moment_episodes should be no more than judge.episodes")
        if self.seed <= JUDGED_ON_THE_WAY < self.seed + self.episodes:
            raise ValueError(
                f"judge.seed: the episodes from {JUDGED_ON_THE_WAY} are those by which runs choose their own best "
                "checkpoints; take others"
            )
        return self


class PlaceSettings(Settings):
    """Where the runs are computed; it changes how long they take, not what they come to."""

    parallel: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = setting(
        "auto", "Runs side by side; auto: as many as there are cores for.", unit="runs"
    )
    threads: int = setting(
        1,
        "CPU threads of each run: set, and not found, so that a run comes to the same weights on every machine.",
        unit="threads",
        ge=1,
        le=1024,
    )
    on: str = setting(
        "",
        "Empty: this computer. A Ray cluster (extra cluster): ray://HOST:10001, or auto for RAY_ADDRESS, else the one "
        "that this computer is the head of.",
        max_length=300,
    )
    gpus: float = setting(
        0.0, "GPUs, or a share of one, that each run asks a cluster for.", unit="GPUs", ge=0, le=64, advanced=True
    )

    @field_validator("on")
    @classmethod
    def _address(cls, value: str) -> str:
        return check_cluster_place(value)


class SearchSettings(Settings):
    """Optuna (extra search) proposes settings in place of the grid, on seeds and episodes that are never reported."""

    on: bool = setting(
        False,
        "Search: what varies is tuned on seeds.tuning; what is found is then compared with the base on seeds.reported.",
    )
    trials: int = setting(20, "Settings that are tried.", unit="trials", ge=1, le=100_000)
    ranges: dict[str, Any] = setting(
        {},
        'Besides the options of vary, numbers from a range: ranges."ppo.lr" = { low = 1e-4, high = 1e-2, log = true }.',
    )
    seed: int = setting(0, "Of the proposals; with one run at a time they repeat.", ge=0, le=2**32 - 1, advanced=True)
    judge_seed: int = setting(
        500_000, "Seed of the first of the episodes that trials are judged by.", ge=0, le=2**32 - 1, advanced=True
    )
    prune: float = setting(
        0.1,
        "A trial ends early that is worse than the best, paired by episode, at this level (Wilcoxon); 0: none does.",
        ge=0,
        lt=1,
        advanced=True,
    )


class Study(Settings):
    """What is compared, and how.

    The settings of a run are those of the base, with `experiment` laid over them, and the cell's own over both.
    """

    title: str = setting("", "The question, as a heading.", max_length=200)
    base: str = setting("", "A preset's name, or a settings file beside this one; empty: the defaults.")
    experiment: dict[str, Any] = setting({}, "Settings of all runs, over those of the base: experiment.ppo.lr = 1e-3.")
    vary: dict[str, Any] = setting(
        {},
        'What varies; every combination is tried. Values of a setting: vary.memory.name = ["NoMemory", "LSTMMemory"]; '
        "or options by names of your own, each with its settings.",
    )
    leave_out: list[dict[str, str]] = setting(
        [],
        "Combinations of vary that are not made, for they cannot be or say nothing: of some axes an option each, "
        '{ memory = "none", learning = "in dreams" }.',
    )
    cells: list[dict[str, Any]] = setting([], "In place of vary, a list: each with a name and its settings.")
    seeds: SeedSettings = Field(default_factory=SeedSettings)
    budget: BudgetSettings = Field(default_factory=BudgetSettings)
    judge: JudgeSettings = Field(default_factory=JudgeSettings)
    place: PlaceSettings = Field(default_factory=PlaceSettings)
    search: SearchSettings = Field(default_factory=SearchSettings)

    def to_toml(self) -> str:
        """What differs from the defaults, as a file of its own."""
        values = self.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        if "reported" in values.get("seeds", {}):
            values["seeds"]["reported"] = seeds_text(values["seeds"]["reported"])
        return tomli_w.dumps(values)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.vary and self.cells:
            raise ValueError("vary and cells: give one of them, every combination or a list")
        if self.leave_out and not self.vary:
            raise ValueError("leave_out says which combinations of vary are not made; without vary there are none")
        if not all(self.leave_out):
            raise ValueError("leave_out has an empty combination, which would leave out all")
        judge, search = self.judge, self.search
        if judge.moments and self.budget.frames is None:
            raise ValueError("judge.moments are shares of budget.frames: give it")
        if search.on and abs(judge.seed - search.judge_seed) < judge.episodes:
            raise ValueError("search.judge_seed and judge.seed share episodes: what was tuned on cannot be the proof")
        if search.on and self.cells:
            raise ValueError("search.on: give what varies by vary or search.ranges, not as cells")
        return self
