"""What a fine-tune reads and leaves behind: the labels as a COCO file, the run's folder, the finished model. No Qt."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from engine.errors import ModelError, ProjectError, TrainingError
from engine.models.catalog import list_models, user_models_dir
from engine.models.metadata import read_info
from engine.models.mirroring import mirror_problem, mirroring_off
from engine.train.config import TaskConfig, TrainConfig, write_config
from engine.utils.context import Context
from poseapp.jobs.base import Lane, Progress
from poseapp.jobs.training.frames import FramePictures
from poseapp.jobs.training.labels import coco_data, common_folder, schema_toml
from poseapp.jobs.training.plan import RunFiles, TrainingPlan, remove_run, runs_folder, safe_name
from poseapp.jobs.training.runs import mark_preparing
from poseapp.project.model import Category, FrameKey, Instance, State
from poseapp.project.store import ProjectStore

__all__ = [
    "CategorySurvey",
    "PrepareTrainingJob",
    "RegisterModelJob",
    "RunFiles",
    "SurveyJob",
    "TrainingPlan",
    "name_problem",
    "problems_of",
    "register_model",
    "remove_run",
    "runs_folder",
    "safe_name",
    "suggest_name",
]

MIN_INSTANCES = 5
ADVISED_INSTANCES = 20
MIN_IMAGES_TO_VALIDATE = 8
MODEL_FILES = ("best.safetensors", "detector.safetensors", "log.jsonl", "config.toml")
SURVEY_STEP = 200


@dataclass(frozen=True)
class CategorySurvey:
    """What is labelled of one category.

    Attributes:
        category: which.
        images: labelled images with at least one pose of it.
        instances: labelled poses with at least one point.
        points: (K,) how often each keypoint is labelled (visibility above 0).
        predicted: poses nobody has accepted; they are not trained on.
    """

    category: Category
    images: int = 0
    instances: int = 0
    points: tuple[int, ...] = ()
    predicted: int = 0


def suggest_name(project: str, category: str) -> str:
    """A free model name after the project and its category: "photos-mouse", "photos-mouse-2"."""
    stem = safe_name(f"{project}-{category}".lower()) or "model"
    taken = {entry.id for entry in list_models()}
    index, name = 1, stem
    while name in taken or (user_models_dir() / name).exists():
        index += 1
        name = f"{stem}-{index}"
    return name


def name_problem(name: str) -> str:
    """Why a model cannot have this name, or ""."""
    if not name.strip():
        return "Give the model a name."
    if safe_name(name) != name.strip():
        return f"Use letters, digits, dots and dashes only, for example {safe_name(name) or 'my-model'}."
    if (user_models_dir() / name).exists() or name in {entry.id for entry in list_models()}:
        return "A model of this name already exists."
    return ""


def counts_for_training(instance: Instance) -> bool:
    """A person answers for it, and at least one point is there."""
    return instance.state is State.LABELLED and bool((instance.visibility > 0).any())


class SurveyJob:
    """Counts what is labelled, per category. Its last result is a list of :class:`CategorySurvey`.

    Args:
        project: the project's file; opened for reading only, beside the writer.
    """

    lane = Lane.IO
    title = "Counting labels"

    def __init__(self, project: Path) -> None:
        self._project = project

    def run(self, context: Context) -> Iterator[Progress]:
        with ProjectStore.open(self._project, read_only=True) as store:
            categories = {c.id: c for c in store.categories()}
            images = dict.fromkeys(categories, 0)
            instances = dict.fromkeys(categories, 0)
            predicted = dict.fromkeys(categories, 0)
            points = {c.id: np.zeros(c.schema.num_keypoints, np.int64) for c in categories.values()}
            counts = store.counts()
            for index, key in enumerate(counts, 1):
                seen = set()
                for instance in store.instances(key):
                    if instance.category not in categories:
                        continue
                    if counts_for_training(instance):
                        seen.add(instance.category)
                        instances[instance.category] += 1
                        points[instance.category] += instance.visibility > 0
                    elif instance.state is State.PREDICTED:
                        predicted[instance.category] += 1
                for category in seen:
                    images[category] += 1
                if index % SURVEY_STEP == 0:
                    yield Progress(index, len(counts), self.title)
        results = [
            CategorySurvey(c, images[i], instances[i], tuple(int(n) for n in points[i]), predicted[i])
            for i, c in categories.items()
        ]
        yield Progress(len(counts), len(counts), result=results)


def problems_of(survey: CategorySurvey) -> tuple[list[str], list[str]]:
    """What speaks against training on these labels.

    Returns:
        Reasons why it cannot start, and warnings, both as sentences.
    """
    errors: list[str] = []
    warnings: list[str] = []
    name = survey.category.name
    if survey.instances == 0:
        accept = " Accept the predictions that are right, or correct them." if survey.predicted else ""
        return [f"Nothing is labelled as {name} yet.{accept}"], []
    missing = [
        p.name.replace("_", " ") for p, n in zip(survey.category.schema.keypoints, survey.points, strict=True) if n == 0
    ]
    if missing and len(missing) == survey.category.schema.num_keypoints:
        errors.append("No keypoint is labelled.")
    elif missing:
        listed = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        warnings.append(f"Never labelled, so never learnt: {listed}.")
    if survey.instances < MIN_INSTANCES:
        warnings.append(f"Only {_poses(survey.instances)}: the model will mostly repeat what it saw.")
    elif survey.instances < ADVISED_INSTANCES:
        warnings.append(f"{_poses(survey.instances)} can do for a first try; {ADVISED_INSTANCES} or more are better.")
    if survey.images < MIN_IMAGES_TO_VALIDATE:
        warnings.append(
            f"Fewer than {MIN_IMAGES_TO_VALIDATE} labelled images: "
            "there is no validation split, so the metrics will look too good."
        )
    problem = mirror_problem(survey.category.schema)
    if problem:
        warnings.append(mirroring_off(problem))
    if survey.predicted:
        warnings.append(f"{_poses(survey.predicted)} not yet accepted will not be used.")
    return errors, warnings


def _poses(count: int) -> str:
    return "1 pose" if count == 1 else f"{count} poses"


class PrepareTrainingJob:
    """Writes a run's folder: labels as COCO, schema, configuration. Its result is a :class:`RunFiles`.

    Raises (from ``run``):
        TrainingError: nothing is labelled, images are missing, or the disk is full.
    """

    lane = Lane.IO

    def __init__(self, project: Path, plan: TrainingPlan) -> None:
        self._project, self._plan = project, plan
        self.title = f"Preparing {plan.name}"

    def run(self, context: Context) -> Iterator[Progress]:
        plan = self._plan
        folder = _new_run_folder(plan.name)
        try:
            mark_preparing(folder)
            with ProjectStore.open(self._project, read_only=True) as store, FramePictures(folder) as pictures:
                category = next((c for c in store.categories() if c.id == plan.category), None)
                if category is None:
                    raise ProjectError("this category is no longer in the project", where=self._project)
                keys = [key for key, counts in store.counts().items() if counts.labelled]
                rows: list[tuple[FrameKey, Path, list[Instance]]] = []
                missing: list[Path] = []
                for index, key in enumerate(keys, 1):
                    labelled = [i for i in store.instances(key) if i.category == category.id and counts_for_training(i)]
                    if labelled:
                        path = store.frame_path(key)
                        file = pictures.file(key, path)
                        if file is not None:
                            rows.append((key, file, labelled))
                        else:
                            missing.append(path)
                    if index % 50 == 0:
                        yield Progress(index, len(keys), self.title)
            yield Progress(len(keys), len(keys), self.title, result=self._write(folder, category, rows, missing))
        except BaseException:
            remove_run(folder)
            raise

    def _write(
        self,
        folder: Path,
        category: Category,
        rows: Sequence[tuple[FrameKey, Path, list[Instance]]],
        missing: Sequence[Path],
    ) -> RunFiles:
        if not rows and missing:
            raise TrainingError(f"none of the {len(missing)} labelled images was found", where=missing[0])
        if not rows:
            raise TrainingError(f"nothing is labelled as {category.name!r} yet", where=self._project)
        root = common_folder([path for _, path, _ in rows])
        data = coco_data(category, rows, root)
        warnings = (f"{len(missing)} labelled images were not found and are left out.",) if missing else ()
        files = RunFiles(
            folder=folder,
            train=folder / "labels.json",
            images=root,
            schema=folder / "schema.toml",
            config=folder / "wanted.toml",
            instances=len(data["annotations"]),
            image_count=len(rows),
            warnings=warnings,
        )
        try:
            files.train.write_bytes(msgspec.json.encode(data))
            files.schema.write_text(schema_toml(category.schema), encoding="utf-8")
            write_config(_config(self._plan, files), files.config)
        except OSError as error:
            raise TrainingError(f"cannot be written ({error.strerror})", where=folder) from None
        return files


def _config(plan: TrainingPlan, files: RunFiles) -> TrainConfig:
    defaults = TrainConfig()
    return TrainConfig(
        train=str(files.train),
        images=str(files.images),
        model=plan.model,
        schema=str(files.schema),
        out=str(files.folder),
        device=plan.device,
        seed=plan.seed,
        val_fraction=plan.val_fraction,
        pose=TaskConfig(epochs=plan.epochs, steps_per_epoch=plan.steps_per_epoch, batch=plan.batch),
        detect=msgspec.structs.replace(defaults.detect, epochs=plan.epochs, steps_per_epoch=plan.steps_per_epoch),
    )


def _new_run_folder(name: str) -> Path:
    """``RUNS/TIME/NAME``: the last part is what the trainer calls the model."""
    stem = time.strftime("%Y%m%d-%H%M%S")
    for index in range(1, 1000):
        home = runs_folder() / (stem if index == 1 else f"{stem}-{index}")
        try:
            home.mkdir(parents=True)
            folder = home / (safe_name(name) or "model")
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise TrainingError(f"cannot be made ({error.strerror})", where=home) from None
        return folder
    raise TrainingError("no free name for the run", where=runs_folder())


class RegisterModelJob:
    """Puts a finished run's model into the user's models folder, whole or not at all. Its result is the model's id."""

    lane = Lane.IO

    def __init__(self, run: Path, name: str) -> None:
        self._run, self._name = run, name
        self.title = f"Keeping {name}"

    def run(self, context: Context) -> Iterator[Progress]:
        yield Progress(0, 1, self.title)
        yield Progress(1, 1, result=register_model(self._run, self._name))


