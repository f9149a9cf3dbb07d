"""What `--from` names: a place in a replay or a recording, a fresh track, or nothing real."""

from __future__ import annotations

from ewm_studio.data.library import Library
from ewm_studio.driving.dream_beginning import FromNowhere, FromRecording, FromReplay, FromTrack, Source
from ewm_studio.errors import UserError, nearest
from ewm_studio.settings.typed_path import typed_path
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.replays import SUFFIX

WAYS = "give RUN/EPISODE:FRAME, RECORDING/EPISODE:FRAME, a .replay or .h5 file:FRAME, track:SEED or random:SEED"


def source_of(text: str | None, workspace: Workspace) -> Source:
    """Where a dream is to begin, of its words.

    Raises:
        UserError: there is no such place; says what can be given.
    """
    if not text:
        raise UserError(f"dream_drive.start: say where the dream begins, with --from; {WAYS}")
    what, colon, number = text.rpartition(":")
    if not colon or not number.isdecimal() or len(number) > 9:
        raise UserError(f"--from {text:.80}: {WAYS}")
    if what == "track":
        return FromTrack(int(number))
    if what == "random":
        return FromNowhere(int(number))
    if what.endswith(SUFFIX):
        path = typed_path(what, "--from")
        return FromReplay(path, int(number), f"replay {path.stem}")
    if what.endswith(".h5"):
        return FromRecording(typed_path(what, "--from"), int(number))
    folder, slash, episode = what.rpartition("/")
    if not slash or not episode.isdecimal() or len(episode) > 9:
        raise UserError(f"--from {text:.80}: {WAYS}")
    return _named(folder, int(episode), int(number), workspace)


def _named(name: str, episode: int, frame: int, workspace: Workspace) -> Source:
    """A place in a recording, or in the newest evaluation of a run; episodes are counted from 1."""
    library = Library(workspace)
    if name in library.names():
        paths = [info.path for info in library.find(name).episodes]
        _check(episode, len(paths), f"recording {name}")
        return FromRecording(paths[episode - 1], frame)
    evaluations = [found for found in workspace.evaluations() if found.run == name or found.name == name]
    if not evaluations:
        known = [*library.names(), *dict.fromkeys(found.run for found in workspace.evaluations() if found.run)]
        raise UserError(f"no recording and no evaluated run '{name:.80}'; {nearest(name, known)}")
    played = evaluations[0].episodes()
    _check(episode, len(played), f"the newest evaluation of {name}")
    return FromReplay(played[episode - 1].path, frame, f"replay {episode} of {name}")


def _check(episode: int, count: int, what: str) -> None:
    if not 1 <= episode <= count:
        raise UserError(f"{what} has no episode {episode}; give one from 1 to {count}")
