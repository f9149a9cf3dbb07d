"""A dream at the wheel of which somebody sits: the decisions themselves, without clock or thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ewm_studio.acting.agent import Agent
from ewm_studio.acting.planning import PlanningPolicy
from ewm_studio.acting.policy import ControllerPolicy, Policy
from ewm_studio.data.recordings import DREAMT
from ewm_studio.dreams.beside import Beside, parting
from ewm_studio.dreams.branches import DreamStep, Place
from ewm_studio.dreams.drawn import StateCamera, lines
from ewm_studio.dreams.fan import Fan, fan, pictures_of, turns
from ewm_studio.dreams.real_world import Dreamer, RealWorld
from ewm_studio.dreams.starts import Start
from ewm_studio.dreams.tree import DreamTree
from ewm_studio.dreams.trust import lasts, shows_pictures
from ewm_studio.driving.controls import Controls, KeyMap, Scheme
from ewm_studio.driving.dream_snapshot import DreamDriver
from ewm_studio.driving.live_planner import LIVE, LivePlanner
from ewm_studio.driving.recorder import DriveRecorder
from ewm_studio.driving.rival import Rival
from ewm_studio.driving.schemes import scheme_of, steps_per_second
from ewm_studio.driving.snapshot import EpisodeKept
from ewm_studio.envs.spaces import as_raw
from ewm_studio.errors import UserError
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.prediction import PredictiveMemory
from ewm_studio.models.randomness import make_generator
from ewm_studio.settings import PlannerSettings


class DreamDrive:
    """Somebody decides in a tree of dreams: a person, the controller, a planner, or what was recorded.

    Attributes:
        agent: the model that began it.
        start: where it begins.
        tree: the dream.
        controls: what the person holds.
        usual: the moves, by the keys that are usual.
        repeat: frames of one decision.
        frame_seconds: of one frame in the world.
        driver: whoever decides now.
        rival: somebody who drives from the same start beside; None while nobody does.
        looking_ahead: nothing was decided, since the planner has no plan yet.

    Raises:
        UserError: memory predicts nothing, or the environment cannot be made or driven by keys.
    """

    def __init__(
        self,
        agent: Agent,
        start: Start,
        *,
        name: str = "",
        seed: int = 0,
        temperature: float = 1.0,
        beside: bool = True,
        keys: KeyMap | None = None,
        greedy: bool = True,
        planner: PlannerSettings = LIVE,
        measure: dict[str, float] | None = None,
        by_keys: bool = True,
        live: bool = False,
    ) -> None:
        """Sit down in a dream; see `DreamTree`.

        Args:
            agent: who dreams.
            start: where.
            name: of the model.
            seed: of what is drawn.
            temperature: of the draws.
            beside: have reality beside it, where it can be.
            keys: the person's own keys for some moves.
            greedy: the controller takes its likeliest action.
            planner: how it plans.
            measure: of the trust meter.
            by_keys: refuse an environment that cannot be driven by keys.
            live: no decision waits for the planner, see `LivePlanner`; else each has a plan of its own.
        """
        agent.model.require_imagination()
        self.agent, self.start, self.repeat = agent, start, agent.action_repeat
        real = Beside(agent, start.moment, start.belief) if beside and start.moment is not None else None
        self._stage = RealWorld(agent.env)  # says what keys there are, and draws states
        try:
            self.usual = _scheme(self._stage, by_keys)
            self._camera = None if shows_pictures(agent.model.vision) else StateCamera(self._stage)
            self.tree = DreamTree(
                agent, start, name=name, seed=seed, temperature=temperature, beside=real, measure=measure
            )
        except BaseException:
            self._stage.close()
            if real is not None:
                real.close()
            raise
        self.controls = Controls(self._stage.env.action_space, self.usual.with_keys(keys or {}))
        self.frame_seconds = 1.0 / steps_per_second(self._stage.env)
        self.driver: DreamDriver = "person"
        self.looking_ahead = False
        self.rival: Rival | None = None
        self._greedy, self._planner_settings = greedy, planner
        self._policies: dict[tuple[str, int], Policy] = {}
        self._live, self._live_planners = live, dict[int, LivePlanner]()
        self._generator = make_generator(seed, agent.model.device)

    # Deciding

    def step(self) -> DreamStep | None:
        """Take one decision; None, and nothing happens, where a person or a live planner's first plan is waited for, or
        nothing recorded is left."""
        action = self._decide()
        self.looking_ahead = action is None and self.driver == "planner"
        if action is None:
            return None
        made = self.tree.step(action, self.driver)
        if self.driver == "planner" and self._live:
            self._live_planner().go_on(self.tree.belief)
        return made

    def take_over(self) -> None:
        """The person decides from the next step on."""
        self.driver = "person"

    def hand_over(self, who: DreamDriver) -> None:
        """Somebody else decides from the next step on.

        Raises:
            UserError: there is no such driver here.
        """
        if who == "recorded" and not self.recorded_left:
            raise UserError(f"nothing is recorded of what came after {self.start.words}, step {self.tree.place.step}")
        if who == "planner" and self._live:
            self._live_planner()
        elif who in ("controller", "planner"):
            self._policy(who)
        self.controls.clear()
        self.driver = who

    @property
    def recorded_left(self) -> int:
        """Recorded decisions that are left from here."""
        return max(0, len(self.start.following) - self.tree.place.step)

    @property
    def plan(self) -> np.ndarray | None:
        """Pictures (S, H, W, 3) of the planner's plan, where it decides."""
        if self._live:
            return self._live_planner().pictures_at(self.tree.belief) if self.driver == "planner" else None
        policy = self._policies.get(("planner", self.tree.branch.model))
        if self.driver != "planner" or not isinstance(policy, PlanningPolicy) or policy.plan is None:
            return None
        return pictures_of(self.tree.dreamer.model, policy.plan.z[0])

    def set_rival(self, on: bool) -> None:
        """Have the controller drive from the same start, in a dream of its own that goes along step by step.

        Raises:
            UserError: there is no controller.
        """
        self.rival = None
        if on:
            model, first = self.tree.dreamer.model, self.tree.branches[0]
            options: dict[str, Any] = {"seed": first.seed, "temperature": self.tree.temperature}
            policy = self._make_policy("controller")
            self.rival = Rival(model, self.start.belief, policy, name="controller", **options)

    # Going back, and other turns

    def go(self, place: Place) -> None:
        """Stand at a place; axes go back to zero."""
        self.tree.go(place)
        self.controls.center()

    def rewind(self, steps: int) -> None:
        """Go back so many steps, at most to the start."""
        self.tree.rewind(steps)
        self.controls.center()

    def swap(self, dreamer: Dreamer, name: str, parts: str) -> None:
        """Let parts of another model take over; see `DreamTree.swap`."""
        self.tree.swap(dreamer, name, parts)

    def fans(self, under: str, count: int, steps: int) -> tuple[Fan, ...]:
        """Futures from here, see `DrawFan`; the dream itself stays as it is. May be called beside it.

        Raises:
            UserError: there is no controller.
        """
        tree, model = self.tree, self.tree.dreamer.model
        belief, here = tree.belief.clone(), tree.place
        options: dict[str, Any] = {"temperature": tree.temperature, "seed": 1 + here.step}
        last = tree.last
        if under == "controller":
            return (fan(model, belief, self._policy("controller").act, count, steps, words="controller", **options),)
        spec = self._stage.env.spec
        name = spec.name if spec is not None else ""
        if under == "turns":
            held = turns(model.action_space, name, None if last is None else last.action)
            return tuple(fan(model, belief, act, count, steps, words=word, **options) for word, act in held.items())
        action = last.action if last is not None else next(iter(turns(model.action_space, name).values()), None)
        if action is None:
            raise UserError("no action was taken yet, and this environment has none that goes without saying")
        return (fan(model, belief, action, count, steps, words="the last action", **options),)

    # What is to be seen

    def picture(self) -> np.ndarray:
        """The dream as it is now, uint8 (H, W, 3): vision's picture, the environment's drawing, or lines."""
        if self._camera is None:
            return self.tree.picture()
        seen = self.tree.raw()
        drawn = self._camera.picture(seen) if seen.ndim == 1 else None
        if drawn is not None:
            return drawn
        path = [self.tree.branches[0].root, *(step.z for step in self.tree.path())]
        return lines(path)

    def rival_picture(self) -> np.ndarray | None:
        """The rival's dream after as many decisions, drawn as this one is; None where there is none."""
        rival, step = self.rival, self.tree.place.step
        if rival is None:
            return None
        if self._camera is None:
            pictures = pictures_of(rival.world, rival.z(step)[None])
            return None if pictures is None else pictures[0]
        drawn = self._camera.picture(rival.raw(step))
        return drawn if drawn is not None else lines([rival.z(at).cpu().numpy() for at in range(step + 1)])

    def between(self, share: float) -> np.ndarray | None:
        """The picture a share of the way from the latent before to the present one; None where there is no such way."""
        last = self.tree.last
        if self._camera is not None or last is None:
            return None
        now = self.tree.belief.z
        before = torch.from_numpy(self._z_before()).to(now.device)
        pictures = pictures_of(self.tree.dreamer.model, torch.lerp(before, now[0].float(), share)[None])
        return None if pictures is None else pictures[0]

    @property
    def spread(self) -> np.ndarray | None:
        """What each latent varies by (Z,), as memory met it."""
        memory = self.tree.dreamer.model.memory
        return memory.latent_scale.scale.cpu().numpy() if isinstance(memory, PredictiveMemory) else None

    @property
    def seconds(self) -> float:
        """Time in the world since the start."""
        return self.tree.place.step * self.repeat * self.frame_seconds

    @property
    def trusted_until(self) -> int | None:
        """See `trust.lasts`."""
        return lasts([step.trust for step in self.tree.path()])

    @property
    def parted(self) -> int | None:
        """The step at which dream and reality part company."""
        return parting([step.real.drift if step.real else np.nan for step in self.tree.path()])

    # Keeping

    def keep_recording(self, folder: Path) -> EpisodeKept | None:
        """Keep the way from the start to here as an episode of a recording, marked as dreamt; None where it is none.

        Raises:
            UserError: the folder holds episodes of another kind, or cannot be written to. JobError: the disk is full.
        """
        model, path = self.tree.dreamer.model, self.tree.path()
        seen = self._observations(path)
        spaces = as_raw(model.observation_space), model.action_space
        recorder = DriveRecorder(folder, self.agent.env, spaces, DREAMT, self.repeat)
        recorder.begin(seen[0], self.tree.branch.seed, 0)
        for step, obs in zip(path, seen[1:], strict=True):
            recorder.step(step.action, step.reward, obs, step.driver == "person")
        return recorder.keep(bool(path) and path[-1].ended)

    def close(self) -> None:
        """End what runs beside."""
        for planner in self._live_planners.values():
            planner.close()
        self._stage.close()
        if self.tree.beside is not None:
            self.tree.beside.close()

    # Inside

    def _observations(self, path: list[DreamStep]) -> np.ndarray:
        """What vision makes (T + 1, ...) of the start and of every step: pictures uint8 (H, W, C), or numbers."""
        world = self.tree.dreamer.model
        z = np.stack([self.tree.branches[0].root, *(step.z for step in path)])
        with torch.inference_mode():
            seen = torch.cat([world.vision.decode(part) for part in _split(z, world.device)])
        if seen.dim() != 4:
            return seen.float().cpu().numpy()
        return (seen.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def _z_before(self) -> np.ndarray:
        path = self.tree.path()
        return path[-2].z if len(path) > 1 else self.tree.branches[0].root

    def _decide(self) -> Any:
        if self.driver == "person":
            return self.controls.action(self.repeat * self.frame_seconds)
        if self.driver == "recorded":
            step = self.tree.place.step
            return self.start.following[step] if step < len(self.start.following) else None
        if self.driver == "planner" and self._live:
            return self._live_planner().act(self.tree.belief)
        with torch.inference_mode():
            action = self._policy(self.driver).act(self.tree.belief, self._generator)
        return (action.cpu().numpy() if isinstance(action, Tensor) else np.asarray(action))[0]

    def _live_planner(self) -> LivePlanner:
        """Plans in the model that dreams now."""
        model = self.tree.branch.model
        if model not in self._live_planners:
            seconds = self.repeat * self.frame_seconds
            made = LivePlanner(self.tree.dreamer.model, seconds, self.tree.branch.seed, self._planner_settings)
            self._live_planners[model] = made
        return self._live_planners[model]

    def _policy(self, who: str) -> Policy:
        """Who decides beside the person, of the model that dreams now."""
        key = (who, self.tree.branch.model)
        if key not in self._policies:
            self._policies[key] = self._make_policy(who)
        return self._policies[key]

    def _make_policy(self, who: str) -> Policy:
        if who == "planner":
            policy: Policy = PlanningPolicy(self.tree.dreamer.model, self._planner_settings)
        else:
            # Of a world whose memory alone was swapped, the controller still is the first one's.
            model: Any = self.tree.dreamer.model
            if not isinstance(model, AgentModel):
                raise UserError("this model has no controller")
            policy = ControllerPolicy(model.controller, self._greedy)
        policy.begin(1)
        return policy


def _scheme(world: RealWorld, by_keys: bool) -> Scheme:
    """How the environment is driven by keys; without moves where it need not be."""
    try:
        return scheme_of(world.env)
    except UserError:
        if by_keys:
            raise
        return Scheme({})


def _split(z: np.ndarray, device: torch.device) -> tuple[Tensor, ...]:
    return torch.from_numpy(z).to(device).split(256)
