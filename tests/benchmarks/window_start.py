"""`python -m tests.benchmarks.window_start [TIMES]`: from the command's start until its window is drawn, in seconds.

Each time in a fresh interpreter, by the command line's own way in; the median counts, the first start reads the disk.
Beside it the processor time that the start took, which a busy machine stretches less.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

TIMES = 9
START = """
import sys, time
from ewm_studio.cli import main
from ewm_studio.ui.window import studio

def begin(self):
    self.window.repaint()
    print(time.monotonic() - float(sys.argv[1]), time.process_time())
    self.window.close()

studio.Studio.begin = begin
sys.exit(main(["--workspace", sys.argv[2]]))
"""


def main(times: int) -> None:
    """Start the window some times and print."""
    walls, processors = [], []
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": folder}
        for _ in range(times):
            line = [sys.executable, "-c", START, str(time.monotonic()), folder]
            done = subprocess.run(line, env=env, stdout=subprocess.PIPE, text=True, check=True)
            wall, processor = map(float, done.stdout.split()[-2:])
            walls.append(wall)
            processors.append(processor)
            print(f"{wall:.2f} s, of which {processor:.2f} s of processor time", flush=True)
    print(f"median {statistics.median(walls):.2f} s, processor {statistics.median(processors):.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TIMES)
