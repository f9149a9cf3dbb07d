"""The first moments of the command, whose modules are stand-ins here."""

import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAND_IN = """
import importlib.abc, importlib.util, signal, sys

class Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, *_):
        return importlib.util.spec_from_loader(name, self) if name == "ewm_studio.cli" else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        {imported}

sys.meta_path.insert(0, Instead())
from ewm_studio.__main__ import main
sys.exit(main())
"""
SLOW = "import time; print('importing', flush=True); time.sleep(100)"
TELLS = (
    "import os; module.main = lambda: sum(os.path.samestat(os.fstat(n), os.stat(os.devnull)) << n for n in range(3))"
)


def command(imported):
    return [sys.executable, "-c", STAND_IN.replace("{imported}", imported)]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_while_modules_are_imported_is_no_traceback():
    with subprocess.Popen(command(SLOW), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"importing\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="the shell of POSIX")
@pytest.mark.parametrize(("closed", "on_nothing"), [(">&- 2>&-", 6), ("<&- 2>&-", 5), ("<&- >&- 2>&-", 7)])
def test_no_file_gets_the_number_of_a_closed_stream(closed, on_nothing):
    kept = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *command(TELLS)]
    assert subprocess.run(shell, cwd=ROOT, check=False, timeout=60, **kept).returncode == on_nothing


def test_the_installed_command_begins_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["scripts"] == {"ewm-studio": "ewm_studio.__main__:main"}
