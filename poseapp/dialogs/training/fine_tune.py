"""Models > Fine-tune: training data, initial model, epochs. Non-modal: labelling can go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QSizePolicy,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from engine.models.catalog import ModelEntry, list_models
from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.dialogs.common import Findings, button, device_combo, fill_models, label, set_role
from poseapp.jobs.base import Outcome
from poseapp.jobs.runner import JobRunner
from poseapp.jobs.training.export import (
    MIN_IMAGES_TO_VALIDATE,
    CategorySurvey,
    SurveyJob,
    TrainingPlan,
    name_problem,
    problems_of,
    suggest_name,
)
from poseapp.widgets.spin_box import SpinBox

DEFAULT_START = "movenet_lightning"
MAX_EPOCHS = 1000
ROW_HEIGHT = 28
FRAME = 8
"""Of the table: its border, and what rows are taller than their text asks for in other scripts."""
MAX_ROWS = 4


@guarded
class FineTuneDialog(QDialog):
    """Asks for a :class:`TrainingPlan`.

    Signals:
        start_requested(TrainingPlan): Start was pressed and there are no errors; the dialog closes.

    Args:
        runner: counts the labels in its io lane.
        project: the project's file.
        project_name: what people call it, for the suggested name.
        advanced: preset values of a plan that the dialog does not show (``steps_per_epoch``, ``seed``, ``batch``).
    """

    start_requested = Signal(object)

    def __init__(
        self,
        runner: JobRunner,
        project: Path,
        project_name: str,
        parent: QWidget | None = None,
        *,
        advanced: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("fineTuneDialog")
        self.setWindowTitle(tr("Fine-tune a model"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._runner = runner
        self._project_name = project_name
        self.advanced = dict(advanced or {})
        self._name_typed = False
        self._closed = self._filling = False
        self._surveys: list[CategorySurvey] | None = None
        self._models: list[ModelEntry] = list_models("pose", available=True)
        self._build()
        self._job: int | None = runner.submit(
            SurveyJob(project), on_results=self._on_surveyed, on_finished=self._on_survey_ended
        )
        self._check()

    def _build(self) -> None:
        self.resize(600, 590)
        self.setMinimumWidth(520)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label("Fine-tune a model", "heading"))
        column.addWidget(
            label(
                "Trains a model on your labels. Training runs in the background; you can go on labelling.",
                "hint",
                wrap=True,
            )
        )
        column.addWidget(label("Training data"))
        self.categories = self._category_table()
        column.addWidget(self.categories)
        column.addLayout(self._form())
        self.findings = Findings(self)
        column.addWidget(self.findings)
        column.addStretch(1)
        column.addLayout(self._buttons())

    def _category_table(self) -> QTreeWidget:
        table = QTreeWidget(self)
        table.setColumnCount(4)
        table.setHeaderLabels([tr(head) for head in ["Category", "Keypoints", "Images", "Labelled poses"]])
        table.setRootIsDecorated(False)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setUniformRowHeights(True)
        table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        table.setAccessibleName(tr("Training data"))
        table.setFixedHeight(ROW_HEIGHT * 2 + FRAME)
        header = table.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2, 3):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
            table.headerItem().setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        table.currentItemChanged.connect(self._on_category)
        return table

    def _form(self) -> QFormLayout:
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(10)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.start_model = QComboBox()
        fill_models(self.start_model, self._models, DEFAULT_START)
        self.start_model.currentIndexChanged.connect(self._check)
        self.start_model.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.start_hint = label("", "hint", wrap=True)
        self.start_hint.setMinimumHeight(2 * self.fontMetrics().lineSpacing())
        self.start_hint.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.aside = SpinBox()
        self.aside.setRange(0, 50)
        self.aside.setSingleStep(5)
        self.aside.setValue(15)
        self.aside.setSuffix(tr(" %"))
        self.aside.valueChanged.connect(self._check)
        self.aside_hint = label("", "hint")
        self.epochs = SpinBox()
        self.epochs.setRange(0, MAX_EPOCHS)
        self.epochs.setSpecialValueText(tr("Automatic"))
        self.epochs.setToolTip(
            tr("Number of passes over the labels. Automatic: by the number of labels, with early stopping.")
        )
        self.device = device_combo()
        self.name = QLineEdit()
        self.name.setMaxLength(60)
        self.name.textEdited.connect(self._on_name_edited)
        self.name.textChanged.connect(self._check)
        self.name_hint = label("", "error", wrap=True)
        self.name_hint.hide()
        for field, text in (
            (self.start_model, "Initial model"),
            (self.aside, "Validation split"),
            (self.epochs, "Epochs"),
            (self.device, "Run on"),
            (self.name, "Name of the new model"),
        ):
            field.setAccessibleName(tr(text))
        form.addRow(tr("Initial model"), _stack(self.start_model, self.start_hint))
        form.addRow(tr("Validation split"), _beside(self.aside, self.aside_hint))
        form.addRow(tr("Epochs"), _beside(self.epochs))
        form.addRow(tr("Run on"), _beside(self.device))
        form.addRow(tr("Name of the new model"), _stack(self.name, self.name_hint))
        return form

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        self.cancel_button = button("Cancel")
        self.cancel_button.clicked.connect(self.close)
        self.start_button = button("Start training", primary=True)
        self.start_button.clicked.connect(self._start)
        row.addStretch(1)
        row.addWidget(self.cancel_button)
        row.addWidget(self.start_button)
        return row

    def plan(self) -> TrainingPlan | None:
        """The current plan, None while no category is chosen."""
        survey = self._survey()
        if survey is None:
            return None
        values = {
            "name": self.name.text().strip(),
            "category": survey.category.id,
            "model": self.start_model.currentData(),
            "epochs": self.epochs.value(),
            "val_fraction": self.aside.value() / 100,
            "device": self.device.currentData(),
        }
        return TrainingPlan(**{**values, **self.advanced})

    def _survey(self) -> CategorySurvey | None:
        item = self.categories.currentItem()
        if item is None or self._surveys is None:
            return None
        return self._surveys[int(item.data(0, Qt.ItemDataRole.UserRole))]

    def _on_surveyed(self, results: list[Any]) -> None:
        if self._closed:  # what was counted until the cancel is still delivered
            return
        self._surveys = results[-1]
        self._filling = True  # every check reads the list of models: one at the end does
        for index, survey in enumerate(self._surveys):
            schema = survey.category.schema
            item = QTreeWidgetItem(
                [survey.category.name, str(schema.num_keypoints), str(survey.images), str(survey.instances)]
            )
            item.setData(0, Qt.ItemDataRole.UserRole, index)
            item.setToolTip(0, schema.title or schema.name)
            for column in (1, 2, 3):
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            item.setSizeHint(0, QSize(0, ROW_HEIGHT))
            self.categories.addTopLevelItem(item)
        self.categories.setFixedHeight(ROW_HEIGHT * (min(max(len(self._surveys), 1), MAX_ROWS) + 1) + 4 + FRAME)
        if self._surveys:
            counts = [survey.instances for survey in self._surveys]
            self.categories.setCurrentItem(self.categories.topLevelItem(counts.index(max(counts))))  # type: ignore[arg-type]
        self._filling = False
        self._check()

    def _on_survey_ended(self, outcome: Outcome) -> None:
        self._job = None
        if self._closed:
            return
        if outcome.error is not None:
            self.findings.show_findings([str(outcome.error)], [], "")

    @Slot()
    def _on_category(self) -> None:
        survey = self._survey()
        if survey is not None and not self._name_typed:
            self.name.setText(suggest_name(self._project_name, survey.category.name))
        self._check()

    @Slot()
    def _on_name_edited(self) -> None:
        self._name_typed = True

    @Slot()
    def _check(self) -> None:
        """Show the errors that prevent starting; enable Start if there are none."""
        if self._filling:
            return
        survey = self._survey()
        entry = next((m for m in self._models if m.id == self.start_model.currentData()), None)
        self.start_hint.setText(tr(entry.use if entry is not None else ""))
        self.aside_hint.setText(tr(_aside_text(survey, self.aside.value())))
        trouble = name_problem(self.name.text()) if survey is not None else ""
        self.name_hint.setText(tr(trouble))
        self.name_hint.setVisible(bool(trouble))
        if survey is None:
            self.findings.show_findings(*self._nothing_chosen())
            self.start_button.setEnabled(False)
            return
        errors, warnings = problems_of(survey)
        if not self._models:
            errors.append("There is no pose model to fine-tune.")
        self.findings.show_findings(errors, warnings, "Ready: the labels are complete enough to start.")
        self.start_button.setEnabled(not errors and not trouble)
        set_role(self.name_hint, "error")

    def _nothing_chosen(self) -> tuple[list[str], list[str], str]:
        if self._surveys is None:
            return [], [], "Counting labels …"
        if not self._surveys:
            return ["Nothing is labelled yet: label some poses first, or accept predictions."], [], ""
        return [], [], "Choose a category."

    @Slot()
    def _start(self) -> None:
        plan = self.plan()
        if plan is None or not self.start_button.isEnabled():
            return
        self.start_requested.emit(plan)
        self.close()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._closed = True
        if self._job is not None:
            self._runner.cancel(self._job)
        super().closeEvent(event)


def _aside_text(survey: CategorySurvey | None, percent: int) -> str:
    if survey is None or survey.images == 0:
        return ""
    if percent == 0:
        return "none"
    if survey.images < MIN_IMAGES_TO_VALIDATE:
        return "none: too few images"
    count = min(max(1, round(survey.images * percent / 100)), survey.images - 1)
    return f"{count} of {survey.images} labelled images"


def _stack(*widgets: QWidget) -> QVBoxLayout:
    column = QVBoxLayout()
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(4)
    for widget in widgets:
        column.addWidget(widget)
    return column


def _beside(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(10)
    for widget in widgets:
        row.addWidget(widget)
    row.addStretch(1)
    return row
