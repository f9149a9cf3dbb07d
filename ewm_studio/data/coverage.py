"""What data holds of actions, and whether a memory can learn from it what they do.

Where the observation foretells the action, as in the data of a good driver, a memory that reads the observation need
never look at the action, and its dreams ignore what one does in them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

MOST = 20_000  # decisions that are looked at
POOLED = 12  # pictures are looked at as so many by so many gray values
BINS = 11  # of a continuous action's range
HELD = 5  # one stretch in so many is held out
STRETCHES = 50
RIDGE = 1e-2  # weight of the penalty, on features of variance 1
EXPLAINED = 0.95  # an action foretold this well teaches nothing
STILL = 0.02  # entropy, as a share of the most there can be, below which an action hardly changes
LEAST = 200  # decisions, below which nothing is warned of
PEDALS = ("steering", "gas", "brake")


@dataclass(frozen=True)
class Coverage:
    """What decisions show of actions, by the action's axes or, where it is a choice, by the choice.

    Attributes:
        decisions: looked at.
        entropy: how evenly actions are spread, 0 to 1.
        explained: share of an action's variance that a linear guess from the observation finds, on decisions held
            out; 0 where there is too little to say.
        other: by its name, what is known of the environment besides.
    """

    decisions: int
    entropy: dict[str, float]
    explained: dict[str, float]
    other: dict[str, float] = field(default_factory=dict)

    def warning(self) -> str:
        """One line where a memory cannot learn what an action does; else empty."""
        still = [name for name, share in self.entropy.items() if share < STILL]
        told = [name for name, share in self.explained.items() if share > EXPLAINED and name not in still]
        reasons = [f"{', '.join(still)} hardly changes"] if still else []
        reasons += [f"{', '.join(told)} follows from what is seen"] if told else []
        if not reasons or self.decisions < LEAST:
            return ""
        return f"a memory cannot learn from these data what actions do: {'; '.join(reasons)}. Record with --bursts 0.08"

    def words(self) -> str:
        """One line."""
        parts = [
            f"{name}: entropy {self.entropy[name]:.2f}, foretold {max(self.explained[name], 0):.2f}"
            for name in self.entropy
        ]
        parts += [f"{name} {value:.2g}" for name, value in self.other.items()]
        return f"actions of {self.decisions:,} decisions: " + "; ".join(parts)

    def describe(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self) | {"warning": self.warning()}


def coverage(seen: NDArray, action: NDArray, space: gym.Space, other: dict[str, float] | None = None) -> Coverage:
    """What decisions cover.

    Args:
        seen: (N, F) latents, or `looks` of observations, in the order of time.
        action: (N, ...) the environment's.
        space: of the actions.
        other: what is known besides, by its name.
    """
    named = _columns(action, space)
    entropy = {name: _entropy(column, discrete) for name, (column, discrete) in named.items()}
    found = _explained(np.asarray(seen, np.float64), [_targets(*pair) for pair in named.values()])
    return Coverage(len(action), entropy, dict(zip(named, found, strict=True)), other or {})


def looks(obs: NDArray) -> NDArray:
    """Prepared observations (N, ...) as few numbers (N, F): vectors as they are, pictures pooled and gray."""
    if obs.ndim != 4:
        return obs.reshape(len(obs), -1).astype(np.float32)
    gray = obs.mean(1, dtype=np.float32)  # (N, H, W)
    rows = np.array_split(np.arange(gray.shape[1]), min(POOLED, gray.shape[1]))
    columns = np.array_split(np.arange(gray.shape[2]), min(POOLED, gray.shape[2]))
    bands = np.stack([gray[:, part].mean(1) for part in rows], axis=1)
    return np.stack([bands[:, :, part].mean(2) for part in columns], axis=2).reshape(len(obs), -1)


def _columns(action: NDArray, space: gym.Space) -> dict[str, tuple[NDArray, int]]:
    """The parts of an action by name: values (N,), and of how many choices they are; 0 where they are numbers -1..1."""
    flat = action.reshape(len(action), -1)
    if isinstance(space, gym.spaces.Box):
        low, high = (np.clip(bound.reshape(-1), -1e3, 1e3).astype(np.float64) for bound in (space.low, space.high))
        scaled = 2 * (flat - low) / np.maximum(high - low, 1e-9) - 1
        count = flat.shape[1]
        # The one environment whose axes this project knows by name.
        pedals = count == 3 and low.tolist() == [-1, 0, 0] and high.tolist() == [1, 1, 1]
        return {PEDALS[i] if pedals else f"axis {i}": (scaled[:, i], 0) for i in range(count)}
    if isinstance(space, gym.spaces.Discrete):
        return {"choice": (flat[:, 0] - int(space.start), int(space.n))}
    sizes = space.nvec.reshape(-1) if isinstance(space, gym.spaces.MultiDiscrete) else [2] * flat.shape[1]
    first = space.start.reshape(-1) if isinstance(space, gym.spaces.MultiDiscrete) else [0] * flat.shape[1]
    return {f"choice {i}": (flat[:, i] - first[i], int(size)) for i, size in enumerate(sizes)}


def _entropy(column: NDArray, choices: int) -> float:
    bins = choices or BINS
    if bins < 2:
        return 1.0  # there is nothing to choose
    numbers = column.astype(int) if choices else ((column + 1) / 2 * BINS).astype(int)
    share = np.bincount(numbers.clip(0, bins - 1), minlength=bins) / len(column)
    share = share[share > 0]
    return float(-(share * np.log(share)).sum() / np.log(bins)) + 0.0


def _targets(column: NDArray, choices: int) -> NDArray:
    """What is to be guessed (N, D): the number, or which choice it is."""
    if choices:
        return np.eye(choices)[column.astype(int).clip(0, choices - 1)]
    return column[:, None].astype(np.float64)


def _explained(seen: NDArray, targets: list[NDArray]) -> list[float]:
    """R2 of a ridge regression of each target on `seen` (N, F), on stretches of time that it was not fitted to."""
    stretch = np.arange(len(seen)) * STRETCHES // max(len(seen), 1)
    held = stretch % HELD == HELD - 1
    if held.sum() < 2 or (~held).sum() <= 2:
        return [0.0] * len(targets)
    seen = seen - seen[~held].mean(0)
    seen = seen / np.maximum(seen[~held].std(0), 1e-9)
    fitted, tried = (np.column_stack([seen[part], np.ones(part.sum())]) for part in (~held, held))
    gram = fitted.T @ fitted + RIDGE * len(fitted) * np.diag([1.0] * seen.shape[1] + [0.0])
    found = []
    for target in targets:
        weights = np.linalg.solve(gram, fitted.T @ target[~held])
        wrong = np.square(target[held] - tried @ weights).sum()
        spread = np.square(target[held] - target[~held].mean(0)).sum()
        found.append(float(1 - wrong / spread) if spread > 1e-9 else 0.0)
    return found
