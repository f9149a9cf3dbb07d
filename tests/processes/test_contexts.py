"""Other processes: without the user's script, unnoticed by threads, and not ended by a signal to all."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ewm_studio.processes.context import forking
from ewm_studio.processes.spawning import Spawning

ROOT = Path(__file__).parents[2]
CONTEXTS = {"fork server": forking, "spawned": Spawning}


@pytest.fixture(params=CONTEXTS.values(), ids=CONTEXTS.keys())
def context(request):
    made = request.param()
    yield made
    made.close()


def test_no_thread_sees_another_main_while_processes_start(context):
    """What pickles something of `__main__` meanwhile must find it there."""
    main, seen, over = sys.modules["__main__"], set(), threading.Event()

    def look():
        while not over.is_set():
            seen.add(sys.modules["__main__"])
            pickle.dumps(time.sleep)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        processes = [context.Process(target=time.sleep, args=(0,)) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
    finally:
        over.set()
        looking.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert seen == {main}


SCRIPT = """
import time
print("ran", flush=True)
from ewm_studio.processes.context import forking
from ewm_studio.processes.spawning import Spawning
context = {made}()
process = context.Process(target=print, args=("child",))
process.start()
process.join()
context.close()
"""


@pytest.mark.parametrize("made", ["forking", "Spawning"])
def test_a_script_without_the_usual_guard_runs_once(tmp_path, made):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(made=made))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["ran", "child"], "")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no fork servers")
def test_a_fork_server_outlives_a_signal_to_its_group_and_ends_with_its_processes():
    context = forking()
    process = context.Process(target=time.sleep, args=(60,))
    process.start()
    server = context.server
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        os.kill(server, number)
    again = context.Process(target=time.sleep, args=(0,))
    again.start()
    again.join(60)
    assert again.exitcode == 0
    assert context.server == server
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):  # what it made is as deaf
        os.kill(process.pid, number)
    process.join(0.3)
    assert process.is_alive()
    process.terminate()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    context.close()
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no fork servers")
def test_a_process_finds_what_its_fork_server_imported():
    context = forking("sched")
    ours, theirs = context.Pipe()
    process = context.Process(target=tell_modules, args=(theirs,))
    process.start()
    assert ours.recv() is True
    process.join(60)
    context.close()


def tell_modules(pipe):
    pipe.send("sched" in sys.modules)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_program_that_such_a_process_starts_hears_signals(context):
    ours, theirs = context.Pipe()
    process = context.Process(target=end_a_program, args=(theirs,))
    process.start()
    assert ours.recv() == -signal.SIGTERM
    process.join(60)


def end_a_program(pipe):
    program = subprocess.Popen(["sleep", "60"])
    program.terminate()
    pipe.send(program.wait())


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_signals_to_a_process_that_begins_end_nothing(context):
    ours, theirs = context.Pipe()
    process = context.Process(target=tell_modules, args=(theirs,))
    process.start()
    while not ours.poll(0.002):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == 0


BLOCKED = """
import signal, time
from multiprocessing import resource_tracker
from ewm_studio.processes.context import forking
context = forking()
process = context.Process(target=time.sleep, args=(0,))
process.start()
process.join()
for pid in (context.server, resource_tracker._resource_tracker._pid):
    status = open(f"/proc/{pid}/status").read().split()
    masks = [int(status[status.index(name) + 1], 16) for name in ("SigBlk:", "SigIgn:")]
    deaf = {n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if (masks[0] | masks[1]) & 1 << n - 1}
    print(len(deaf))
context.close()
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
def test_whoever_starts_the_standard_librarys_helper_first_all_are_deaf():
    """In a process of its own, where no helper of the standard library runs yet: that one's start unblocks signals."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.stdout.split(), done.stderr) == (["3", "3"], "")
