"""What pretraining on driving is worth: V from driven frames beside V from as many random frames, on CarRacing-v3.

    uv run python -m tests.benchmarks.driven_data [--frames 20000] [--epochs 5]

The scripted driver of `tests/track_driver.py` is recorded for so many frames, and `pretrain` trains one V on that
recording and one on as many frames of random actions. Both are then measured on further laps of the driver on tracks
that neither has seen: the mean squared error of a pixel (0 to 1) over the slowest, the middle and the fastest third of
these frames by the car's speed. The frames in which the camera zooms in are left out everywhere.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch

from ewm_studio.acting.agent import Agent, load_agent
from ewm_studio.data.recordings import RecordingWriter
from ewm_studio.envs.carracing.environment import ZOOM_FRAMES
from ewm_studio.envs.factory import make_env
from ewm_studio.envs.spaces import space_to_json
from ewm_studio.events import Finished, Metrics
from ewm_studio.jobs import pretrain
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from tests.support.track_driver import drive

UNSEEN = 10_000  # seeds of the laps that are measured on start here
ENV = "CarRacing-v3"


def record_laps(folder: Path, frames: int) -> None:
    """Record at least `frames` frames of the driver, whole episodes, on one track after another."""
    env = make_env(ENV)
    spaces = {
        "observation_space": space_to_json(env.observation_space),
        "action_space": space_to_json(env.action_space),
    }
    writer = RecordingWriter(folder, {"env": ENV, "source": "manual", "seed": 0, **spaces})
    done, seed, rewards = 0, 0, []
    while done < frames:
        obs, _ = env.reset(seed=seed)
        writer.begin(obs)
        total, length, over = 0.0, 0, False
        while not over and done + length < frames:
            action = drive(env)
            obs, reward, terminated, truncated, _ = env.step(action)
            writer.step(action, float(reward), obs, manual=True)
            total, length, over = total + float(reward), length + 1, terminated or truncated
        writer.end(over and terminated, not (over and terminated))
        rewards.append(total)
        done, seed = done + length, seed + 1
    env.close()
    print(f"driven: {done:,} frames in {seed} episodes, mean reward {np.mean(rewards):.0f}", flush=True)


def unseen_laps(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Raw observations (N, 96, 96, 3) of the driver on unseen tracks, every fourth frame, and speeds (N,)."""
    env = make_env(ENV)
    pictures, speeds, seed = [], [], UNSEEN
    while len(pictures) < frames:
        env.reset(seed=seed)
        over, step = False, 0
        while not over:
            obs, _, terminated, truncated, _ = env.step(drive(env))
            over, step = terminated or truncated, step + 1
            if step > ZOOM_FRAMES and step % 4 == 0:
                pictures.append(np.array(obs))
                speeds.append(speed_of(env))
        seed += 1
    env.close()
    return np.stack(pictures[:frames]), np.array(speeds[:frames])


def speed_of(env: gym.Env) -> float:
    """Units of the world a second."""
    return float(env.unwrapped.car.hull.linearVelocity.length)  # type: ignore[attr-defined]


def trained_on(workspace: Workspace, frames: int, epochs: int, recording: str | None) -> Agent:
    """V after pretraining on a recording, or on random frames."""
    experiment = Experiment.from_dict(
        {
            "env": {"id": ENV},
            "vision": {"name": "ConvVAE"},
            "pretrain": {"vision": True, "epochs": epochs},
            "data": {"recording": recording, "frames": frames},
        }
    )
    name, checkpoint = recording or "random", ""
    for event in pretrain(experiment, workspace):
        if isinstance(event, Metrics):
            error = event.values.get("vision/held_out_mse", float("nan"))
            print(f"  {name:7} {event.seconds:5.0f} s  epoch {event.epoch:2}: held-out mse {error:.5f}", flush=True)
        if isinstance(event, Finished):
            checkpoint = event.result["checkpoint"]
    return load_agent(checkpoint)


@torch.no_grad()
def errors(agent: Agent, pictures: np.ndarray) -> np.ndarray:
    """Mean squared error (N,) of each picture's reconstruction."""
    vision, found = agent.model.vision, []
    for begin in range(0, len(pictures), 256):
        obs = agent.prepare(pictures[begin : begin + 256])
        apart = vision.decode(vision.encode(obs)) - obs.float() / 255
        found.append(apart.square().flatten(1).mean(1).cpu().numpy())
    return np.concatenate(found)


def main() -> None:
    """Drive, train both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--unseen", type=int, default=3_000)
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        record_laps(workspace.recordings_folder / "driven", args.frames)
        agents = {
            "driven": trained_on(workspace, args.frames, args.epochs, "driven"),
            "random": trained_on(workspace, args.frames, args.epochs, None),
        }
        workspace.close()
    pictures, speeds = unseen_laps(args.unseen)
    bounds = np.quantile(speeds, [0, 1 / 3, 2 / 3, 1])
    thirds = np.digitize(speeds, bounds[1:-1])
    print(f"\n{args.frames:,} frames each, {args.epochs} epochs; {len(speeds):,} unseen frames of skilled driving")
    print(f"{'trained on':12}" + "".join(f"{f'speed {a:.0f} to {b:.0f}':>18}" for a, b in itertools.pairwise(bounds)))
    for name, agent in agents.items():
        error = errors(agent, pictures)
        print(f"{name:12}" + "".join(f"{error[thirds == third].mean():18.5f}" for third in range(3)))
    print(f"mean squared error of a pixel; {time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    main()
