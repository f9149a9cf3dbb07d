"""Whether a memory dreams the end of an episode when it comes: how many steps its own end is from the true one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.data.experience import Experience, StoredEpisode
from ewm_studio.models.base import MemoryModel
from ewm_studio.models.imagining import imagined, in_draws

BEFORE = (4, 8, 16, 32)  # steps before the end at which a memory is left to itself
CONTEXT = 24  # true steps before that, at most
CLOSE = 2  # steps within which an end counts as dreamt in time
AFTER = 8  # steps that a dream may go on beyond the true end; the last action is held
DRAWS = 16
MOST = 200  # episodes at most, taken evenly


def end_timing(
    memory: MemoryModel,
    experience: Experience,
    latents: Tensor,
    encode_action: Callable[[Tensor], Tensor],
    generator: Generator,
) -> dict[str, Any]:
    """How near dreamt ends are to true ones, in dreams that begin some steps before an episode ends for good.

    A dream ends where the chance that it has ended, over its draws, passes a half; the actions are the recorded ones.

    Args:
        memory: dreams.
        experience: episodes that nothing was trained on.
        latents: (frames, Z) by number in the store.
        encode_action: the environment's actions -> (..., A).
        generator: draws the dreams.

    Returns:
        `within`: by steps before the end, the share of ends that are dreamt within `CLOSE` steps of the true one;
        `late`: by the same, the mean of how many steps later they are dreamt; `ends`: how many episodes these are of;
        `share`: `within` over all of these dreams. Empty where no episode ended for good.
    """
    ended = [episode for episode in experience.episodes if episode.terminated]
    found: dict[str, Any] = {"within": {}, "late": {}, "ends": {}}
    hits, count = 0, 0
    for before in BEFORE:
        long = [episode for episode in ended if len(episode) > before]
        if not long:
            continue
        chosen = [long[i] for i in np.linspace(0, len(long) - 1, min(MOST, len(long))).round().astype(int)]
        late = _dreamt_ends(memory, chosen, latents, encode_action, before, generator) - (before - 1)
        close = np.abs(late) <= CLOSE
        found["within"][str(before)] = float(close.mean())
        found["late"][str(before)] = float(late.mean())
        found["ends"][str(before)] = len(chosen)
        hits, count = hits + int(close.sum()), count + len(chosen)
    return found | {"share": hits / count} if count else {}


@torch.no_grad()
def _dreamt_ends(
    memory: MemoryModel,
    episodes: list[StoredEpisode],
    latents: Tensor,
    encode_action: Callable[[Tensor], Tensor],
    before: int,
    generator: Generator,
) -> np.ndarray:
    """The steps (N,) at which dreams end that begin so many steps before the ends of episodes.

    A dream that does not end is taken to end behind its last step.
    """
    memory.eval()
    count, steps = len(episodes), CONTEXT + before
    # Steps before the first one are the first again; the state is reset where the episode really begins.
    places = [np.arange(len(e) - steps, len(e)).clip(0) for e in episodes]
    frames = np.stack([e.frames[at] for e, at in zip(episodes, places, strict=True)], axis=1)
    z = latents[torch.from_numpy(frames)]
    taken = np.stack([e.action[at] for e, at in zip(episodes, places, strict=True)], axis=1)
    action = encode_action(torch.from_numpy(taken).to(latents.device))
    begins = np.stack([np.arange(len(e) - steps, len(e)) == 0 for e in episodes], axis=1)[:CONTEXT]
    state = memory.initial_state(count)
    _, state = memory.sequence(z[:CONTEXT], action[:CONTEXT], torch.from_numpy(begins).to(z.device), state)
    held = (action[min(CONTEXT + step, steps - 1)].repeat(DRAWS, 1) for step in range(before + AFTER))
    alive, dreamt = torch.ones(DRAWS * count, device=z.device), []
    for following in imagined(memory, z[CONTEXT].repeat(DRAWS, 1), in_draws(state, DRAWS), held, 1.0, generator):
        alive = alive * (1 - following.end)
        dreamt.append(alive.view(DRAWS, count).mean(0) < 0.5)
    over = torch.stack(dreamt).cpu().numpy()
    return np.where(over.any(0), over.argmax(0), len(over))
