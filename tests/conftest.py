"""What tests of several rooms share."""

import pytest

from ewm_studio.jobs.runners.process import JobProcesses


@pytest.fixture(scope="session")
def processes():
    """The processes of all jobs that a test starts: importing torch for the first of them takes seconds."""
    made = JobProcesses()
    yield made
    made.end()
