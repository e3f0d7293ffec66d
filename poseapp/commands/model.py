"""Verbs of the models: run, choose, fine-tune. Results come back as edits, one step of the history a run."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QTimer

from engine.errors import PoseError
from engine.models.catalog import ModelEntry, find_model
from engine.pose import Prediction
from poseapp.app.reports import Report
from poseapp.app.settings import DEFAULT_MODEL
from poseapp.commands.category import choose_kind
from poseapp.commands.context import Context
from poseapp.commands.pose import template_in_box
from poseapp.dialogs.models import ModelsDialog
from poseapp.dialogs.prompt import AskDialog
from poseapp.dialogs.training.fine_tune import FineTuneDialog
from poseapp.jobs.base import Ending, Outcome
from poseapp.jobs.download import DownloadJob
from poseapp.jobs.inference import BoxPredictJob, FrameResult, ModelChoice, PredictJob
from poseapp.jobs.training.run import TrainingRun
from poseapp.project import edits
from poseapp.project.formats.report import ERROR, Remark
from poseapp.project.model import Category, Edit, FrameKey
from poseapp.session.model_memory import schema_of
from poseapp.session.session import Session

DEFAULT_THRESHOLD = 0.2
MIN_KEYPOINT_SCORE = 0.15
"""Points that a model is less sure of are absent from its predictions: a guess off the picture is no label."""
UNSAVED = -1
"""Id of a category that is added with its first poses."""
RUN_RESULTS_SECONDS = 1.0
"""Results of a run are written to the project together, so often."""
_runs = itertools.count(1)


def run_frame(context: Context) -> None:
    """The chosen model on the frame that is shown; one whose keypoints the project has not is asked about first."""
    frame = context.session.frame
    if frame is None:
        return
    if _is_unexpected(context):
        _ask_model(context, lambda: run_on(context, [frame], ModelChoice(context.model), DEFAULT_THRESHOLD))
    else:
        run_on(context, [frame], ModelChoice(context.model), DEFAULT_THRESHOLD)


def _is_unexpected(context: Context) -> bool:
    """Whether the model in use finds something else than the poses that are made here: it has not the keypoints of the
    category of new poses; or the project is new, and the model was trained by a person for another one."""
    session, memory = context.session, context.memory
    schema = memory.schema_of(context.model)
    if schema is None:  # it cannot be read; running it says why
        return False
    if session.categories():
        return not memory.fits(context.model, session.category)
    try:
        return find_model(context.model).source == "user" and not memory.unmatched_choice(session.path)
    except PoseError:
        return False


def _ask_model(context: Context, then: Callable[[], object]) -> None:
    """Which model to run: one that fits the category of new poses, or the one in use, which adds a category."""
    session, memory, model = context.session, context.memory, context.model
    schema = memory.schema_of(model)
    if schema is None:
        return
    title, category = find_model(model).title, session.category
    fitting = memory.fitting(category)
    if not fitting and category is None and model != DEFAULT_MODEL:
        fitting = [find_model(DEFAULT_MODEL)]
    kind = "" if category is None else category.name
    choices = [(f"{entry.title} ({kind})" if kind else entry.title, entry.id) for entry in fitting]
    name = schema.category or schema.name
    other = next((c for c in session.categories() if memory.fits(model, c)), None)
    choices.append((f"{title} ({other.name})" if other else f"{title}, and add the category {name}", model))
    count = schema.num_keypoints
    if category is None:
        text = f"This project has no poses yet. {title} finds {name} ({count} keypoints)."
    else:
        text = f"{title} finds {name} ({count} keypoints). New poses here are {category.name}."

    def take(dialog: AskDialog) -> None:
        chosen = dialog.chosen()
        if isinstance(chosen, str):
            if chosen != model:
                use_model(context, chosen)
            then()

    AskDialog(
        "Which model?",
        text,
        "Run",
        context.window.widget(),
        choices=choices,
    ).ask(take)


def run_range(context: Context) -> None:
    """Ask for model, frames and threshold."""
    if context.session.store is None:
        return
    from poseapp.dialogs.run_model import RunModelDialog

    def adds(model: str) -> str:
        schema = context.memory.schema_of(model)
        known = schema is None or any(context.memory.fits(model, c) for c in context.session.categories())
        return "" if known or schema is None else schema.category or schema.name

    dialog = RunModelDialog(context.session, context.model, context.window.widget(), adds=adds)
    dialog.run_requested.connect(lambda plan: _run_plan(context, plan))
    dialog.show()


def _run_plan(context: Context, plan: Any) -> None:
    use_model(context, plan.choice.model)
    run_on(
        context,
        plan.frames,
        plan.choice,
        plan.score_threshold,
        replace_predicted=plan.replace_predicted,
        flip_test=plan.flip_test,
        detect_every=plan.detect_every,
    )


def run_on(
    context: Context,
    frames: Iterable[FrameKey],
    choice: ModelChoice,
    threshold: float,
    *,
    replace_predicted: bool = True,
    flip_test: bool = False,
    detect_every: int = 1,
) -> int | None:
    """Start a run and return the job's id; None when the model does not fit."""
    session = context.session
    target = _target(context, choice)
    if session.store is None or target is None:
        return None
    entry, category = target
    store, adding = session.store, category.id == UNSAVED
    items = [(key, store.frame_path(key)) for key in frames]
    job = PredictJob(
        context.host,
        items,
        replace(choice, title=entry.title),
        score_threshold=threshold,
        flip_test=flip_test,
        detect_every=detect_every,
        cache=context.loader.cache,
    )
    merge_key = f"run {next(_runs)} {store.path}"
    problems: list[str] = []
    tally = {"poses": 0, "frames": 0, "known": 0, "empty": 0}

    def write(results: Sequence[FrameResult]) -> None:
        if session.store is not store:  # another project has been opened meanwhile
            return
        nonlocal category
        category = saved(session, category)
        items: list[Edit] = []
        for result in results:
            if result.problem is not None:
                problems.append(Remark(result.problem, severity=ERROR))
                continue
            existing = store.instances(result.key)
            ids = store.new_ids(len(result.predictions))
            items.append(
                edits.add_predictions(
                    result.key,
                    existing,
                    within_picture(result),
                    category,
                    ids,
                    entry.id,
                    replace_predicted,
                    min_keypoint_score=MIN_KEYPOINT_SCORE,
                    state=store.frame(result.key).state,
                )
            )
            tally["empty"] += not result.predictions
            new = len(items[-1].frames[0].after)
            tally["poses"] += new
            tally["known"] += len(result.predictions) - new
            tally["frames"] += 1
        if items:
            edit = edits.combined(f"Run {entry.title}", items, merge_key)
            category = apply_with_category(session, category, edit)
            if adding and category.id != UNSAVED:
                context.memory.choose(store.path, category, choice.model)

    results_writer = RunResults(write)

    def end(outcome: Outcome) -> None:
        results_writer.flush()
        _told(context, outcome, tally, Report(f"Run of {entry.title}", "", tuple(problems)))

    return context.runner.submit(job, on_results=results_writer.take, on_finished=end)


