"""A dream that can be gone back in: a tree of branches, each step of which can be driven on from, bit for bit.

Every so many steps a branch holds all that the simulator is; the steps between are dreamt again from there, which gives
the same, since every draw follows from the generator that is part of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ewm_studio.dreams.beside import Beside
from ewm_studio.dreams.branches import Branch, BranchInfo, DreamStep, Place
from ewm_studio.dreams.real_world import Dreamer
from ewm_studio.dreams.simulator import DreamSimulator
from ewm_studio.dreams.starts import Start
from ewm_studio.dreams.swaps import moved
from ewm_studio.dreams.trust import Witnesses
from ewm_studio.errors import UserError
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.belief import Belief

MOST_STEPS = 100_000  # of all branches
NAMED_DIMS = 4  # of a latent, in the words on an edit
MOST_BRANCHES = 1000
KEY_STEPS = 16  # from one state that is held to the next
KEY_BYTES = 8192  # that a step may cost for them; larger states are held more rarely
MOST_KEY_STEPS = 256


class DreamTree:
    """One dream and all its branches. What is asked of it is done at the present place.

    Attributes:
        start: where it begins.
        dreamers: the models that dream or dreamt in it, by number; names in `names`.
        branches: by number.
        place: where it stands.
        temperature: of the next steps.
        beside: reality; None where it is not beside.
    """

    def __init__(
        self,
        dreamer: Dreamer,
        start: Start,
        *,
        name: str = "",
        seed: int = 0,
        temperature: float = 1.0,
        beside: Beside | None = None,
        trust: bool = True,
        measure: dict[str, float] | None = None,
    ) -> None:
        """Dream on from a start.

        Args:
            dreamer: who dreams.
            start: where.
            name: of the model.
            seed: of what is drawn.
            temperature: 0 takes the likeliest latents.
            beside: reality, forked at the start; closed by whoever made it.
            trust: read the trust meter at every step.
            measure: of the meter, as an assessment found it.
        """
        self.start, self.beside, self.temperature = start, beside, temperature
        self.dreamers, self.names = [dreamer], [name]
        self._trust, self._measure = trust, measure
        self._ended, self._spacing = False, KEY_STEPS
        self._keys: dict[Place, dict[str, Any]] = {}
        self._simulator: DreamSimulator
        self._witnesses: Witnesses | None
        self.branches: dict[int, Branch] = {}
        self.place = Place(0, 0)
        self._use(0, start.belief)
        self._simulator.reset(seed)
        self._grow(None, "")

    # Where it stands

    @property
    def branch(self) -> Branch:
        """The present branch."""
        return self.branches[self.place.branch]

    @property
    def dreamer(self) -> Dreamer:
        """Who dreams the present branch."""
        return self.dreamers[self.branch.model]

    @property
    def belief(self) -> Belief:
        """What is believed here, of one."""
        return self._simulator.belief

    @property
    def last(self) -> DreamStep | None:
        """The step that led here; None where a branch begins that something was done to, or the dream."""
        branch = self.branch
        return branch.steps[self.place.step - branch.at - 1] if self.place.step > branch.at else None

    def picture(self) -> np.ndarray:
        """The picture that vision makes of what is believed here, uint8 (H, W, 3).

        Raises:
            UserError: it makes none.
        """
        return self._simulator.render()

    def raw(self) -> np.ndarray:
        """The observation that vision makes of it: uint8 (H, W, C), or float32 (D,)."""
        return self._simulator.raw()

    # Driving

    def step(self, action: Any, driver: str = "person") -> DreamStep:
        """Dream one decision on; from the middle of a branch, on a new one.

        Raises:
            UserError: the tree is full.
        """
        if self.place.step < self.branch.tip:
            self.fork()
        if sum(len(branch.steps) for branch in self.branches.values()) >= MOST_STEPS:
            raise UserError(f"this dream has {MOST_STEPS:,} steps: delete branches, or begin another")
        taken = torch.as_tensor(np.array(action))[None]
        reward = self._dream(taken, self.temperature)
        simulator, branch = self._simulator, self.branch
        z = simulator.belief.z
        value, entropy = _judged(self.dreamer.model, simulator.belief)
        made = DreamStep(
            action=np.array(action),
            z=z[0].float().cpu().numpy().copy(),
            reward=reward,
            end=float(simulator.end[0]),
            ended=self._ended,
            temperature=self.temperature,
            driver=driver,
            trust=self._witnesses.read(z) if self._witnesses is not None else math.nan,
            value=value,
            entropy=entropy,
            real=self.beside.step(np.array(action), z) if self.beside is not None else None,
        )
        branch.add(made)
        self.place = Place(branch.number, branch.tip)
        if (branch.tip - branch.at) % self._spacing == 0:
            self._hold()
        return made

    def go(self, place: Place) -> None:
        """Stand at a place, exactly as when it was reached.

        Raises:
            UserError: there is no such place.
        """
        branch = self.branches.get(place.branch)
        if branch is None or not branch.at <= place.step <= branch.tip:
            raise UserError(f"this dream has no step {place.step} on branch {place.branch}")
        held = max(
            (key for key in self._keys if key.branch == place.branch and key.step <= place.step), key=lambda k: k.step
        )
        state = self._keys[held]
        self._use(branch.model, self.start.belief)
        self._simulator.restore(state["simulator"])
        if self._witnesses is not None:
            self._witnesses.restore(state["witnesses"])
        self.place = place
        for step in branch.steps[held.step - branch.at : place.step - branch.at]:
            self._dream(torch.as_tensor(step.action)[None], step.temperature)
            if self._witnesses is not None and not self._witnesses.settled:
                self._witnesses.read(self._simulator.belief.z)
        if self.last is not None:
            self.temperature = self.last.temperature
        if self.beside is not None:
            self.beside.use(self.dreamer)
            awake = state["awake"]
            self.beside.go([step.action for step in self.path()], awake, 0 if awake is None else held.step)

    def rewind(self, steps: int) -> None:
        """Go back so many steps, over the beginnings of branches, at most to the start."""
        wanted = max(0, self.place.step - steps)
        self.go(self._on_path(wanted))

    def fork(self, how: str = "another turn", seed: int | None = None) -> int:
        """Begin a branch here, which draws as this one would have, or from another seed; gives its number."""
        return self._grow(seed, how)

    def edit(self, values: Mapping[int, float]) -> int:
        """Begin a branch here at other latents: numbers by dimension; gives its number.

        Where one has just begun so, it begins at what both make.

        Raises:
            UserError: there is no such dimension, or latents are codes.
        """
        belief = self._simulator.belief
        size = belief.z.shape[1]
        wrong = [dim for dim in values if not 0 <= dim < size]
        if wrong:
            raise UserError(f"there is no latent {wrong[0]}; they are numbered 0 to {size - 1}")
        z = belief.z.clone()
        for dim, value in values.items():
            z[0, dim] = float(value)
        self._simulator.belief = Belief(z, belief.h, belief.memory).clone()
        here = self.branch
        again = bool(here.edited) and not here.steps and all(b.parent != here.number for b in self.branches.values())
        dims = tuple(sorted({*values, *(here.edited if again else ())}))
        how = f"z {', '.join(map(str, dims))} edited" if len(dims) <= NAMED_DIMS else f"{len(dims)} latents edited"
        if again:
            here.how, here.root = how, z[0].float().cpu().numpy().copy()
            if self._witnesses is not None:
                self._witnesses.begin(self._simulator.belief, self._simulator.seed)
            self._hold()
        else:
            self._grow(None, how, witness_anew=True)
        self.branch.edited = dims
        return self.branch.number

    def swap(self, dreamer: Dreamer, name: str, parts: str = "vm") -> int:
        """Let another model dream on from here on a new branch; gives its number.

        Args:
            dreamer: whose parts are taken.
            name: what it is called.
            parts: v, m or both.

        Raises:
            UserError: it does not fit, and why.
        """
        path, start = self.path(), self.start
        z = torch.cat([start.z, *(torch.from_numpy(step.z)[None].to(start.z.device) for step in path)])
        z = torch.cat([z[:-1], self.belief.z])  # it may have been edited
        actions = np.concatenate([start.actions, *(step.action[None] for step in path)])
        other, belief = moved(self.dreamer, dreamer, parts, z, actions)
        self.dreamers.append(other)
        self.names.append(name)
        generator = self._simulator.state()
        self._use(len(self.dreamers) - 1, belief)
        state = self._simulator.state()
        self._simulator.restore({**state, "seed": generator["seed"], "generator": generator["generator"]})
        if self.beside is not None:
            self.beside.use(other, belief)
        words = {"v": "vision", "m": "memory"}.get(parts, "model")
        return self._grow(None, f"{words} of {name}", model=len(self.dreamers) - 1, witness_anew=True)

    # Branches

    def rename(self, number: int, name: str) -> None:
        """Give a branch a name; an empty one takes it away."""
        self._known(number).name = name.strip()

    def keep(self, number: int, kept: bool = True) -> None:
        """Have a branch stay whatever is cleared away, or no longer."""
        self._known(number).kept = kept

    def delete(self, number: int) -> None:
        """Take a branch away with all that leave it; who stands on one goes to where the first of them left.

        Raises:
            UserError: it is the first, or one of them is kept.
        """
        branch = self._known(number)
        if branch.parent is None:
            raise UserError("the first branch cannot be deleted; begin another dream")
        gone = self._with_children(number)
        kept = [one for one in gone if self.branches[one].kept]
        if kept:
            raise UserError(f"branch {kept[0]} is kept: let it go first")
        if self.place.branch in gone:
            self.go(Place(branch.parent, branch.at))
        for one in gone:
            del self.branches[one]
        self._keys = {place: state for place, state in self._keys.items() if place.branch not in gone}

    def path(self, place: Place | None = None) -> list[DreamStep]:
        """The steps from the start to a place, by default the present one."""
        place = place or self.place
        steps: list[DreamStep] = []
        branch: Branch | None = self._known(place.branch)
        upto = place.step
        while branch is not None:
            steps[:0] = branch.steps[: upto - branch.at]
            upto, branch = branch.at, self.branches[branch.parent] if branch.parent is not None else None
        return steps

    def infos(self) -> list[BranchInfo]:
        """Every branch as it is drawn."""
        return [self._info(branch) for branch in self.branches.values()]

    # Files

    def held(self) -> dict[Place, dict[str, Any]]:
        """The states that are held, by place."""
        return self._keys

    def take(self, branches: Sequence[Branch], held: Mapping[Place, dict[str, Any]], place: Place) -> None:
        """Be the tree of these branches, standing at a place."""
        self.branches, self._keys = {branch.number: branch for branch in branches}, dict(held)
        self.go(place)

    # Inside

    def _info(self, branch: Branch) -> BranchInfo:
        return BranchInfo(
            branch.number,
            branch.parent,
            branch.at,
            branch.tip,
            branch.name,
            branch.how,
            branch.kept,
            branch.drivers.most_common(1)[0][0] if branch.drivers else "",
            self.names[branch.model],
            branch.steps[-1].temperature if branch.steps else self.temperature,
            branch.dreamt,
            branch.real,
            bool(branch.steps) and branch.steps[-1].ended,
            branch.number == self.place.branch,
        )

    def _known(self, number: int) -> Branch:
        if number not in self.branches:
            raise UserError(f"this dream has no branch {number}")
        return self.branches[number]

    def _with_children(self, number: int) -> list[int]:
        found = [number]
        for branch in self.branches.values():  # a branch comes after the one it leaves
            if branch.parent in found:
                found.append(branch.number)
        return found

    def _on_path(self, step: int) -> Place:
        """The place of a step on the way here."""
        branch = self.branch
        while branch.parent is not None and step < branch.at:
            branch = self.branches[branch.parent]
        return Place(branch.number, step)

    def _use(self, model: int, belief: Belief) -> None:
        """Have a model dream from a belief on."""
        world = self.dreamers[model].model
        self._simulator = DreamSimulator(world, belief, temperature=self.temperature, episodes=1)
        self._simulator.belief = belief.clone()
        self._witnesses = Witnesses(world, self._measure) if self._trust else None

    def _dream(self, taken: Tensor, temperature: float) -> float:
        """Let the simulator and the witnesses take one step; its reward."""
        self._simulator.temperature = temperature
        step = self._simulator.step(taken)
        self._ended = bool(step.terminated[0])
        if self._witnesses is not None:
            self._witnesses.follow(taken.to(self._simulator.belief.z.device), temperature)
        return float(step.reward[0])

    def _grow(self, seed: int | None, how: str, model: int | None = None, witness_anew: bool = False) -> int:
        """A new branch at the present place, beginning with what the simulator is now."""
        if len(self.branches) >= MOST_BRANCHES:
            raise UserError(f"this dream has {MOST_BRANCHES:,} branches: delete some")
        first = not self.branches
        number = max(self.branches, default=-1) + 1
        parent = None if first else self.branch
        if seed is not None and not first:
            state = self._simulator.state()
            generator = torch.Generator(self._simulator.world.device).manual_seed(seed)
            self._simulator.restore({**state, "seed": seed, "generator": generator.get_state()})
        if self._witnesses is not None and (first or witness_anew or seed is not None):
            self._witnesses.begin(self._simulator.belief, self._simulator.seed)
        before = [] if first else self.path()
        real = 0.0 if self.beside is not None else math.nan
        self.branches[number] = Branch(
            number,
            None if parent is None else parent.number,
            self.place.step,
            how,
            self._simulator.seed,
            model if model is not None else 0 if parent is None else parent.model,
            self._simulator.belief.z[0].float().cpu().numpy().copy(),
            dreamt_before=sum(step.reward for step in before),
            real_before=real + sum(step.real.reward if step.real else math.nan for step in before),
        )
        self.place = Place(number, self.place.step)
        self._hold()
        return number

    def _hold(self) -> None:
        """Hold all that there is at the present place."""
        state: dict[str, Any] = {
            "simulator": self._simulator.state(),
            "witnesses": self._witnesses.state() if self._witnesses is not None else None,
            "awake": self.beside.awake if self.beside is not None else None,
        }
        self._keys[self.place] = state
        self._spacing = min(max(KEY_STEPS, _bytes(state) // KEY_BYTES), MOST_KEY_STEPS)


def _judged(world: Any, belief: Belief) -> tuple[float, float]:
    """The controller's value and entropy at a belief; NaN where there is none."""
    if not isinstance(world, AgentModel):
        return math.nan, math.nan
    with torch.inference_mode():
        value = world.controller.worth(belief.z, belief.h)
        return float(value[0]), float(world.controller.distribution(belief.z, belief.h).entropy()[0])


def _bytes(value: Any) -> int:
    """About how much memory a state takes."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(_bytes(part) for part in value.values())
    return sum(_bytes(part) for part in value) if isinstance(value, Sequence) and not isinstance(value, str) else 0
