"""Joins the recordings panel to the workspace's recordings and to the job that learns while somebody drives."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from ewm_studio import formatting as format
from ewm_studio.data.idle import trim, trim_all
from ewm_studio.data.library import Binned, Library, RecordingInfo
from ewm_studio.data.pictures import EpisodeFrames, episode_frames, thumbnail
from ewm_studio.data.recordings import EpisodeInfo
from ewm_studio.ui.kit.dialogs import TextQuestion
from ewm_studio.ui.recordings.dialogs import MergeDialog, PretrainDialog
from ewm_studio.ui.recordings.episode_list import THUMBNAIL
from ewm_studio.ui.recordings.episode_player import EpisodePlayer
from ewm_studio.ui.recordings.minari_controller import MinariController
from ewm_studio.ui.recordings.panel import RecordingsPanel
from ewm_studio.ui.services import Services
from ewm_studio.workspace.workspace import name_problem

NAME_RECORDINGS = ("data.recording", "warm_up.recording")
AT_ONCE = 16  # small pictures made between two looks at whether another recording is shown


class RecordingsController(QObject):
    """Does what the panel asks for; all work on files is off the GUI thread."""

    pretrain_asked = Signal(str, float)  # recordings by name, set apart by commas; share of random frames

    def __init__(self, panel: RecordingsPanel, services: Services, parent: QObject) -> None:
        super().__init__(parent)
        self._panel, self._services, self._background = panel, services, services.background
        self._library = Library(services.workspace)
        self._last: list[Binned] = []  # what went to the bin last
        self._minari = MinariController(services, self._import, self)
        panel.recording_chosen.connect(lambda _: self._load())
        panel.episode_asked.connect(self._on_episode)
        panel.asked.connect(self._on_asked)
        panel.pretrain_asked.connect(self._choose_to_pretrain)
        panel.undo_asked.connect(self._undo)

    def show_workspace(self) -> None:
        """Work on the recordings of the workspace that is open now; `refresh` lists them."""
        self._library = Library(self._services.workspace)
        self._last = []
        self._panel.show_note("")
        self._panel.show_recordings([])

    def refresh(self, choose: str = "") -> None:
        """List the recordings anew, and show `choose` where it is there."""
        library = self._library

        def show(found: list[RecordingInfo]) -> None:
            if library is self._library:
                self._panel.show_recordings(found, choose)
                self._load()

        self._background(library.recordings, show)

    def episode_kept(self, recording: str, path: str) -> None:
        """An episode was recorded: it is shown."""
        self.refresh(recording)

    def discard(self, path: Path) -> None:
        """An episode was discarded while it was driven: it goes to the bin, and can be taken back."""
        done = f"{path.name} is in the bin"
        self._change(lambda: self._library.delete_episode(path), done, f"delete {path.name}")

    # Episodes

    def _load(self) -> None:
        library, name = self._library, self._panel.chosen
        if not name:
            return

        def read() -> list[EpisodeInfo]:
            return library.find(name).episodes

        def show(episodes: list[EpisodeInfo]) -> None:
            if library is self._library and name == self._panel.chosen:
                self._panel.show_episodes(episodes)
                self._make_pictures()

        self._background(read, show)

    def _make_pictures(self) -> None:
        """Small pictures of the rows that have none, a few at a time."""
        missing = self._panel.list.episodes.without_picture()[:AT_ONCE]
        if not missing:
            return

        def show(pictures: list[Any]) -> None:
            for info, picture in zip(missing, pictures, strict=True):
                self._panel.list.episodes.show_picture(info, picture)
            if any(info in self._panel.list.episodes.episodes for info in missing):
                self._make_pictures()

        self._background(lambda: [thumbnail(info.path, 2 * THUMBNAIL) for info in missing], show)

    def _on_episode(self, what: str, info: EpisodeInfo) -> None:
        if what == "delete":
            self.discard(info.path)
        elif what == "trim":
            self._trim(lambda: [trim(self._library, info.path)], f"trim {info.path.name}")
        else:
            self._background(lambda: episode_frames(info.path), partial(self._play, info, what == "cut"))

    def _play(self, info: EpisodeInfo, cutting: bool, shown: EpisodeFrames) -> None:
        player = EpisodePlayer(info, shown, self._panel.window(), cutting)
        player.cut_asked.connect(lambda begin, end: self._cut(info, begin, end))
        player.open()

    def _cut(self, info: EpisodeInfo, begin: int, end: int) -> None:
        done = f"Kept {format.count(end - begin)} of {format.count(info.length)} steps"
        self._change(lambda: self._library.cut(info.path, begin, end), done, f"cut {info.path.name}")

    def _trim(self, work: Callable[[], Sequence[Binned | None]], doing: str) -> None:
        """Cut idle ends, and say of how many episodes."""

        def told(cut: Sequence[Binned | None]) -> str:
            count = len([each for each in cut if each is not None])
            return f"{format.count(count)} episode{'s' * (count != 1)} trimmed" if count else "Nothing idle at the ends"

        self._change(work, told, doing)

    def _change(
        self,
        work: Callable[[], Binned | Sequence[Binned | None]],
        done: str | Callable[[Sequence[Binned | None]], str],
        doing: str,
    ) -> None:
        """Do something that can be undone: what was done, and what was to be done, in words."""
        self._panel.show_note("Working …")

        def show(found: Binned | Sequence[Binned | None]) -> None:
            binned = [found] if isinstance(found, Binned) else found
            self._last = [each for each in binned if each is not None]
            self._panel.show_note(done if isinstance(done, str) else done(binned), undo=bool(self._last))
            self.refresh()

        def fail(error: BaseException) -> None:
            self._panel.show_note("")
            self._services.notices.fail(error, doing)

        self._background(work, show, fail)

    def _undo(self) -> None:
        last, self._last, library = self._last, [], self._library
        if not last:
            return
        origin = last[0].origin
        restored = origin.name if origin.suffix == "" else origin.parent.name
        self._do(lambda: [library.restore(binned) for binned in last], "Taken back", "take it back", restored)

    def _do(
        self,
        work: Callable[[], object],
        done: str,
        doing: str,
        choose: str = "",
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Do something and say so: what was done, and what was to be done, in words."""
        self._panel.show_note("Working …")

        def show(_: object) -> None:
            then()
            self._panel.show_note(done)
            self.refresh(choose)

        def fail(error: BaseException) -> None:
            self._panel.show_note("")
            self._services.notices.fail(error, doing)

        self._background(work, show, fail)

    # Recordings

    def _on_asked(self, what: str) -> None:
        library, name, window = self._library, self._panel.chosen, self._panel.window()
        if what == "rename":
            problem = partial(name_problem, taken=self._taken() - {name})
            then = partial(self._rename, name)
            TextQuestion("Rename the recording", "Its new name", name, window, then, problem).open()
        elif what == "delete_recording":
            self._change(lambda: library.delete(name), f"{name} is in the bin", f"delete {name}")
        elif what == "trim_all":
            self._trim(lambda: trim_all(library, name), f"trim {name}")
        elif what == "merge":
            merge = MergeDialog(self._panel.recordings, name, window, partial(name_problem, taken=self._taken()))
            merge.chosen.connect(self._merge)
            merge.open()
        elif what == "export":
            words = "Id of the Minari dataset, ending in a version"
            TextQuestion(
                "Export to Minari", words, f"{name}-v0", window, partial(self._export, name), id_problem
            ).open()
        else:
            self._minari.open(window, partial(name_problem, taken=self._taken()))

    def _taken(self) -> set[str]:
        """The names that are in use."""
        return {info.name for info in self._panel.recordings}

    def _rename(self, name: str, new: str) -> None:
        library = self._library

        def follow() -> None:
            if library is self._library:
                self._services.document.follow_rename(partial(_renamed, name, new), *NAME_RECORDINGS)

        self._do(lambda: library.rename(name, new), f"{name} is {new} now", f"rename {name}", new, follow)

    def _merge(self, names: Sequence[str], into: str) -> None:
        done = f"{len(names)} recordings copied into {into}"
        self._do(lambda: self._library.merge(names, into), done, "merge the recordings", into)

    def _export(self, name: str, dataset: str) -> None:
        self._do(
            lambda: _export(self._library, name, dataset), f"{name} is the Minari dataset {dataset}", f"export {name}"
        )

    def _import(self, dataset: str, name: str, least: float, most: float) -> None:
        done, library = f"{dataset} is imported", self._library
        self._do(lambda: _import(library, dataset, name, (least, most)), done, f"import {dataset}", name)

    def _choose_to_pretrain(self) -> None:
        dialog = PretrainDialog(self._panel.recordings, self._panel.chosen, self._panel.window())
        dialog.chosen.connect(lambda names, share: self.pretrain_asked.emit(",".join(names), share))
        dialog.open()


def _renamed(old: str, new: str, names: str) -> str:
    """Names of recordings, of which one is called otherwise now."""
    return ",".join(new if name.strip() == old else name for name in names.split(","))


def id_problem(dataset: str) -> str:
    """Why a Minari dataset cannot be called so, in a sentence; empty where it can."""
    if re.fullmatch(r"(?:[\w-]+/)*[\w-]+-v\d+", dataset, re.ASCII):
        return ""
    return "An id ends in a version and has no blanks, such as my-laps-v0 or carracing/my-laps-v0."


def _export(library: Library, name: str, dataset: str) -> None:
    from ewm_studio.data.minari import export_recording

    export_recording(library.find(name), dataset)


def _import(library: Library, dataset: str, name: str, returns: tuple[float, float]) -> None:
    from ewm_studio.data.minari import import_dataset

    import_dataset(library, dataset, name, returns=returns)
