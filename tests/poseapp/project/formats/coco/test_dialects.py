"""What other tools write as COCO: understood where it can be told, kept and reported where it cannot, never lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engine.formats.coco.document import Document
from engine.schema.builtin import find_schema
from engine.schema.schema import schema_from_names
from poseapp.project import edits
from poseapp.project.formats.coco.exporter import ExportReport, export_coco
from poseapp.project.formats.coco.importer import import_coco
from poseapp.project.formats.label_sizes import LabelSize, LabelSizesDiffer
from poseapp.project.formats.report import ImportReport
from poseapp.project.model import Edit, FrameEdit, FrameKey, FrameState, Instance, State
from poseapp.project.opening import open_any
from poseapp.project.schema.migration import migrate_category
from poseapp.project.store import ProjectStore

MOUSE: dict[str, Any] = {
    "id": 1,
    "name": "mouse",
    "keypoints": ["nose", "l_eye", "r_eye"],
    "skeleton": [[1, 2], [1, 3]],
}
POINTS = [10, 20, 2, 30, 40, 2, 50, 60, 1]


def labels(*annotations: dict[str, Any], **sections: Any) -> dict[str, Any]:
    images = [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}]
    full = [{"image_id": 1, "category_id": 1, "bbox": [5, 5, 60, 70], **a} for a in annotations]
    return {"images": images, "annotations": full, "categories": [MOUSE], **sections}


class Project:
    """A project of one label file; ``report`` tells of its import."""

    def __init__(self, folder: Path, data: Any, **options: Any) -> None:
        self.file = folder / "labels.json"
        self.file.write_text(data if isinstance(data, str) else json.dumps(data))
        self.store = ProjectStore.create(folder / "labels.pose")
        self.report: ImportReport = import_coco(self.store, self.file, **options)

    @property
    def poses(self) -> list[tuple[FrameKey, Instance]]:
        return list(self.store.all_instances())

    def exported(self, **options: Any) -> Any:
        out = self.store.path.with_suffix(".out.json")
        self.last: ExportReport = export_coco(self.store, out, **options)
        return json.loads(out.read_bytes().decode("utf-8"))

    def said(self, words: str) -> bool:
        return any(words in sentence for sentence in self.report.problems)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Any]:
    opened: list[Project] = []

    def make(data: Any, **options: Any) -> Project:
        opened.append(Project(tmp_path, data, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.store.close()


def picture(path: Path, width: int, height: int, orientation: int = 1) -> None:
    """A JPEG, with an EXIF orientation where that is not 1."""
    data = cv2.imencode(".jpg", np.zeros((height, width, 3), np.uint8))[1].tobytes()
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + b"\0\0\0\0\0\0"
    body = b"Exif\0\0" + tiff
    exif = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    path.write_bytes(data[:2] + exif + data[2:] if orientation != 1 else data)


def test_points_without_finite_coordinates_are_absent_and_said(project: Any) -> None:
    points = [float("nan"), 2, 2, 3, 4, 1, float("inf"), 6, 2]
    opened = project(labels({"id": 1, "keypoints": points}, {"id": 2, "keypoints": [None, None, 0, 3, 4, 1, 5, 6, 2]}))
    (_, first), (_, second) = opened.poses
    assert first.visibility.tolist() == [0, 1, 0]
    assert second.visibility.tolist() == [0, 1, 2]
    (remark,) = [p for p in opened.report.problems if "without finite coordinates" in p]
    assert "id 1 has 2 of them" in remark
    assert "more" not in remark  # what is marked as absent needs no coordinates


# --- identity of categories


def test_two_categories_that_differ_in_their_id_only_stay_two(project: Any) -> None:
    data = labels(
        {"id": 1, "keypoints": POINTS},
        {"id": 2, "keypoints": POINTS, "category_id": 2},
        categories=[MOUSE, {**MOUSE, "id": 2, "skeleton": []}],
    )
    opened = project(data)
    assert len({instance.category for _, instance in opened.poses}) == 2
    assert opened.exported() == data
    key, instance = opened.poses[1]
    opened.store.apply(edits.move_keypoints(key, instance, {0: (1, 2)}))
    assert opened.exported()["annotations"][1]["category_id"] == 2


def test_a_second_file_takes_the_categories_of_the_first_one_by_one(project: Any, tmp_path: Path) -> None:
    data = labels(
        {"id": 1, "keypoints": POINTS},
        {"id": 2, "keypoints": POINTS, "category_id": 2},
        categories=[MOUSE, {**MOUSE, "id": 2}],
    )
    opened = project(data)
    (tmp_path / "more.json").write_text(json.dumps(data))
    import_coco(opened.store, tmp_path / "more.json")
    assert len(opened.store.categories()) == 2


# --- edits of a category


def edit(opened: Project, **changes: Any) -> None:
    category = opened.store.categories()[0]
    opened.store.update_category(category.id, schema=replace_schema(category.schema, **changes))


def replace_schema(schema: Any, names: list[str] | None = None, limbs: list[tuple[int, int]] | None = None) -> Any:
    pairs = [tuple(pair) for pair in schema.limb_indices.tolist()] if limbs is None else limbs
    return schema_from_names(schema.name, names or list(schema.names), pairs, category=schema.category)


@pytest.mark.parametrize("base", [0, 1])
def test_edits_of_a_skeleton_reach_the_export(project: Any, base: int) -> None:
    limbs = [[0 + base, 1 + base], [0 + base, 2 + base]]
    data = labels({"id": 1, "keypoints": POINTS}, categories=[{**MOUSE, "skeleton": limbs, "odd": 1}])
    opened = project(data)
    edit(opened, names=["snout", "l_eye", "r_eye"])
    after = opened.exported()
    assert after["categories"] == [{**data["categories"][0], "keypoints": ["snout", "l_eye", "r_eye"]}]
    assert after["annotations"] == data["annotations"]
    edit(opened, limbs=[(0, 1)])
    assert opened.exported()["categories"][0]["skeleton"] == [[base, 1 + base]]
    edit(opened, limbs=[(0, 1), (1, 2)])
    assert opened.exported()["categories"][0]["skeleton"] == [[base, 1 + base], [1 + base, 2 + base]]
    edit(opened, names=MOUSE["keypoints"], limbs=[(0, 1), (0, 2)])
    assert opened.exported() == data


def test_a_category_that_is_renamed_keeps_its_id_and_its_other_keys(project: Any) -> None:
    opened = project(labels({"id": 1, "keypoints": POINTS}, categories=[{**MOUSE, "supercategory": "animal"}]))
    opened.store.update_category(opened.store.categories()[0].id, name="vole")
    assert opened.exported()["categories"] == [{**MOUSE, "supercategory": "animal", "name": "vole"}]


def test_points_of_a_built_in_skeleton_are_not_an_edit(project: Any) -> None:
    names = list(find_schema("coco").names)
    data = labels({"id": 1, "keypoints": [1, 2, 2] * 17}, categories=[{**MOUSE, "keypoints": names, "skeleton": []}])
    assert project(data).exported() == data


def test_a_point_that_is_added_changes_the_category_of_the_file(project: Any) -> None:
    opened = project(labels({"id": 1, "keypoints": POINTS}))
    category = opened.store.categories()[0]
    more = replace_schema(category.schema, names=["nose", "l_eye", "r_eye", "tail"], limbs=[(0, 1), (0, 3)])
    migrate_category(opened.store, category, "mouse", more, (0, 1, 2, None))
    after = opened.exported()
    assert after["categories"] == [
        {**MOUSE, "keypoints": ["nose", "l_eye", "r_eye", "tail"], "skeleton": [[1, 2], [1, 4]]}
    ]
    assert after["annotations"][0]["category_id"] == 1
    assert after["annotations"][0]["keypoints"] == [*POINTS, 0, 0, 0]
    opened.store.undo()
    assert opened.exported()["annotations"][0]["keypoints"] == POINTS


# --- numbers


def test_a_list_cut_short_is_kept_aside_and_told(project: Any) -> None:
    data = labels({"id": 1, "keypoints": [10, 20, 2, 30, 40, 2]}, {"id": 2, "keypoints": POINTS})
    opened = project(data)
    assert len(opened.poses) == 1
    assert opened.said("id 1 has 6 numbers instead of 9")
    assert opened.exported() == data


def test_pairs_are_told(project: Any) -> None:
    data = labels({"id": 1, "keypoints": [10, 20, 30, 40, 50, 60]}, {"id": 2, "keypoints": [1, 2, 33, 44, 0, 0]})
    opened = project(data)
    assert [instance.visibility.tolist() for _, instance in opened.poses] == [[2, 2, 2], [2, 2, 0]]
    assert opened.said("two numbers")
    assert opened.exported() == data


def test_scores_for_visibilities_make_a_prediction_that_keeps_them(project: Any) -> None:
    data = labels(
        {"id": 1, "keypoints": [10, 20, 0.9, 30, 40, 1.0, 50, 60, 0.0]},
        {"id": 2, "keypoints": POINTS},
        {"id": 3, "keypoints": [10, 20, 1.0, 30, 40, 1.0, 50, 60, 0.0], "score": 0.5},
    )
    opened = project(data)
    first, second, third = (instance for _, instance in opened.poses)
    assert (first.state, first.visibility.tolist()) == (State.PREDICTED, [2, 2, 0])
    assert first.scores is not None
    assert first.scores.tolist() == [0.9, 1.0, 0.0]
    assert first.score == pytest.approx(0.95)
    assert (second.state, second.visibility.tolist(), second.scores) == (State.LABELLED, [2, 2, 1], None)
    assert (third.state, third.visibility.tolist(), third.score) == (State.PREDICTED, [2, 2, 0], 0.5)
    assert opened.said("Scores in place of visibilities")
    assert opened.exported() == data


def test_an_edited_prediction_keeps_its_scores_and_an_accepted_one_gets_visibilities(project: Any) -> None:
    data = labels({"id": 1, "keypoints": [10, 20, 0.9, 30, 40, 0.8, 50, 60, 0.1], "score": 0.5})
    opened = project(data)
    key, instance = opened.poses[0]
    points = instance.keypoints.copy()
    points[0] = (11.5, 21)
    moved = replace(instance, keypoints=points)
    opened.store.apply(Edit("move", (FrameEdit(key, (instance,), (moved,)),)))
    assert opened.exported()["annotations"][0]["keypoints"] == [11.5, 21, 1.0, 30, 40, 0.8, 50, 60, 0.1]
    opened.store.undo()
    assert opened.exported() == data
    opened.store.apply(edits.accept(key, [instance]))
    accepted = opened.exported()["annotations"][0]
    assert accepted["keypoints"] == [10, 20, 2, 30, 40, 2, 50, 60, 2]
    assert all(isinstance(v, int) for v in accepted["keypoints"])
    assert "score" not in accepted


def test_a_file_of_whole_floats_has_visibilities(project: Any) -> None:
    data = labels({"id": 1, "keypoints": [10, 20, 1.0, 30, 40, 2.0, 0, 0, 0.0]})
    assert project(data).poses[0][1].visibility.tolist() == [1, 2, 0]


def test_whole_body_hands_with_scores_are_visible_and_the_body_keeps_its_visibilities(project: Any) -> None:
    body = [1, 2, 1] + [1, 2, 2] * 16
    hand = [3.0, 4.0, 1.0] + [3.0, 4.0, 0.046] * 19 + [0.0, 0.0, 0.0]
    parts = {"foot_kpts": [5, 6, 1] * 6, "face_kpts": [7, 8, 2] * 68, "righthand_kpts": [0.0] * 63}
    row = {"id": 1, "keypoints": body, "lefthand_kpts": hand, **parts}
    data = labels(row, categories=[{"id": 1, "name": "person", "keypoints": [], "skeleton": []}])
    opened = project(data)
    key, instance = opened.poses[0]
    seen = instance.visibility
    assert instance.state is State.LABELLED
    assert (seen[0], seen[1], seen[17], seen[23]) == (1, 2, 1, 2)
    assert seen[91:112].tolist() == [2] * 20 + [0]
    assert seen[112:].tolist() == [0] * 21
    assert instance.scores is not None
    assert instance.scores[92] == 0.046
    assert instance.by_human[0]
    assert not instance.by_human[92]
    assert opened.exported() == data
    opened.store.apply(edits.move_keypoints(key, instance, {93: (9.0, 9.0)}))
    assert opened.exported()["annotations"][0]["lefthand_kpts"] == [*hand[:6], 9.0, 9.0, 1.0, *hand[9:]]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [(1.0, 0.0, 2), (1.0, 2.0, 1), (1, 0, 1)],  # faces of COCO-WholeBody; visibilities as floats; as whole numbers
)
def test_a_part_of_nothing_but_ones_is_visible(project: Any, one: float, other: float, expected: int) -> None:
    row = {"keypoints": [1, 2, 2] * 17, "foot_kpts": [5, 6, 2] * 6}
    data = labels(
        {"id": 1, **row, "face_kpts": [7.0, 8.0, one] * 68},
        {"id": 2, **row, "face_kpts": [7.0, 8.0, other] * 68},
        categories=[{"id": 1, "name": "person", "keypoints": [], "skeleton": []}],
    )
    opened = project(data)
    assert set(opened.poses[0][1].visibility[23:91].tolist()) == {expected}
    assert opened.exported() == data


# --- ids and damaged records


@pytest.mark.parametrize("where", ["image", "category"])
def test_ids_that_are_text_on_one_side_find_each_other(project: Any, where: str) -> None:
    data = labels({"id": 1, "keypoints": POINTS, f"{where}_id": "1"})
    opened = project(data)
    assert len(opened.poses) == 1
    assert opened.said("text in one place and a number in another")
    assert opened.exported() == data
    assert opened.exported(only_labelled_frames=True) == data


def test_damaged_records_are_kept_aside_told_and_written_again(project: Any) -> None:
    good = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": POINTS}
    data = {
        "images": [7, {"id": 1, "file_name": "a.png"}, {"id": 2}],
        "annotations": [None, good, {"id": 2}, {**good, "id": 3, "keypoints": "none"}, {**good, "id": 4}],
        "categories": [{"name": "no id"}, MOUSE, "x"],
    }
    opened = project(data)
    assert len(opened.poses) == 2
    counts = [getattr(remark, "occurrences", 1) for remark in opened.report.problems if "Unreadable" in remark]
    assert sum(counts) == 7
    assert opened.exported() == data
    assert opened.exported(only_labelled_frames=True)["annotations"] == [good, {**good, "id": 4}]


def test_half_a_surrogate_pair_is_told_and_comes_back(project: Any) -> None:
    text = json.dumps(labels({"id": 1, "keypoints": POINTS, "note": "\ud83d"}))
    data = json.loads(text.replace("a.png", r"a\udd00.png").replace("nose", r"n\ud83d"))
    opened = project(json.dumps(data))
    assert opened.said("not valid Unicode")
    assert opened.exported() == data
    assert b"\\ud83d" in opened.store.path.with_suffix(".out.json").read_bytes()


def test_a_skeleton_of_element_ids_is_told(project: Any) -> None:
    data = labels({"id": 1, "keypoints": POINTS}, categories=[{**MOUSE, "skeleton": [[14, 20], [20, 17]]}])
    opened = project(data)
    assert opened.store.categories()[0].schema.limb_indices.tolist() == [[0, 2], [2, 1]]
    assert opened.said("ascending order")
    assert opened.exported() == data


# --- pictures on another grid

TURNED = {"id": 1, "file_name": "a.jpg", "width": 100, "height": 60}


def test_labels_of_a_picture_that_is_turned_are_fitted_and_written_back(project: Any, tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", 100, 60, orientation=6)
    data = labels({"id": 1, "keypoints": [90, 5, 2, 80, 6, 2, 0, 0, 0], "bbox": [70, 4, 20, 10]}, images=[TURNED])
    opened = project(data, label_size=LabelSize.FIT)
    key, instance = opened.poses[0]
    assert instance.keypoints[:2].tolist() == [[54, 90], [53, 80]]
    assert instance.box is not None
    assert instance.box.tolist() == [46, 70, 56, 90]
    frame = opened.store.frame(key)
    assert (frame.width, frame.height) == (60, 100)
    assert opened.said("they were fitted to it")
    assert opened.exported() == data
    opened.store.apply(edits.move_keypoints(key, instance, {0: (50, 90)}))
    assert opened.exported()["annotations"][0]["keypoints"] == [90, 9, 2, 80, 6, 2, 0, 0, 0]
    new = edits.make_instance(opened.store.new_ids(1)[0], opened.store.categories()[0], np.full((3, 2), (54.0, 90.0)))
    opened.store.apply(edits.add_instance(key, new))
    assert opened.exported()["annotations"][1]["keypoints"][:3] == [90, 5, 2]


def test_labels_of_a_resized_copy_are_fitted_and_written_back(project: Any, tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", 50, 30)
    data = labels({"id": 1, "keypoints": [10, 20, 2, 31, 41, 2, 0, 0, 0]}, images=[TURNED])
    opened = project(data, label_size=LabelSize.FIT)
    assert opened.poses[0][1].keypoints[0].tolist() == [4.75, 9.75]
    assert opened.poses[0][1].box.tolist() == [2.5, 2.5, 32.5, 37.5]
    assert opened.exported() == data


def test_labels_on_another_grid_are_left_as_they_are_unless_asked(project: Any, tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", 100, 60, orientation=6)
    data = labels({"id": 1, "keypoints": POINTS}, images=[TURNED])
    opened = project(data)
    assert opened.poses[0][1].keypoints[0].tolist() == [10, 20]
    assert opened.said("before it is turned upright; they were left as they are")
    assert opened.exported() == data


def test_the_question_comes_before_anything_is_written(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", 100, 60, orientation=6)
    (tmp_path / "a.json").write_text(json.dumps(labels({"id": 1, "keypoints": POINTS}, images=[TURNED])))
    with ProjectStore.create(tmp_path / "a.pose") as store:
        with pytest.raises(LabelSizesDiffer, match=r"a\.jpg is 60 x 100, turned by its EXIF orientation"):
            import_coco(store, tmp_path / "a.json", label_size=LabelSize.ASK)
        assert store.frame_count() == 0


def test_a_size_that_fits_in_no_way_is_told_and_not_asked(project: Any, tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", 60, 100)
    opened = project(labels({"id": 1, "keypoints": POINTS}, images=[TURNED]), label_size=LabelSize.ASK)
    assert opened.said("contradicts the picture")
    assert opened.poses[0][1].keypoints[0].tolist() == [10, 20]


def test_an_upside_down_picture_follows_the_others_of_its_file(project: Any, tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", 100, 60, orientation=6)
    picture(tmp_path / "b.jpg", 100, 60, orientation=3)
    images = [TURNED, {**TURNED, "id": 2, "file_name": "b.jpg"}]
    data = labels({"id": 1, "keypoints": POINTS, "image_id": 2}, images=images)
    opened = project(data, label_size=LabelSize.FIT)
    assert opened.poses[0][1].keypoints[0].tolist() == [89, 39]
    assert opened.exported() == data


# --- images nobody has looked at


def test_images_nobody_has_looked_at_are_no_negatives(tmp_path: Path) -> None:
    with ProjectStore.create(tmp_path / "x.pose") as store:
        media = store.add_media("images", tmp_path)
        keys = store.add_frames(media.id, [(f"{name}.png", 10, 10) for name in "abcd"])
        (tmp_path / "labels.json").write_text(json.dumps(labels({"id": 1, "keypoints": POINTS})))
        import_coco(store, tmp_path / "labels.json")
        store.apply(edits.set_frame_state(keys[1], FrameState(), reviewed=True))
        store.apply(edits.set_frame_state(keys[2], FrameState(), negative=True))

        def names(**options: Any) -> list[str]:
            report = export_coco(store, tmp_path / "out.json", **options)
            names = [image["file_name"] for image in json.loads((tmp_path / "out.json").read_text())["images"]]
            assert report.left_out == 4 - len(names)
            return names

        assert names() == ["a.png", "b.png", "c.png"]
        assert names(unseen_frames=True) == ["a.png", "b.png", "c.png", "d.png"]
        assert names(only_labelled_frames=True) == ["a.png"]


def test_untouched_images_of_a_file_without_labels_come_back(project: Any) -> None:
    data = labels(images=[{"id": 5, "file_name": "a.png"}, {"id": 6, "file_name": "b.png"}])
    assert project(data).exported() == data


def test_a_document_in_memory_is_imported_without_a_file(tmp_path: Path) -> None:
    with ProjectStore.create(tmp_path / "x.pose") as store:
        assert import_coco(store, tmp_path / "none", document=Document()).annotations == 0


def test_a_file_that_is_opened_beside_another_keeps_how_its_numbers_are_read(tmp_path: Path) -> None:
    (tmp_path / "first.json").write_text(json.dumps(labels({"id": 1, "keypoints": POINTS})))
    other = labels(
        {"id": 7, "keypoints": [10, 20, 0.9, 30, 40, 1.0, 50, 60, 0.0]},
        {"id": 8, "keypoints": [1, 2, 2] * 3, "category_id": 2},
        images=[{"id": 1, "file_name": "b.png"}, 5],
        categories=[MOUSE, {**MOUSE, "id": 2}],
    )
    (tmp_path / "second.json").write_text(json.dumps(other))
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((80, 100, 3), np.uint8))
    with open_any(tmp_path / "first.json") as store:
        project = store.path
    with open_any([project, tmp_path / "second.json"]) as store:
        export_coco(store, tmp_path / "out.json")
        assert len(store.categories()) == 2
    after = json.loads((tmp_path / "out.json").read_text())
    assert [a["keypoints"] for a in after["annotations"]] == [
        POINTS, *(a["keypoints"] for a in other["annotations"]),
    ]  # fmt: skip
    assert 5 in after["images"]


def test_a_remark_does_not_quote_the_file_at_length(project: Any) -> None:
    opened = project(labels(images=[{"id": 1, "file_name": "x" * 100_000}]))
    assert opened.said("Image not found")
    assert max(len(sentence) for sentence in opened.report.problems) < 1000
