"""Forms made from the settings' declarations alone."""

from html import escape

import pytest
from PySide6.QtCore import Qt

from ewm_studio.settings.paths import COMPONENTS, SECTIONS, all_fields
from ewm_studio.ui.experiment.forms import ValueEdit
from ewm_studio.ui.kit.widgets import Select, Switch
from tests.ui.conftest import WAIT

LEFT = Qt.MouseButton.LeftButton


def build_all(panel):
    """Make every row, as time goes by or a group is opened."""
    for section in panel.sections.values():
        section.build()


@pytest.fixture
def bare(open_studio):
    """A studio before its components are loaded, every row made."""
    studio = open_studio(begin=False)
    for section in studio.window.panel.sections.values():
        section.build()
    return studio


@pytest.fixture
def panel(studio):
    """The panel with components and every row."""
    for section in studio.window.panel.sections.values():
        section.build()
    return studio.window.panel


def rows_of(panel):
    """Rows by path."""
    groups = [section.rows for section in panel.sections.values()]
    groups += [card.rows for card in panel.cards.values() if card.rows is not None]
    return {row.field.path: row for group in groups for row in group.rows}


def type_into(qtbot, row, text):
    row.editor.setFocus()
    row.editor.selectAll()
    qtbot.keyClick(row.editor, Qt.Key.Key_Delete)
    qtbot.keyClicks(row.editor, text)
    qtbot.keyClick(row.editor, Qt.Key.Key_Return)


def test_every_setting_has_a_widget(panel):
    rows = rows_of(panel)
    wanted = {
        f"{section}.{name}"
        for section, model in SECTIONS.items()
        if section not in COMPONENTS
        for name in model.model_fields
    }
    assert wanted - set(rows) == {"env.id"}  # which the environment's card picks
    assert all(panel.cards[kind].picker.count() > 1 for kind in COMPONENTS)
    for row in rows.values():
        assert row.editor.accessibleName()
        assert row.field.help
        assert row.field.option in row.editor.toolTip()


def test_every_row_is_made_from_its_declaration(panel):
    for row in rows_of(panel).values():
        field, editor = row.field, row.editor
        assert field == all_fields().get(field.path, field)
        assert escape(field.bounds, quote=False) in editor.toolTip()
        if field.kind == "switch":
            assert isinstance(editor, Switch)
        elif field.kind == "choice":
            assert [editor.itemText(i) for i in range(editor.count())] == list(field.choices)
        else:
            assert isinstance(editor, ValueEdit)
            hint = "name=value" if field.kind == "arguments" else ""
            assert editor.placeholderText() == (field.empty if field.optional else hint)
            shows_unit = bool(field.unit) and bool(editor.text() or not editor.placeholderText())
            assert bool(editor.textMargins().right()) == shows_unit or field.name.endswith("_path")


def test_every_component_shows_all_its_settings(studio, panel, qtbot):
    from ewm_studio.models.registry import components

    for kind in COMPONENTS:
        for name, cls in components(kind).items():
            studio.services.document.set(f"{kind}.name", name)
            shown = panel.cards[kind].rows
            fields = {row.field.name for row in shown.rows} if shown else set()
            assert fields == set(cls.Settings.model_fields), name


def test_no_setting_is_wider_than_the_panel(qtbot, panel):
    area = panel.scroll_area
    panel.search.setText("e")  # which shows those behind Advanced, too
    rows = [row for row in rows_of(panel).values() if row.isVisible()]
    assert {"ppo.normalize_advantage", "dream.first_memory_updates"} <= {row.field.path for row in rows}
    room = panel.minimumWidth() - area.verticalScrollBar().sizeHint().width()
    assert max((row.minimumSizeHint().width(), row.field.path) for row in rows)[0] <= room - 18
    qtbot.waitUntil(lambda: area.widget().width() == area.viewport().width(), timeout=WAIT)


