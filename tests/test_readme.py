"""The README is true: its flags, paths and names exist, its commands parse, its code runs."""

import ast
import keyword
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import pytest

from ewm_studio.jobs import train
from ewm_studio.models import registry
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.terminal.flags import known_options
from ewm_studio.terminal.parsers import job_parser
from ewm_studio.workspace import Workspace
from tests.support import ROOT
from tests.support.jobs import experiment, finish

README, DOCS = ROOT / "README.md", ROOT / "resources" / "docs"
TEXT = README.read_text()
PAGES = {path: path.read_text() for path in (README, *DOCS.glob("*.md"))}
EVERYWHERE = "\n".join(PAGES.values())
BENCHMARK = r"python -m tests\.benchmarks\.([\w.]+)([^`]*)`"
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.S)
SPAN = r"`([^`\n]+)`"
PATH = r"[\w./]*(?:/|\.py)[\w./]*|pyproject\.toml"


def section(title):
    """The text under a heading, to the next of its rank or a higher one, without blocks of code."""
    rank = title.split()[0]
    found = re.search(rf"^{title}\n(.*?)(?=^#{{1,{len(rank)}}} |\Z)", TEXT, re.M | re.S)
    return re.sub(r"^```.*?^```$", "", found[1], flags=re.M | re.S)


def paragraphs(text):
    """Each paragraph, and each item of a list, as lines."""
    parts = re.split(r"\n\s*\n|\n(?=- )", text)
    return [part.strip() for part in parts if part.strip()]


def located(path):
    """A file or folder that is named by its place in the package or in the repository."""
    inside = ROOT / "ewm_studio" / path
    return inside if inside.exists() else ROOT / path


def words(text):
    """Identifiers in the spans of code that are neither paths nor commands; what is quoted in them is left out."""
    spans = [span for span in re.findall(SPAN, text) if not re.fullmatch(PATH, span)]
    plain = [re.sub(r'".*?"', "", span) for span in spans if not span.startswith(("--", "uv run"))]
    found = {word for span in plain for word in re.findall(r"[A-Za-z_]\w+", span) if span not in constants()}
    return {word for word in found if not keyword.iskeyword(word)}


