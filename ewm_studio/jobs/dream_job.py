"""Training in dreams: rounds of acting for real, of vision and memory on what was seen, of the controller in dreams."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from typing import Any

import torch

from ewm_studio.acting.collector import LocalCollector
from ewm_studio.acting.disturbed import Bursts
from ewm_studio.acting.random_rows import random_rows
from ewm_studio.data.sequence_replay import Rows, SequenceReplay
from ewm_studio.envs.probe import Spaces
from ewm_studio.envs.simulator import Simulator
from ewm_studio.errors import UserError
from ewm_studio.events import CheckpointSaved, Event, JobControl, Message
from ewm_studio.jobs.collect import frame_store
from ewm_studio.jobs.comparison import Comparison
from ewm_studio.jobs.judgement import judgement
from ewm_studio.jobs.learning import LearningJob
from ewm_studio.jobs.lifecycle import restore_latest
from ewm_studio.jobs.meter import Meter
from ewm_studio.jobs.real_rounds import RealRounds
from ewm_studio.jobs.resuming import computed_on
from ewm_studio.jobs.run_log import RunLog
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.ensemble import further_memories
from ewm_studio.models.pictures import reconstructions
from ewm_studio.settings import Experiment
from ewm_studio.training.dreaming import Dreaming
from ewm_studio.training.optimize import Averages, ComponentTrainer
from ewm_studio.training.precision import computing
from ewm_studio.training.randomness import Randomness
from ewm_studio.training.replay_trainer import ReplayTrainer
from ewm_studio.workspace import Run

PIECE = 32  # steps acted between two looks at whether to stop
PICTURES = 8
REPLAY = "replay"  # the folder of a run that holds its experience
SHARES = {"act": 0.25, "vision": 0.05, "memory": 0.25, "dream": 0.45}  # of a round's time, about
SECONDS_BACK = 120.0  # of the past that the time left is told by: within a round the pace is uneven

Work = Generator[Event, None, None]


class DreamJob(LearningJob):
    """State of a run in dreams; all of it is saved, so that a resumed run is the same run.

    A round is an epoch; the first acts at random. It goes from stage to stage, each so many pieces of work; `done`
    says how many of them the present round has behind it. The last `dream.real_share` of the run are `real` rounds.
    """

    def __init__(
        self, experiment: Experiment, spaces: Spaces, model: AgentModel, envs: Simulator, randomness: Randomness
    ) -> None:
        """Prepare a run of `model` in `envs`.

        Raises:
            UserError: the settings do not go together.
        """
        super().__init__(experiment, spaces, model, envs)
        self.envs = envs
        self.randomness, self.settings = randomness, experiment.dream
        if self.settings.random_steps <= envs.num_envs:
            raise UserError(f"dream.random_steps: give at least two decisions for each of {envs.num_envs} environments")
        generator = randomness.torch
        if self.settings.pessimism and self.settings.ensemble == 1:
            raise UserError("dream.pessimism: one memory always agrees with itself; give dream.ensemble 2 or more")
        self.collector = self._new_collector()
        others = further_memories(model, self.settings.ensemble - 1, generator)
        self.trainer = ReplayTrainer(model, experiment.world_model, self.settings, generator, others)
        shaped = experiment.env.skip_penalty > 0
        self.dreaming = Dreaming(model, self.settings, experiment.ppo, self._settling(), generator, others, shaped)
        self.real = RealRounds(model, experiment, envs.num_envs, generator)
        self.comparison = Comparison(model.controller, self.settings.rollback, self.settings.gamma)
        self.judged_steps = 0
        self.done = dict.fromkeys(SHARES, 0)
        self.cpu_before = 0.0  # spent by earlier parts of a resumed run
        self._log = Averages()
        self._saved_rows: list[int] = []
        self._cpu_began = time.process_time()
        self._saved_at: tuple[int, ...] = (-1,)

    @property
    def summary(self) -> str:
        """One line that says what trains on what."""
        e = self.experiment
        return f"{self.model.summary()} in dreams of {e.env.id}, seed {e.run.seed}, {self.envs.num_envs} environments"

    @property
    def stages(self) -> tuple[str, ...]:
        """What is to come, in order."""
        left = [name for name, count in self._counts().items() if self.done[name] < count] if self.epochs == 0 else []
        return (*("collect" if name == "act" else name for name in left), "train")

    @property
    def cpu_seconds(self) -> float:
        """Seconds of the processor that this process has spent on it; those of environments elsewhere come on top."""
        return self.cpu_before + time.process_time() - self._cpu_began

    # The run

    def run(self, run: Run, control: JobControl) -> Work:
        """Rounds until an end is reached; saves after each of them, and when asked to stop."""
        with contextlib.ExitStack() as stack:
            store = stack.enter_context(frame_store(self.experiment, self.spaces, run.folder))
            sink = stack.enter_context(RunLog(run, self.experiment.run.tensorboard))
            replay = SequenceReplay(store, self.envs.num_envs)
            if self._saved_rows:
                replay.load(run.folder / REPLAY, self._saved_rows)
                replay.encode(self.model.vision.encode, again=True, device=self.model.device)
            yield from self._rounds(run, sink, replay, control)
            if self._saved_at != self._position():
                yield self._save(run, replay, None)
        self._finish(run)

    def _rounds(self, run: Run, sink: RunLog, replay: SequenceReplay, control: JobControl) -> Work:
        meter = Meter("train", self.experiment.train.total_steps, "steps", self._progress(), SECONDS_BACK)
        while not (stop := self._reason_to_stop(control)):
            meters: dict[str, Meter] = {}  # of what the random actions are the ground for
            for event in self._round(run, replay, control):
                if not isinstance(event, str):
                    yield event
                elif self.epochs:
                    progress = self._progress()
                    yield meter.at(progress, self.real.ahead(meter.total, progress))
                else:
                    of_stage = meters.setdefault(
                        event, Meter(event, self._counts()[event], "minibatches", self.done[event])
                    )
                    yield of_stage.at(self.done[event])
            if control.stop_requested:
                continue
            yield from self._finish_round(run, sink, replay, control)
        self.stopped_by = stop

    def _round(self, run: Run, replay: SequenceReplay, control: JobControl) -> Generator[Event | str, None, None]:
        """The stages of a round, and the name of the stage with each piece of work. Ends early when asked to stop."""
        self._choose_kind(replay)
        if self.real.on:
            for _ in self._pieces("act", 1, control):
                yield from self._learn_for_real(run)
                yield "act"
            return
        if self.epochs == 0:
            yield from self._collect(replay, control)
        else:
            for _ in self._pieces("act", -(-self._round_rows() // PIECE), control):
                yield from self._act(run, replay)
                yield "act"
        updates, rate = self._vision_work()
        for _ in self._pieces("vision", updates, control):
            self._log.add(self.trainer.vision_update(replay, rate))
            yield "vision"
        if control.stop_requested:
            return
        if not self.done["memory"] and not self.done["dream"]:
            replay.encode(self.model.vision.encode, updates > 0, self.model.device)
        left = self.real.dreams_left(self._share_left())
        for _ in self._pieces("memory", self._memory_updates(), control):
            with self._computing():
                self._log.add(self.trainer.memory_update(replay, left))
            yield "memory"
        for _ in self._pieces("dream", self.settings.updates, control):
            with self._computing():
                figures = self.dreaming.update(replay, left)
            self.comparison.dreamt.append((figures["dream/reward"], figures["dream/end"]))
            self._log.add(figures)
            yield "dream"

    def _computing(self) -> contextlib.AbstractContextManager[object]:
        return computing(self.settings.precision, self.model.device)

    def _pieces(self, stage: str, count: int, control: JobControl) -> Iterator[None]:
        """What is left of a stage of the present round, piece by piece; each is done when the next is asked for."""
        while self.done[stage] < count and not control.stop_requested:
            yield None
            self.done[stage] += 1

    # Acting

    def _new_collector(self) -> LocalCollector:
        return LocalCollector(self.envs, self.model, True, self.randomness.torch, self._bursts())

    def _bursts(self) -> Bursts | None:
        settings, space = self.settings, self.envs.action_space
        if not settings.bursts:
            return None
        return Bursts(space, self.randomness.numpy, settings.bursts, 0.0, settings.gentle)

    def _collect(self, replay: SequenceReplay, control: JobControl) -> Work:
        """Act at random, in one go: whoever stops it begins it anew."""
        if self.done["act"]:
            return
        count = -(-self.settings.random_steps // self.envs.num_envs)
        seed, data = self.experiment.run.seed, self.experiment.data
        meter, acting = Meter("collect", count, "steps"), random_rows(self.envs, count, seed, data)
        while not control.stop_requested:
            try:
                yield meter.at(next(acting))
            except StopIteration as end:
                replay.add(end.value)
                self.comparison.tried(
                    torch.from_numpy(end.value.reward + end.value.shaping), torch.from_numpy(end.value.terminated)
                )
                break
        else:
            return
        self.collector = self._new_collector()  # it begins episodes of its own
        self.env_steps += count * self.envs.num_envs
        self.done["act"] = 1

    def _act(self, run: Run, replay: SequenceReplay) -> Work:
        """A piece of the round, acted by the controller."""
        back = self.real.acted  # to dreams; what was acted for real alone is no part of the replay
        if not self.done["act"]:
            self.comparison.rollback.begin()
            self._relive(replay)
            self.real.acted = False
        rows = min(PIECE, self._round_rows() - PIECE * self.done["act"])
        rollout = self.collector.collect(rows)
        buffer = rollout.buffer
        assert buffer.obs is not None
        final, ruled = (buffer.terminated & ends for ends in (buffer.env_terminated, ~buffer.env_terminated))
        lived = (buffer.obs, buffer.action, buffer.true_reward, buffer.shaping, final, ruled, buffer.ended)
        first = buffer.is_first.clone()
        first[0] |= back
        replay.add(Rows(*(column.cpu().numpy() for column in (*lived, first))))
        self.comparison.acted(buffer.reward, final)
        last = PIECE * (self.done["act"] + 1) >= self._round_rows()
        self._log.add(self.dreaming.acted(rollout, last, self.real.dreams_left(self._share_left())))
        yield from self._note_rollout(run, rollout)

    def _relive(self, replay: SequenceReplay) -> None:
        """Lead memory, as it is now, through the last round, so that the next one starts from its present states."""
        if self.epochs < 2 or self.real.acted:  # nothing has learned since what was acted last
            return
        last = slice(-self._round_rows(), None)
        z, action = replay.z[last], replay.column("action")[last].to(self.model.device)
        self.collector.relive(z, action, replay.column("is_first")[last].to(self.model.device))

    # Learning for real alone

    def _choose_kind(self, replay: SequenceReplay) -> None:
        """At the start of a round: whether it is one of those that are learned for real alone.

        A run that is gone on with to a later end, or with another share, may go back to dreams.
        """
        if any(self.done.values()):
            return
        before, share = self.real.on, self.real.share
        self.real.on = bool(share and self.epochs) and self._share_left() <= share
        if self.real.on and not before:
            self._relive(replay)
            self._act_undisturbed()
        elif before and not self.real.on:
            self.collector.disturb(self._bursts())
            self.collector.keep_obs = True
            self.comparison.watch.dreamt = None  # of a policy that has learned since

    def _act_undisturbed(self) -> None:
        self.collector.disturb(None)
        self.collector.keep_obs = False

    def _learn_for_real(self, run: Run) -> Work:
        rollout, figures = self.real.update(self.collector, self._rollout_steps(), self._share_left())
        self._log.add(figures)
        yield from self._note_rollout(run, rollout)

    # What a round is made of

    def _settling(self) -> int:
        """Decisions at the start of an episode that are no part of the task."""
        return -(-self.spaces.settling_frames // self.experiment.env.action_repeat)

    def _round_rows(self) -> int:
        return max(1, -(-self.settings.round_steps // self.envs.num_envs))

    def _learns(self, part: ComponentTrainer) -> bool:
        return self.experiment.world_model.train and part.trainable

    def _vision_work(self) -> tuple[int, float]:
        """Minibatches of vision in the present round, and the share of its learning rate."""
        settings = self.settings
        after = [int(number) for number in settings.vision_rounds.replace(",", " ").split()]
        if not (self._learns(self.trainer.vision) and settings.vision_updates):
            return 0, 0.0
        if self.epochs == 0:
            return settings.vision_updates, 1.0
        if self.epochs not in after:
            return 0, 0.0
        return settings.vision_refresh, 1 - (after.index(self.epochs) + 1) / (len(after) + 1)

    def _memory_updates(self) -> int:
        if not self._learns(self.trainer.memory):
            return 0
        return self.settings.first_memory_updates if self.epochs == 0 else self.settings.memory_updates

    def _counts(self) -> dict[str, int]:
        """Pieces of work in the present round, by stage."""
        return {
            "act": -(-self._round_rows() // PIECE) if self.epochs else 1,
            "vision": self._vision_work()[0],
            "memory": self._memory_updates(),
            "dream": self.settings.updates,
        }

    def _progress(self) -> int:
        """Decisions so far, those of a round counted as its work gets done."""
        if self.epochs == 0 or self.real.on:
            return self.env_steps if self.epochs else 0
        counts = self._counts()
        done = sum(SHARES[stage] * self.done[stage] / count for stage, count in counts.items() if count)
        whole = sum(SHARES[stage] for stage, count in counts.items() if count)
        before = self.settings.random_steps + (self.epochs - 1) * self.settings.round_steps
        return round(before + self.settings.round_steps * done / whole)

    def _reason_to_stop(self, control: JobControl) -> str:
        """A round is finished first, unless it is to stop at once."""
        reason = super()._reason_to_stop(control)
        return "" if reason != "stop" and any(self.done.values()) else reason

    # The end of a round

    def _finish_round(self, run: Run, sink: RunLog, replay: SequenceReplay, control: JobControl) -> Work:
        """Compare dream and reality, judge where it is time, log and save.

        Asked to stop while it is judged, the round stays at its end, and is judged when the run is resumed.
        """
        if not self.real.on:
            yield from self.comparison.end_round(self.epochs, self._vision_work()[0] > 0)
        done, self.done = self.done, dict.fromkeys(SHARES, 0)
        self.epochs += 1
        judged: dict[str, float] = {}
        if self.epochs % self.settings.judge_every == 0 or self._reason_to_stop(control):
            judged = yield from self._judge(control)
            if not judged:
                self.epochs, self.done = self.epochs - 1, done
                return
        values = self._log.take() | ({} if self.real.on else self.comparison.figures) | judged
        values = self._told(values) | {"speed/cpu_seconds": self.cpu_seconds}
        yield sink.metrics(self.env_steps, self.epochs, self.seconds, values)
        if len(self.spaces.observation.shape) == 3 and not self.real.on:
            yield sink.images(self.env_steps, reconstructions(self.model.vision, replay.newest(PICTURES)))
        yield self._save(run, replay, judged.get("real/score"))

    def _judge(self, control: JobControl) -> Generator[Event, None, dict[str, float]]:
        """The judgement for real, and the decisions of all of them so far; empty when asked to stop."""
        count = self.settings.judge_episodes
        found = yield from judgement(self.model, self.experiment.env, count, control)
        if found:
            self.judged_steps += int(found["real/steps"])
            found["real/steps"] = self.judged_steps
            self._note_score(found["real/score"])
            yield Message(
                f"round {self.epochs}, {self.env_steps:,} decisions: {count} episodes for real, greedy "
                f"{found['real/greedy']:.1f}, sampled {found['real/sampled']:.1f}"
            )
        return found

    # Files

    def _position(self) -> tuple[int, ...]:
        return (self.epochs, *self.done.values())

    def _save(self, run: Run, replay: SequenceReplay, score: float | None) -> CheckpointSaved:
        """Save all; the checkpoint is known by its judgement for real, where there was one."""
        folder = run.folder / REPLAY
        replay.save(folder)  # before the checkpoint that counts on it
        self._saved_rows = replay.state()
        tensors, metadata = self.model_file()
        keep = self.experiment.run.keep_checkpoints
        path, best = run.save_checkpoint(self.env_steps, tensors, metadata, self.state(), score, keep=keep)
        replay.prune(folder)
        self._checkpoint, self._saved_at = str(path), self._position()
        return CheckpointSaved(str(path), self.env_steps, score, best)

    def state(self) -> dict[str, Any]:
        """Everything besides the weights that the next piece of work depends on."""
        return {
            "counters": [self.env_steps, self.episodes, self.epochs, self.best_epoch],
            "done": self.done,
            "rows": self._saved_rows,
            "best": self.best,
            "judged_steps": self.judged_steps,
            "seconds": [self.seconds, self.cpu_seconds],
            "recent": list(self.recent),
            "recent_lengths": list(self.recent_lengths),
            "log": self._log.state(),
            **self.comparison.state(),
            "trainer": self.trainer.state(),
            "dreaming": self.dreaming.state(),
            "real": self.real.state(),
            "collector": self.collector.state(),
            "random": self.randomness.state(),
            "computed_on": computed_on(self.model.device),
        }

    def restore(self, run: Run) -> None:
        """Take up a run at its latest checkpoint.

        Raises:
            UserError: it has none, or one that is damaged or of other settings.
        """
        self._checkpoint = str(restore_latest(run, self.model, self._take_up))
        self._steps_before, self._saved_at = self.env_steps, self._position()

    def _take_up(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.env_steps, self.episodes, self.epochs, self.best_epoch = state["counters"]
        self.done, self._saved_rows = dict(state["done"]), list(state["rows"])
        self.best, self.judged_steps = state["best"], state["judged_steps"]
        self.seconds_before, self.cpu_before = state["seconds"]
        self.recent.extend(state["recent"])
        self.recent_lengths.extend(state["recent_lengths"])
        self._log.restore(state["log"])
        self.comparison.restore(state)
        self.trainer.restore(state["trainer"])
        self.dreaming.restore(state["dreaming"])
        if "real" in state:
            self.real.restore(state["real"])
        if self.real.on:
            self._act_undisturbed()
        self.collector.restore(state["collector"])
        self.randomness.restore(state["random"])
        self.computed_on = state["computed_on"]

    def result(self, run: Run) -> dict[str, Any]:
        """What `--json` prints."""
        return {**super().result(run), "judged_steps": self.judged_steps}
