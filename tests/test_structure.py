"""The shape of the tree: no circle between modules, small files, short functions. `lint-imports` checks the stair."""

import ast
import statistics
from pathlib import Path

import grimp

import ewm_studio

ROOT = Path(ewm_studio.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MOST_LINES = 450
MEDIAN_LINES = 6  # of a function; "about five"


def circles(arrows):
    """Groups of two or more that reach each other, by Tarjan's algorithm; `arrows` is each one's targets."""
    number, low, path, found = {}, {}, [], []

    def visit(one):
        number[one] = low[one] = len(number)
        path.append(one)
        for other in arrows[one]:
            if other not in number:
                visit(other)
            if other in path:
                low[one] = min(low[one], low[other])
        if low[one] == number[one]:
            group = path[path.index(one) :]
            del path[path.index(one) :]
            if len(group) > 1:
                found.append(sorted(group))

    for one in arrows:
        if one not in number:
            visit(one)
    return found


def test_circles_are_found():
    assert circles({"a": "b", "b": "c", "c": "bd", "d": "", "e": "a"}) == [["b", "c"]]


def test_no_modules_import_each_other_in_a_circle():
    """Imports inside functions count, and those for type checking."""
    graph = grimp.build_graph("ewm_studio", cache_dir=None)
    assert circles({name: sorted(graph.find_modules_directly_imported_by(name)) for name in graph.modules}) == []


def test_files_are_small():
    sizes = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: size for name, size in sizes.items() if size > MOST_LINES} == {}


def lengths(path):
    """Lines of each function of a file, without its docstring."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield node.end_lineno - first[0].lineno + 2 if first else 1  # its `def` and its body


def test_functions_are_short():
    assert statistics.median(length for path in FILES for length in lengths(path)) <= MEDIAN_LINES
