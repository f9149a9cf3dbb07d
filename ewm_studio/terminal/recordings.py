"""The command `recordings`: lists them, merges them, and exchanges them with Minari."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ewm_studio.terminal.flags import Parser, add_place
from ewm_studio.terminal.lists import print_table
from ewm_studio.terminal.output import print_json, summary, write_line

if TYPE_CHECKING:
    from ewm_studio.data.library import Library, RecordingInfo

ACTIONS = {
    "export": "Write a recording as a Minari dataset, without loss.",
    "import": "Read a Minari dataset of this machine into a new recording.",
    "datasets": "List the Minari datasets of this machine or public ones, or tell returns and lengths of one.",
    "trim": "Cut the steps at the ends of a recording's episodes in which nothing is done; the wholes go to the bin.",
    "merge": "Copy the episodes of several recordings of one environment into a new one.",
}
_QUARTERS = {"min": 0.0, "25%": 0.25, "median": 0.5, "75%": 0.75, "max": 1.0}
_COLUMNS = ("name", "env", "episodes", "frames", "mean_reward", "driven", "source", "size")


def list_recordings(library: Library, as_json: bool) -> int:
    """Print the workspace's recordings."""
    found = library.recordings()
    if as_json:
        print_json([dataclasses.asdict(info) for info in found])
    elif not found:
        write_line("no recordings yet; `ewm-studio record` makes the first")
    else:
        print_table(_COLUMNS, [_row(info) for info in found])
    return 0


def _row(info: RecordingInfo) -> dict[str, Any]:
    """What the table shows of a recording."""
    shown = {name: getattr(info, name) for name in ("name", "env", "episodes", "frames", "mean_reward")}
    size = f"{info.bytes / 1e6:.1f} MB"
    return {**shown, "driven": f"{info.manual_share:.0%}", "source": info.sources, "size": size}


def action_parser(action: str) -> Parser:
    """The parser of one of the actions."""
    parser = Parser(f"ewm-studio recordings {action}", ACTIONS[action])
    if action == "export":
        parser.add_argument("recording", metavar="NAME", help="The recording.")
        parser.add_argument("dataset", metavar="DATASET-ID", help="Such as my-laps-v0 or carracing/my-laps-v0.")
    elif action == "import":
        parser.add_argument("dataset", metavar="DATASET-ID", help="As `minari list local` gives it.")
        parser.add_argument("--name", metavar="NAME", default="", help="Of the recording; the dataset's by default.")
        parser.add_argument(
            "--env", metavar="ID", default="", help="The environment it is of, where the dataset does not say."
        )
        _add_returns(parser)
    elif action == "trim":
        parser.add_argument("recording", metavar="NAME", help="The recording.")
    elif action == "datasets":
        parser.add_argument("dataset", metavar="DATASET-ID", nargs="?", help="Only this: its returns and lengths.")
        parser.add_argument("--remote", action="store_true", help="Public ones instead; asks the Hub, extra 'hub'.")
    else:
        parser.add_argument("recordings", metavar="NAME", nargs="+", help="The recordings, at least two.")
        parser.add_argument("--into", metavar="NAME", required=True, help="The new recording.")
    add_place(parser)
    return parser


def _add_returns(parser: Parser) -> None:
    """Which episodes are wanted."""
    for name, default, word in (("min", -math.inf, "less"), ("max", math.inf, "more")):
        parser.add_argument(
            f"--{name}-return",
            type=float,
            default=default,
            metavar="REWARD",
            help=f"Leaves out episodes that earned {word}; `recordings datasets ID` tells what they earned.",
        )


def act(action: str, options: Any, library: Library) -> int:
    """Do one of the actions and print what came of it.

    Raises:
        UserError: bad input. JobError: the disk is full.
    """
    if action == "datasets":
        return _datasets(options)
    if action == "merge":
        result = _told(library, library.merge(options.recordings, options.into).name)
    elif action == "trim":
        from ewm_studio.data.idle import trim_all

        cut = trim_all(library, options.recording)
        result = _told(library, options.recording) | {"trimmed": len(cut)}
    else:
        from ewm_studio.data import minari

        if action == "export":
            recording = library.find(options.recording)
            place = minari.export_recording(recording, options.dataset, _tell)
            result = _told(library, options.recording) | {"dataset": options.dataset, "folder": str(place)}
        else:
            returns = (options.min_return, options.max_return)
            place = minari.import_dataset(library, options.dataset, options.name, options.env, _tell, returns)
            result = _told(library, place.name) | {"dataset": options.dataset}
    if options.json:
        print_json(result)
    else:
        write_line(summary(result))
    return 0


def _datasets(options: Any) -> int:
    """List datasets, or tell what one holds."""
    from ewm_studio.data import minari_catalog

    if options.dataset:
        found = minari_catalog.dataset_episodes(options.dataset)
        result: dict[str, Any] = {"dataset": options.dataset, "episodes": len(found.returns)}
        for name, values in (("return", found.returns), ("length", found.lengths)):
            if len(values):
                quarters = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
                result |= dict(
                    zip((f"{name}_{q}" for q in ("min", "25%", "median", "75%", "max")), quarters, strict=True)
                )
        if options.json:
            print_json(result | {"returns": found.returns.tolist(), "lengths": found.lengths.tolist()})
        else:
            write_line(summary(result))
        return 0
    listed = minari_catalog.remote_datasets() if options.remote else minari_catalog.local_datasets()
    if options.json:
        print_json([dataclasses.asdict(info) for info in listed])
    elif not listed:
        write_line("no Minari datasets on this machine; `recordings datasets --remote` lists public ones")
    else:
        rows = [{**dataclasses.asdict(info), "size": f"{info.megabytes:.1f} MB"} for info in listed]
        print_table(("id", "env", "episodes", "steps", "size"), rows)
    return 0


def _tell(done: int, total: int) -> None:
    """Progress, for those who wait."""
    if done == total or done % 100 == 0:
        write_line(f"{done} of {total} episodes", error=True)


def _told(library: Library, name: str) -> dict[str, Any]:
    recording = library.find(name)
    folder = str(recording.folder)
    return {"recording": name, "episodes": len(recording), "frames": recording.step_count, "folder": folder}
