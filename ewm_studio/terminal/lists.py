"""The commands that list: components, environments, runs."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import TYPE_CHECKING, Any

from ewm_studio.errors import UserError
from ewm_studio.formatting import printable
from ewm_studio.terminal.output import print_json, stdout_to_stderr, write_line, write_styled

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from ewm_studio.workspace import RunInfo, Workspace
    from ewm_studio.workspace.pretrained import PretrainedModel


def list_components(kind: str | None, as_json: bool) -> int:
    """Print every component, or those of one kind, with its tags and its settings as JSON Schema."""
    with stdout_to_stderr():
        from ewm_studio.models.registry import broken_components, components
    from ewm_studio.settings.experiment import COMPONENTS

    found = [
        {
            "kind": each,
            "name": name,
            "tags": sorted(str(tag) for tag in cls.tags),
            "summary": cls.summary,
            "settings": cls.Settings.model_json_schema(),
        }
        for each in COMPONENTS
        if kind in (None, each)
        for name, cls in components(each).items()
    ]
    if as_json:
        print_json(found)
    else:
        print_table(("kind", "name", "tags", "summary"), found)
    for line in broken_components():
        write_line(line, error=True)
    return 0


def list_envs(part: str | None, describe: bool, as_json: bool) -> int:
    """Print the environments whose id contains `part`; their spaces with a part or on request, as that takes time.

    Raises:
        UserError: no id contains `part`.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    with stdout_to_stderr():  # packages that bring environments say hello
        from ewm_studio.envs.factory import describe_env, env_ids

        ids = [i for i in env_ids() if part is None or part.casefold() in i.casefold()]
        if not ids:
            raise UserError(f"no environment's id contains '{part}'; `ewm-studio envs` lists them all")
        rows: list[dict[str, Any]] = [{"id": i} for i in ids]
        if part is not None or describe:
            rows = [_described(row["id"], describe_env) for row in rows]
    if as_json:
        print_json(rows)
    else:
        print_table(tuple(dict.fromkeys(name for row in rows for name in row)), rows)
    return 0


def _described(env_id: str, describe_env: Any) -> dict[str, Any]:
    """An environment's row; one that cannot be made says why instead of ending the list."""
    try:
        return {"id": env_id, **describe_env(env_id)}
    except UserError as error:
        return {"id": env_id, "unusable": str(error)}


def list_runs(workspace: Workspace, as_json: bool) -> int:
    """Print the workspace's runs."""
    runs = workspace.runs()
    if as_json:
        print_json([dataclasses.asdict(run) | {"assessment": _assessment(run)} for run in runs])
    elif not runs:
        write_line("no runs yet; `ewm-studio train` makes the first")
    else:
        print_table(_RUN_COLUMNS, [_run_row(run) for run in runs])
    return 0


def _assessment(run: RunInfo) -> dict[str, Any] | None:
    """What `assess` found of a run's dreams; None where it was not assessed, or that cannot be read."""
    from ewm_studio.jobs.kept_assessment import kept_assessment

    with contextlib.suppress(UserError):
        return kept_assessment(run.folder)
    return None


def rebuild_runs(path: Path, as_json: bool) -> int:
    """Make the list of runs again from their folders, and print it."""
    from ewm_studio.workspace import Workspace

    workspace, aside = Workspace.rebuild(path)
    if aside is not None:
        write_line(f"the old database is kept as {aside}", error=True)
    return list_runs(workspace, as_json)


def list_models(workspace: Workspace, as_json: bool) -> int:
    """Print the models that come with the studio, and those that were pulled into the workspace."""
    from ewm_studio.workspace.pretrained import pretrained_models

    models, pulled = pretrained_models(), workspace.pulled_models()
    if as_json:
        others = [{"name": name, "path": str(path), "env": _env_of(path)} for name, path in pulled.items()]
        print_json([*({"name": m.name, "path": str(m.model), **m.card} for m in models), *others])
    elif not models and not pulled:
        write_line("no models come with this copy of the studio")
    else:
        rows = [_model_row(m) for m in models]
        rows += [{"name": n, "env": _env_of(p), "size": f"{p.stat().st_size / 1e6:.2f} MB"} for n, p in pulled.items()]
        print_table(("name", "env", "greedy_mean", "sampled_mean", "size"), rows)
    return 0


def _env_of(model: Path) -> str:
    """The environment that a model file is of; empty where it does not say."""
    from ewm_studio.workspace.models import read_metadata

    with contextlib.suppress(UserError, AttributeError):
        return str(read_metadata(model).get("env", {}).get("id", ""))
    return ""


def _model_row(model: PretrainedModel) -> dict[str, Any]:
    """What the table shows of a model."""
    means = {f"{mode}_mean": found["mean"] for mode, found in model.card["score"].items()}
    return {"name": model.name, "env": model.env, **means, "size": f"{model.card['bytes'] / 1e6:.2f} MB"}


_RUN_COLUMNS = ("name", "job", "parts", "state", "steps", "mean_reward", "best_reward", "seed")


def _run_row(run: RunInfo) -> dict[str, Any]:
    """What the table shows of a run."""
    parts = [str(part.get("name", "?")) for part in run.parts.values() if isinstance(part, dict)]
    return {**{column: getattr(run, column) for column in _RUN_COLUMNS}, "parts": " + ".join(parts)}


def print_table(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """Print rows as a table on stdout; in full where stdout is no terminal."""
    import sys

    from rich.console import Console
    from rich.table import Table

    from ewm_studio.terminal.prompt import escape

    table: Table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(escape(printable(_cell(row.get(column)))) for column in columns))
    shown = sys.stdout is not None and sys.stdout.isatty()  # None: closed, which is said when it is written to
    console = Console(width=None if shown else 200, highlight=False)
    with console.capture() as capture:
        console.print(table)
    write_styled("\n".join(line.rstrip() for line in capture.get().rstrip().splitlines()))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
