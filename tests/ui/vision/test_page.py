"""The Vision page on really trained, tiny models, with real mouse events."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QLabel

from ewm_studio.acting.agent import load_agent
from ewm_studio.analysis import vision_view
from ewm_studio.analysis.vision_view import IN_USE, VisionViewer, feature_colors, random_frames
from ewm_studio.events import CheckpointSaved
from ewm_studio.jobs.pretrain_job import pretrain
from ewm_studio.jobs.train_job import train
from ewm_studio.settings import Experiment
from ewm_studio.ui.vision.page import VECTOR
from ewm_studio.workspace import Workspace

LEFT = Qt.MouseButton.LeftButton
WAIT = 120_000
RACING = {"id": "CarRacing-v3", "image_size": 16, "batch_size": 1}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace with a small trained run of every vision model: component -> (run's name, model's path)."""
    folder = tmp_path_factory.mktemp("models") / "workspace"
    workspace = Workspace(folder)
    found = {}
    for name, own in (("ConvVAE", {"latent_dim": 16}), ("VQ_VAE", {"codes": 64}), ("JEPA", {"features": 32})):
        experiment = Experiment.model_validate(
            {
                "env": RACING,
                "vision": {"name": name, **own},
                "memory": {"name": "NoMemory"},
                "pretrain": {"epochs": 3, "vision": True},
                "data": {"frames": 300, "skip_start": 0},
                "world_model": {"vision_batch_size": 32},
            }
        )
        found[name] = _last_checkpoint(pretrain(experiment, workspace))
    numbers = Experiment.model_validate({"env": {"batch_size": 2}, "train": {"total_steps": 128}})
    found["Identity"] = _last_checkpoint(train(numbers, workspace))
    runs = {run.parts["vision"]["name"]: run.name for run in workspace.runs()}
    workspace.close()
    return folder, {name: (runs[name], path) for name, path in found.items()}


def _last_checkpoint(events):
    return [event.path for event in events if isinstance(event, CheckpointSaved)][-1]


@pytest.fixture
def viewer():
    return VisionViewer()


@pytest.fixture
def open_on(qtbot, tmp_path, open_studio, trained):
    """Opens a studio on a copy of the trained workspace and shows a component's run on the Vision page."""

    def make(name, begin=False):
        shutil.copytree(trained[0], tmp_path / "copy")
        studio = open_studio(tmp_path / "copy", begin)
        window = studio.window
        window.show_page("runs")
        window.pages["runs"].widget.choose(trained[1][name][0])
        qtbot.mouseClick(window.pages["runs"].widget._buttons["show"], LEFT)
        window.show_page("vision")
        while window.pages["vision"].widget.make_plot():
            pass
        qtbot.waitUntil(lambda: inspector(studio).idle, timeout=WAIT)
        return studio, window.pages["vision"].widget

    return make


def inspector(studio):
    return studio.window.pages["vision"].controller.inspector


def seen(page):
    """All words that are to be seen on the page."""
    return "\n".join(found.text() for found in page.findChildren(QLabel) if found.isVisible())


def drag(qtbot, slider, to):
    """Take a slider's knob to a share of its width with the mouse."""
    middle = slider.height() // 2
    target = QPoint(int(slider.width() * to), middle)
    qtbot.mousePress(slider, LEFT, pos=QPoint(int(slider.place_of(slider.value())), middle))
    for share in (0.3, 0.6, 1.0):
        qtbot.mouseMove(slider, QPoint(int(target.x() * share), middle))
    qtbot.mouseMove(slider, target)
    qtbot.mouseRelease(slider, LEFT, pos=target)


# The viewer, without a window


def test_a_look_draws_no_random_number_and_is_repeatable(trained):
    for name in ("ConvVAE", "VQ_VAE", "JEPA"):
        torch.manual_seed(3)
        np.random.seed(3)
        before = torch.get_rng_state(), np.random.get_state()[1].copy()
        first, again = (VisionViewer().view(trained[1][name][1]) for _ in range(2))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.array_equal(np.random.get_state()[1], before[1])
        assert np.array_equal(first.frames, again.frames)
        assert np.array_equal(first.latents, again.latents)


def test_figures_are_those_of_the_model(trained, viewer):
    path = trained[1]["ConvVAE"][1]
    view = viewer.view(path)
    agent = load_agent(path)
    shown = torch.from_numpy(view.frames.transpose(0, 3, 1, 2).copy())
    sample = torch.cat([shown, torch.from_numpy(random_frames(agent.env))])
    assert np.allclose(view.kl, agent.model.vision.diagnostics(sample)["kl"], atol=1e-5)
    assert np.all(np.diff(view.kl[view.editable.order]) <= 0)
    with torch.no_grad():
        assert np.allclose(view.latents, agent.model.vision.encode(shown).numpy(), atol=1e-5)
    for z, picture in zip(view.latents, view.reconstruction, strict=True):
        assert np.abs(view.editable.decode(z).astype(int) - picture).max() <= 1  # rounding, one picture or many
    assert np.abs(view.latents).max() <= view.reach


