"""Processes that are spawned, and how the program that made them ends."""

import subprocess
import sys

ASKED = """
from pathlib import Path
from ewm_studio.data.vetting import vetting
from ewm_studio.formatting import plain
print(vetting(plain).complaint(Path(__file__), False))
"""


def test_a_program_that_had_a_process_of_its_own_comes_to_its_end(tmp_path):
    """One that obeys no gentle signal, and is still there when the program is done."""
    script = tmp_path / "asks.py"
    script.write_text(ASKED)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("TypeError")
