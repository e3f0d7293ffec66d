from __future__ import annotations

import json

import pytest

from engine.datasets.__main__ import main
from engine.formats.coco.dataset import CocoDataset
from engine.utils.command_line import run
from tests.engine.formats.conftest import COCO_NAMES, coco_document, person, triples


def garments():
    vest, shorts = [0] * 882, [0] * 882
    vest[3 * 128 : 3 * 143], shorts[3 * 158 : 3 * 168] = triples(15), triples(10)
    document = coco_document(
        [person(keypoints=vest, category_id=5), person(8, keypoints=shorts, category_id=7, image_id=2)]
    )
    document["categories"] = [{"id": 5, "name": "vest"}, {"id": 7, "name": "shorts"}]
    return document


def test_kinds_are_listed(capsys):
    assert run(main, ["kinds"]) == 0
    assert "deepfashion2" in capsys.readouterr().out


def test_info_tells_what_is_left_out(write, capsys):
    file = write(coco_document([person(), person(8, iscrowd=1)], COCO_NAMES))
    assert run(main, ["info", str(file)]) == 0
    assert "2 instances, 1 of them fit" in capsys.readouterr().out
    assert run(main, ["info", str(file), "--json"]) == 0
    messages = json.loads(capsys.readouterr().out)
    assert (messages["kind"], messages["instances"], messages["usable"], messages["left_out"]) == (
        "coco",
        2,
        1,
        {"a crowd": 1},
    )


def test_convert_one_category(write, tmp_path, capsys):
    out = tmp_path / "out.json"
    arguments = ["convert", str(write(garments())), "--out", str(out), "--category", "vest", "--own-points"]
    assert run(main, arguments) == 0
    written = CocoDataset.read(out)
    assert [c.name for c in written.categories] == ["vest"]
    assert len(written.images) == len(written.annotations) == 1
    assert "images are below" in capsys.readouterr().out


def test_convert_and_merge(write, tmp_path):
    out = tmp_path / "out.json"
    coco = write(coco_document([person(), person(8, iscrowd=1)], COCO_NAMES), "coco/labels.json")
    aic = write(coco_document([person(keypoints=triples(14))]), "aic/labels.json")
    also = ["--also", "aic", str(aic), str(aic.parent)]
    assert run(main, ["convert", str(coco), "--out", str(out), *also, "--merge", "aic-into-coco17", "--usable"]) == 0
    written = CocoDataset.read(out)
    assert [image.file_name for image in written.images] == ["coco/a.jpg", "aic/a.jpg"]
    assert [len(annotation.keypoints or []) for annotation in written.annotations] == [51, 51]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--category", "hat"], "has no category 'hat'; it has shorts, vest"),
        (["--merge", "aic-into-coco17"], "needs a data set of kind aic"),
        (["--kind", "halpe"], "has 294 keypoints, halpe has 136"),
        (["--split", "train"], "leave --split out"),
    ],
)
def test_what_cannot_be_done_is_one_line(write, tmp_path, capsys, extra, message):
    out = tmp_path / "out.json"
    assert run(main, ["convert", str(write(garments())), "--out", str(out), *extra]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()
