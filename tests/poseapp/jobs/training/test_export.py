from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import ModelError, TrainingError
from engine.models.catalog import list_models, user_models_dir
from engine.models.checkpoint import load_checkpoint, save_checkpoint
from engine.models.metadata import read_info
from engine.schema.builtin import find_schema
from engine.schema.schema import load_schema, schema_from_names
from engine.train.config import read_config
from engine.train.data.training_set import read_training_set
from engine.utils.context import Context
from poseapp.jobs.training import export as training_files
from poseapp.jobs.training.export import (
    CategorySurvey,
    PrepareTrainingJob,
    RunFiles,
    SurveyJob,
    TrainingPlan,
    name_problem,
    problems_of,
    register_model,
    runs_folder,
    safe_name,
    suggest_name,
)
from poseapp.jobs.training.labels import schema_toml
from poseapp.project import edits
from poseapp.project.model import Category, State
from poseapp.project.store import ProjectStore
from resources import resource_path
from tests.poseapp.conftest import POSE, SCHEMA

PLAN = TrainingPlan("tees", 1, "movenet_lightning", epochs=2, device="cpu", steps_per_epoch=3)


def last_result(job: Any) -> Any:
    return [step.result for step in job.run(Context()) if step.result is not None][-1]


@pytest.fixture
def files(project: Path) -> Iterator[RunFiles]:
    created: RunFiles = last_result(PrepareTrainingJob(project, PLAN))
    yield created
    shutil.rmtree(created.folder, ignore_errors=True)


def test_the_survey_counts_labels_and_leaves_predictions_out(project: Path) -> None:
    (survey,) = last_result(SurveyJob(project))
    assert (survey.category.name, survey.images, survey.instances, survey.predicted) == ("figure", 1, 2, 1)
    assert survey.points == (2, 2, 2, 1)


def test_the_survey_reads_beside_the_writer(project: Path) -> None:
    with ProjectStore.open(project):
        (survey,) = last_result(SurveyJob(project))
    assert survey.instances == 2


def test_the_exported_labels_are_what_the_trainer_reads(files: RunFiles, project: Path) -> None:
    data = read_training_set(files.train, files.images, str(files.schema))
    assert data.schema.names == SCHEMA.names
    assert [p.swap for p in data.schema.keypoints] == [p.swap for p in SCHEMA.keypoints]
    assert [image.path for image in data.images] == [project.parent / "a.png"]
    assert len(data.instances) == files.instances == 2
    np.testing.assert_allclose(data.instances[0].keypoints, POSE)
    np.testing.assert_allclose(data.instances[0].box, [40, 50, 160, 190])
    assert data.instances[1].labelled.tolist() == [True, True, True, False]


def test_absent_points_are_written_as_zeros(files: RunFiles) -> None:
    second = json.loads(files.train.read_text())["annotations"][1]
    assert second["keypoints"][9:] == [0.0, 0.0, 0.0]
    assert second["keypoints"][3:6][2] == 1.0


def test_the_configuration_holds_what_was_chosen(files: RunFiles) -> None:
    config = read_config(files.config)
    assert (config.model, config.device, config.out) == ("movenet_lightning", "cpu", str(files.folder))
    assert (config.pose.epochs, config.pose.steps_per_epoch, config.detect.epochs) == (2, 3, 2)


def test_each_run_has_a_folder_of_its_own(project: Path, files: RunFiles) -> None:
    again: RunFiles = last_result(PrepareTrainingJob(project, PLAN))
    assert again.folder != files.folder
    assert again.folder.parent.parent == files.folder.parent.parent == runs_folder()
    assert again.folder.name == files.folder.name == "tees"


def test_missing_images_stop_the_run_and_leave_no_folder(project: Path) -> None:
    (project.parent / "a.png").unlink()
    with pytest.raises(TrainingError, match="none of the 1 labelled images was found"):
        last_result(PrepareTrainingJob(project, PLAN))
    assert list(runs_folder().iterdir()) == []


def test_a_category_that_is_gone_stops_the_run(project: Path) -> None:
    with pytest.raises(Exception, match="no longer in the project"):
        last_result(PrepareTrainingJob(project, TrainingPlan("x", 77, "movenet_lightning")))


@pytest.mark.parametrize("name", ["coco", "coco_wholebody"])
def test_a_schema_survives_the_way_through_toml(name: str, tmp_path: Path) -> None:
    schema = find_schema(name)
    path = tmp_path / "schema.toml"
    path.write_text(schema_toml(schema), encoding="utf-8")
    read = load_schema(path)
    assert (read.keypoints, read.limbs) == (schema.keypoints, schema.limbs)


def survey(instances: int, images: int, points: tuple[int, ...], predicted: int = 0) -> CategorySurvey:
    return CategorySurvey(Category(1, "figure", SCHEMA), images, instances, points, predicted)


