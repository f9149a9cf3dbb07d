"""An agent's last decisions, as sequences for a memory to train on again and again (Lin 1992: experience replay).

Observations follow one another in streams: one for every environment that acts, and one for whole episodes laid end to
end. Each observation has a number, counted over all that were ever added, and knows the numbers before and after it in
its stream; so a row may begin anywhere, runs on into the next episode, and needs nothing but a ring to be kept in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from ewm_studio.data.kept_ring import KeptRing
from ewm_studio.data.rollout_buffer import RolloutBuffer
from ewm_studio.errors import UserError

ENCODE_BATCH = 512  # observations encoded at once
NEWEST = 0.1  # share of what is held that counts as the newest
NONE = -1  # the number of no observation

Encode = Callable[[Tensor], Tensor]  # observations (N, ...) -> latents (N, Z)


@dataclass(frozen=True)
class ReplayedRows:
    """B rows of T steps; what each tensor means stands at `models.base.SequenceBatch`.

    Attributes:
        numbers: (T + 1, B) of the observations; behind the end of a stream stands its last.
        action: (T, B, ...) the environment's, not encoded.
    """

    numbers: Tensor
    z: Tensor  # (T + 1, B, Z)
    action: Tensor
    reward: Tensor  # (T, B)
    terminated: Tensor  # (T, B) bool
    is_first: Tensor  # (T, B) bool
    valid: Tensor  # (T, B) bool
    mask: Tensor  # (T, B) bool


class ReplayBuffer(KeptRing):
    """A ring of the last `capacity` observations with the decisions made at them, on the CPU.

    Latents are kept beside the observations and made anew, when they are drawn, once vision has changed.
    """

    SUFFIX = ".replay"

    def __init__(
        self,
        capacity: int,
        latent_dim: int,
        action: tuple[tuple[int, ...], torch.dtype],
        obs: tuple[tuple[int, ...], torch.dtype] | None = None,
    ) -> None:
        """An empty buffer.

        Args:
            capacity: observations; memory is taken up as they come in.
            latent_dim: Z.
            action: shape and dtype of the environment's actions.
            obs: shape and dtype of the observations; None keeps latents alone, for a vision that never changes.
        """
        super().__init__(capacity)
        self._rings: dict[str, Tensor] = {
            "z": torch.empty(capacity, latent_dim),
            "action": torch.empty(capacity, *action[0], dtype=action[1]),
            "reward": torch.empty(capacity),
            **{name: torch.empty(capacity, dtype=torch.bool) for name in ("terminated", "is_first", "valid", "mask")},
            **{name: torch.empty(capacity, dtype=torch.int64) for name in ("previous", "following", "encoded")},
        }
        if obs is not None:
            self._rings["obs"] = torch.empty(capacity, *obs[0], dtype=obs[1])
        self._tails: dict[str, Tensor] = {}  # by kind of stream, the numbers (B,) of their last observations
        self._version = 0  # of vision
        self._last = 0  # observations in the last addition

    @property
    def oldest(self) -> int:
        """The number of the oldest observation that is held."""
        return self.added - len(self)

    @property
    def keeps_obs(self) -> bool:
        """Whether observations are held, and not their latents alone."""
        return "obs" in self._rings

    # Filling

    def add_rollout(self, rollout: RolloutBuffer) -> None:
        """T steps of B environments, which go on from those of the last call unless an episode begins."""
        self.add(
            z=rollout.z,
            action=rollout.action,
            reward=rollout.true_reward,
            terminated=rollout.env_terminated,
            is_first=rollout.is_first,
            valid=~rollout.ended,
            obs=rollout.obs,
        )

    def add(
        self,
        *,
        z: Tensor,
        action: Tensor,
        reward: Tensor,
        terminated: Tensor,
        is_first: Tensor,
        valid: Tensor,
        mask: Tensor | None = None,
        obs: Tensor | None = None,
        stream: str = "acted",
    ) -> None:
        """T steps of B streams that go on from where their last addition ended.

        Args:
            z: latents (T, B, Z) of the observations, by the vision of now.
            action: (T, B, ...) the environment's.
            reward: (T, B) true ones.
            terminated: (T, B) bool; the environment ended the episode for good, and did not merely cut it.
            is_first: (T, B) bool; an episode begins here.
            valid: (T, B) bool; what comes next in the stream follows from this step.
            mask: (T, B) bool; a step was taken here. None: everywhere.
            obs: (T, B, ...), where observations are kept.
            stream: the name of these streams.
        """
        steps, count = reward.shape
        if count > self.capacity:
            raise ValueError(f"{count} streams in a buffer of {self.capacity}")
        rows = {"z": z, "action": action, "reward": reward, "terminated": terminated, "is_first": is_first}
        rows |= {"valid": valid, "mask": torch.ones_like(valid) if mask is None else mask}
        if self.keeps_obs:
            assert obs is not None, "this buffer keeps observations"
            rows["obs"] = obs
        at_once = self.capacity // count
        for begin in range(0, steps, at_once):
            self._put({name: row[begin : begin + at_once] for name, row in rows.items()}, stream)
        self._last = min(steps * count, len(self))

    def add_episode(
        self, *, z: Tensor, action: Tensor, reward: Tensor, terminated: bool, obs: Tensor | None = None
    ) -> None:
        """A whole episode of T steps, by itself.

        Args:
            z: latents (T + 1, Z), the last of them of the final observation.
            action: (T, ...).
            reward: (T,).
            terminated: whether it ended for good.
            obs: (T + 1, ...), where observations are kept.
        """
        steps = len(reward)
        taken = torch.arange(steps + 1) < steps
        ends = torch.zeros(steps + 1, dtype=torch.bool)
        ends[steps - 1] = terminated
        first = torch.zeros(steps + 1, dtype=torch.bool)
        first[0] = True
        self.add(
            z=z[:, None],
            action=torch.cat([action, action[-1:]])[:, None],
            reward=torch.cat([reward, reward.new_zeros(1)])[:, None],
            terminated=ends[:, None],
            is_first=first[:, None],
            valid=taken[:, None],
            mask=taken[:, None],
            obs=obs[:, None] if obs is not None else None,
            stream="episodes",
        )

    def _put(self, rows: dict[str, Tensor], stream: str) -> None:
        steps, count = rows["reward"].shape
        numbers = self.added + torch.arange(steps * count).view(steps, count)
        before = self._tails.get(stream, torch.full((count,), NONE))
        if len(before) != count:
            raise ValueError(f"{len(before)} streams went on before, now {count}")
        none = torch.full((1, count), NONE)
        links = {"previous": torch.cat([before[None], numbers[:-1]]), "following": torch.cat([numbers[1:], none])}
        begin, kept = self.added % self.capacity, steps * count
        for name, row in {**rows, **links, "encoded": torch.full_like(numbers, self._version)}.items():
            flat = row.detach().flatten(0, 1)
            head = min(kept, self.capacity - begin)
            # In slices: writing bytes to places by number takes ten times as long.
            self._rings[name][begin : begin + head] = flat[:head]
            self._rings[name][: kept - head] = flat[head:]
        self.added += kept
        held = before >= self.oldest
        self._rings["following"][before[held] % self.capacity] = numbers[0, held]
        self._tails[stream] = numbers[-1].clone()

    # Vision

    def vision_changed(self) -> None:
        """From now on the latents held are outdated; those that are drawn are made anew."""
        if self.keeps_obs:
            self._version += 1

    def refresh(self, numbers: Tensor, encode: Encode) -> None:
        """Make the latents of these observations (N,) anew where vision has changed since they were made."""
        if not self.keeps_obs:
            return
        places = numbers.unique() % self.capacity
        places = places[self._rings["encoded"][places] != self._version]
        with torch.no_grad():
            for part in places.split(ENCODE_BATCH) if len(places) else ():
                self._rings["z"][part] = encode(self._rings["obs"][part]).to("cpu", torch.float32)
        self._rings["encoded"][places] = self._version

    # Drawing

    def sample(
        self,
        rows: int,
        length: int,
        newest_share: float = 0.5,
        generator: Generator | None = None,
        encode: Encode | None = None,
    ) -> ReplayedRows:
        """Rows of `length` steps that end at observations drawn evenly, some of them among the newest alone.

        Args:
            rows: B.
            length: T; only what is hardly longer than that in all gives padded rows.
            newest_share: share of the rows that end among the newest: a tenth of what is held, or the last addition if
                that is more.
            generator: draws.
            encode: vision as it is now, for latents that are outdated; None takes them as they are.
        """
        newest = max(round(NEWEST * len(self)), self._last)
        new = round(newest_share * rows)
        within = torch.full((rows,), len(self))
        within[:new] = min(newest, len(self))
        place = generator.device if generator is not None else torch.device("cpu")
        drawn = torch.rand(rows, generator=generator, device=place, dtype=torch.float64).cpu()
        ends = self.added - 1 - (drawn * within).long().clamp_max(within - 1)
        return self.at(self.back(ends, length - 1), length, encode)

    def back(self, numbers: Tensor, steps: int) -> Tensor:
        """The numbers (N,) so many steps before these in their streams, or of the first that is held."""
        for _ in range(steps):
            before = self._rings["previous"][numbers % self.capacity]
            numbers = torch.where(before >= self.oldest, before, numbers)
        return numbers

    def at(self, starts: Tensor, length: int, encode: Encode | None = None) -> ReplayedRows:
        """Rows of `length` steps from the observations of these numbers (B,); behind a stream's end is padding."""
        numbers, there = [starts], [torch.ones_like(starts, dtype=torch.bool)]
        for _ in range(length):
            after = self._rings["following"][numbers[-1] % self.capacity]
            there.append(there[-1] & (after != NONE))
            numbers.append(torch.where(there[-1], after, numbers[-1]))
        every, inside = torch.stack(numbers), torch.stack(there)
        if encode is not None:
            self.refresh(every.flatten(), encode)
        place = every % self.capacity
        step, rings = place[:-1], self._rings
        mask = rings["mask"][step] & inside[:-1]
        return ReplayedRows(
            numbers=every,
            z=rings["z"][place],
            action=rings["action"][step],
            reward=torch.where(mask, rings["reward"][step], 0.0),
            terminated=rings["terminated"][step] & mask,
            is_first=rings["is_first"][step] & inside[:-1],
            valid=rings["valid"][step] & mask & inside[1:],
            mask=mask,
        )

    # Keeping

    def _content(self) -> dict[str, Any]:
        rings = {name: ring[: len(self)] for name, ring in self._rings.items()}
        return {"rings": rings, "tails": self._tails, "version": self._version, "last": self._last}

    def _take_up(self, content: Any, path: Path) -> None:
        for name, ring in self._rings.items():
            found = content["rings"].get(name)
            if found is None or found.shape != ring[: len(self)].shape or found.dtype != ring.dtype:
                raise UserError(
                    f"{path}: holds other experience than this run replays; resume with the run's own settings"
                )
            ring[: len(self)] = found
        self._tails, self._version, self._last = content["tails"], content["version"], content["last"]
