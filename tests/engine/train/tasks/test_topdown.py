"""Crops, targets and losses of recipes, and whole runs with a tiny network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.codecs import codec_from_dict
from engine.codecs.heatmap import keypoint_mse
from engine.errors import TrainingError
from engine.evaluate.__main__ import main as evaluate
from engine.formats.coco.dataset import CocoDataset, make_annotation
from engine.models.catalog import find_model
from engine.models.checkpoint import load_checkpoint
from engine.models.metadata import CheckpointInfo, read_info
from engine.networks import register_network, unregister_network
from engine.schema.schema import schema_from_dict
from engine.train.__main__ import main
from engine.train.config import TaskConfig, TopDownConfig
from engine.train.data.pose_crops import ImageCache
from engine.train.data.topdown_crops import TopDownDataset, as_published
from engine.train.data.training_set import joined, read_extra_set, read_training_set
from engine.train.initial_weights import initial_pose_network, initial_recipe_network
from engine.train.losses import visibility_loss
from engine.train.tasks.topdown import TopDownTask
from engine.train.tasks.topdown_validation import Conditions, EvaluationProtocol, for_other_points
from engine.utils import command_line
from tests.engine.train.conftest import COLORS, SCHEMA
from tests.engine.train.tiny_network import NAME, SIZE, TinyPose, write_start

CODECS = [
    {"name": "msra", "sigma": 1.5},
    {"name": "msra", "unbiased": True, "blur_kernel_size": 17},
    {"name": "udp", "sigma": 2.0},
]
TINY_INFO = CheckpointInfo(
    "pose", NAME, arguments={"num_keypoints": 4}, schema=SCHEMA.to_dict(), codec=CODECS[0], input_size=SIZE
)


@pytest.fixture(autouse=True)
def tiny() -> Any:
    register_network(NAME)(TinyPose)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    unregister_network(NAME)


def phase_of(
    labels: Path, out: Path, info: CheckpointInfo = TINY_INFO, network: nn.Module | None = None, **config: Any
) -> TopDownTask:
    data = read_training_set(labels)
    entry = for_other_points(find_model("coco_res50_256x192"), data.schema)
    protocol = EvaluationProtocol.of(entry, data, labels.parent, validation_part=False, conditions=Conditions())
    chosen = TaskConfig(topdown=TopDownConfig(enabled=True), **config)
    return TopDownTask(network or TinyPose(), info, chosen, data, protocol, ImageCache(1 << 28), out)


@pytest.mark.parametrize("udp", [False, True])
def test_keypoints_stay_on_what_they_mark(bars: Path, udp: bool) -> None:
    conventions = {"crop": "udp"} if udp else {}
    data = read_training_set(bars)
    info = TINY_INFO.replace(input_size=(96, 128), conventions=conventions)
    crops = TopDownDataset(data, info, TopDownConfig(enabled=True, flip=0.5), ImageCache(1 << 28))
    flips = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sample = crops.sample(seed % len(crops), rng)
        image, _ = crops._cache.get(data.images[crops.data.instances[seed % len(crops)].image].path)
        assert image.shape == (120, 120, 3)
        for position, (name, (x, y)) in enumerate(zip(SCHEMA.names, sample.keypoints)):
            column, row = round(x), round(y)
            if not (2 <= column < 94 and 2 <= row < 126):
                continue
            seen = sample.crop[row, column].astype(int)
            expected = np.array(COLORS[position])
            # In a mirrored crop what was the left side is the right one, and keeps its color.
            swapped = np.array(COLORS[SCHEMA.flip_indices[position]])
            near = [np.abs(seen - color).max() < 100 for color in (expected, swapped)]
            assert any(near), name
            flips += name == "left_side" and not near[0]
    assert flips > 0


@pytest.mark.parametrize("codec", CODECS, ids=str)
def test_targets_from_factors_are_the_codecs_own(bars: Path, tmp_path: Path, codec: dict[str, Any]) -> None:
    phase = phase_of(bars, tmp_path, TINY_INFO.replace(codec=codec))
    samples = [phase.sample(i, np.random.default_rng(i)) for i in range(5)]
    batch = phase.collate(samples)
    assert batch.ids == [phase._train.data.instances[i].id for i in range(5)]
    own = codec_from_dict(codec, SIZE)
    maps = batch.tensors["columns"][..., :, None] * batch.tensors["rows"][..., None, :]
    for i, (sample, _) in enumerate(samples):
        expected, weights = own.encode(sample.keypoints, sample.labelled)
        assert np.allclose(maps[i].numpy(), expected, atol=1e-6)
        assert np.array_equal(batch.tensors["weights"][i].numpy(), weights)
    network = phase.network
    x = batch.tensors["crops"].permute(0, 3, 1, 2).float() / 255
    expected_loss = keypoint_mse(network(x), maps, batch.tensors["weights"])
    assert phase.loss(batch.tensors).item() == pytest.approx(expected_loss.item(), rel=1e-5)


def test_maps_without_weight_stay_in_the_mean() -> None:
    predicted, target = torch.ones(2, 4, 3, 5), torch.zeros(2, 4, 3, 5)
    weight = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 0.5]])
    assert float(keypoint_mse(predicted, target, weight)) == pytest.approx(2.5 / 8)


class Seeing(TinyPose):
    """With a visibility head, and channels that belong to another category."""

    def __init__(self) -> None:
        super().__init__(6)
        self.seen = nn.Parameter(torch.tensor([0.5, 0.9, 0.2, 0.7, 0.5, 0.5]))

    def forward(self, x: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return {"heatmap": super().forward(x), "visibility": self.seen.expand(len(x), -1)}


def test_channels_of_other_categories_count_as_maps_without_error(bars: Path, tmp_path: Path) -> None:
    network = Seeing()
    info = TINY_INFO.replace(conventions={"channels": [1, 5]})
    phase = phase_of(bars, tmp_path, info, network, visibility_weight=0.25)
    tensors = phase.collate([phase.sample(i, np.random.default_rng(i)) for i in range(3)]).tensors
    tensors["covered"][:, 1] = 0
    x = tensors["crops"].permute(0, 3, 1, 2).float() / 255
    maps = tensors["columns"][..., :, None] * tensors["rows"][..., None, :]
    square = ((network(x)["heatmap"][:, 1:5] - maps) ** 2 * tensors["weights"][..., None, None]).sum()
    expected = square / (3 * 6 * 16 * 12)
    p = network.seen[1:5].expand(3, -1)
    label = tensors["weights"]
    entropy = -(label * p.log() + (1 - label) * (1 - p).log()) * tensors["covered"]
    expected = expected + 0.25 * entropy.mean()
    assert phase.loss(tensors).item() == pytest.approx(expected.item(), rel=1e-5)


def test_visibility_that_is_not_covered_counts_as_no_error() -> None:
    probability, label = torch.tensor([[0.5, 0.0]]), torch.tensor([[1.0, 1.0]])
    assert float(visibility_loss(probability, label, torch.tensor([[1.0, 0.0]]))) == pytest.approx(np.log(2) / 2)


def test_boxes_are_clipped_and_those_left_empty_go(bars: Path, tmp_path: Path) -> None:
    data = CocoDataset.read(bars)
    for position, box in enumerate(([-50.0, -50.0, 100.0, 300.0], [500.0, 10.0, 20.0, 20.0])):
        points = np.reshape(data.annotations[position].keypoints or [], (4, 3))
        data.annotations[position] = make_annotation(position + 1, position + 1, 1, points, box)
    file = tmp_path / "labels.json"
    data.write(file)
    result = as_published(read_training_set(file, bars.parent))
    assert len(result.instances) == 11
    assert result.instances[0].box.tolist() == [0, 0, 50, 119]


def test_people_of_ai_challenger_join_those_of_coco(shared: Path) -> None:
    samples = shared / "data" / "mmpose-samples"
    coco = read_training_set(samples / "coco" / "test_coco.json")
    aic = read_extra_set(samples / "aic" / "test_aic.json", "", coco)
    both = joined(coco, aic)
    assert len(both.instances) == len(coco.instances) + len(aic.instances) > len(coco.instances)
    last = both.instances[-1]
    assert last.covered is not None
    assert last.covered.tolist() == [False] * 5 + [True] * 12
    assert not last.labelled[:5].any()
    assert both.images[last.image].path.is_file()


def arguments(bars: Path, out: Path, *more: str) -> list[str]:
    start = write_start(out.parent / "start.safetensors", SCHEMA)
    return [
        *("--recipe", "coco_res50_256x192", "--model", str(start), "--train", str(bars), "--val", str(bars)),
        *("--out", str(out), "--batch", "6", "--accumulate", "1", "--epochs", "3", "--validate-every", "2"),
        *("--device", "cpu", "--set", "threads=1", "--set", "pose.optimizer.warmup_steps=6", "--lr", "0.01"),
        *("--progress", "none", *more),
    ]


def epochs(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == "epoch"]


def test_validation_says_what_evaluation_says(bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert (
        main(arguments(bars, out, "--epochs", "45", "--validate-every", "20", "--set", "pose.freeze_norms=true")) == 0
    )
    result = epochs(out)
    assert [bool(e["metrics"]) for e in result] == [n in (20, 40, 45) for n in range(1, 46)]
    assert not any(e["best"] for e in result if not e["metrics"])
    file = tmp_path / "figures.json"
    best = out / "best.safetensors"
    options = ["--model", str(best), "--annotations", str(bars), "--out", str(file), "--progress", "none"]
    assert command_line.run(evaluate, [*options, "--metrics", "oks", "--device", "cpu"]) == 0
    measured = json.loads(file.read_text())["measured"]
    info, _ = load_checkpoint(best)
    assert info.metrics["AP"] > 0
    assert info.metrics["AP"] == pytest.approx(measured["AP"], abs=1e-5)
    assert info.provenance["recipe"] == "coco_res50_256x192"


def test_batches_that_are_added_up_are_one_batch(bars: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    frozen = ["--set", "pose.freeze_norms=true"]
    main(arguments(bars, whole, *frozen))
    main(arguments(bars, parts, *frozen, "--batch", "2", "--accumulate", "3"))
    losses = [[e["train_loss"] for e in epochs(out)] for out in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("options", [[], ["--ema", "0.9"], ["--precision", "bf16", "--no-channels-last"]], ids=str)
def test_a_recipe_resumes_bit_for_bit(bars: Path, tmp_path: Path, options: list[str]) -> None:
    straight, halves = tmp_path / "straight", tmp_path / "halves"
    main(arguments(bars, straight, *options))
    with pytest.MonkeyPatch.context() as patch:
        from engine.train.trainer import Trainer

        original = Trainer._report_step

        def stopping(self: Trainer, *values: Any) -> None:
            original(self, *values)
            if (self.state.epoch, self.state.step) == (1, 1):
                (halves / "stop").touch()

        patch.setattr(Trainer, "_report_step", stopping)
        main(arguments(bars, halves, *options))
    assert len(epochs(halves)) == 1
    main(["--out", str(halves), "--resume", "--progress", "none"])
    for name in ("last", "best"):
        states = [load_checkpoint(out / f"{name}.safetensors")[1] for out in (straight, halves)]
        assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())
    assert [e["train_loss"] for e in epochs(halves)] == [e["train_loss"] for e in epochs(straight)]


def test_a_mean_of_the_weights_is_what_is_kept(bars: Path, tmp_path: Path) -> None:
    plain, mean = tmp_path / "plain", tmp_path / "mean"
    main(arguments(bars, plain))
    main(arguments(bars, mean, "--ema", "0.99"))
    states = [load_checkpoint(out / "last.safetensors")[1] for out in (plain, mean)]
    assert not torch.equal(states[0]["head.weight"], states[1]["head.weight"])
    # The mean goes along beside the training and does not change it.
    assert epochs(plain)[-1]["train_loss"] == epochs(mean)[-1]["train_loss"]


def test_a_published_network_starts_fresh_or_with_other_points() -> None:
    entry = find_model("deepfashion2_skirt_res50_256x192")
    network, info = initial_recipe_network(entry, "random", schema_from_dict(SCHEMA.to_dict()))
    assert info.arguments["num_keypoints"] == 4
    assert "channels" not in info.conventions
    _, own = initial_pose_network(entry.id, "random", find_model_schema(entry.schema, entry.subset))
    assert own.arguments["num_keypoints"] == 294
    assert own.conventions["channels"][1] - own.conventions["channels"][0] == 8
    assert network.get_submodule("head.final_layer").weight.detach().std() == pytest.approx(0.001, rel=0.1)


def find_model_schema(name: str, subset: str) -> Any:
    from engine.schema.builtin import find_schema

    return find_schema(name).subset(subset)


def test_a_codec_without_factors_is_refused(bars: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="gaussian"):
        phase_of(bars, tmp_path, TINY_INFO.replace(codec={"name": "gaussian"}))


def test_curves_want_tensorboard(bars: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    try:
        import tensorboard  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        with pytest.raises(TrainingError, match="pip install tensorboard"):
            main(arguments(bars, out, "--tensorboard"))
    else:
        assert main(arguments(bars, out, "--tensorboard")) == 0
        assert list((out / "tensorboard").glob("events*"))


def test_boxes_that_cannot_be_read_leave_an_earlier_run_alone(bars: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    main(arguments(bars, out, "--epochs", "1"))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert command_line.run(main, arguments(bars, out, "--val-boxes", "none.json")) == 2
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_points_of_ones_own_are_measured_as_the_rows_are(bars: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    main(arguments(bars, out, "--recipe", "deepfashion_upper_res50_256x192", "--set", "pose.flip_test=false"))
    result = epochs(out)
    assert {"PCK@0.2", "AUC", "EPE"} <= set(result[-1]["metrics"])
    assert result[-1]["best"] or result[-2]["best"]
    assert not read_info(out / "best.safetensors").conventions.get("channels")
