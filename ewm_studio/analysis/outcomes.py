"""How well a dream foretells what is worth something and when it is over."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ewm_studio.analysis import open_loop
from ewm_studio.analysis.open_loop import Dreamt
from ewm_studio.analysis.windows import Windows

WON_AT = (4, 8, 16)  # decisions after which a reward is told from none
BINS = 10
LEAST_REWARD = 1e-6  # by which a reward must be above the least one, as a share of their range, to be won


def reward_figures(windows: Windows, dreamt: Dreamt) -> dict[str, Any]:
    """Rewards foretold.

    Returns:
        `won`, by decisions: the chance that a decision which earned more than the least is told from one that did not
        (in CarRacing: a tile or none); `calibration`: by how much told and true rewards differ over ten equal parts of
        what was told, as a share of the true ones' spread; `bias`: mean told less mean true reward, as such a share.
    """
    true = windows.reward[windows.context :].float().cpu().numpy()
    told = dreamt.reward.mean(0).float().cpu().numpy()
    least, most = float(true.min()), float(true.max())
    won = true > least + LEAST_REWARD * max(most - least, LEAST_REWARD)
    usual = float(true.std())
    spread = usual if usual > LEAST_REWARD else float("nan")
    return {
        "won": {k: open_loop.auc(told[k - 1], won[k - 1]) for k in WON_AT if k <= len(true)},
        "calibration": _calibration(told.ravel(), true.ravel()) / spread,
        "bias": float(told.mean() - true.mean()) / spread,
    }


def _calibration(told: NDArray, true: NDArray) -> float:
    order = np.argsort(told, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    return float(sum(abs(told[part].mean() - true[part].mean()) * len(part) for part in parts) / len(order))


def end_figures(windows: Windows, dreamt: Dreamt) -> dict[str, float]:
    """How well ends are foretold: chance that one which came is told from one which did not, and calibration.

    `calibration` is the mean difference between told and true shares of ends, over bins of what was told.
    """
    happened = windows.terminated[windows.context :].flatten().cpu().numpy()
    told = dreamt.end.mean(0).flatten().float().cpu().numpy()
    bins = np.minimum((told * BINS).astype(int), BINS - 1)
    apart = sum(abs(told[bins == i].mean() - happened[bins == i].mean()) * (bins == i).mean() for i in np.unique(bins))
    return {"auc": open_loop.auc(told, happened), "calibration": float(apart), "ends": int(happened.sum())}