def test_given_frames_are_looked_at_and_others_of_a_wrong_size_are_not(trained, viewer):
    rng = np.random.default_rng(0)
    given = rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    path = trained[1]["ConvVAE"][1]
    assert np.array_equal(viewer.view(path, given).frames, given)
    own = viewer.view(path, given[:, :8])
    assert own.frames.shape == (8, 16, 16, 3)
    assert len(np.unique(own.frames.reshape(8, -1), axis=0)) > 1  # an episode moves


def test_numbers_are_no_pictures(trained, viewer):
    view = viewer.view(trained[1]["Identity"][1])
    assert view.name == "Identity"
    assert not view.pictures


def test_patches_that_are_alike_have_one_color():
    rng = np.random.default_rng(1)
    kinds = rng.integers(0, 4, (5, 6, 7))
    features = rng.standard_normal((4, 32))[kinds] * 10 + rng.standard_normal((5, 6, 7, 32)) * 0.01
    colors = feature_colors(features).astype(int)
    means = np.array([colors[kinds == kind].mean(0) for kind in range(4)])
    assert max(np.abs(colors[kinds == kind] - means[kind]).max() for kind in range(4)) < 12
    apart = np.abs(means[:, None] - means[None]).max(-1)[~np.eye(4, dtype=bool)]
    assert apart.min() > 60
    assert feature_colors(np.ones((1, 2, 2, 1))).shape == (1, 2, 2, 3)  # neither variance nor three directions


# Sliders


def test_a_slider_redraws_the_picture_at_once(qtbot, open_on):
    _, page = open_on("ConvVAE")
    panel, view = page.latents, page.view
    assert panel.isVisible()
    assert len(panel.sliders) == 12
    assert [line.index for line in panel._lines[:12]] == view.editable.order[:12].tolist()
    before, index = panel.z.copy(), int(view.editable.order[2])
    drag(qtbot, panel.sliders[2], 0.95)
    changed = np.flatnonzero(panel.z != before)
    assert changed.tolist() == [index]
    assert panel.z[index] > 0.7 * view.reach
    qtbot.waitUntil(lambda: np.array_equal(panel.picture.array, view.editable.decode(panel.z)))
    assert panel._lines[2].value.text() == f"{panel.z[index]:.2f}"

    by_mouse = panel.z[index]
    qtbot.keyClick(panel.sliders[2], Qt.Key.Key_Left)
    assert panel.z[index] < by_mouse
    qtbot.mouseClick(panel.from_frame, LEFT)
    assert np.array_equal(panel.z, view.latents[0])
    qtbot.waitUntil(lambda: np.array_equal(panel.picture.array, view.editable.decode(view.latents[0])))


def test_a_click_on_a_frame_takes_up_its_latent(qtbot, open_on):
    _, page = open_on("ConvVAE")
    drag(qtbot, page.latents.sliders[0], 0.1)
    qtbot.mouseClick(page._thumbs[5][0], LEFT)
    assert page.chosen == 5
    assert np.array_equal(page.large["original"].array, page.view.frames[5])
    assert np.array_equal(page.latents.z, page.view.latents[5])
    qtbot.mouseClick(page._thumbs[3][1], LEFT)
    assert np.array_equal(page.latents.z, page.view.latents[3])


def test_a_random_latent_and_all_sliders(qtbot, open_on):
    _, page = open_on("ConvVAE")
    panel = page.latents
    qtbot.mouseClick(panel._all, LEFT)
    assert len(panel.sliders) == 16
    qtbot.mouseClick(panel.random, LEFT)
    first = panel.z.copy()
    qtbot.mouseClick(panel.random, LEFT)
    assert not np.array_equal(first, panel.z)
    for line in panel._lines:
        expected = np.clip(panel.z[line.index] / page.view.reach, -1, 1)
        assert line.slider.value() / 1000 == pytest.approx(expected, abs=1e-3)
    qtbot.mouseClick(panel._all, LEFT)
    assert len(panel.sliders) == 12


def test_a_slow_decoder_works_elsewhere_and_the_last_wish_wins(qtbot, open_on):
    studio, page = open_on("ConvVAE")
    page.show_view(dataclasses.replace(page.view, decode_seconds=1.0))
    for share in (0.2, 0.9, 0.4, 0.75):
        drag(qtbot, page.latents.sliders[1], share)
        qtbot.wait(1)
    qtbot.waitUntil(lambda: inspector(studio).idle, timeout=WAIT)
    assert np.array_equal(page.latents.picture.array, page.view.editable.decode(page.latents.z))


