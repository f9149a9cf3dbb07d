"""What a vision, a memory and a controller component must offer.

Shapes: T steps, B environments or samples, Z latent size, H hidden size, A encoded-action size (see
`actions.ActionEncoding`). A component is one file: its settings, its module, its losses, its tags.

Time: at step t the controller sees the latent z_t of the present observation and the hidden state h_t that
the memory made of everything before it. The action a_t it picks is executed, and `step(z_t, a_t, state)`
gives h_{t+1}, from which `predict` predicts z_{t+1}, the reward and the end. h_0 is zero.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar

import gymnasium as gym
import torch
from torch import Generator, Tensor, nn

from ewm_studio.errors import UserError
from ewm_studio.settings import ComponentSettings

State = dict[str, Tensor]  # a memory's state: named tensors, batch first (B, ...)
Losses = dict[str, Tensor]  # named scalars; "total" is the one that is minimised


class Tag(StrEnum):
    """What a component can take and give; tags decide what fits what."""

    IMAGE = "image"  # vision: observes pictures
    VECTOR = "vector"  # vision: observes vectors
    RECONSTRUCTS = "reconstructs"  # vision: `decode` is there
    PREDICTS = "predicts"  # memory: `predict` is there
    DISCRETE = "discrete"  # controller: Discrete, MultiDiscrete and MultiBinary actions
    CONTINUOUS = "continuous"  # controller: Box actions


S = TypeVar("S", bound=ComponentSettings)


class Component(nn.Module, ABC, Generic[S]):
    """Base of the three kinds. A subclass sets `Settings`, `tags` and `summary`, and is found by the registry."""

    Settings: ClassVar[type[ComponentSettings]] = ComponentSettings
    tags: ClassVar[frozenset[Tag]] = frozenset()
    summary: ClassVar[str] = ""  # one line for pickers and lists
    place: Tensor

    def __init__(self, settings: S) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("place", torch.empty(0), persistent=False)  # moves along, with weights or without

    @property
    def device(self) -> torch.device:
        """Where the component lives."""
        return self.place.device

    def after_update(self, generator: Generator | None = None) -> None:
        """Called after each optimiser step on this component's loss: moving averages, revived codes."""


class VisionModel(Component[S]):
    """V: observation -> latent.

    Observations are what `observation_space` holds: uint8 (B, C, H, W) pictures, scaled by the module itself,
    or float32 (B, D) vectors.
    """

    latent_dim: int  # Z
    code_cells: int = 0  # cells of a latent, laid out (D, cells), that each hold a vector of `codebook`; 0: no codes
    codebook: Tensor  # (K, D), where there are `code_cells`

    def __init__(self, settings: S, observation_space: gym.spaces.Box) -> None:
        super().__init__(settings)
        self.observation_space = observation_space

    @abstractmethod
    def encode(self, obs: Tensor) -> Tensor:
        """Latent z (B, Z) of observations (B, ...); deterministic, no state changes."""

    def decode(self, z: Tensor) -> Tensor:
        """Observation float32 (B, ...) of latents (B, Z): pictures in 0 to 1. Only with `Tag.RECONSTRUCTS`."""
        raise TypeError(f"{type(self).__name__} does not reconstruct")

    @abstractmethod
    def loss(self, obs: Tensor, generator: Generator | None = None) -> Losses:
        """Named scalar losses on observations (B, ...), drawing from `generator`; empty where nothing is trained."""

    def diagnostics(self, obs: Tensor) -> dict[str, Any]:
        """What the vision viewer shows beyond pictures: numpy arrays by name; no gradients, no state changes."""
        return {}


@dataclass
class SequenceBatch:
    """Sequences of experience for a memory, each contiguous in time.

    `is_first[t]` says that z[t] is the first observation of an episode: the state is reset before step t.
    `valid[t]` says that z[t + 1] really follows (z[t], action[t]); it is false where the episode was cut
    there and z[t + 1] belongs to the next one, and where the sequence is padding (`mask` false).
    """

    z: Tensor  # (T + 1, B, Z)
    action: Tensor  # (T, B, A) encoded, as executed
    reward: Tensor  # (T, B)
    terminated: Tensor  # (T, B) bool
    is_first: Tensor  # (T, B) bool
    valid: Tensor  # (T, B) bool: z[t + 1] is the successor
    mask: Tensor  # (T, B) bool: step t is real, not padding
    known: Tensor  # (T, B) bool: what step t earned and whether it ended the episode is known


class Prediction(ABC):
    """What a memory predicts from h (..., H)."""

    reward: Tensor  # (...) expected reward
    end_logit: Tensor  # (...) logit that the episode terminated

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """Expected next latent (..., Z)."""

    @abstractmethod
    def sample(self, temperature: float = 1.0, generator: Generator | None = None) -> Tensor:
        """A next latent (..., Z) drawn at this temperature."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density (...) of a next latent (..., Z)."""


@dataclass
class Imagined:
    """One imagined step of B episodes."""

    z: Tensor  # (B, Z) the next latent
    h: Tensor  # (B, H) that includes this step
    state: State  # the memory's next state
    reward: Tensor  # (B,) expected
    end: Tensor  # (B,) probability that the episode terminated with it


