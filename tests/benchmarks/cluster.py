"""What a cluster costs besides the work: two nodes of one core on this machine, by the way that a study takes.

    uv run python -m tests.benchmarks.cluster [--megabytes 64] [--words 2000]

Of the connection, of a job's start on a fresh and on a warm worker, of words to the post, and of files back through it.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from typing import Any

from ewm_studio.jobs.cluster.parcels import PIECE_BYTES, Piece
from ewm_studio.jobs.cluster.pool import RayPool
from ewm_studio.jobs.cluster.post import Post
from ewm_studio.settings.study import PlaceSettings
from tests.support.ray_cluster import ray_cluster


def start(post: Any) -> None:
    """What every job begins with."""
    import ray

    import ewm_studio.jobs.train_job  # noqa: F401  torch and all that trains

    ray.get(post.put.remote("start", [("event", 0)], 1))


def words(post: Any, count: int) -> float:
    """Seconds of so many words, one after the other."""
    import ray

    began = time.perf_counter()
    for _ in range(count):
        ray.get(post.put.remote("words", [], 0))
    return time.perf_counter() - began


def files(post: Any, pieces: int) -> None:
    """Say so many pieces of files."""
    import ray

    piece = Piece("file", True, bytes(PIECE_BYTES))
    for _ in range(pieces):
        ray.get(post.put.remote("files", [("piece", piece)], PIECE_BYTES))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--words", type=int, default=2000)
    args = parser.parse_args()
    with ray_cluster() as (_, address):
        began = time.perf_counter()
        pool = RayPool(PlaceSettings(on=address))
        print(f"connecting                {time.perf_counter() - began:7.2f} s")
        ray = pool._ray
        post = ray.remote(Post).options(num_cpus=0).remote()
        with contextlib.closing(pool):
            for said in ("fresh", "warm", "warm"):
                began = time.perf_counter()
                ray.get(ray.remote(start).options(num_cpus=1).remote(post))
                print(f"a job on a {said:<5} worker   {time.perf_counter() - began:7.2f} s")
            seconds = ray.get(ray.remote(words).options(num_cpus=1).remote(post, args.words))
            print(f"words to the post         {args.words / seconds:7.0f} a second from one job")
            pieces = args.megabytes * 2**20 // PIECE_BYTES
            ray.get(post.take.remote(0))
            began, task, got = time.perf_counter(), ray.remote(files).options(num_cpus=1).remote(post, pieces), 0
            while got < pieces:
                got += sum(len(items) for _, items in ray.get(post.take.remote(0.5)))
            ray.get(task)
            print(f"files back to the studio  {args.megabytes / (time.perf_counter() - began):7.1f} MB a second")


if __name__ == "__main__":
    main()