def _told(context: Context, outcome: Outcome, tally: dict[str, int], skipped: Report) -> None:
    """Say how a run ended; frames that it skipped are listed in a report."""
    text, kind = _ending(outcome, tally)
    if skipped.remarks:
        count = len(skipped.remarks)
        more = f"{count:,} {'frame was' if count == 1 else 'frames were'} skipped."
        context.window.report(
            replace(skipped, summary=f"{text} {more}", kind="error" if kind == "error" else "warning")
        )
    else:
        context.window.tell(text, kind)


def _ending(outcome: Outcome, tally: dict[str, int]) -> tuple[str, str]:
    """Text and kind of the message at the end of a run."""
    if outcome.error is not None:
        return f"The model did not run: {outcome.error}", "error"
    poses, frames = tally["poses"], tally["frames"]
    result = f"{poses:,} {'pose' if poses == 1 else 'poses'} in {frames:,} {'image' if frames == 1 else 'images'}"
    empty = tally["empty"]
    if outcome.ending is Ending.CANCELLED:
        return f"Stopped. {result} kept; Ctrl+Z removes them.", "info"
    if poses == 0 and tally["known"]:
        return "Everything the model found is already labelled.", "info"
    if poses == 0:
        return "The model found nothing here. Draw a box (N) to show it where to look.", "warning"
    if empty:
        result += f". Nothing found in {empty:,} of them"
    return f"{result}. To check: Enter accepts one, Shift+Enter the frame, Backspace rejects.", "good"


