"""COCO in and out: what nobody touched comes back as it was, what was touched changes in that and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import CocoError
from engine.schema.builtin import find_schema
from poseapp.project import edits
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.formats.coco.importer import import_coco
from poseapp.project.model import FrameKey, Instance, State
from poseapp.project.store import ProjectStore

NAMES = ["nose", "left_ear", "right_ear"]
FILE: dict[str, Any] = {
    "info": {"year": 2020},
    "images": [
        {"id": 10, "file_name": "a.png", "width": 100, "height": 50, "odd": [1, {"x": None}]},
        {"id": 11, "file_name": "sub/b.png"},
    ],
    "custom": 1.50,
    "annotations": [
        {
            "segmentation": [[1, 2.5, 3]],
            "num_keypoints": 2,
            "area": 12,
            "iscrowd": 0,
            "keypoints": [5, 6, 2, 7, 8, 1, 9, 9, 0],
            "image_id": 10,
            "bbox": [1, 2, 30, 40],
            "category_id": 3,
            "id": 441,
            "note": "kept",
        },
        {
            "id": 442,
            "image_id": 10,
            "category_id": 3,
            "keypoints": [1.5, 2, 2.0, 0, 0, 0, 3, 4, 1.0],
            "bbox": [0, 0, 1, 1],
        },
        {
            "id": 443,
            "image_id": 11,
            "category_id": 3,
            "iscrowd": 1,
            "bbox": [0, 0, 9, 9],
            "segmentation": {"counts": "x"},
        },
        {"id": 444, "image_id": 11, "category_id": 4, "bbox": [0, 0, 9, 9]},
        {"id": 445, "image_id": 11, "category_id": 3, "bbox": [4, 4, 9, 9], "track_id": "Anna"},
        {"id": 445, "image_id": 99, "category_id": 3, "keypoints": [1, 1, 2, 1, 1, 2, 1, 1, 2]},
    ],
    "categories": [
        {"id": 3, "name": "mouse", "supercategory": "animal", "keypoints": NAMES, "skeleton": [[1, 2], [1, 3]]},
        {"id": 4, "name": "cage"},
    ],
}


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(FILE))
    return path


def new_store(tmp_path: Path, name: str = "x") -> ProjectStore:
    return ProjectStore.create(tmp_path / f"{name}.pose")


def exported(store: ProjectStore, **options: Any) -> dict[str, Any]:
    out = store.path.with_suffix(".out.json")
    export_coco(store, out, **options)
    data: dict[str, Any] = json.loads(out.read_text())
    return data


def changed(after: dict[str, Any], before: dict[str, Any] = FILE) -> dict[int, dict[str, Any]]:
    """Per position the keys of annotations that differ; every other thing must be equal."""
    assert {k: v for k, v in after.items() if k != "annotations"} == {
        k: v for k, v in before.items() if k != "annotations"
    }
    results: dict[int, dict[str, Any]] = {}
    for n, (new, old) in enumerate(zip(after["annotations"], before["annotations"])):
        keys = [key for key in {**old, **new} if new.get(key, "gone") != old.get(key, "gone")]
        if keys:
            results[n] = {key: new.get(key, "gone") for key in keys}
            assert [k for k in new if k in old] == [k for k in old if k in new]
    return results


def annotation(store: ProjectStore, index: int) -> tuple[FrameKey, Instance]:
    """The instance of the nth annotation that became one."""
    return list(store.all_instances())[index]


@pytest.mark.slow
def test_every_shared_file_comes_back_equal(shared: Path, tmp_path: Path) -> None:
    files = [*shared.glob("data/coco-mini/*.json"), *shared.glob("data/mmpose-samples/*/*.json")]
    count = 0
    for n, file in enumerate(sorted(files)):
        given = json.loads(file.read_bytes())
        if isinstance(given, list):
            continue
        with new_store(tmp_path, str(n)) as store:
            report = import_coco(store, file)
            assert report.images == len(given["images"])
            assert exported(store) == given, file
            assert list(exported(store)) == list(given), file
            # InstanceDelta and taken back is not touched.
            for key, instance in list(store.all_instances()):
                store.apply(edits.transform_pose(key, instance, [[1, 0, 0.5], [0, 1, 0]], merge_key="all"))
            assert exported(store) != given
            store.jump_to(0)
            assert exported(store) == given, file
        count += 1
    assert count >= 9


def test_moving_every_pose_of_a_shared_file_changes_only_points_and_boxes(shared: Path, tmp_path: Path) -> None:
    points = {"keypoints", "bbox", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"}
    for n, file in enumerate(sorted(shared.glob("data/mmpose-samples/*/*.json"))):
        given = json.loads(file.read_bytes())
        if isinstance(given, list):
            continue
        with new_store(tmp_path, str(n)) as store:
            import_coco(store, file)
            for key, instance in list(store.all_instances()):
                store.apply(edits.transform_pose(key, instance, [[1, 0, 0.25], [0, 1, 0]]))
            after = exported(store)
            result = changed(after, given)
            assert len(result) == len(given["annotations"])
            assert set().union(*result.values()) <= points, file
            old, new = given["annotations"][0]["keypoints"], after["annotations"][0]["keypoints"]
            assert len(old) == len(new)
            for x, y in zip(zip(*[iter(old)] * 3), zip(*[iter(new)] * 3)):
                assert y == ((x[0] + 0.25, x[1], x[2]) if x[2] else x)


def test_import_tells_what_it_took_and_what_it_kept_aside(labels: Path, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        report = import_coco(store, labels)
        assert (report.images, report.annotations) == (2, 3)
        text = " | ".join(report.problems)
        for words in (
            "Image not found: a.png and 1 more",
            "Crowd",
            "without points",
            "not in the file, kept aside: id 445",
        ):
            assert words in text
        (category,) = store.categories()
        assert category.schema.names == tuple(NAMES)
        assert category.schema.limb_indices.tolist() == [[0, 1], [0, 2]]
        first = annotation(store, 0)[1]
        assert first.keypoints.tolist() == [[5, 6], [7, 8], [9, 9]]
        assert first.visibility.tolist() == [2, 1, 0]
        assert first.by_human.tolist() == [True, True, False]
        assert first.box.tolist() == [1, 2, 31, 42]
        assert annotation(store, 2)[1].visibility.tolist() == [0, 0, 0]
        assert store.frame(FrameKey(1, 0)).width == 100
        assert store.history() == []
        assert exported(store) == FILE


def test_a_moved_point_changes_its_own_numbers_only(labels: Path, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        import_coco(store, labels)
        key, instance = annotation(store, 0)
        store.apply(edits.move_keypoints(key, instance, {0: (5.25, 6)}))
        assert changed(exported(store)) == {0: {"keypoints": [5.25, 6, 2, 7, 8, 1, 9, 9, 0]}}
        out = store.path.with_suffix(".out.json").read_text()
        assert "[5.25,6" in out
        assert ",2,7,8,1,9,9,0]" in out


def test_whole_numbers_stay_whole_when_moved(labels: Path, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        import_coco(store, labels)
        key, instance = annotation(store, 0)
        store.apply(edits.move_keypoints(key, instance, {0: (55, 66)}))
        points = exported(store)["annotations"][0]["keypoints"]
        assert points[:3] == [55, 66, 2]
        assert all(isinstance(n, int) for n in points)


def test_visibility_changes_bring_num_keypoints_along_where_it_stands(labels: Path, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        import_coco(store, labels)
        key, first = annotation(store, 0)
        store.apply(edits.set_visibility(key, first, [0], 0))
        store.apply(edits.set_visibility(key, store.instance(first.id), [2], 1))
        store.apply(edits.set_visibility(key, store.instance(first.id), [1], 0))
        key, second = annotation(store, 1)
        store.apply(edits.set_visibility(key, second, [1], 2))
        assert changed(exported(store)) == {
            0: {"keypoints": [0, 0, 0, 0, 0, 0, 9, 9, 1], "num_keypoints": 1},
            1: {"keypoints": [1.5, 2, 2.0, 0, 0, 2.0, 3, 4, 1.0]},
        }


def test_boxes_tracks_and_categories_change_alone(labels: Path, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        import_coco(store, labels)
        key, first = annotation(store, 0)
        store.apply(edits.move_box(key, first, (1, 2, 31.5, 42)))
        assert changed(exported(store)) == {0: {"bbox": [1.0, 2.0, 30.5, 40.0]}}
        store.undo()
        store.apply(edits.move_box(key, first, None))
        assert changed(exported(store)) == {0: {"bbox": "gone"}}
        store.undo()
        anna = annotation(store, 2)[1].track
        store.apply(edits.set_track(key, [first], anna))
        assert changed(exported(store)) == {0: {"track_id": "Anna"}}
        store.undo()
        rat = store.add_category("rat", find_schema("coco"))
        store.apply(edits.set_category(key, [first], rat, {c.id: c for c in store.categories()}))
        after = exported(store)
        assert after["categories"][:2] == FILE["categories"]
        assert after["categories"][2]["name"] == "rat"
        assert after["annotations"][0]["category_id"] == after["categories"][2]["id"] == 5
        assert len(after["annotations"][0]["keypoints"]) == 51
        assert after["annotations"][0]["num_keypoints"] == 2
        assert after["annotations"][1:] == FILE["annotations"][1:]


def test_deleted_goes_and_undo_brings_all_of_it_back(labels: Path, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        import_coco(store, labels)
        key, first = annotation(store, 0)
        store.apply(edits.delete_instances(key, [first]))
        assert exported(store)["annotations"] == FILE["annotations"][1:]
        store.close()
        with ProjectStore.open(store.path) as again:
            again.undo()
            assert exported(again) == FILE


def test_new_instances_get_ids_behind_the_largest(labels: Path, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        import_coco(store, labels)
        (category,) = store.categories()
        key, gone = annotation(store, 1)
        new = edits.make_instance(
            store.new_ids(1)[0], category, [[1.5, 2], [3, 4], [5, 6]], [2, 1, 0], box=(0, 0, 4, 5)
        )
        bare = edits.make_instance(store.new_ids(1)[0], category, [[1, 2], [3, 5], [0, 0]], [2, 1, 0])
        store.apply(edits.add_instance(key, new, bare))
        store.apply(edits.delete_instances(key, [gone]))
        created = exported(store)["annotations"][-2:]
        assert created[0] == {
            "id": 446,
            "image_id": 10,
            "category_id": 3,
            "keypoints": [1.5, 2, 2, 3, 4, 1, 0, 0, 0],
            "num_keypoints": 2,
            "bbox": [0, 0, 4, 5],
            "area": 20,
            "iscrowd": 0,
        }
        assert created[1]["id"] == 447
        assert created[1]["bbox"] == [1, 2, 2, 3]


def test_predictions_are_written_on_request(labels: Path, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        import_coco(store, labels)
        (category,) = store.categories()
        created = edits.make_instance(store.new_ids(1)[0], category, np.ones((3, 2)))
        predicted = replace(created, state=State.PREDICTED, score=0.5, scores=np.array([0.1, 0.2, 0.3]), source="net")
        store.apply(edits.add_instance(FrameKey(1, 0), predicted))
        assert exported(store) == FILE
        record = exported(store, include_predicted=True)["annotations"][-1]
        assert (record["score"], record["keypoint_scores"]) == (0.5, [0.1, 0.2, 0.3])
        store.apply(edits.accept(FrameKey(1, 0), [predicted]))
        record = exported(store)["annotations"][-1]
        assert "score" not in record
        assert record["num_keypoints"] == 3


def test_predictions_of_a_file_stay_predictions_until_accepted(labels: Path, tmp_path: Path) -> None:
    data = json.loads(json.dumps(FILE))
    data["annotations"][0] |= {"score": 0.25, "keypoint_scores": [0.1, 0.2, 0.3]}
    labels.write_text(json.dumps(data))
    with new_store(tmp_path) as store:
        import_coco(store, labels)
        key, instance = annotation(store, 0)
        assert (instance.state, instance.score, instance.source) == (State.PREDICTED, 0.25, "imported")
        assert instance.scores.tolist() == [0.1, 0.2, 0.3]
        assert store.find(max_keypoint_score=0.1) == [(key, instance.id)]
        assert exported(store) == data
        store.apply(edits.accept(key, [instance]))
        assert changed(exported(store), data) == {0: {"score": "gone", "keypoint_scores": "gone"}}


def test_only_labelled_frames(labels: Path, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        import_coco(store, labels)
        key, instance = annotation(store, 2)
        store.apply(edits.delete_instances(key, [instance]))
        after = exported(store, only_labelled_frames=True)
        assert after["images"] == FILE["images"][:1]
        assert after["annotations"] == FILE["annotations"][:2]


def test_a_project_without_a_coco_file_is_written_whole(store: ProjectStore, frame: FrameKey, make: Any) -> None:
    store.apply(edits.add_instance(frame, make()))
    data = exported(store, unseen_frames=True)
    assert list(data) == ["images", "annotations", "categories"]
    assert [(i["id"], i["file_name"]) for i in data["images"]] == [(1, "a.png"), (2, "b.png")]
    assert data["categories"][0]["skeleton"] == [[1, 2], [1, 3]]
    assert data["annotations"][0]["category_id"] == data["categories"][0]["id"]


def test_wholebody_parts_are_joined_and_split_again(shared: Path, tmp_path: Path) -> None:
    file = shared / "data/mmpose-samples/coco/test_coco_wholebody.json"
    given = json.loads(file.read_text())
    with new_store(tmp_path) as store:
        import_coco(store, file)
        key, instance = annotation(store, 0)
        source = given["annotations"][0]
        joined = [source[k] for k in ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")]
        flat = np.array([n for part in joined for n in part], float).reshape(133, 3)
        assert np.array_equal(instance.keypoints, flat[:, :2])
        assert np.array_equal(instance.visibility > 0, flat[:, 2] > 0)
        store.apply(edits.move_keypoints(key, instance, {20: (1.5, 2.5), 95: (3, 4)}, visibility=2))
        result = changed(exported(store), given)[0]
        assert result["foot_kpts"][9:12] == [1.5, 2.5, 2]
        assert result["lefthand_kpts"][12:14] == [3, 4]
        assert set(result) <= {"foot_kpts", "lefthand_kpts", "foot_valid", "lefthand_valid"}
        new = edits.make_instance(store.new_ids(1)[0], store.categories()[0], np.ones((133, 2)))
        store.apply(edits.add_instance(key, new))
        created = exported(store)["annotations"][-1]
        assert [len(created[k]) // 3 for k in ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts")] == [
            17,
            6,
            68,
            21,
        ]
        assert created["num_keypoints"] == 17
        assert created["face_valid"] is True


def test_a_file_of_boxes_gets_poses_and_names_for_them(tmp_path: Path) -> None:
    data = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]},
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(data))
    with new_store(tmp_path) as store:
        import_coco(store, tmp_path / "a.json")
        key, instance = annotation(store, 0)
        assert instance.num_keypoints == 17
        assert exported(store) == data
        store.apply(edits.move_keypoints(key, instance, {0: (1, 2)}))
        after = exported(store)
        assert after["categories"][0]["keypoints"] == list(find_schema("coco").names)
        assert after["categories"][1] == data["categories"][1]
        assert after["annotations"][0]["keypoints"][:3] == [1, 2, 2]
        assert after["annotations"][0]["id"] == 1


def test_files_without_sections_come_back_without_them(tmp_path: Path) -> None:
    for n, data in enumerate(
        [
            {"images": [{"id": "a", "file_name": "a.png"}]},
            {"images": [], "annotations": [], "categories": []},
            {"images": [{"id": 1, "file_name": "a"}], "annotations": None, "categories": None},
            {
                "annotations": [{"id": 1, "image_id": 1, "keypoints": [1, 2, 2]}],
                "images": [{"id": 1, "file_name": "a"}],
            },
        ]
    ):
        (tmp_path / "a.json").write_text(json.dumps(data))
        with new_store(tmp_path, str(n)) as store:
            import_coco(store, tmp_path / "a.json")
            assert exported(store) == data


def test_two_files_become_one(labels: Path, tmp_path: Path) -> None:
    other = json.loads(json.dumps(FILE))
    other["images"] = [{"id": 10, "file_name": "a.png"}, {"id": 12, "file_name": "c.png"}]
    other["annotations"] = [
        {**FILE["annotations"][0], "keypoints": [1, 1, 1] * 3},
        {**FILE["annotations"][3], "image_id": 12},
    ]
    other["categories"] = [
        {"id": 7, "name": "mouse", "keypoints": NAMES},
        {"id": 3, "name": "dog", "keypoints": ["tail"]},
    ]
    other["annotations"][0]["category_id"] = 7
    other["annotations"][1] = {"id": 9, "image_id": 12, "category_id": 3, "keypoints": [1, 2, 2]}
    (tmp_path / "more.json").write_text(json.dumps(other))
    with new_store(tmp_path) as store:
        import_coco(store, labels)
        import_coco(store, tmp_path / "more.json")
        assert [f.name for f in store.frames()] == ["a.png", "sub/b.png", "c.png"]
        assert [c.name for c in store.categories()] == ["mouse", "dog"]
        after = exported(store)
        assert after["images"][:2] == FILE["images"]
        assert after["images"][2] == {"id": 12, "file_name": "c.png"}
        assert len(after["images"]) == 3
        assert after["annotations"][:6] == FILE["annotations"]
        moved, dog = after["annotations"][6:]
        assert moved == {**FILE["annotations"][0], "keypoints": [1, 1, 1] * 3, "id": 446}
        names = {c["id"]: c["name"] for c in after["categories"]}
        assert names[moved["category_id"]] == "mouse"
        assert (names[dog["category_id"]], dog["image_id"], dog["id"]) == ("dog", 12, 9)
        assert len(names) == len(after["categories"]) == 3


def test_labels_go_to_the_frames_that_are_there_already(labels: Path, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        media = store.add_media("images", tmp_path)
        keys = store.add_frames(media.id, [("other.png", 0, 0), ("a.png", 0, 0)])
        import_coco(store, labels)
        assert len(store.instances(keys[1])) == 2
        assert store.frame_count() == 3
        after = exported(store, unseen_frames=True)
        assert after["images"] == [*FILE["images"], {"id": 12, "file_name": "other.png"}]


def test_a_faulty_file_leaves_the_project_as_it_was(labels: Path, tmp_path: Path) -> None:
    data = json.loads(json.dumps(FILE))
    data["annotations"] = 3
    labels.write_text(json.dumps(data))
    with new_store(tmp_path) as store:
        with pytest.raises(CocoError, match="annotations: is not a list but a number"):
            import_coco(store, labels)
        assert store.frame_count() == 0
        assert store.categories() == []
        assert store.media() == []


def test_an_import_can_be_stopped(labels: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        assert (done, total) == (0, 6)
        raise Stop

    with new_store(tmp_path) as store:
        with pytest.raises(Stop):
            import_coco(store, labels, progress=stop)
        assert store.frame_count() == 0


def test_odd_records_are_shown_and_come_back(tmp_path: Path) -> None:
    text = json.dumps(
        {
            "images": [{"id": "x.png"}, {"id": "x.png", "file_name": "again.png"}],
            "annotations": [
                {
                    "id": "q",
                    "image_id": "x.png",
                    "category_id": "m",
                    "keypoints": [[1, 2], [3, 4], [None, 1]],
                    "bbox": ["1", 2, 3, 4],
                },
                {"id": "q", "image_id": "x.png", "category_id": "m", "keypoints": [1, 2, True, 3, 4, False, 5, 6, 3]},
                {"id": None, "image_id": "x.png", "category_id": "m", "keypoints": [1, 2, 0.3, -3, 4000, 2, 0, 0, 2]},
                {"id": 5, "image_id": "x.png", "category_id": "m", "keypoints": [1, 2, 2]},
            ],
            "categories": [{"id": "m", "name": "mouse", "keypoints": NAMES, "skeleton": None}],
        }
    ).replace("[null, 1]", "[NaN, 1]")
    (tmp_path / "a.json").write_text(text)
    with new_store(tmp_path) as store:
        report = import_coco(store, tmp_path / "a.json")
        assert report.annotations == 3
        results = [i.visibility.tolist() for _, i in store.all_instances()]
        assert results == [[2, 2, 0], [1, 0, 2], [2, 2, 2]]
        assert annotation(store, 0)[1].box.tolist() == [1, 2, 4, 6]
        out = store.path.with_suffix(".out.json")
        export_coco(store, out)
        assert repr(json.loads(out.read_text())) == repr(json.loads(text))
        key, first = annotation(store, 0)
        store.apply(edits.move_keypoints(key, first, {2: (7, 8)}))
        assert exported(store)["annotations"][0]["keypoints"] == [1, 2, 2, 3, 4, 2, 7, 8, 2]