# Every component


def test_kl_of_every_latent_is_a_bar(open_on):
    _, page = open_on("ConvVAE")
    assert np.allclose(page.bars.bars._values, np.sort(page.view.kl)[::-1])
    assert f"{(page.view.kl > IN_USE).sum()} of 16 in use" in page.bars.words.text()
    assert page.bars.bars.describe(0).startswith(f"z {page.view.editable.order[0]}: ")
    assert "KL" in page._words.text()


def test_codes_are_bars(open_on):
    _, page = open_on("VQ_VAE")
    assert page.bars.bars._values.sum() == page.view.sample * 8 * 8  # a grid of 8 x 8 codes a frame
    assert f"{(page.view.usage > 0).sum()} of 64 codes in use" in page.bars.words.text()
    assert np.array_equal(page.large["reconstruction"].array, page.view.reconstruction[0])
    assert page.latents.isHidden()


def test_features_stand_as_colors_beside_the_frame(qtbot, open_on):
    _, page = open_on("JEPA")
    assert page.view.colors.shape == (8, 8, 8, 3)
    qtbot.mouseClick(page._thumbs[2][0], LEFT)
    assert np.array_equal(page.large["original"].array, page.view.frames[2])
    assert np.array_equal(page.large["reconstruction"].array, page.view.colors[2])
    assert not page._plates["difference"].isVisible()
    assert not page.bars.isVisible()
    assert page.plots[1].quantity.tag == "vision/effective_rank"


def test_numbers_are_explained_and_can_be_made_pictures(qtbot, open_on):
    studio, page = open_on("Identity", begin=True)
    assert page.vector.isVisible()
    qtbot.mouseClick(page.vector.action, LEFT)
    assert studio.services.document.experiment.env.pixels
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)
    assert page.empty_shown
    assert page.empty.action.text() == "Pretrain vision"


def test_load_as_model_shows_it(qtbot, open_on, trained):
    studio, page = open_on("Identity")
    studio.window.show_page("runs")
    studio.window.pages["runs"].widget.choose(trained[1]["VQ_VAE"][0])
    qtbot.mouseClick(studio.window.pages["runs"].widget._buttons["load"], LEFT)
    studio.window.show_page("vision")
    qtbot.waitUntil(lambda: page.view is not None and page.view.name == "VQ_VAE", timeout=WAIT)
    assert not page.empty_shown


# Live


def choose(qtbot, studio, *settings):
    """Set the experiment that the next click runs."""
    small = (("env.id", RACING["id"]), ("env.image_size", 16), ("env.batch_size", 1), ("memory.name", "NoMemory"))
    for path, value in (*small, ("pretrain.frames", 100), ("pretrain.skip_start", 0), *settings):
        studio.services.document.set(path, value)
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)


def test_live_frames_are_looked_at_and_the_next_run_may_be_of_another_kind(qtbot, open_on):
    studio, page = open_on("JEPA", begin=True)
    vision, bar = inspector(studio), studio.window.bar
    stored = page.frames
    choose(qtbot, studio, ("vision.name", "ConvVAE"), ("vision.latent_dim", 16), ("pretrain.epochs", 10**6))
    qtbot.mouseClick(bar.pretrain, LEFT)
    qtbot.waitUntil(lambda: page.view is not None and page.view.name == "ConvVAE" and vision.idle, timeout=WAIT)
    assert stored is None
    assert np.array_equal(page.view.frames, page.frames)
    assert page.latents.isVisible()
    drag(qtbot, page.latents.sliders[0], 0.9)
    by_hand, step = page.latents.z.copy(), page._step
    qtbot.waitUntil(lambda: page._step > step and vision.idle, timeout=WAIT)  # the job has sent other pictures
    assert np.array_equal(page.large["reconstruction"].array, page._pictures["reconstruction"][0])
    assert np.array_equal(page.latents.z, by_hand)  # what was set by hand stays
    qtbot.mouseClick(bar.stop, LEFT)
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)

    choose(qtbot, studio, ("vision.name", "JEPA"), ("vision.features", 32), ("pretrain.epochs", 1))
    qtbot.mouseClick(bar.pretrain, LEFT)
    qtbot.waitUntil(lambda: not studio.jobs.running and vision.idle, timeout=WAIT)
    assert page.view.name == "JEPA"
    assert np.array_equal(page.large["reconstruction"].array, page.view.colors[0])
    assert page.latents.isHidden()

    studio.services.document.replace(Experiment().with_values(("train.total_steps", 128), ("env.batch_size", 2)))
    qtbot.mouseClick(bar.train, LEFT)
    qtbot.waitUntil(lambda: not studio.jobs.running and vision.idle, timeout=WAIT)
    assert page.vector.isVisible()


