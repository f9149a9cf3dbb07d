"""The flags of the commands, made from the declarations of the settings."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType
from typing import Any, Literal, NoReturn, get_args, get_origin

from pydantic.fields import FieldInfo

from ewm_studio.errors import UserError, nearest
from ewm_studio.jobs.kinds import KINDS, job_kind
from ewm_studio.settings import EVERY, declared
from ewm_studio.settings.paths import COMPONENTS, SECTIONS, parse_assignment, read_value

# Words for the opposite of a switch that read better than `--no-`.
_OPPOSITES = {"greedy": "sample"}
# A component is chosen where a model is made; elsewhere the loaded model brings its own.
_COMPONENT_COMMANDS = ("train", "pretrain")


@dataclass(frozen=True)
class Flag:
    """One setting's flag: its name without dashes, the `section.field` it sets, and where it has a meaning."""

    name: str
    path: str
    commands: tuple[str, ...]
    info: FieldInfo
    default: Any

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value: `--x` and `--no-x`."""
        return self.info.annotation is bool

    @property
    def options(self) -> tuple[str, ...]:
        """How it is written, the opposite of a switch last."""
        if not self.is_switch:
            return (f"--{self.name}",)
        opposite = _OPPOSITES.get(self.name, f"no-{self.name}")
        return f"--{self.name}", f"--{opposite}"


@cache
def declared_flags() -> tuple[Flag, ...]:
    """Every flag that the settings declare, in their order."""
    return tuple(_declared())


def _declared() -> Iterator[Flag]:
    for section, model in SECTIONS.items():
        if section in COMPONENTS:
            info = model.model_fields["name"]
            yield Flag(section, f"{section}.name", _COMPONENT_COMMANDS, info, info.default)
            continue
        for name, info in model.model_fields.items():
            extra = declared(info)
            if extra.get("flag"):
                yield Flag(extra["flag"], f"{section}.{name}", tuple(extra["commands"]), info, info.default)


# Flags that are no settings, and the commands that know them.
_OTHERS: dict[str, tuple[str, ...]] = {
    "--config": EVERY,
    "--set": EVERY,
    "--resume": tuple(kind.name for kind in KINDS.values() if kind.may_resume),
    "--workspace": (*EVERY, "components", "envs", "runs", "recordings"),
    "--json": (*EVERY, "components", "envs", "runs", "recordings"),
    "--kind": ("components",),
    "--describe": ("envs",),
    "--name": ("recordings import",),
    "--into": ("recordings merge",),
}


@cache
def flags_of(command: str) -> tuple[Flag, ...]:
    """The flags that have a meaning on a command."""
    return tuple(flag for flag in declared_flags() if command in flag.commands)


@cache
def known_options() -> dict[str, tuple[str, ...]]:
    """Every option of every command, with the commands on which it has a meaning."""
    found: dict[str, list[str]] = {option: list(commands) for option, commands in _OTHERS.items()}
    for flag in declared_flags():
        for option in flag.options:
            found.setdefault(option, []).extend(flag.commands)
    return {option: tuple(dict.fromkeys(commands)) for option, commands in found.items()}


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, and which never guesses at shortened flags."""

    def __init__(self, prog: str, description: str, epilog: str | None = None) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Turn argparse's usage dump into one line."""
        raise UserError(f"{message.removeprefix('argument ')}; see {self.prog} --help")

    def read(self, argv: Sequence[str], command: str = "") -> argparse.Namespace:
        """Parse everything; what is left over is refused, with the nearest flags or where it has a meaning."""
        namespace, left = self.parse_known_args(join_negative_numbers(argv))
        if left:
            self._refuse(left, command)
        return namespace

    def _refuse(self, left: list[str], command: str) -> NoReturn:
        wrong = next((word for word in left if word.startswith("-")), None)
        if wrong is None:
            self.error(f"'{left[0]}' is not expected here")
        option = wrong.partition("=")[0]
        if command and option in known_options():
            places = ", ".join(known_options()[option])
            self.error(f"{option} has no meaning for {command}; it belongs to {places}")
        own = [word for word in self._option_string_actions if word.startswith("--")]
        self.error(f"no flag {option}; {nearest(option, own)}")


def join_negative_numbers(argv: Sequence[str]) -> list[str]:
    """`--x -1e-3` as `--x=-1e-3`, which argparse would take for a flag without a value."""
    joined: list[str] = []
    for word in argv:
        last = joined[-1] if joined else ""
        if last.startswith("--") and "=" not in last and len(last) > 2 and _is_negative_number(word):
            joined[-1] = f"{last}={word}"
        else:
            joined.append(word)
    return joined


