"""What tests of several rooms share."""

import gc
import os
import tempfile
from collections import Counter

import pytest

from ewm_studio.envs.trust import TRUST_ALL
from ewm_studio.jobs.runners.process import JobProcesses
from tests.support.warm import WarmProcesses

os.environ[TRUST_ALL] = "1"  # the tests' own modules; what is about trust takes it away
# Where a person's settings and data lie; every process that a test starts inherits it. It goes when the tests end.
_HOUSE = tempfile.TemporaryDirectory(prefix="studio-tests-")
for _name in ("XDG_CONFIG_HOME", "APPDATA", "LOCALAPPDATA", "MINARI_DATASETS_PATH"):
    os.environ[_name] = os.path.join(_HOUSE.name, _name.lower())


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What the tests import is there to stay: no search for garbage looks at those half a million objects again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_sessionfinish():
    """At the end all of it goes as always: bindings complain of what is never taken down."""
    gc.unfreeze()


@pytest.fixture
def nothing_trusted(monkeypatch, tmp_path):
    """No module was ever agreed to, and what is agreed to in this test is forgotten."""
    monkeypatch.delenv(TRUST_ALL)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "config"))


@pytest.fixture(scope="session")
def processes():
    """The processes of all jobs that a test starts: importing torch for the first of them takes seconds."""
    made = JobProcesses()
    yield made
    made.end()


@pytest.fixture(scope="session")
def warm():
    """Starts functions and commands in processes that have torch imported and never used."""
    made = WarmProcesses()
    yield made
    made.close()


TRIED = "faults tried"  # the property under which a test of the fault suite says what it tried and what held


def pytest_terminal_summary(terminalreporter):
    """Faults tried and survived by kind, of all workers."""
    tried, survived = Counter(), Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, kinds in getattr(report, "user_properties", []):
                if name == TRIED and report.when == "teardown":
                    for kind, number, held in kinds:
                        tried[kind] += number
                        survived[kind] += held
    if tried:
        terminalreporter.section("faults: survived of tried, by kind")
        for kind in sorted(tried):
            terminalreporter.line(f"{survived[kind]:6d} of {tried[kind]:6d}  {kind}")
        terminalreporter.line(f"{survived.total():6d} of {tried.total():6d}  in all")