def test_a_damaged_model_is_told_of_and_the_page_lives_on(qtbot, open_on, trained):
    studio, page = open_on("JEPA")
    name = trained[1]["VQ_VAE"][0]
    for model in (studio.services.workspace.path / "runs" / name).rglob("*.safetensors"):
        whole = model.read_bytes()
        model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for run, said in ((name, "cannot be shown"), (trained[1]["ConvVAE"][0], "in use")):
        studio.window.show_page("runs")
        studio.window.pages["runs"].widget.choose(run)
        qtbot.mouseClick(studio.window.pages["runs"].widget._buttons["show"], LEFT)
        studio.window.show_page("vision")
        qtbot.waitUntil(lambda: inspector(studio).idle, timeout=WAIT)
        assert said in seen(page)
    assert page.view.name == "ConvVAE"


@pytest.fixture
def beside_cartpole(qtbot, tmp_path, open_studio, trained):
    """A studio whose form is of CartPole while a run of pictures is shown; notes every state of the Vision page."""
    shutil.copytree(trained[0], tmp_path / "copy")
    studio = open_studio(tmp_path / "copy")
    page = studio.window.pages["vision"].widget
    states = []
    studio.services.show_run(trained[1]["ConvVAE"][0])
    page._stack.currentChanged.connect(states.append)
    assert studio.services.experiment.env.id == "CartPole-v1"
    return studio, page, states


def test_a_run_of_pictures_beside_a_form_of_numbers_is_looked_into(qtbot, beside_cartpole, trained):
    studio, page, states = beside_cartpole
    studio.window.show_page("vision")
    assert "Looking into its model" in seen(page)
    assert trained[1]["ConvVAE"][0] in seen(page)
    studio.services.fitting.inspect_soon()
    qtbot.waitUntil(lambda: inspector(studio).idle and not studio.services.busy, timeout=WAIT)
    assert "in use" in seen(page)
    assert VECTOR not in states


def test_an_environment_that_gave_no_frames_is_told_of_and_asked_again(qtbot, beside_cartpole, monkeypatch):
    studio, page, states = beside_cartpole
    broken = [RuntimeError("no display")]

    def frames(env):
        if broken:
            raise broken.pop()
        return random_frames(env)

    monkeypatch.setattr(vision_view, "random_frames", frames)
    studio.window.show_page("vision")
    qtbot.waitUntil(lambda: inspector(studio).idle, timeout=WAIT)
    assert "The model cannot be shown: its environment gave no frames to look at: RuntimeError: no display" in seen(
        page
    )
    studio.window.show_page("train")
    studio.window.show_page("vision")
    qtbot.waitUntil(lambda: inspector(studio).idle, timeout=WAIT)
    assert "in use" in seen(page)
    assert VECTOR not in states


def test_pretraining_in_the_window_ends_with_sliders(qtbot, open_studio):
    studio = open_studio()
    page = studio.window.pages["vision"].widget
    studio.window.show_page("vision")
    assert page.vector.isVisible()  # CartPole's four numbers
    for path, value in (
        ("env.id", "CarRacing-v3"),
        ("env.image_size", 16),
        ("env.batch_size", 1),
        ("vision.name", "ConvVAE"),
        ("memory.name", "NoMemory"),
        ("data.frames", 300),
        ("pretrain.epochs", 2),
    ):
        studio.services.document.set(path, value)
    qtbot.waitUntil(lambda: not studio.services.busy and page.empty_shown, timeout=WAIT)
    qtbot.mouseClick(page.empty.action, LEFT)
    qtbot.waitUntil(lambda: not studio.jobs.running and inspector(studio).idle, timeout=WAIT)
    assert page._title.text() == "Held-out frames"
    assert page.view.name == "ConvVAE"
    assert np.array_equal(page.view.frames, page.frames)
    assert len(page.latents.sliders) == 12


def test_nothing_is_cut_or_pushed_out(qtbot, open_on):
    studio, page = open_on("ConvVAE")
    for size in ((960, 600), (1280, 800), (1920, 1080)):
        studio.window.resize(*size)
        qtbot.wait(50)
        assert (studio.window.width(), studio.window.height()) == size
        assert len({thumb.mapTo(page, QPoint(0, 0)).y() for thumb, _ in page._thumbs}) == 1  # it never wraps
        for widget in (*page.large.values(), *(t for pair in page._thumbs for t in pair), page.bars, page.latents):
            if widget.isVisible():
                corner = widget.mapTo(page, QPoint(widget.width(), widget.height()))
                assert corner.x() <= page.width()
                assert corner.y() <= page.height()
