"""The floors of the window: a room imports only what lies below it, and a page no other page."""

import ast

import ewm_studio.ui
from tests.support import ROOT

FOLDER = ROOT / "ewm_studio" / "ui"
FLOORS = (  # from the ground up; rooms of one floor do not know each other
    ("kit",),
    ("plots", "notices"),
    ("latents", "experiment", "jobs", "shown_run", "fitting"),
    ("services", "page"),
    ("live",),
    ("recordings",),
    ("train", "vision", "drive", "replay", "runs"),
    ("window",),
)
HEIGHT = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path):
    return path.relative_to(FOLDER).parts[0].removesuffix(".py")


def imported(path):
    """Every room of the window that a file imports anywhere: at its top, in a function, or for types alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.startswith("ewm_studio.ui."):
                yield name.split(".")[2]


def test_every_room_has_a_floor():
    found = {room_of(path) for path in FOLDER.rglob("*.py")} - {"__init__"}
    assert found == set(HEIGHT)
    assert ewm_studio.ui.__doc__


def test_no_room_imports_what_lies_beside_or_above_it():
    wrong = [
        f"{path.relative_to(FOLDER)} imports {other}"
        for path in FOLDER.rglob("*.py")
        for other in imported(path)
        if other != room_of(path) and HEIGHT[other] >= HEIGHT.get(room_of(path), -1)
    ]
    assert wrong == []