def register_model(run: Path, name: str) -> str:
    """Copy ``best.safetensors``, its detector and the log into ``MODELS/name`` and return the model's id.

    A name that has been taken meanwhile gets a number. The model of a run that was killed before it named its detector
    is given the detector that lies beside it.

    Raises:
        ModelError: the run left no model, or the folder cannot be written.
    """
    if not (run / MODEL_FILES[0]).is_file():
        raise ModelError("the run left no model", where=run)
    models = user_models_dir()
    temporary = models / f".{name}.{os.getpid()}.tmp"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for file in MODEL_FILES:
            if (run / file).is_file():
                shutil.copy2(run / file, temporary / file)
        _name_detector(temporary)
        target = models / name
        index = 1
        while target.exists():
            index += 1
            target = models / f"{name}-{index}"
        os.replace(temporary, target)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise ModelError(f"the model cannot be kept ({error.strerror})", where=models / name) from None
    except ModelError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return target.name


def _name_detector(folder: Path) -> None:
    best, detector = folder / MODEL_FILES[0], folder / MODEL_FILES[1]
    if not detector.is_file() or read_info(best).detector is not None:
        return
    from engine.models.checkpoint import load_checkpoint, save_checkpoint  # brings torch

    info, state = load_checkpoint(best)
    save_checkpoint(best, state, info.replace(detector=detector.name))
