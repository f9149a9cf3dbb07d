"""`python -m ewm_studio.ui.window.screenshots OUT_DIR [MODEL]`: every page, both themes, two sizes, on short real runs.

With a model of CarRacing, a `.safetensors` file, also what it does there, on the Replay page.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SIZES = ((1280, 800), (1920, 1080))
CARTPOLE_STEPS = 60_000
RACING_FRAMES = 2_000
RACING_EPOCHS = 8
PATIENCE_SECONDS = 1200.0


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
    wait_for(lambda: not studio.busy)
    for seed in (1, 2):
        studio.document.set("run.seed", seed)
        studio.document.set("train.total_steps", CARTPOLE_STEPS)
        studio.start("train")
        if seed == 2:
            wait_for(lambda: studio.history.name.endswith("-2"))
            wait_for(lambda: len(studio.history["ppo/entropy"]) > 80 or not studio.jobs.running)
            _shoot(studio, out, "train-cartpole")
        wait_for(lambda: not studio.jobs.running)
    studio.start("infer")
    wait_for(lambda: not studio.jobs.running)
    studio.commands.toggle_compared(studio.workspace.runs()[1].name)
    _shoot(studio, out, "evaluated")
    studio.commands.toggle_compared(studio.workspace.runs()[1].name)
    _replay(studio, out, "cartpole")
    if model:
        studio.document.set("start.load_path", model)
        studio.document.set("infer.episodes", 3)
        studio.start("infer")
        wait_for(lambda: not studio.jobs.running)
        _replay(studio, out, "carracing")
        studio.document.set("start.load_path", None)
    window.show_page("train")
    _pretrain_racing(studio, out)
    window.show_page("runs")
    _shoot(studio, out, "runs")
    _drive(studio, out)
    window.close()


def _replay(studio: object, out: Path, name: str) -> None:
    """Look at the newest evaluation, frame by frame and in latent space."""
    from ewm_studio.ui.window.studio import Studio

    assert isinstance(studio, Studio)
    page = studio.window.replay_page
    studio.window.show_page("replay")
    wait_for(lambda: studio.replays.idle)
    page.player.go(page.player.frames // 2)
    _shoot(studio, out, f"replay-{name}")
    page.views.set_value("latents")
    page.views.chosen.emit("latents")
    wait_for(lambda: studio.latents.idle)
    _shoot(studio, out, f"latents-{name}")
    page.views.set_value("player")
    page.views.chosen.emit("player")


def _drive(studio: object, out: Path) -> None:
    """Begin a lap by keys and record it."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    from ewm_studio.driving.commands import SetSpeed
    from ewm_studio.ui.window.studio import Studio

    assert isinstance(studio, Studio)
    page = studio.window.drive_page
    studio.document.set("env.id", "CarRacing-v3")
    studio.window.activateWindow()
    studio.window.show_page("drive")
    _shoot(studio, out, "drive-empty")
    studio.drive_side.panel.live.switch.setChecked(True)
    studio.drive.begin()
    wait_for(lambda: page.view.shown is not None and page.view.shown.state == "paused")
    studio.drive.toggle_recording()
    QTest.keyPress(page.view, Qt.Key.Key_Up)
    rest(1200)  # the camera comes down
    assert studio.drive.session is not None
    studio.drive.session.ask(SetSpeed(0.05))  # so that the car is still on the road when the last picture is taken
    rest(5000)  # until something was learned
    _shoot(studio, out, "drive")
    QTest.keyRelease(page.view, Qt.Key.Key_Up)
    studio.drive.leave()
    wait_for(lambda: studio.drive.session is None)


def _pretrain_racing(studio: object, out: Path) -> None:
    from ewm_studio.ui.window.studio import Studio

    assert isinstance(studio, Studio)
    for path, value in (
        ("env.id", "CarRacing-v3"),
        ("env.batch_size", 2),
        ("vision.name", "ConvVAE"),
        ("memory.name", "MDNRNN"),
        ("pretrain.frames", RACING_FRAMES),
        ("pretrain.epochs", RACING_EPOCHS),
    ):
        studio.document.set(path, value)
    wait_for(lambda: not studio.busy)
    studio.start("pretrain")
    wait_for(lambda: len(studio.history["vision/total"]) > 3 or not studio.jobs.running)
    studio.window.show_page("vision")
    _shoot(studio, out, "vision-carracing")
    studio.window.show_page("train")
    _shoot(studio, out, "pretrain-carracing")
    wait_for(lambda: not studio.jobs.running)
    studio.window.show_page("vision")
    wait_for(lambda: studio.inspector.idle)
    _shoot(studio, out, "vision-latents")


def _shoot(studio: object, out: Path, name: str) -> None:
    from ewm_studio.ui.kit.theme import Mode, theme
    from ewm_studio.ui.window.studio import Studio

    assert isinstance(studio, Studio)
    modes: tuple[Mode, ...] = ("dark", "light")
    for width, height in SIZES:
        studio.window.resize(width, height)
        for mode in modes:
            theme().apply(mode)
            rest(900)
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
