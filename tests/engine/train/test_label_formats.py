"""Labels of any registered format train, are evaluated, and say which images to predict in."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.evaluate.evaluation import evaluate_model
from engine.evaluate.model import Conditions
from engine.formats.coco.dataset import CocoDataset
from engine.formats.registry import CERTAIN, NO, ReadOptions, WriteOptions, register_format, unregister_format
from engine.labels.features import Feature
from engine.labels.model import Category, Frame, Instance
from engine.labels.reader import LabelReader, Labels
from engine.models.metadata import read_info
from engine.predict.__main__ import main as predict
from engine.train.__main__ import main as train
from engine.utils.context import Context
from tests.engine.train.conftest import SCHEMA

CPU = ["--device", "cpu", "--progress", "none"]


class ToyFormat:
    """One line per pose: image name, then x and y of each keypoint."""

    name, title = "toy", "Toy poses"
    suffixes: tuple[str, ...] = (".toy",)
    can_read, can_write = True, False
    keeps: Collection[Feature] = frozenset()

    def sniff(self, path: Path) -> float:
        return CERTAIN if path.is_file() and path.read_bytes()[:4] == b"TOY\n" else NO

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        frames, instances = [], []
        for position, line in enumerate(path.read_text().splitlines()[1:]):
            name, *values = line.split()
            frames.append(Frame(name, index=position))
            points = np.array(values, float).reshape(-1, 2)
            instances.append(Instance(position, 0, points, np.full(len(points), 2, np.uint8)))
        return Labels(frames, instances, [Category("bar", SCHEMA)], path=path)

    def write(
        self, labels: LabelReader, path: Path, options: WriteOptions | None = None, context: Context | None = None
    ) -> None:
        raise NotImplementedError


@pytest.fixture
def toy_labels(bars: Path, tmp_path: Path) -> Iterator[Path]:
    """The bars in the toy format."""
    data = CocoDataset.read(bars)
    names = {image.id: image.file_name for image in data.images}
    lines = ["TOY"]
    for annotation in data.annotations:
        assert annotation.keypoints is not None
        points = np.array(annotation.keypoints).reshape(-1, 3)[:, :2]
        lines.append(" ".join([names[annotation.image_id], *map(str, points.ravel().tolist())]))
    file = tmp_path / "labels.toy"
    file.write_text("\n".join(lines))
    register_format(ToyFormat())
    yield file
    unregister_format("toy")


def test_labels_of_a_registered_format_are_trained_on_and_evaluated(
    toy_labels: Path, bars: Path, tmp_path: Path
) -> None:
    out, images = tmp_path / "out", str(bars.parent)
    settings = ["--set", "pose.steps_per_epoch=2", "--set", "workers=0", "--epochs", "1", "--batch", "2"]
    given = ["--train", str(toy_labels), "--images", images, "--what", "pose", "--out", str(out)]
    assert train([*given, *settings, *CPU]) == 0
    best = out / "best.safetensors"
    info = read_info(best)
    assert info.schema is not None
    assert [point["name"] for point in info.schema["keypoints"]] == list(SCHEMA.names)
    assert info.provenance["train_instances"] == 11
    result = evaluate_model(best, bars, bars.parent, Conditions(device="cpu", limit=3), metrics=["epe"])
    boxless = tmp_path / "poses.json"
    inputs = [images, "--annotations", str(toy_labels), "--model", str(best), "--detector", "none"]
    assert predict([*inputs, "--out", str(boxless), *CPU]) == 0
    assert len(json.loads(boxless.read_text())["images"]) == 12
    assert result.metrics["instances"] == 3
