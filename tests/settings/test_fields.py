"""One declaration, one meaning: flags, `--set`, forms, the menu and files agree on every setting there is."""

import io
import json
import math
from functools import cache
from itertools import product

import pytest
from pydantic import BaseModel
from rich.console import Console

from ewm_studio.errors import UserError
from ewm_studio.models import registry
from ewm_studio.settings import EVERY, Experiment
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.settings.fields import Field, fields_of
from ewm_studio.settings.paths import COMPONENTS, SECTIONS, all_fields, parse_assignment
from ewm_studio.terminal.flags import Parser, add_flags, flags_of
from ewm_studio.terminal.prompt import Prompt

OWN = {
    f"{kind}.{name}": fields_of(kind, cls.Settings)
    for kind in COMPONENTS
    for name, cls in registry.components(kind).items()
}
FIELDS = [pytest.param(field, id=path) for path, field in all_fields().items()]
FIELDS += [pytest.param(field, id=f"{where}.{field.name}") for where, fields in OWN.items() for field in fields]
DECLARED = [pytest.param(field, id=path) for path, field in all_fields().items() if field.section not in COMPONENTS]
# Texts of a form of their own.
WORDS = {
    "run.device": "cpu",
    "start.patch": "vm",
    "controller.opposed": "0,1",
    "dream.vision_rounds": "1, 2",
    "controller.bin_values": "0, 1",
}


def schema_of(model: type[BaseModel], name: str) -> tuple[dict, list[dict]]:
    """What pydantic itself says of a setting: its schema, and those of the members of its union."""
    schema = model.model_json_schema()["properties"][name]
    return schema, schema.get("anyOf", [schema])


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_says_what_pydantic_says(field: Field):
    schema, members = schema_of(field.model, field.name)
    types = {member.get("type", "string") for member in members if "enum" not in member and "const" not in member}
    words = [w for m in members for w in m.get("enum", [m["const"]] if "const" in m else [])]
    assert field.optional == ("null" in types)
    assert list(field.choices) == words
    kinds = {"boolean": "switch", "integer": "integer", "number": "number", "object": "arguments"}
    expected = next(
        (kind for type_, kind in kinds.items() if type_ in types), "text" if "string" in types else "choice"
    )
    assert field.kind == expected
    assert field.auto == (expected in ("integer", "number") and "auto" in words)
    limits = {key: value for member in (schema, *members) for key, value in member.items()}
    low = {"minimum": False, "exclusiveMinimum": True}
    high = {"maximum": False, "exclusiveMaximum": True}
    for bound, keys in ((field.low, low), (field.high, high)):
        found = [(limits[key], is_open) for key, is_open in keys.items() if key in limits]
        assert ([(bound.value, bound.open)] if bound else []) == found
    assert (field.default, field.help) == (schema["default"], schema["description"])
    assert (field.unit, field.advanced) == (schema.get("unit", ""), schema.get("advanced", False))


def allowed(field: Field) -> list:
    """Values a setting takes: the ends of its range, its words, its emptiness."""
    values = [field.default, *field.choices]
    whole = field.kind == "integer"
    for bound, inward in ((field.low, 1), (field.high, -1)):
        if bound is not None:
            inside = bound.value + inward if whole else math.nextafter(bound.value, inward * math.inf)
            values.append(inside if bound.open else bound.value)
    values += [True, False] if field.kind == "switch" else []
    values += [WORDS.get(field.path, "some-thing")] if field.kind == "text" else []
    values += [{"a": True, "b": "8x8"}] if field.kind == "arguments" else []
    return [*values, None] if field.optional else values


def refused(field: Field) -> list:
    """Values just outside of its range, and of another kind."""
    values: list = []
    whole = field.kind == "integer"
    for bound, outward in ((field.low, -1), (field.high, 1)):
        if bound is not None:
            outside = bound.value + outward if whole else math.nextafter(bound.value, outward * math.inf)
            values.append(bound.value if bound.open else outside)
    if field.kind in ("integer", "number"):
        values += ["much", math.nan, *([2.5] if whole else [])]
    if field.kind in ("choice", "switch", "arguments"):
        values.append("perhaps")
    values += [{"a": None}, {"two words": 1}, {"render_mode": "human"}] if field.kind == "arguments" else []
    if not field.optional and field.kind not in ("text", "arguments"):  # an empty text is one, or none
        values.append(None)
    return values


def typed(value) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def by_form(field, value):
    return field.parse(typed(value))


def by_set(field, value):
    path, found = parse_assignment(f"{field.path}={typed(value)}")
    assert path == field.path
    return found


def by_flag(field, value):
    """Through the flag, where there is one; switches take no value."""
    command = next((c for c in EVERY if field in flags_of(c)), None)
    if command is None or field.kind == "switch":
        return by_form(field, value)
    return parser_of(command).read([f"--{field.flag}={typed(value)}"], command).overrides[field.path]


@cache
def parser_of(command):
    """Reading leaves no trace in a parser: one for all settings."""
    parser = Parser("ewm-studio", "")
    add_flags(parser, command)
    return parser


