"""Several memories side by side, so that a dream can be doubted: what they do not agree on is not known.

After PETS (Chua et al. 2018, "Deep reinforcement learning in a handful of trials using probabilistic dynamics models")
and MOReL (Kidambi et al. 2020): memories that began with other weights agree on what was seen often and part where
nothing was, and an agent that is paid less where they part does not learn what only one of them believes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor

from ewm_studio.models.base import Imagined, Losses, MemoryModel, SequenceBatch, State
from ewm_studio.models.belief import Belief
from ewm_studio.models.randomness import drawing_from, integers, make_generator
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import ComponentSettings

MOST_SEEDS = 2**31 - 1
OWN = "own"  # of a state: the number (B,) of the member that a dream is of
DISAGREEMENT = "disagreement"  # of a state: how far apart (B,) the members' rewards were in the last step


class Ensemble(MemoryModel[ComponentSettings]):
    """K memories of the same latents as one. The first is the agent's own: its h is what the controller acts on.

    Every dream is of one member, which draws its latents; all of them go along with these, each in a state of its own.
    The reward is the mean of theirs less `pessimism` times their deviation, the chance of an end is the mean.

    Attributes:
        members: the memories, each trained by itself.
    """

    def __init__(self, members: Sequence[MemoryModel], pessimism: float = 0.0) -> None:
        """Join `members`, which stay who they are."""
        first = members[0]
        super().__init__(first.settings, first.latent_dim, first.action_dim)
        self.tags = first.tags  # type: ignore[misc]  # of the class elsewhere, here of those it is made of
        self.hidden_dim = first.hidden_dim
        self.members = torch.nn.ModuleList(members)
        self.pessimism = pessimism

    def _each(self) -> Iterator[tuple[str, MemoryModel]]:
        """The members, and how the names of their part of a state begin."""
        for number, member in enumerate(self.members):
            assert isinstance(member, MemoryModel)
            yield f"{number}.", member

    def chosen(self, belief: Belief, generator: Generator | None = None) -> Belief:
        """`belief` (B) with a member for each dream that begins there, drawn by `generator`."""
        own = integers(len(self.members), len(belief), generator).to(belief.z.device)
        return Belief(belief.z, belief.h, {**belief.memory, OWN: own})

    def initial_state(self, batch: int) -> State:
        """All members', and dreams of the first."""
        state = {
            OWN: torch.zeros(batch, dtype=torch.int64, device=self.device),
            DISAGREEMENT: torch.zeros(batch, device=self.device),
        }
        for begins, member in self._each():
            state |= _named(begins, member.initial_state(batch))
        return state

    def step(self, z: Tensor, action: Tensor, state: State, generator: Generator | None = None) -> tuple[Tensor, State]:
        """One step of all members: z (B, Z), action (B, A) -> the first's h (B, H), and the new state."""
        following, hidden = {OWN: state[OWN], DISAGREEMENT: state[DISAGREEMENT]}, []
        for begins, member in self._each():
            h, own = member.step(z, action, _part(begins, state), generator)
            hidden.append(h)
            following |= _named(begins, own)
        return hidden[0], following

    def sequence(
        self, z: Tensor, action: Tensor, is_first: Tensor, state: State, generator: Generator | None = None
    ) -> tuple[Tensor, State]:
        """Many steps of all members: z (T, B, Z), action (T, B, A) -> the first's h (T, B, H), and the last state."""
        following, hidden = {OWN: state[OWN], DISAGREEMENT: state[DISAGREEMENT]}, []
        for begins, member in self._each():
            h, own = member.sequence(z, action, is_first, _part(begins, state), generator)
            hidden.append(h)
            following |= _named(begins, own)
        return hidden[0], following

    def imagine(
        self, z: Tensor, action: Tensor, state: State, temperature: float = 1.0, generator: Generator | None = None
    ) -> Imagined:
        """What each dream's own member draws, for the reward that all of them together expect."""
        following, dreamt = {OWN: state[OWN]}, []
        for begins, member in self._each():
            dreamt.append(member.imagine(z, action, _part(begins, state), temperature, generator))
            following |= _named(begins, dreamt[-1].state)
        drawn = torch.stack([each.z for each in dreamt])[state[OWN], torch.arange(len(z), device=z.device)]
        rewards = torch.stack([each.reward for each in dreamt])
        following[DISAGREEMENT] = rewards.std(0, correction=0)
        reward = rewards.mean(0) - self.pessimism * following[DISAGREEMENT]
        return Imagined(drawn, dreamt[0].h, following, reward, torch.stack([each.end for each in dreamt]).mean(0))

    def loss(self, batch: SequenceBatch, state: State, generator: Generator | None = None) -> Losses:
        """Nothing: members are trained one by one, each on draws of its own."""
        return {}


def further_memories(world: WorldModel, count: int, generator: Generator | None = None) -> list[MemoryModel]:
    """So many memories like that of `world`, on its device, with first weights of their own, drawn by `generator`."""
    made = []
    for seed in integers(MOST_SEEDS, count, generator).tolist() if count else ():
        with drawing_from(make_generator(seed)):  # modules are made on the CPU, wherever the generator is
            made.append(world.fresh_memory().to(world.device).eval())
    return made


def _named(begins: str, state: State) -> State:
    return {begins + name: value for name, value in state.items()}


def _part(begins: str, state: State) -> State:
    return {name.removeprefix(begins): value for name, value in state.items() if name.startswith(begins)}