def _is_negative_number(word: str) -> bool:
    if not word.startswith("-"):
        return False
    try:
        float(word)
    except ValueError:
        return False
    return True


class _Value(argparse.Action):
    """Checks a flag's value against its setting and notes it, later ones over earlier ones."""

    def __init__(self, flag: Flag, **options: Any) -> None:
        super().__init__(nargs=0 if flag.is_switch else None, **options)
        self.flag = flag

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        if self.flag.is_switch:
            value: Any = option == self.flag.options[0]
        else:
            value = read_value(self.flag.path, str(values), option)
        _note(namespace, self.flag.path, value)


class _Set(argparse.Action):
    """`--set section.field=value`."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        _note(namespace, *parse_assignment(str(values)))


def _note(namespace: argparse.Namespace, path: str, value: Any) -> None:
    overrides = {**getattr(namespace, "overrides", {})}
    overrides.pop(path, None)
    namespace.overrides = {**overrides, path: value}


def add_flags(parser: argparse.ArgumentParser, command: str) -> None:
    """Give a command's parser the flags that have a meaning there; the result is `namespace.overrides`."""
    parser.set_defaults(overrides={})
    groups: dict[str, argparse._ArgumentGroup] = {}
    for flag in flags_of(command):
        section = "components" if flag.name in COMPONENTS else flag.path.partition(".")[0].replace("_", " ")
        group = groups.setdefault(section, parser.add_argument_group(section))
        group.add_argument(
            *flag.options,
            action=_Value,
            flag=flag,
            dest=argparse.SUPPRESS,
            default=argparse.SUPPRESS,
            metavar=None if flag.is_switch else _metavar(flag),
            help=_help(flag),
        )


def add_common(parser: argparse.ArgumentParser, command: str) -> None:
    """Flags of the jobs that are no settings."""
    group = parser.add_argument_group("experiment")
    group.add_argument("--config", metavar="FILE.toml", help="Take the settings from this file; flags win over it.")
    group.add_argument(
        "--set",
        action=_Set,
        dest=argparse.SUPPRESS,
        default=argparse.SUPPRESS,
        metavar="SECTION.FIELD=VALUE",
        help="Set any setting, also a component's own: --set vision.latent_dim=64. May be given many times.",
    )
    if job_kind(command).may_resume:
        group.add_argument("--resume", metavar="RUN", help="Go on with this run where it was stopped.")
    add_place(group)


def add_place(group: argparse._ActionsContainer) -> None:
    """`--workspace` and `--json`, which every command has."""
    group.add_argument("--workspace", metavar="DIR", help="Folder that holds runs, recordings and models.")
    group.add_argument("--json", action="store_true", help="Print the result as one JSON object on one line of stdout.")


def _metavar(flag: Flag) -> str:
    if flag.name in COMPONENTS:
        return "NAME"
    words: list[str] = []
    kinds: list[str] = []
    for kind in _alternatives(flag.info.annotation):
        if get_origin(kind) is Literal:
            words.extend(str(value) for value in get_args(kind))
        elif kind is not NoneType:
            kinds.append({int: "N", float: "X", str: "TEXT"}.get(kind, "VALUE"))
    return "|".join([*kinds, *words])


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, each without its Annotated wrapping."""
    if get_origin(annotation) is Literal or not get_args(annotation):
        return [annotation]
    if hasattr(annotation, "__metadata__"):
        return _alternatives(get_args(annotation)[0])
    return [member for part in get_args(annotation) for member in _alternatives(part)]


def _help(flag: Flag) -> str:
    unit = unit_of(flag.info)
    if flag.is_switch:
        facts = f"default: {flag.options[0 if flag.default else 1]}"
    else:
        default = "none" if flag.default is None else flag.default
        facts = f"default: {default}{' ' + unit if unit and flag.default is not None else ''}"
        facts = "; ".join(filter(None, (bounds_of(flag.info), facts)))
    return f"{flag.info.description} [{facts}]".replace("%", "%%")


def unit_of(info: FieldInfo) -> str:
    """What a setting's number counts; empty where it counts nothing."""
    return str(declared(info).get("unit", ""))


def bounds_of(info: FieldInfo) -> str:
    """The range a number must lie in, as a person writes it: "> 0, <= 1"."""
    metadata = list(info.metadata)
    for part in get_args(info.annotation):
        for wrapped in getattr(part, "__metadata__", ()):
            metadata.extend(getattr(wrapped, "metadata", [wrapped]))
    signs = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
    found = [
        f"{sign} {getattr(constraint, name)}"
        for name, sign in signs
        for constraint in metadata
        if getattr(constraint, name, None) is not None
    ]
    return ", ".join(found)
