"""A world model as a simulator: what it believes is all there is, and what it predicts is what happens.

Ha & Schmidhuber (2018), "World Models", section 4: an agent that acts inside its own memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.envs.simulator import Episode, OnFrame, Simulator, Step
from ewm_studio.errors import JobError
from ewm_studio.models.belief import Belief
from ewm_studio.models.pictures import to_pictures
from ewm_studio.models.randomness import integers, make_generator
from ewm_studio.models.world_model import WorldModel


class DreamSimulator(Simulator):
    """B dreams side by side. Observations are beliefs, kept on the model's device; actions are tensors.

    Each dream begins at one of the beliefs given, drawn anew for every episode, and ends where memory says that the
    episode is over, or after `horizon` decisions, as by a time limit.

    Attributes:
        world: whose dream it is.
        belief: what is believed now.
        end: the probability (B,) with which the last step ended each dream for good.
        on_frame: with one dream, told of every decision.
    """

    on_device = True

    def __init__(
        self,
        world: WorldModel,
        starts: Belief,
        num_envs: int = 1,
        *,
        horizon: int | None = None,
        temperature: float = 1.0,
        seed: int = 0,
        action_repeat: int = 1,
        episodes: int | None = None,
    ) -> None:
        """Dream with `world`.

        Args:
            world: a world model whose memory predicts.
            starts: beliefs (N) that dreams begin at.
            num_envs: B.
            horizon: decisions after which a dream is cut; None for no limit.
            temperature: 0 takes the likeliest next latent, 1 draws it with memory's own spread.
            seed: fixes where dreams begin and what is drawn in them.
            action_repeat: frames of the environment that a decision stands for, for lengths of episodes.
            episodes: after so many have ended no other begins, and the last beliefs stay; None for no end.

        Raises:
            UserError: this memory predicts nothing.
        """
        world.require_imagination()
        self.world, self.num_envs = world, num_envs
        self.observation_space, self.action_space = world.observation_space, world.action_space
        self.horizon, self.temperature, self.action_repeat = horizon, temperature, action_repeat
        self.on_frame: OnFrame | None = None
        self._episodes, self._ended = episodes, 0
        self._starts, self._seed = starts, seed
        self._generator: Generator = make_generator(seed, world.device)
        self._returns, self._lengths = np.zeros(num_envs), np.zeros(num_envs, np.int64)
        self.belief = starts.rows([0] * num_envs)
        self.end = np.zeros(num_envs, np.float32)

    @property
    def seed(self) -> int:
        """What it was last begun with."""
        return self._seed

    def reset(self, seed: int | None = None) -> Belief:
        """Begin B dreams, of this seed or of the one it was made with."""
        self._seed = self._seed if seed is None else seed
        self._generator = make_generator(self._seed, self.world.device)
        self._returns[:], self._lengths[:], self._ended = 0.0, 0, 0
        self.belief = self._begun(self.num_envs)
        return self.belief

    @torch.inference_mode()
    def step(self, action: Any) -> Step:
        """Imagine what follows actions (B, ...)."""
        taken = torch.as_tensor(action, device=self.world.device)
        belief, reward, end = self.world.imagine(self.belief, taken, self.temperature, self._generator)
        drawn = torch.rand(end.shape, generator=self._generator, device=end.device)
        terminated = (drawn < end).cpu().numpy()
        rewards = reward.float().cpu().numpy()
        self._returns += rewards
        self._lengths += 1
        over_time = self._lengths >= self.horizon if self.horizon is not None else np.zeros(self.num_envs, np.bool_)
        truncated = over_time & ~terminated
        self.belief, self.end = belief, end.float().cpu().numpy()
        self._tell(taken, rewards, terminated | truncated)
        finals, episodes = self._end(np.flatnonzero(terminated | truncated), terminated)
        nothing = np.zeros(self.num_envs, np.float32)
        return Step(self.belief, rewards, terminated, truncated, nothing, terminated, finals, episodes)

    @torch.inference_mode()
    def raw(self) -> np.ndarray:
        """The observation that vision makes of the first dream: uint8 (H, W, C), or float32 (D,)."""
        return self._observation(0)

    @torch.inference_mode()
    def render(self, i: int = 0) -> np.ndarray:
        """The picture that vision makes of dream `i`, uint8 (H, W, 3).

        Raises:
            UserError: its observations are no pictures.
        """
        picture = self._observation(i)
        if picture.ndim != 3:
            return super().render(i)
        return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture

    def state(self) -> dict[str, Any]:
        """Where every dream stands."""
        belief = self.belief.clone()
        return {
            "seed": self._seed,
            "z": belief.z,
            "h": belief.h,
            "memory": belief.memory,
            "returns": self._returns.copy(),
            "lengths": self._lengths.copy(),
            "generator": self._generator.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> Belief:
        """Dream on exactly where `state` was taken.

        Raises:
            JobError: the state is of another number of dreams.
        """
        if len(state["lengths"]) != self.num_envs:
            raise JobError(f"the saved state is of {len(state['lengths'])} dreams, these are {self.num_envs}")
        device = self.world.device
        memory = {name: value.to(device) for name, value in state["memory"].items()}
        self.belief = Belief(state["z"].to(device), state["h"].to(device), memory).clone()
        self._seed = state["seed"]
        self._returns, self._lengths = state["returns"].copy(), state["lengths"].copy()
        self._generator.set_state(state["generator"])
        return self.belief

    def close(self) -> None:
        """There is nothing to end."""

    def _begun(self, count: int) -> Belief:
        """So many beliefs to begin at."""
        if len(self._starts) == 1:
            return self._starts.rows([0] * count)
        return self._starts.rows(integers(len(self._starts), count, self._generator).to(self._starts.z.device))

    def _end(self, ended: np.ndarray, terminated: np.ndarray) -> tuple[dict[int, Belief], list[Episode]]:
        """The last beliefs and the records of the dreams that ended; others take their place."""
        if not len(ended):
            return {}, []
        finals = {int(i): self.belief.rows([int(i)]) for i in ended}
        episodes = [
            Episode(
                int(i),
                float(self._returns[i]),
                int(self._lengths[i]) * self.action_repeat,
                self._seed,
                bool(terminated[i]),
            )
            for i in ended
        ]
        self._ended += len(ended)
        if self._episodes is not None and self._ended >= self._episodes:
            return finals, episodes
        chosen = torch.zeros(self.num_envs, dtype=torch.bool, device=self.belief.z.device)
        chosen[torch.from_numpy(ended).to(chosen.device)] = True
        self.belief = self.belief.where(chosen, self._begun(self.num_envs))
        self._returns[ended], self._lengths[ended] = 0.0, 0
        return finals, episodes

    def _tell(self, action: Tensor, reward: np.ndarray, over: np.ndarray) -> None:
        if self.on_frame is not None:
            self.on_frame(action[0].cpu().numpy(), float(reward[0]), bool(over[0]))

    def _observation(self, i: int) -> np.ndarray:
        seen = self.world.decode(self.belief.rows([i]))
        picture: np.ndarray = to_pictures(seen)[0] if seen.dim() == 4 else seen[0].float().cpu().numpy()
        return picture
