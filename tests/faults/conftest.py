"""Every test here is of the fault suite: what was tried and what was survived is counted by kind and printed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import TRIED

FOLDER = Path(__file__).parent


@dataclass
class Tally:
    """What one test tried. Every fault is counted before it is looked at, so that one that ends the test counts too."""

    tried: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    survived: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    wrong: list[str] = field(default_factory=list)

    def count(self, kind: str, held: bool, what: str = "") -> None:
        """One fault of a kind: whether it ended as it should, and if not, what it was."""
        self.tried[kind] += 1
        self.survived[kind] += bool(held)
        if not held:
            self.wrong.append(f"{kind}: {what}")


@pytest.fixture
def tally(record_property) -> Iterator[Tally]:
    """Count the faults of a test; the test fails at its end if one of them did not end as it should."""
    counted = Tally()
    yield counted
    record_property(TRIED, [(kind, tried, counted.survived[kind]) for kind, tried in counted.tried.items()])
    assert counted.tried, "the test counted no fault"
    assert not counted.wrong, "\n".join(counted.wrong[:20])


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.faults)
            item.add_marker(pytest.mark.timeout(900))