def fill_box(context: Context, box: tuple[float, float, float, float]) -> None:
    """A box has been drawn: the model fills it; where none fits the category, the template does."""
    session = context.session
    if session.store is None or session.frame is None:
        return
    target = _target(context, context.choice, quiet=True)
    current_category = session.category
    if current_category is None and target is None:
        choose_kind(context, then=lambda context: template_in_box(context, box))
        return
    if target is None or (current_category is not None and current_category.id != target[1].id):
        template_in_box(context, box)
        context.window.tell(
            "No model predicts this skeleton yet, so a template was placed in the box. Drag its keypoints; "
            "Enter confirms them."
        )
        return
    entry, category = target
    store, key = session.store, session.frame
    path = store.frame_path(key)
    image: Any = context.loader.cached(key, path)
    job = BoxPredictJob(
        context.host, key, path if image is None else image, box, replace(context.choice, title=entry.title)
    )

    def take(results: list[FrameResult]) -> None:
        if session.store is not store:
            return
        for result in results:
            ids = store.new_ids(len(result.predictions))
            edit = edits.add_predictions(
                key,
                store.instances(key),
                within_picture(result),
                category,
                ids,
                entry.id,
                replace_predicted=False,
                min_keypoint_score=MIN_KEYPOINT_SCORE,
            )
            done = apply_with_category(session, saved(session, category), replace(edit, text="Pose in box"))
            if done.id != UNSAVED and session.frame == key:
                session.select(instances=[i.id for f in edit.frames for i in f.after])

    def ended(outcome: Outcome) -> None:
        if outcome.error is not None:
            template_in_box(context, box)
            context.window.tell(f"The model could not fill the box, the template was used: {outcome.error}", "warning")

    context.runner.submit(job, urgent=True, on_results=take, on_finished=ended)


def _target(context: Context, choice: ModelChoice, *, quiet: bool = False) -> tuple[ModelEntry, Category] | None:
    """The model's entry and the category its poses belong to. One that the project does not have yet has the id
    UNSAVED: it is added with the first poses (:func:`apply_with_category`), so that a run that fails leaves nothing."""
    session = context.session
    try:
        entry = find_model(choice.model)
        schema = schema_of(entry)
    except PoseError as error:
        if not quiet:
            context.window.tell(str(error), "error")
        return None
    chosen = session.category
    for category in [*([chosen] if chosen else []), *session.categories()]:
        if category.schema.names == schema.names:
            return entry, category
    if quiet and session.categories():
        return None
    return entry, Category(UNSAVED, session.free_category_name(schema.category or schema.name), schema)


def saved(session: Session, category: Category) -> Category:
    """The project's category with these keypoints, where another run has added it meanwhile."""
    if category.id != UNSAVED:
        return category
    return session.find_category(category.schema) or category


def apply_with_category(session: Session, category: Category, edit: Edit) -> Category:
    """Apply an edit whose new poses are of a category; one that is UNSAVED is added in the same transaction, if there
    are poses. Returns the category as the project has it now; still UNSAVED where nothing was added."""
    if category.id != UNSAVED or not any(f.after for f in edit.frames):
        session.apply(edit)
        return category
    return session.apply_with_category(category, edit) or category