@pytest.mark.parametrize(
    ("path", "text", "value", "shown"),
    [
        ("ppo.lr", "0.0003", 3e-4, "3.0e-4"),
        ("ppo.gamma", "0.5", 0.5, "0.5"),
        ("train.total_steps", "250,000", 250_000, "250,000"),
        ("train.total_steps", "1e6", 1_000_000, "1,000,000"),
        ("train.total_steps", "123_456", 123_456, "123,456"),
        ("train.patience", "7", 7, "7"),
        ("env.batch_size", "auto", "auto", "auto"),
        ("env.batch_size", "16", 16, "16"),
        ("run.device", "cpu", "cpu", "cpu"),
        ("start.save_path", "/tmp/m.safetensors", "/tmp/m.safetensors", "/tmp/m.safetensors"),
    ],
)
def test_typing_changes_the_experiment_and_reset_takes_it_back(qtbot, bare, path, text, value, shown):
    studio, panel = bare, bare.window.panel
    row = rows_of(panel)[path]
    section, name = path.split(".")
    panel.sections[section].header.setChecked(True)
    type_into(qtbot, row, text)
    assert getattr(getattr(studio.services.document.experiment, section), name) == value
    qtbot.wait(20)  # a group that was just opened is laid out
    assert row.editor.text() == shown
    assert row.message == ""
    assert row._name.property("changed")
    assert not row.reset.isHidden()
    qtbot.mouseClick(row.reset, LEFT)
    assert getattr(getattr(studio.services.document.experiment, section), name) == row.field.default
    assert row.editor.text() == row.field.to_text(row.field.default)
    assert row.reset.isHidden()
    assert not row._name.property("changed")


def test_an_optional_value_is_emptied(qtbot, bare):
    studio, panel = bare, bare.window.panel
    row = rows_of(panel)["train.patience"]
    type_into(qtbot, row, "5")
    type_into(qtbot, row, "")
    assert studio.services.document.experiment.train.patience is None
    assert row.editor.placeholderText() == "never"


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("ppo.lr", "-1", "greater than 0"),
        ("ppo.lr", "fast", "number"),
        ("ppo.lr", "nan", "finite number"),
        ("ppo.gamma", "1.5", "less than or equal to 1"),
        ("ppo.epochs", "2.5", "whole number"),
        ("env.batch_size", "many", "number or auto"),
        ("env.batch_size", "5000", "less than or equal to 4096"),
        ("env.idle_limit", "0", "greater than or equal to 1"),
        ("run.device", "tpu", "match"),
        ("train.total_steps", "", "needs an end"),
    ],
)
def test_an_invalid_value_is_refused_in_place(qtbot, bare, path, text, said):
    studio, panel = bare, bare.window.panel
    before = studio.services.document.experiment
    row = rows_of(panel)[path]
    panel.sections[row.field.section].header.setChecked(True)
    type_into(qtbot, row, text)
    assert studio.services.document.experiment == before
    assert said in row.message
    type_into(qtbot, row, row.field.to_text(row.field.default))
    assert row.message == ""


def test_switches_choices_and_arrow_keys(qtbot, bare):
    studio, panel = bare, bare.window.panel
    rows = rows_of(panel)
    switch = rows["run.tensorboard"].editor
    assert isinstance(switch, Switch)
    panel.sections["run"].header.setChecked(True)
    qtbot.keyClick(switch, Qt.Key.Key_Space)
    assert studio.services.document.experiment.run.tensorboard is True
    choice = rows["ppo.lr_schedule"].editor
    assert isinstance(choice, Select)
    qtbot.keyClick(choice, Qt.Key.Key_Down)
    assert studio.services.document.experiment.ppo.lr_schedule == "constant"
    edit = rows["ppo.epochs"].editor
    assert isinstance(edit, ValueEdit)
    qtbot.keyClick(edit, Qt.Key.Key_Up)
    assert studio.services.document.experiment.ppo.epochs == 11
    seed = rows["run.seed"].editor
    qtbot.keyClick(seed, Qt.Key.Key_Down)
    assert studio.services.document.experiment.run.seed == 0
    assert "greater than or equal to 0" in rows["run.seed"].message


def test_the_first_click_into_a_number_marks_it_to_be_typed_over_and_the_next_places_the_cursor(qtbot, bare):
    rows = rows_of(bare.window.panel)
    bare.window.activateWindow()
    seed = rows["run.seed"].editor
    bare.services.document.set("run.seed", 57)
    qtbot.mouseClick(seed, Qt.MouseButton.LeftButton)
    assert seed.selectedText() == "57"
    qtbot.keyClicks(seed, "3")
    assert seed.text() == "3"
    qtbot.mouseClick(seed, Qt.MouseButton.LeftButton)
    assert not seed.hasSelectedText()
    qtbot.keyClick(seed, Qt.Key.Key_Return)
    assert bare.services.document.experiment.run.seed == 3


