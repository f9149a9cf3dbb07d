"""`python -m ewm_studio.ui.window.screenshots OUT_DIR [MODEL]`: every page, both themes, two sizes, on short real runs.

With a model of CarRacing, a `.safetensors` file, also what it does there, on the Replay page.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from ewm_studio.ui.page import PageController
    from ewm_studio.ui.window.studio import Studio

C = TypeVar("C", bound="PageController")
SIZES = ((1280, 800), (1920, 1080))
CARTPOLE_STEPS = 60_000
RACING_FRAMES = 2_000
RACING_EPOCHS = 8
DREAMT = 40  # decisions
PATIENCE_SECONDS = 1200.0
_STUDY = Path("workspaces/which-memory-drives/cartpole-memories")
SETTLED, CALM = 900, 8000  # milliseconds: drawn; and no longer late by the last change of size and theme


def main(folder: str, model: str = "") -> int:
    """Render everything into a folder; returns the exit code."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtCore import QSettings

    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as aside:
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, aside)
        _render(out, Path(aside) / "demo", model)
    return 0


def _render(out: Path, workspace: Path, model: str) -> None:
    from ewm_studio.ui.window.app import make_app
    from ewm_studio.ui.window.studio import Studio
    from ewm_studio.workspace import Workspace

    make_app()
    studio = Studio(Workspace(workspace))
    window = studio.window
    window.show()
    _shoot(studio, out, "first-start")
    studio.begin()
    wait_for(lambda: not studio.services.busy)
    for seed in (1, 2):
        studio.services.document.set("run.seed", seed)
        studio.services.document.set("train.total_steps", CARTPOLE_STEPS)
        studio.services.start("train")
        if seed == 2:
            wait_for(lambda: studio.services.shown.history.name.endswith("-2"))
            wait_for(lambda: len(studio.services.shown.history["ppo/entropy"]) > 80 or not studio.jobs.running)
            _shoot(studio, out, "train-cartpole")
        wait_for(lambda: not studio.jobs.running)
    studio.services.start("infer")
    wait_for(lambda: not studio.jobs.running)
    first = studio.services.workspace.run(studio.services.workspace.runs()[1].name)
    studio.services.shown.toggle_compared(first)
    _shoot(studio, out, "evaluated")
    studio.services.shown.toggle_compared(first)
    _replay(studio, out, "cartpole")
    if model:
        studio.services.document.set("start.load_path", model)
        studio.services.document.set("infer.episodes", 3)
        studio.services.start("infer")
        wait_for(lambda: not studio.jobs.running)
        _replay(studio, out, "carracing")
        studio.services.document.set("start.load_path", None)
    window.show_page("train")
    _pretrain_racing(studio, out)
    window.show_page("runs")
    _shoot(studio, out, "runs")
    _drive(studio, out, model)
    _dream(studio, out)
    _study(studio, out)
    window.close()


