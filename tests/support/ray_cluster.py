"""A Ray cluster of two nodes of one core, on this machine's loopback alone and with a token, in a process of its own.

As a program it is that process: it says where it answers, kills its second node when told so, and ends with its input.
"""

import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

from tests.support import ROOT

MEGABYTES = 80 * 2**20  # the least that Ray takes for a node's store


@contextmanager
def ray_cluster():
    """Gives the cluster's process and its address; meanwhile this process has its token."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # The second is Ray's switch for "use the loopback"; without it a node takes the address others reach it by.
    own = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(20),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TMPDIR": os.environ.get("RAY_TMPDIR", "/tmp"),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    command = [sys.executable, "-m", "tests.support.ray_cluster", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if line == "ready\n":
                break
        assert process.poll() is None, "the cluster did not begin"
        yield process, f"ray://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
        process.stdout.close()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def kill_second(process):
    """Kill a node of the cluster as a power cut would; returns when it is gone."""
    process.stdin.write("kill\n")
    process.stdin.flush()
    for line in process.stdout:
        if line == "killed\n":
            return
    raise AssertionError("the cluster is gone")


def answers(port):
    """Wait until the head answers clients, which it does some seconds after it is there."""
    until = time.monotonic() + 200
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)


def main(port):
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": MEGABYTES, "node_ip_address": "127.0.0.1"}
    head = {**node, "include_dashboard": False, "ray_client_server_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(**node)
    answers(port)
    print("ready", flush=True)
    for line in sys.stdin:
        if line == "kill\n":
            cluster.remove_node(second, allow_graceful=False)
            print("killed", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
