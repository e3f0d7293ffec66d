import json
from pathlib import Path

import msgspec
import pytest

from engine.errors import TrainingError
from engine.models.catalog import list_models
from engine.networks import find_network
from engine.schema.schema import Schema
from engine.train.__main__ import main
from engine.train.config import TrainConfig, config_from_dict, merged, read_config, with_settings
from engine.train.optimizer import learning_rate
from engine.train.recipes import find_recipe, is_missing_extra, points_of, recipe_for, with_data, with_recipe

ROWS = [entry for entry in list_models("pose") if entry.recipe]


@pytest.mark.parametrize("entry", ROWS, ids=lambda entry: entry.id)
def test_every_row_has_the_common_schedule_and_its_own_sizes(entry) -> None:
    pose = with_recipe(TrainConfig(), entry).pose
    assert (pose.epochs, pose.validate_every, pose.patience) == (210, 10, 0)
    assert (pose.optimizer.kind, pose.optimizer.lr, pose.optimizer.weight_decay) == ("adam", 5e-4, 0.0)
    assert pose.optimizer.milestones == (170, 200)
    assert pose.batch == entry.recipe["batch_per_gpu"]
    assert pose.total_batch == entry.recipe["gpus"] * entry.recipe["batch_per_gpu"]
    assert pose.topdown.half_body == (0.3 if entry.recipe["half_body"] else 0.0)
    assert pose.select in ("AP", "AUC")
    assert find_network(entry.architecture).backbone(entry.arguments) is not None


def test_all_published_rows_have_a_recipe() -> None:
    assert len(ROWS) >= 31


def test_the_rate_rises_falls_at_the_milestones_and_is_the_published_one() -> None:
    optimizer = with_recipe(TrainConfig(), find_recipe("coco_res50_256x192")).pose.optimizer
    per_epoch, total = 293, 293 * 210

    def rate(step: int) -> float:
        return learning_rate(step, total, optimizer, per_epoch)

    assert rate(0) == pytest.approx(5e-4 * 0.001)
    assert rate(499) == rate(500) == pytest.approx(5e-4)
    assert rate(250) == pytest.approx(5e-4 * (0.001 + 0.999 * 250 / 499))
    assert rate(170 * per_epoch - 1) == pytest.approx(5e-4)
    assert rate(170 * per_epoch) == pytest.approx(5e-5)
    assert rate(200 * per_epoch) == rate(total - 1) == pytest.approx(5e-6)


def test_whatever_is_given_changes_the_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.toml"
    file.write_text("[pose.optimizer]\nlr = 1e-3\ngamma = 0.5\n[pose.topdown]\nrotation = 40.0\n")
    options = ["--config", str(file), "--set", "pose.topdown.half_body=0", "--lr", "2e-3", "--precision", "bf16"]
    more = ["--ema", "0.999", "--no-flip-test", "--batch", "auto", "--accumulate", "4", "--auto-scale-lr"]
    assert main(["--recipe", "coco_res50_256x192", *options, *more, "--out", "x", "--print-config"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "all.toml").write_text(text)
    pose = read_config(tmp_path / "all.toml").pose
    assert (pose.optimizer.lr, pose.optimizer.gamma, pose.optimizer.kind) == (2e-3, 0.5, "adam")
    assert (pose.topdown.rotation, pose.topdown.half_body, pose.topdown.enabled) == (40.0, 0.0, True)
    assert (pose.precision, pose.ema, pose.flip_test, pose.batch, pose.accumulate) == ("bf16", 0.999, False, -1, 4)
    assert pose.optimizer.scale_base == 512


def test_a_batch_beyond_the_published_step_makes_the_step_larger(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--recipe", "deepfashion2_skirt_res50_256x192", "--batch", "256", "--print-config"])
    assert "total_batch = 0" in capsys.readouterr().out


def test_the_data_sets_own_layout_is_known() -> None:
    config = with_data(with_recipe(TrainConfig(train="mine.json"), find_recipe("coco_res50_256x192")), "/data/coco")
    assert config.train == "mine.json"
    assert config.val == str(Path("/data/coco/annotations/person_keypoints_val2017.json"))
    assert config.images == str(Path("/data/coco/train2017"))
    with pytest.raises(TrainingError, match="--recipe"):
        with_data(TrainConfig(), "/data")


def test_a_category_of_deepfashion2_trains_its_own_points() -> None:
    schema, kind = points_of(with_recipe(TrainConfig(), find_recipe("deepfashion2_skirt_res50_256x192")))
    assert isinstance(schema, Schema)
    assert (schema.num_keypoints, kind) == (8, "deepfashion2")
    assert points_of(with_recipe(TrainConfig(), find_recipe("coco_res50_256x192"))) == ("", "")


def test_the_visibility_row_wants_a_second_data_set() -> None:
    config = with_recipe(TrainConfig(), find_recipe("coco_res50vis_256x192"))
    assert is_missing_extra(config)
    assert not is_missing_extra(msgspec.structs.replace(config, extra="aic.json"))


def test_unknown_recipes_and_settings_are_named() -> None:
    with pytest.raises(TrainingError, match=r"no_such.*coco_res50_256x192"):
        find_recipe("no_such")
    with pytest.raises(TrainingError, match="no recipe"):
        recipe_for(list_models("detector")[0])
    for setting, words in (("pose.nothing=1", "nothing"), ("seed=one", "seed"), ("seed", "NAME=VALUE")):
        with pytest.raises(TrainingError, match=words):
            with_settings(TrainConfig(), [setting])
    assert with_settings(TrainConfig(), ["model=resnet50", "pose.batch=3"]).model == "resnet50"


def test_recipes_are_plain_data() -> None:
    for entry in ROWS:
        messages = json.loads(json.dumps(recipe_for(entry)))
        base = json.loads(json.dumps({"pose": {}, "seed": 1}))
        assert config_from_dict(merged(base, messages)).seed == 1