def names(tree):
    """What a file defines or takes by a name: classes, functions, attributes, arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def defined():
    return {name for path in (ROOT / "ewm_studio").rglob("*.py") for name in names(parsed(path))}


@cache
def constants():
    """Texts in the code, such as the groups of entry points."""
    trees = [parsed(path) for path in (ROOT / "ewm_studio").rglob("*.py")]
    return {n.value for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) is str}


def test_every_flag_it_names_exists():
    others = {"--ui", "--cli", "--version", "--help"}
    others |= {
        "--torch-backend",
        "--group",
        "--extra",
        "--no-sync",
        "--check",
        "--head",
        "--generate",
        "--nproc-per-node",
    }  # uv's, ruff's, Ray's, torchrun's
    named = set(re.findall(r"--[a-z][a-z-]*", re.sub(BENCHMARK, "", EVERYWHERE)))
    assert named <= set(known_options()) | others


def test_every_benchmark_it_names_exists_with_its_flags():
    commands = re.findall(BENCHMARK, EVERYWHERE)
    assert len(commands) > 10
    for name, words in commands:
        place = ROOT / "tests" / "benchmarks" / name.replace(".", "/")
        source = (place / "__main__.py" if place.is_dir() else place.with_suffix(".py")).read_text()
        for shared in re.findall(r"from tests\.benchmarks\.(\w+) import", source):
            beside = ROOT / "tests" / "benchmarks" / f"{shared}.py"
            source += beside.read_text() if beside.exists() else ""
        for flag in re.findall(r"--[a-z][a-z-]*", words):
            assert f'"{flag}"' in source


def test_every_component_it_names_exists_and_none_is_missing():
    named = set(re.findall(r"^\|[^|]*\| `(\w+)` \|", TEXT, re.M))
    assert named == {name for kind in COMPONENTS for name in registry.components(kind)}


def test_every_command_parses():
    lines = [shlex.split(line) for line in re.findall(r"uv run ewm-studio ([a-z][^\n`#]*)", TEXT)]
    assert {line[0] for line in lines} >= {"train", "pretrain", "infer"}
    for command, *words in lines:
        job_parser(command).read(words, command)


def test_files_it_shows_are_there():
    for page, text in PAGES.items():
        for link in re.findall(r"\]\((?!http)([^)]+)\)", text):
            assert (page.parent / link).exists(), link
        for path in re.findall(r"resources/[\w/.-]+\w", text):
            assert (ROOT / path).exists(), path


def test_every_further_page_is_linked():
    assert len(PAGES) > 1
    for page in PAGES.keys() - {README}:
        assert f"]({page.relative_to(ROOT)})" in TEXT


def test_the_stair_is_that_of_the_contracts():
    block = re.search(r"^## Architecture\n.*?^```\n(.*?)^```", TEXT, re.M | re.S)[1]
    floors = {}
    for number, rooms in re.findall(r"^ *(\d+)  (\w+(?:, \w+)*)", block, re.M):
        floors.setdefault(int(number), set()).update(rooms.split(", "))
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (stair,) = (contract for contract in contracts if contract["name"] == "The stair")
    assert [floors[number] for number in sorted(floors, reverse=True)] == [
        set(re.findall(r"\w+", layer)) for layer in stair["layers"]
    ]
    assert sorted(floors) == list(range(1, len(floors) + 1))


def test_every_path_of_the_architecture_is_there():
    paths = [span for span in re.findall(SPAN, section("## Architecture")) if re.fullmatch(PATH, span)]
    assert len(set(paths)) > 40
    assert [path for path in paths if not located(path).exists()] == []


def test_what_the_architecture_says_is_in_a_file_is_there():
    pairs = re.findall(rf"{SPAN} \(`([\w/]+\.py)`[);]", " ".join(section("## Architecture").split()))
    assert len(pairs) > 20
    assert [pair for pair in pairs if pair[0] not in names(parsed(located(pair[1])))] == []


def test_every_class_of_the_architecture_exists():
    named = {word for word in words(section("## Architecture")) if word[0].isupper()}
    assert {"Simulator", "Belief", "Policy", "Learner", "JobSpec", "Services", "Field"} <= named
    assert named - defined() == set()


def test_what_an_interface_offers_is_in_its_files():
    interfaces = [p for p in paragraphs(section("## Architecture")) if re.match(r"- `\w+` \(`", p)]
    assert len(interfaces) == 10
    for text in interfaces:
        files = [located(span) for span in re.findall(SPAN, text) if span.endswith(".py")]
        assert words(text) - {name for file in files for name in names(parsed(file))} == set(), text


def test_what_is_added_takes_six_lines_and_only_names_that_exist():
    ways = {re.match(r"\*\*An? (\w+)\*\*", p)[1]: p for p in paragraphs(section("### Adding to it"))}
    assert list(ways) == ["component", "setting", "page", "job", "simulator"]
    for text in ways.values():
        assert len(text.splitlines()) <= 6
        assert words(text) - defined() == set(), text


def test_a_planner_a_chart_and_a_job_find_their_rooms():
    told = [p for p in paragraphs(section("### Where a file goes")) if p.startswith("- ")]
    for thing, path in (("planner", "acting/"), ("Runs page", "ui/runs/page.py"), ("gamepad", "jobs/kinds.py")):
        assert any(thing in text and f"`{path}`" in text for text in told), thing


def test_the_example_component_trains(tmp_path, monkeypatch):
    """The component of "Adding a component", pasted and chosen by its name."""
    names: dict = {"__name__": "pasted"}
    exec(compile(BLOCKS[2], "README.md", "exec"), names)
    found = {**registry.components("vision"), "MyVision": names["MyVision"]}
    plain = registry.components
    monkeypatch.setattr(registry, "components", lambda kind: found if kind == "vision" else plain(kind))
    result = finish(train(experiment(vision={"name": "MyVision", "latent_dim": 3}), Workspace(tmp_path)))
    assert "vision/reconstruction" in result["losses"]


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    short = BLOCKS[0].replace('"CartPole-v1"}', '"CartPole-v1"}, "train": {"total_steps": 1024}')
    exec(compile(short, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert out.startswith("RunStarted")
    assert "Finished" in out.splitlines()[-1]
    (model,) = Path("my-workspace").glob("runs/*/checkpoints/*.safetensors")
    loop = BLOCKS[1].replace("model.safetensors", str(model))
    exec(compile(loop, "README.md", "exec"), {})
    score = float(capsys.readouterr().out)
    import ewm_studio as ewm

    asked = ewm.Experiment.from_dict({"start": {"load_path": str(model)}, "infer": {"episodes": 1}})
    assert finish(ewm.infer(asked, ewm.Workspace("my-workspace")))["mean"] == pytest.approx(score)