def by_file(field, value):
    # The experiment as a whole needs an end, whichever of the three is emptied.
    whole = {"train": {"total_steps": 1, "epochs": 1}, "world_model": {"frame_buffer": 0}}
    group = whole.get(field.section, {}) | {field.name: "" if value is None else value}
    return getattr(getattr(Experiment.from_dict({**whole, field.section: group}), field.section), field.name)


def by_document(field, value):
    document = ExperimentDocument(Experiment.from_dict({"train": {"epochs": 1}, "world_model": {"frame_buffer": 0}}))
    if field.path == "train.epochs":
        document.set("train.patience", 1)
    document.set(field.path, value)
    return document.value(field)


WAYS = [by_form, by_set, by_flag, by_file, by_document]


@pytest.mark.parametrize("field", DECLARED)
def test_every_way_takes_the_same_values(field: Field):
    values = allowed(field)
    if field.path == "warm_up.random_frames":
        values = [0]  # more of them need a buffer as large
    for way, value in product(WAYS, values):
        assert way(field, value) == value, way.__name__


@pytest.mark.parametrize("field", DECLARED)
def test_every_way_refuses_the_same_values(field: Field):
    for way, value in product(WAYS, refused(field)):
        with pytest.raises(UserError):
            pytest.fail(f"{way.__name__} took {value!r} for {way(field, value)!r}")


@pytest.mark.parametrize("fields", [pytest.param(fields, id=name) for name, fields in OWN.items()])
def test_a_components_own_settings_keep_to_their_ranges(fields):
    for field in fields:
        for value in allowed(field):
            if (field.model.__name__, field.name) not in SEVERAL_AGREE:
                assert field.parse(typed(value)) == value
        for value in refused(field):
            with pytest.raises(UserError):
                field.parse(typed(value))


# Checked together with others: JEPA's features are a multiple of its heads.
SEVERAL_AGREE = {("JEPASettings", "features"), ("JEPASettings", "heads"), ("JEPASettings", "predictor_features")}


@cache
def help_of(command):
    return " ".join(parser_of(command).format_help().split())


@pytest.mark.parametrize("section", [name for name in SECTIONS if name not in COMPONENTS])
def test_the_menu_and_help_show_unit_and_range(section):
    out = io.StringIO()
    fields = fields_of(section, SECTIONS[section])
    Prompt(Console(file=out, width=400)).show_fields(fields, [field.default for field in fields])
    rows = {line.split()[1]: line for line in out.getvalue().splitlines()[1:] if line.split()[0].isdecimal()}
    for field in fields:
        assert field.bounds in rows[field.name]
        assert field.unit in rows[field.name]
        for command in field.commands if field.flag else ():
            text = help_of(command)
            assert field.kind == "switch" or field.metavar in text
            assert field.bounds in text


def test_ranges_inside_a_union_are_read():
    fields = all_fields()
    assert fields["env.batch_size"].bounds == ">= 1, <= 4096"
    assert fields["env.idle_limit"].bounds == ">= 1, <= 1000000"
    assert fields["world_model.dropout"].bounds == ">= 0, < 1"
    assert fields["run.threads"].metavar == "N|auto"
    assert fields["vision.name"].flag == "vision"


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("train.total_steps", "250,000", 250_000),
        ("train.total_steps", "1 250 000", 1_250_000),
        ("train.total_steps", "1e6", 1_000_000),
        ("train.total_steps", "None", None),
        ("env.batch_size", "Auto", "auto"),
        ("ppo.lr", "'0.5'", 0.5),
        ("run.device", '"cpu"', "cpu"),
        ("start.load_path", "none", "none"),  # a run may be called so
        ("run.tensorboard", "true", True),
    ],
)
def test_what_a_person_types_is_understood(path, text, value):
    found = all_fields()[path].parse(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("ppo.lr", "much", "ppo.lr: should be a number (unable to parse 'much')"),
        ("ppo.gamma", "0,125", "ppo.gamma: should be a number (unable to parse '0,125')"),
        ("ppo.epochs", "2.5", "ppo.epochs: should be a whole number (found 2.5)"),
        ("env.batch_size", "many", "env.batch_size: should be a number or auto (unable to parse 'many')"),
        ("ppo.target_kl", "x", "ppo.target_kl: should be a number, or nothing (unable to parse 'x')"),
        ("ppo.lr", "-1", "ppo.lr: should be greater than 0 (found -1)"),
        ("ppo.lr_schedule", "flat", "ppo.lr_schedule: should be 'linear' or 'constant' (found 'flat')"),
    ],
)
def test_a_refusal_says_what_was_wrong(path, text, line):
    field = all_fields()[path]
    with pytest.raises(UserError) as refusal:
        field.parse(text, path)
    assert str(refusal.value) == line
    with pytest.raises(UserError) as bare:
        field.parse(text)
    reason = line.removeprefix(f"{path}: ").rpartition(" (")[0]
    assert str(bare.value) == reason[0].upper() + reason[1:]
