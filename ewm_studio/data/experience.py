"""Whole episodes of prepared observations, and passes over them for training vision and memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ewm_studio.data.frames import FrameStore
from ewm_studio.errors import UserError


@dataclass(frozen=True)
class StoredEpisode:
    """T steps in a row and the T + 1 observations around them; an episode, or a part of one."""

    frames: NDArray  # (T + 1,) numbers in the store
    action: NDArray  # (T, ...) the environment's actions
    reward: NDArray  # (T,) float32
    terminated: bool  # ended for good with the last step

    def __len__(self) -> int:
        return len(self.reward)

    def cut(self, begin: int, end: int) -> StoredEpisode:
        """Steps `begin` to `end` and the observations around them."""
        return StoredEpisode(
            self.frames[begin : end + 1],
            self.action[begin:end],
            self.reward[begin:end],
            self.terminated and end == len(self),
        )


@dataclass
class StoredSequences:
    """B rows of T steps in a row; `is_first`, `valid`, `mask` and `known` mean what they mean in `SequenceBatch`.

    A row may hold several episodes one after another. Between two of them lies one step of padding, so that the
    final observation of the earlier one has its place and every transition has its successor.
    """

    frames: NDArray  # (T + 1, B) numbers in the store
    action: NDArray  # (T, B, ...) the environment's actions
    reward: NDArray  # (T, B) float32
    terminated: NDArray  # (T, B) bool
    is_first: NDArray  # (T, B) bool
    valid: NDArray  # (T, B) bool
    mask: NDArray  # (T, B) bool
    known: NDArray  # (T, B) bool


@dataclass
class _Open:
    """An episode that is going on in one environment."""

    frames: list[int]
    action: list[NDArray] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class _Slots:
    """All episodes end to end: one slot an observation, so T + 1 an episode, the last without a step."""

    first: NDArray  # (episodes + 1,) first slot of each episode
    step: NDArray  # (slots,) the step taken at this slot; at an episode's last slot the step that led there
    real: NDArray  # (slots,) bool, a step is taken here
    is_first: NDArray  # (slots,) bool, first observation of an episode
    action: NDArray  # (steps, ...)
    reward: NDArray  # (steps,)
    terminated: NDArray  # (steps,) bool


class Experience:
    """Episodes whose observations lie in a `FrameStore`, which several experiences may share."""

    def __init__(self, store: FrameStore, episodes: Iterable[StoredEpisode] = ()) -> None:
        self.store = store
        self.episodes: list[StoredEpisode] = list(episodes)
        self._open: list[_Open] = []
        self._finished = sum(len(episode.frames) for episode in self.episodes)  # observations

    # Filling

    def begin(self, obs: NDArray) -> None:
        """The first observations (B, ...) of an episode in each of B environments."""
        self.finish()
        self._open = [_Open([int(number)]) for number in self.store.append(obs)]

    def add(
        self,
        action: NDArray,
        reward: NDArray,
        terminated: NDArray,
        truncated: NDArray,
        next_obs: NDArray,
        final_obs: Mapping[int, NDArray],
    ) -> None:
        """One step of every environment.

        Args:
            action: (B, ...) as executed.
            reward: (B,).
            terminated: (B,) bool.
            truncated: (B,) bool.
            next_obs: (B, ...); of an environment whose episode ended, the first observation of its next one.
            final_obs: the last observation (...) of each episode that ended, by environment.
        """
        ended = np.flatnonzero(np.asarray(terminated) | np.asarray(truncated)).tolist()
        actions = np.array(action)  # a copy: environments reuse their arrays
        final = self.store.append(np.stack([final_obs[b] for b in ended])).tolist() if ended else []
        final_number = dict(zip(ended, final, strict=True))
        following = self.store.append(next_obs).tolist()
        for b, going in enumerate(self._open):
            going.action.append(actions[b])
            going.reward.append(float(reward[b]))
            if b in final_number:
                going.frames.append(final_number[b])
                self._close(going, bool(terminated[b]))
                self._open[b] = _Open([following[b]])
            else:
                going.frames.append(following[b])

    def finish(self) -> None:
        """Take in the episodes that are still going on as they are."""
        for going in self._open:
            if going.reward:
                self._close(going, terminated=False)
        self._open = []

    def _close(self, going: _Open, terminated: bool) -> None:
        self._put(
            StoredEpisode(
                np.array(going.frames, np.int64),
                np.stack(going.action),
                np.array(going.reward, np.float32),
                terminated,
            )
        )

    def add_episode(self, obs: NDArray | Iterable[NDArray], action: NDArray, reward: NDArray, terminated: bool) -> None:
        """One episode of T steps, at least one.

        Args:
            obs: (T + 1, ...) observations, or batches (N, ...) that make them up.
            action: (T, ...).
            reward: (T,).
            terminated: whether it ended for good.
        """
        batches = [obs] if isinstance(obs, np.ndarray) else obs
        frames = np.concatenate([self.store.append(batch) for batch in batches])
        if not len(frames) - 1 == len(action) == len(reward) > 0:
            raise ValueError(f"{len(frames)} observations, {len(action)} actions and {len(reward)} rewards")
        self._put(StoredEpisode(frames, np.array(action), np.array(reward, np.float32), terminated))

    def _put(self, episode: StoredEpisode) -> None:
        self.episodes.append(episode)
        self._finished += len(episode.frames)
        for cached in ("_slots", "_frames"):
            self.__dict__.pop(cached, None)

    # Sizes and parts

    @property
    def frame_count(self) -> int:
        """Observations taken in, also those of episodes that are going on."""
        return self._finished + sum(len(going.frames) for going in self._open)

    @property
    def episode_count(self) -> int:
        """Finished episodes."""
        return len(self.episodes)

    @property
    def step_count(self) -> int:
        """Steps in all finished episodes."""
        return sum(len(episode) for episode in self.episodes)

    def without_starts(self, steps: int) -> Experience:
        """The same experience without the first `steps` steps of each episode; it shares the store.

        Raises:
            UserError: nothing is left.
        """
        kept = [episode.cut(steps, len(episode)) for episode in self.episodes if len(episode) > steps]
        if not kept:
            raise UserError(
                f"no episode is longer than the {steps} steps that are left out at the start of each: take longer "
                "ones, or lower data.skip_start"
            )
        return Experience(self.store, kept)

    def split(self, held_out: float, rng: np.random.Generator) -> tuple[Experience, Experience]:
        """(training, held out) by whole episodes, at least one in each; a single episode is cut in time.

        The two share the store and have no observation in common.

        Raises:
            UserError: there is too little to split.
        """
        count = len(self.episodes)
        if count < 2:
            return self._cut(held_out)
        aside = min(max(round(held_out * count), 1), count - 1)
        chosen = set(rng.permutation(count)[:aside].tolist())
        parts = ([e for i, e in enumerate(self.episodes) if (i in chosen) is kept] for kept in (False, True))
        train, held = (Experience(self.store, part) for part in parts)
        return train, held

    def _cut(self, held_out: float) -> tuple[Experience, Experience]:
        steps = self.step_count
        if steps < 3:
            raise UserError(f"{steps} steps of experience are too few to train and measure on; collect more frames")
        episode = self.episodes[0]
        # The step across the cut is left out, so that no observation is on both sides.
        cut = min(max(round((1 - held_out) * steps), 1), steps - 2)
        train, held = episode.cut(0, cut), episode.cut(cut + 1, steps)
        return Experience(self.store, [train]), Experience(self.store, [held])

    # Passes

    @cached_property
    def _frames(self) -> NDArray:
        """(frame_count,) numbers in the store, a slot each."""
        return np.concatenate([episode.frames for episode in self.episodes] or [np.empty(0, np.int64)])

    def frame_batches(self, rng: np.random.Generator, batch_size: int) -> Iterator[NDArray]:
        """All observations once, in random order: (N, ...) with N at most `batch_size` and never much less."""
        for index in self.number_batches(rng, batch_size):
            yield self.store.read(index)

    def number_batches(self, rng: np.random.Generator, batch_size: int) -> list[NDArray]:
        """The numbers in the store of all observations once, in random order, in batches as of `frame_batches`."""
        return _batches(rng.permutation(self._frames), batch_size)

    def sequence_batches(self, rng: np.random.Generator, batch_size: int, length: int) -> Iterator[StoredSequences]:
        """All steps once, as rows of at most `length` steps in random order, at most `batch_size` rows a batch.

        The episodes are laid end to end in an order drawn anew and the line is cut every `length` steps, so short
        episodes share a row and the cuts through long ones fall elsewhere in each pass.
        """
        if not self.episodes:
            return
        slots = self._slots
        order = rng.permutation(len(self.episodes))
        line = np.concatenate([np.arange(slots.first[e], slots.first[e + 1]) for e in order])
        length = min(length, len(line) - 1)
        rows = -(-(len(line) - 1) // length)  # the line's last slot has no step and needs no place as one
        padded = np.concatenate([line, np.full(rows * length + 1 - len(line), line[-1])])
        windows = np.lib.stride_tricks.sliding_window_view(padded, length + 1)[::length]  # (rows, length + 1)
        windows = windows[slots.real[windows[:, :-1]].any(axis=1)]
        for index in _batches(rng.permutation(len(windows)), batch_size):
            yield self._sequences(windows[index].T)

    def _sequences(self, window: NDArray) -> StoredSequences:
        """The sequences at slots (T + 1, B)."""
        slots, at = self._slots, window[:-1]
        step, real = slots.step[at], slots.real[at]
        return StoredSequences(
            frames=self._frames[window],
            action=slots.action[step],
            reward=np.where(real, slots.reward[step], np.float32(0)),
            terminated=slots.terminated[step] & real,
            is_first=slots.is_first[at],
            valid=real.copy(),
            mask=real,
            known=real,
        )

    @cached_property
    def _slots(self) -> _Slots:
        lengths = np.array([len(episode) for episode in self.episodes])
        first = np.concatenate([[0], np.cumsum(lengths + 1)])
        real = np.ones(first[-1], bool)
        real[first[1:] - 1] = False
        is_first = np.zeros(first[-1], bool)
        is_first[first[:-1]] = True
        terminated = np.zeros(lengths.sum(), bool)
        terminated[np.cumsum(lengths) - 1] = [episode.terminated for episode in self.episodes]
        step = np.cumsum(real) - 1
        action, reward = (np.concatenate([getattr(e, n) for e in self.episodes]) for n in ("action", "reward"))
        return _Slots(first, step, real, is_first, action, reward, terminated)


def _batches(items: NDArray, batch_size: int) -> list[NDArray]:
    """`items` in order, in the fewest batches, all of nearly one size: a last batch of one would train badly."""
    return np.array_split(items, -(-len(items) // batch_size)) if len(items) else []