@pytest.mark.parametrize("path", ["train.total_steps", "ppo.epochs"])
def test_escape_brings_back_the_value_that_held_and_takes_nothing(qtbot, bare, path):
    document, row = bare.services.document, rows_of(bare.window.panel)[path]
    bare.window.activateWindow()
    bare.window.panel.sections[row.field.section].header.setChecked(True)
    before, shown = document.experiment, row.editor.text()
    heard: list[str] = []
    document.subscribe(heard.append)
    for wrong in ("", "x"):
        qtbot.mouseClick(row.editor, LEFT)
        row.editor.selectAll()
        qtbot.keyClicks(row.editor, "12")
        qtbot.keyClick(row.editor, Qt.Key.Key_Backspace)
        qtbot.keyClicks(row.editor, f"5{wrong}")
        if wrong:
            qtbot.keyClick(row.editor, Qt.Key.Key_Return)
            assert row.message
        qtbot.keyClick(row.editor, Qt.Key.Key_Escape)
        assert row.editor.text() == shown
        assert row.message == ""
        row.editor.clearFocus()
    assert document.experiment == before
    assert heard == []


@pytest.mark.parametrize(("path", "typed", "up"), [("train.total_steps", "5000", 5100), ("ppo.epochs", "50", 51)])
def test_an_arrow_steps_from_what_is_typed(qtbot, bare, path, typed, up):
    row = rows_of(bare.window.panel)[path]
    bare.window.activateWindow()
    bare.window.panel.sections[row.field.section].header.setChecked(True)
    qtbot.mouseClick(row.editor, LEFT)
    row.editor.selectAll()  # the group was just opened, and is not laid out
    qtbot.keyClicks(row.editor, typed)
    qtbot.keyClick(row.editor, Qt.Key.Key_Up)
    assert bare.services.document.value(row.field) == up
    qtbot.keyClicks(row.editor, "x")
    qtbot.keyClick(row.editor, Qt.Key.Key_Up)
    assert bare.services.document.value(row.field) == up
    assert "number" in row.message


def test_what_is_typed_stays_while_the_window_finds_out_what_fits(qtbot, studio, panel):
    studio.window.activateWindow()
    row = rows_of(panel)["controller.hidden_size"]
    qtbot.mouseClick(row.editor, LEFT)
    qtbot.keyClicks(row.editor, "48")
    with qtbot.waitSignal(studio.services.fitting.inspected, timeout=WAIT):
        studio.services.fitting.inspect_soon()
    assert row.editor.text() == "48"


def test_search_finds_by_name_flag_and_help(qtbot, bare):
    panel = bare.window.panel
    panel.search.setFocus()
    qtbot.keyClicks(panel.search, "ppo-clip-range")
    rows = rows_of(panel)
    shown = {path for path, row in rows.items() if row.isVisible()}
    assert shown == {"ppo.clip_range"}
    panel.search.setText("zzz")
    assert not any(row.isVisible() for row in rows.values())
    assert panel._nothing.isVisible()
    panel.search.clear()
    assert rows["train.total_steps"].isVisible()
    assert not rows["ppo.lr"].isVisible()  # its group is folded, as before


def test_advanced_settings_wait_behind_a_button(qtbot, bare):
    studio, panel = bare, bare.window.panel
    panel.sections["ppo"].header.setChecked(True)
    row = rows_of(panel)["ppo.target_kl"]
    assert not row.isVisible()
    panel.sections["ppo"].rows.more.click()
    assert row.isVisible()
    panel.sections["ppo"].rows.more.click()
    studio.services.document.set("ppo.target_kl", 0.02)
    assert row.isVisible()  # a changed setting is never hidden


def test_what_does_not_fit_is_disabled_with_the_reason(studio, panel):
    picker = panel.cards["vision"].picker
    index = picker.findData("ConvVAE")
    assert not picker.model().item(index).isEnabled()
    assert "does not observe vectors" in picker.itemData(index, Qt.ItemDataRole.ToolTipRole)
    assert picker.model().item(picker.findData("Identity")).isEnabled()
    assert panel.cards["controller"].chosen == "DeepDiscreteController"


def test_choosing_an_environment_by_keyboard(qtbot, studio, panel):
    card = panel.environment
    qtbot.mouseClick(card.button, LEFT)
    qtbot.keyClicks(card.popup.search, "acrobot")
    qtbot.keyClick(card.popup.search, Qt.Key.Key_Return)
    assert studio.services.document.experiment.env.id == "Acrobot-v1"
    assert not card.popup.isVisible()
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=60_000)
    assert "torque" in card._words.text()
