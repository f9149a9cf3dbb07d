"""The flags of the commands, made from the declarations of the settings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import cache
from typing import Any, NoReturn

from ewm_studio.errors import UserError, nearest
from ewm_studio.jobs.kinds import KINDS, job_kind
from ewm_studio.settings import EVERY
from ewm_studio.settings.arguments import read_argument, read_arguments
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.settings.fields import Field
from ewm_studio.settings.paths import all_fields, parse_assignment
from ewm_studio.terminal.output import write_line

TRUST_HELP = "Import the module that a file names for its environment (module:Id-v0), now and from now on."
# Words for the opposite of a switch that read better than `--no-`.
_OPPOSITES = {"greedy": "sample"}


@cache
def declared_flags() -> tuple[Field, ...]:
    """Every setting that has a flag, in the order of declaration."""
    return tuple(field for field in all_fields().values() if field.flag)


def options_of(field: Field) -> tuple[str, ...]:
    """How a setting's flag is written, the opposite of a switch last."""
    if field.kind != "switch":
        return (f"--{field.flag}",)
    return f"--{field.flag}", f"--{_OPPOSITES.get(field.flag, f'no-{field.flag}')}"


# Flags that are no settings, and the commands that know them.
_OTHERS: dict[str, tuple[str, ...]] = {
    "--config": EVERY,
    "--set": EVERY,
    "--trust-env": (*EVERY, "export"),
    "--resume": tuple(kind.name for kind in KINDS.values() if kind.may_resume),
    "--load-path": ("export",),
    "--seed": ("export",),
    "--onnx": ("export",),
    "--workspace": (*EVERY, "components", "envs", "runs", "recordings", "study", "export", "models"),
    "--private": ("models push",),
    "--revision": ("models pull",),
    "--rebuild": ("runs",),
    "--json": (*EVERY, "components", "envs", "runs", "recordings", "study", "export", "models"),
    "--kind": ("components",),
    "--describe": ("envs",),
    "--name": ("recordings import", "models pull"),
    "--min-return": ("recordings import",),
    "--max-return": ("recordings import",),
    "--remote": ("recordings datasets",),
    "--into": ("recordings merge", "study share"),
    "--parallel": ("study run",),
    "--retry-failed": ("study run",),
    "--on": ("study run",),
    "--preset": ("study report",),
    "--out": ("study report", "study share", "card"),
}


@cache
def flags_of(command: str) -> tuple[Field, ...]:
    """The settings whose flags have a meaning on a command."""
    return tuple(field for field in declared_flags() if command in field.commands)


@cache
def known_options() -> dict[str, tuple[str, ...]]:
    """Every option of every command, with the commands on which it has a meaning."""
    found: dict[str, list[str]] = {option: list(commands) for option, commands in _OTHERS.items()}
    for field in declared_flags():
        for option in options_of(field):
            found.setdefault(option, []).extend(field.commands)
    return {option: tuple(dict.fromkeys(commands)) for option, commands in found.items()}


class Helped(SystemExit):
    """All that was asked for was help, and it was printed."""


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

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help by the one way in which all is printed; argparse's own keeps quiet where nothing can be."""
        if message:
            write_line(message.rstrip("\n"))

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End as `--help` does; no other SystemExit is a good end."""
        raise Helped(status)

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

    def __init__(self, field: Field, **options: Any) -> None:
        super().__init__(nargs=0 if field.kind == "switch" else None, **options)
        self.field = field

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        if self.field.kind == "arguments":
            self._add_arguments(namespace, str(values), option or "")
            return
        switch = self.field.kind == "switch"
        value = option == self.option_strings[0] if switch else self.field.parse(str(values), option or "")
        _note(namespace, self.field.path, value)

    def _add_arguments(self, namespace: argparse.Namespace, text: str, option: str) -> None:
        """One more argument beside those given before; or a JSON object of several."""
        given = getattr(namespace, "overrides", {}).get(self.field.path, {})
        whole = text.lstrip().startswith("{")
        more = read_arguments(text, option) if whole else dict([read_argument(text, option)])
        _note(namespace, self.field.path, {**given, **more})


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
    for field in flags_of(command):
        section = "components" if field.section in COMPONENTS else field.section.replace("_", " ")
        if section not in groups:
            groups[section] = parser.add_argument_group(section)
        groups[section].add_argument(
            *options_of(field),
            action=_Value,
            field=field,
            dest=argparse.SUPPRESS,
            default=argparse.SUPPRESS,
            metavar=None if field.kind == "switch" else field.metavar,
            help=_help(field),
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
    group.add_argument("--trust-env", action="store_true", help=TRUST_HELP)
    if job_kind(command).may_resume:
        group.add_argument("--resume", metavar="RUN", help="Go on with this run where it was stopped.")
    add_place(group)


def add_place(group: argparse._ActionsContainer) -> None:
    """`--workspace` and `--json`, which every command has."""
    group.add_argument("--workspace", metavar="DIR", help="Folder that holds runs, recordings and models.")
    group.add_argument("--json", action="store_true", help="Print the result as one JSON object on one line of stdout.")


def _help(field: Field) -> str:
    if field.kind == "switch":
        facts = f"default: {options_of(field)[0 if field.default else 1]}"
    else:
        default = "none" if field.default is None else f"{field.default} {field.unit}".strip()
        facts = "; ".join(filter(None, (field.bounds, f"default: {default}")))
    return f"{field.help} [{facts}]".replace("%", "%%")