def test_nothing_labelled_is_an_error_that_says_what_to_do() -> None:
    errors, warnings = problems_of(survey(0, 0, (0, 0, 0, 0), predicted=3))
    assert errors == ["Nothing is labelled as figure yet. Accept the predictions that are right, or correct them."]
    assert warnings == []


def test_few_labels_are_a_warning() -> None:
    errors, warnings = problems_of(survey(3, 2, (3, 3, 3, 0), predicted=1))
    assert errors == []
    assert warnings[0] == "Never labelled, so never learnt: foot."
    assert warnings[1].startswith("Only 3 poses")
    assert "1 pose not yet accepted will not be used." in warnings


def test_enough_labels_have_no_findings() -> None:
    assert problems_of(survey(40, 40, (40, 40, 40, 39))) == ([], [])


def test_predictions_that_nobody_has_accepted_are_not_trained_on(project: Path) -> None:
    with ProjectStore.open(project) as store:
        key = next(key for key, counts in store.counts().items() if counts.labelled)
        (new,) = store.new_ids(1)
        guess = replace(store.instances(key)[0], id=new, state=State.PREDICTED, source="a_model", keypoints=POSE + 33.0)
        store.apply(edits.add_instance(key, guess))
        assert sum(i.state is State.PREDICTED for i in store.instances(key)) == 1
    files: RunFiles = last_result(PrepareTrainingJob(project, PLAN))
    assert files.instances == 2
    shown = [a["keypoints"][:2] for a in json.loads(files.train.read_text())["annotations"]]
    assert (POSE + 33.0)[0].tolist() not in shown


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_share_that_was_chosen_is_set_aside(project: Path, share: float) -> None:
    plan = replace(PLAN, val_fraction=share)
    files: RunFiles = last_result(PrepareTrainingJob(project, plan))
    assert read_config(files.config).val_fraction == share


def test_a_kind_without_pairs_is_told_that_nothing_is_mirrored() -> None:
    bare = schema_from_names("bare", ["one", "two"])
    category = Category(1, "bare", bare)
    (warning,) = problems_of(CategorySurvey(category, 40, 40, (40, 40)))[1]
    assert warning.startswith("Mirroring is off: no left/right pairs are known.")


@pytest.mark.parametrize(
    ("name", "safe"), [("my mouse", "my-mouse"), ("../x", "x"), ("Bär_1.2", "Bär_1.2"), ("a/b\\c", "a-b-c"), ("  ", "")]
)
def test_names_become_folder_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_suggested_name_is_free() -> None:
    assert suggest_name("photos", "Mouse") == "photos-mouse"
    (user_models_dir() / "photos-mouse").mkdir(parents=True)
    assert suggest_name("photos", "Mouse") == "photos-mouse-2"
    assert name_problem("photos-mouse") == "A model of this name already exists."
    assert name_problem("photos mouse") != ""
    assert name_problem("photos-mouse-2") == ""
    assert name_problem("movenet_thunder") != ""


def finished_run(folder: Path) -> Path:
    folder.mkdir()
    shutil.copyfile(resource_path("models/movenet_lightning.safetensors"), folder / "best.safetensors")
    shutil.copyfile(resource_path("models/efficientdet_lite0.safetensors"), folder / "detector.safetensors")
    (folder / "last.safetensors").write_bytes(b"not copied")
    return folder


def test_a_kept_model_is_in_the_list_with_its_detector(tmp_path: Path) -> None:
    assert register_model(finished_run(tmp_path / "run"), "tees") == "tees"
    own = [entry.id for entry in list_models() if entry.source == "user"]
    assert own == ["tees", "tees/detector"]
    assert not (user_models_dir() / "tees" / "last.safetensors").exists()


def test_a_model_is_never_overwritten(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    register_model(run, "tees")
    first = (user_models_dir() / "tees" / "best.safetensors").read_bytes()
    shutil.copyfile(resource_path("models/movenet_thunder.safetensors"), run / "best.safetensors")
    assert register_model(run, "tees") == "tees-2"
    assert (user_models_dir() / "tees" / "best.safetensors").read_bytes() == first


def test_the_model_of_a_run_that_was_killed_gets_the_detector_beside_it(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    info, state = load_checkpoint(run / "best.safetensors")
    save_checkpoint(run / "best.safetensors", state, info.replace(detector=None))
    register_model(run, "tees")
    assert read_info(user_models_dir() / "tees" / "best.safetensors").detector == "detector.safetensors"
    assert read_info(run / "best.safetensors").detector is None


def test_a_failed_copy_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training_files.shutil, "copy2", full)
    with pytest.raises(ModelError, match="No space left"):
        register_model(finished_run(tmp_path / "run"), "tees")
    assert list(user_models_dir().iterdir()) == []


def test_a_run_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="left no model"):
        register_model(tmp_path, "tees")