def _replay(studio: Studio, out: Path, name: str) -> None:
    """Look at the newest evaluation, frame by frame and in latent space."""
    from ewm_studio.ui.replay.controller import ReplayController

    controller = _controller(studio, ReplayController)
    page = controller.page
    studio.window.show_page("replay")
    wait_for(lambda: controller.watching.idle)
    page.player.go(page.player.frames // 2)
    _shoot(studio, out, f"replay-{name}")
    page.views.set_value("latents")
    page.views.chosen.emit("latents")
    wait_for(lambda: controller.latents.idle)
    _shoot(studio, out, f"latents-{name}")
    page.views.set_value("player")
    page.views.chosen.emit("player")


def _drive(studio: Studio, out: Path, model: str) -> None:
    """Begin a lap by keys and record it; where there is a model, it takes over."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    from ewm_studio.driving.commands import HandOver, LoadModel, SetSpeed
    from ewm_studio.ui.drive.controller import DriveController

    controller = _controller(studio, DriveController)
    page = controller.page
    studio.services.document.set("env.id", "CarRacing-v3")
    studio.services.document.set("run.seed", 4)
    studio.window.activateWindow()
    studio.window.show_page("drive")
    _shoot(studio, out, "drive-empty")
    controller.panel.live.switch.setChecked(True)
    controller.drive.begin()
    wait_for(lambda: page.view.shown is not None and page.view.shown.state == "paused")
    controller.drive.toggle_recording()
    QTest.keyPress(page.view, Qt.Key.Key_Up)
    rest(1200)  # the camera comes down
    session = controller.drive.session
    assert session is not None
    if model:
        QTest.keyRelease(page.view, Qt.Key.Key_Up)
        session.ask(LoadModel(Path(model), "carracing", True))
        wait_for(lambda: bool(session.snapshot.copilot))
        session.ask(HandOver())
    else:
        session.ask(SetSpeed(0.05))  # so that the car is still on the road when the last picture is taken
    rest(5000)  # until something was learned
    _shoot(studio, out, "drive")
    if not model:
        QTest.keyRelease(page.view, Qt.Key.Key_Up)
    controller.drive.leave()
    wait_for(lambda: controller.drive.session is None)


def _dream(studio: Studio, out: Path) -> None:
    """Dream in the model that ships: the controller drives into a curve, then rests before several futures."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    from ewm_studio.dreams.dream_models import DreamModel, predicting
    from ewm_studio.driving.dream_beginning import FromTrack
    from ewm_studio.ui.dream.controller import DreamController
    from ewm_studio.workspace.pretrained import pretrained_model

    controller = _controller(studio, DreamController)
    dream, page = controller.dream, controller.page
    studio.window.show_page("dream")
    wait_for(lambda: controller.starts.idle)
    _shoot(studio, out, "dream-empty")
    shipped = pretrained_model("carracing-dream")
    assert shipped is not None
    found = DreamModel("carracing-dream", shipped.model, shipped.env, predicting(shipped.card["parts"]), shipped.folder)
    dream.begin(found, FromTrack(7), None)
    page.show_models_there(True)
    wait_for(lambda: dream.standing is not None)
    session = dream.session
    assert session is not None
    page.hand_over_asked.emit()
    wait_for(lambda: session.snapshot.steps >= DREAMT)
    QTest.keyClick(page.view, Qt.Key.Key_Space)
    wait_for(lambda: session.snapshot.state == "paused")
    _shoot(studio, out, "dream")
    dream.leave()
    wait_for(lambda: dream.session is None)


def _study(studio: Studio, out: Path) -> None:
    """A new study, and the one that a checkout of the project brings along, where this runs in one."""
    from ewm_studio.ui.study.controller import StudyController

    controller, place = _controller(studio, StudyController), studio.services.workspace.path
    studio.window.show_page("study")
    wait_for(lambda: not studio.services.busy)
    _shoot(studio, out, "study-new")
    if not _STUDY.parent.is_dir():
        return
    shutil.copytree(_STUDY.parent / "studies" / _STUDY.name, place / "studies" / _STUDY.name)
    shutil.copy(_STUDY.with_suffix(".study.toml"), place)
    studio.window.show_page("train")
    controller.show_workspace()
    studio.window.show_page("study")
    wait_for(lambda: controller.watching.idle and controller.page.results.scores.isVisible())
    _shoot(studio, out, "study")


def _pretrain_racing(studio: Studio, out: Path) -> None:
    from ewm_studio.ui.vision.controller import VisionController

    inspector = _controller(studio, VisionController).inspector
    for path, value in (
        ("env.id", "CarRacing-v3"),
        ("env.batch_size", 2),
        ("vision.name", "ConvVAE"),
        ("memory.name", "MDNRNN"),
        ("data.frames", RACING_FRAMES),
        ("pretrain.epochs", RACING_EPOCHS),
    ):
        studio.services.document.set(path, value)
    wait_for(lambda: not studio.services.busy)
    studio.services.start("pretrain")
    wait_for(lambda: len(studio.services.shown.history["vision/total"]) > 3 or not studio.jobs.running)
    studio.window.show_page("vision")
    _shoot(studio, out, "vision-carracing")
    studio.window.show_page("train")
    _shoot(studio, out, "pretrain-carracing")
    wait_for(lambda: not studio.jobs.running)
    studio.window.show_page("vision")
    wait_for(lambda: inspector.idle)
    _shoot(studio, out, "vision-latents")


def _controller(studio: Studio, kind: type[C]) -> C:
    """The controller of a kind among those of the pages."""
    return next(page.controller for page in studio.window.pages.values() if isinstance(page.controller, kind))


def _shoot(studio: Studio, out: Path, name: str) -> None:
    from ewm_studio.ui.kit.theme import Mode, theme

    modes: tuple[Mode, ...] = ("dark", "light")
    for width, height in SIZES:
        studio.window.resize(width, height)
        for mode in modes:
            theme().apply(mode)
            rest(CALM if (width, mode) == (SIZES[0][0], "dark") else SETTLED)
            studio.window.grab().save(str(out / f"{name}-{mode}-{width}x{height}.png"))
    theme().apply("dark")


def rest(milliseconds: int) -> None:
    """Let the program go on for a while."""
    from PySide6.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Let the program go on until something is so.

    Raises:
        TimeoutError: it never was.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the window did not get there in time")
        rest(50)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m ewm_studio.ui.window.screenshots OUT_DIR [MODEL]")
    sys.exit(main(*sys.argv[1:]))