def within_picture(result: FrameResult) -> list[Prediction]:
    """The predictions, points outside the picture with score 0: there is nothing to be seen there."""
    width, height = result.size
    clipped: list[Prediction] = []
    for prediction in result.predictions:
        points = prediction.keypoints.copy()
        inside = ((points[:, :2] >= -0.5) & (points[:, :2] <= (width - 0.5, height - 0.5))).all(axis=1)
        points[~inside, 2] = 0.0
        clipped.append(replace(prediction, keypoints=points))
    return clipped


def cancel_jobs(context: Context) -> None:
    context.runner.cancel_all()


def models(context: Context) -> None:
    context.memory.forget()
    dialog = ModelsDialog(context.model, context.window.widget())
    dialog.model_chosen.connect(lambda model: use_model(context, model))
    dialog.download_wanted.connect(lambda entry: download_model(context, entry, dialog))
    dialog.show()


def download_model(context: Context, entry: ModelEntry, dialog: ModelsDialog | None = None) -> int:
    """Fetch the weights of a published model; the job's id. The dialog's list is read again when they are there."""
    gone: list[bool] = []
    if dialog is not None:
        dialog.destroyed.connect(lambda: gone.append(True))

    def take(results: list[Any]) -> None:
        for path in results:
            context.window.tell(f"{entry.title} was downloaded ({Path(path).name})", "good")

    def end(_outcome: Outcome) -> None:
        context.memory.forget()
        if dialog is not None and not gone:
            dialog.refresh(entry.id)

    return context.runner.submit(DownloadJob(entry), on_results=take, on_finished=end)


def use_model(context: Context, model: str) -> None:
    """Run uses this model from now on, for the category of this project that has its keypoints.

    Without a project, in new projects. Where another category than the one of new poses has the keypoints, new poses
    are of that one from now on.
    """
    session, memory = context.session, context.memory
    memory.forget()
    here = session.category
    fits = [category for category in session.categories() if memory.fits(model, category)]
    category = here if here in fits else fits[0] if fits else None
    memory.choose(session.path, category, model)
    if category is not None and category != here:
        session.select()
        session.choose_category(category.id)
        context.window.tell(f"New poses use {category.name} ({category.schema.num_keypoints} keypoints) now")
    context.window.refresh_actions()


def fine_tune(context: Context) -> None:
    session = context.session
    if session.path is None:
        return
    name = session.path.stem
    dialog = FineTuneDialog(context.runner, session.path, name, context.window.widget())
    dialog.start_requested.connect(lambda plan: start_training(context, plan))
    dialog.show()


def start_training(context: Context, plan: Any) -> TrainingRun | None:
    """Begin a run; its monitor opens."""
    project: Path | None = context.session.path
    if project is None:
        return None
    run = TrainingRun(context.runner, project, plan, context.window.widget())
    context.window.follow_training(run)
    run.start()
    return run


class RunResults:
    """Collects results. Belongs to the UI thread.

    The first go in at once, so that somebody who waits for one picture does not wait longer; from then on all that came
    within a second go in together, whether more come or not.

    Args:
        write: puts results into the project.
    """

    def __init__(self, write: Callable[[Sequence[FrameResult]], None]) -> None:
        self._write = write
        self._waiting: list[FrameResult] = []
        self._due = 0.0
        self._timer = QTimer()
        self._timer.setObjectName("results of a run")
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.flush)

    def take(self, results: Sequence[FrameResult]) -> None:
        self._waiting += results
        left = self._due - time.monotonic()
        if left <= 0:
            self.flush()
        elif not self._timer.isActive():
            self._timer.start(int(1000 * left) + 1)

    def flush(self) -> None:
        """Write what waits, now."""
        self._timer.stop()
        results, self._waiting = self._waiting, []
        if results:
            self._write(results)
            self._due = time.monotonic() + RUN_RESULTS_SECONDS