class MemoryModel(Component[S]):
    """M: (z, action) history -> hidden state. State is explicit: handed in, handed back, never kept."""

    hidden_dim: int  # H; 0 for no memory

    def __init__(self, settings: S, latent_dim: int, action_dim: int) -> None:
        super().__init__(settings)
        self.latent_dim = latent_dim
        self.action_dim = action_dim

    def take_codes(self, cells: int, codebook: Tensor) -> None:
        """The latents are codes: `cells` vectors of `codebook` (K, D) each. By default they are numbers as any others.

        Called when the memory is made, and again whenever the codebook may have moved.
        """

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """The state at the start of an episode, on the module's device."""

    def initial_hidden(self, batch: int) -> Tensor:
        """h_0 (B, H): zeros."""
        return torch.zeros(batch, self.hidden_dim, device=self.device)

    @abstractmethod
    def step(self, z: Tensor, action: Tensor, state: State, generator: Generator | None = None) -> tuple[Tensor, State]:
        """One step: z (B, Z), action (B, A), state -> h (B, H) that includes this step, and the new state."""

    @abstractmethod
    def sequence(
        self, z: Tensor, action: Tensor, is_first: Tensor, state: State, generator: Generator | None = None
    ) -> tuple[Tensor, State]:
        """Many steps: z (T, B, Z), action (T, B, A), is_first (T, B) bool -> h (T, B, H) and the last state.

        Exactly what `step` gives one by one with the state reset wherever `is_first` is true; h[t] is the
        output after (z[t], action[t]).
        """

    def reset(self, state: State, is_first: Tensor) -> State:
        """`state` with the rows where `is_first` (B,) is true set back to the initial state."""
        fresh = self.initial_state(1)  # the same for every row
        return {
            name: torch.where(is_first.view(-1, *[1] * (value.dim() - 1)), fresh[name], value)
            for name, value in state.items()
        }

    def predict(self, h: Tensor) -> Prediction:
        """What follows, from h (..., H). Only with `Tag.PREDICTS`."""
        raise TypeError(f"{type(self).__name__} does not predict")

    def imagine(
        self, z: Tensor, action: Tensor, state: State, temperature: float = 1.0, generator: Generator | None = None
    ) -> Imagined:
        """What would follow (z (B, Z), action (B, A)) in `state`. Only with `Tag.PREDICTS`.

        Args:
            z: latents.
            action: encoded actions.
            state: the memory's.
            temperature: of the draw of the next latent; 0 takes the likeliest.
            generator: draws it.
        """
        h, state = self.step(z, action, state, generator)
        predicted = self.predict(h)
        following = predicted.sample(temperature, generator)
        return Imagined(following, h, state, predicted.reward, predicted.end_logit.sigmoid())

    @abstractmethod
    def loss(self, batch: SequenceBatch, state: State, generator: Generator | None = None) -> Losses:
        """Named scalar losses, through the whole sequence from `state`; empty where nothing is trained."""


class ActionDistribution(ABC):
    """A distribution over *raw* actions: what the policy draws, before it is bounded or rescaled.

    Log-probabilities are always those of the raw sample, so that a stored sample and its log-probability
    agree exactly.
    """

    @abstractmethod
    def sample(self, generator: Generator | None = None) -> Tensor:
        """Raw actions (B, R), one draw each."""

    @abstractmethod
    def mode(self) -> Tensor:
        """The likeliest raw actions (B, R)."""

    @abstractmethod
    def log_prob(self, raw: Tensor) -> Tensor:
        """Log-probability (B,) of raw actions (B, R), summed over the action's parts."""

    @abstractmethod
    def entropy(self) -> Tensor:
        """Entropy (B,), in nats; an estimate where there is no closed form."""

    @abstractmethod
    def to_env(self, raw: Tensor) -> Tensor:
        """The environment's actions (B, ...) for raw actions (B, R): bounded, rescaled, in its dtype."""


@dataclass
class Act:
    """What the controller decided: raw and environment actions, log-probability (B,)."""

    raw: Tensor
    action: Tensor
    log_prob: Tensor


class Controller(Component[S]):
    """C: (z, h) -> action and value.

    Attributes:
        value_unit: how many of the environment's rewards one of `value` is: learners scale them. 0: nobody said.
    """

    SINCE_0_1_0 = ("value_unit",)
    value_unit: Tensor

    def __init__(self, settings: S, latent_dim: int, hidden_dim: int, action_space: gym.Space) -> None:
        super().__init__(settings)
        self.latent_dim = latent_dim
        self.hidden_dim = hidden_dim
        self.action_space = action_space
        self.register_buffer("value_unit", torch.zeros(()))

    @abstractmethod
    def distribution(self, z: Tensor, h: Tensor) -> ActionDistribution:
        """Policy at z (B, Z), h (B, H)."""

    @abstractmethod
    def value(self, z: Tensor, h: Tensor) -> Tensor:
        """Expected discounted return (B,) at z (B, Z), h (B, H), in the learner's units."""

    def worth(self, z: Tensor, h: Tensor) -> Tensor:
        """`value` (B,) in the environment's rewards; as it is where nobody said how they compare."""
        return self.value(z, h) * torch.where(self.value_unit > 0, self.value_unit, 1.0)

    def to_raw(self, action: Tensor) -> Tensor:
        """The raw actions (B, R) that come nearest to these of the environment, (B, ...); needed for cloning only.

        Raises:
            UserError: this controller cannot say.
        """
        raise UserError(f"{type(self).__name__} cannot copy recorded actions; set warm_up.clone_epochs to 0")

    def observe(self, z: Tensor, h: Tensor) -> None:
        """Take in the statistics of a rollout's z (N, Z), h (N, H); by default nothing.

        A controller that scales its inputs learns their scale here and nowhere else. It changes the policy, so
        it is called once after a rollout's PPO update and before the next rollout: between drawing actions
        and learning from them the policy must be the same, or the first ratio is not 1.
        """

    def act(self, z: Tensor, h: Tensor, greedy: bool = False, generator: Generator | None = None) -> Act:
        """Pick actions: the likeliest ones when greedy, otherwise one draw each."""
        policy = self.distribution(z, h)
        raw = policy.mode() if greedy else policy.sample(generator)
        return Act(raw, policy.to_env(raw), policy.log_prob(raw))
