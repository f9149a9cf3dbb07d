"""What a person does on the Study page."""

from PySide6.QtCore import QPoint, Qt

from tests.ui.conftest import WAIT

LEFT = Qt.MouseButton.LeftButton


def controller(studio):
    return studio.window.pages["study"].controller


def settled(qtbot, studio):
    """Nothing is looked into any more."""
    made = controller(studio).making
    qtbot.waitUntil(lambda: not made._later.isActive() and not studio.services.busy, timeout=WAIT)


def tick(qtbot, picker, name):
    """Click on a part."""
    item = next(picker.list.item(n) for n in range(picker.list.count()) if picker.list.item(n).text() == name)
    picker.list.scrollToItem(item)
    area = picker.list.visualItemRect(item)
    qtbot.mouseClick(picker.list.viewport(), LEFT, pos=QPoint(area.left() + 60, area.center().y()))


def type_into(qtbot, edit, text):
    qtbot.mouseClick(edit, LEFT)
    edit.selectAll()
    qtbot.keyClicks(edit, text)


def choose(qtbot, button, menu, text):
    """Choose an entry of a button's menu by mouse; `text` is how it begins."""
    menu.popup(button.mapToGlobal(button.rect().bottomLeft()))
    action = next(action for action in menu.actions() if action.text().startswith(text))
    qtbot.mouseClick(menu, LEFT, pos=menu.actionGeometry(action).center())
