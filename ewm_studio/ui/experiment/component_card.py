"""A card for vision, memory or controller: a picker, one line, tags, size, and the component's own settings."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QFrame, QVBoxLayout

from ewm_studio import formatting as format
from ewm_studio.analysis.inspection import ComponentInfo, Inspection
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.settings.fields import fields_of
from ewm_studio.ui.experiment.sections import SettingRows
from ewm_studio.ui.kit.focus import tab_on
from ewm_studio.ui.kit.tags import Tags
from ewm_studio.ui.kit.texts import plain_tip
from ewm_studio.ui.kit.widgets import Select, label, row

TITLES = {"vision": "Vision", "memory": "Memory", "controller": "Controller"}
AUTO = "auto"


class ComponentCard(QFrame):
    """Shows and changes one component choice of the document."""

    picked = Signal(str)  # the name

    def __init__(self, kind: str, document: ExperimentDocument) -> None:
        super().__init__()
        self.kind = kind
        self._document = document
        self._known: dict[str, ComponentInfo] = {}
        self._inspection = Inspection()
        self._shown = ""
        self.rows: SettingRows | None = None
        self.setProperty("role", "card")
        self.setProperty("kind", kind)
        self.picker = Select()
        self.picker.setProperty("role", "picker")
        self.picker.setAccessibleName(f"{TITLES[kind]} component")
        self.picker.addItem("auto", AUTO)
        self.picker.activated.connect(lambda _: self.picked.emit(str(self.picker.currentData())))
        self._summary = label("", "secondary", wrap=True)
        self._tags = Tags()
        self._body = QVBoxLayout(self)
        self._body.setContentsMargins(10, 6, 4, 8)
        self._body.setSpacing(4)
        head = row(label(TITLES[kind], kind=kind), spacing=4)
        head.addWidget(self.picker, 1)
        self._body.addLayout(head)
        self._body.addWidget(self._summary)
        self._body.addWidget(self._tags)
        self.refresh()

    @property
    def chosen(self) -> str:
        """The name in the document, `auto` resolved where it is known."""
        name: str = getattr(self._document.experiment, self.kind).name
        return self._inspection.chosen.get(self.kind, name) if name == AUTO else name

    def show_components(self, known: dict[str, ComponentInfo]) -> None:
        """All components of this kind."""
        self._known = known
        self.picker.clear()
        self.picker.addItem("auto", AUTO)
        for name, info in known.items():
            self.picker.addItem(name, name)
            self.picker.setItemData(self.picker.count() - 1, plain_tip(info.summary), Qt.ItemDataRole.ToolTipRole)
        self._show_choice()

    def show_inspection(self, inspection: Inspection) -> None:
        """What fits and how large it is."""
        self._inspection = inspection
        misfits = inspection.misfits.get(self.kind, {})
        model = self.picker.model()
        assert isinstance(model, QStandardItemModel)
        for index in range(1, self.picker.count()):
            name = str(self.picker.itemData(index))
            reason = misfits.get(name)
            model.item(index).setEnabled(reason is None)
            tip = reason or (self._known[name].summary if name in self._known else "")
            self.picker.setItemData(index, plain_tip(tip), Qt.ItemDataRole.ToolTipRole)
            self.picker.setItemText(index, f"{name}  (does not fit)" if reason else name)
        self._show_choice()  # and leave its rows: somebody may be typing there

    def refresh(self, path: str = "") -> None:
        """Show the document's choice and its settings."""
        self._show_choice()
        if self.rows is not None:
            self.rows.refresh(path)

    def _show_choice(self) -> None:
        name: str = getattr(self._document.experiment, self.kind).name
        index = self.picker.findData(name)
        if index < 0:
            self.picker.addItem(name, name)
            index = self.picker.count() - 1
        self.picker.setCurrentIndex(index)
        chosen = self.chosen
        self.picker.setItemText(0, f"auto ({chosen})" if name == AUTO and chosen != AUTO else "auto")
        self.picker.shown_text = chosen
        self.picker.shorter = chosen.removesuffix(self.kind.capitalize())  # the title beside it says what it is
        self.picker.setAccessibleDescription(f"{chosen}, chosen automatically" if name == AUTO else chosen)
        info = self._known.get(chosen)
        reason = self._inspection.misfits.get(self.kind, {}).get(chosen)
        self._summary.setText(reason or (info.summary if info else "Loading components…"))
        self._show_tags(info)
        if info is not None and self._shown != chosen:
            self._show_settings(info)

    def search(self, text: str) -> int:
        """Show only the settings that match; the card goes when none does."""
        found = self.rows.search(text) if self.rows is not None else 0
        self.setVisible(bool(found) or not text.strip())
        return found

    def _show_tags(self, info: ComponentInfo | None) -> None:
        automatic = getattr(self._document.experiment, self.kind).name == AUTO
        words = [*(["auto"] if automatic else []), *(info.tags if info else ())]
        size = self._inspection.parameters.get(self.kind)
        if size:
            words.append(format.compact(size))
        self._tags.show_words(words)
        self._tags.setToolTip(f"{format.count(size)} parameters" if size else "")
        self._tags.setVisible(bool(words))

    def _show_settings(self, info: ComponentInfo) -> None:
        self._shown = info.name
        if self.rows is not None:
            self._body.removeWidget(self.rows)
            self.rows.deleteLater()
            self.rows = None
        fields = fields_of(self.kind, info.settings)
        if fields:
            self.rows = SettingRows(fields, self._document)
            self._body.addWidget(self.rows)
            tab_on(self.picker, self.rows)
