"""Each check finds what it is for, and nothing in good labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine.errors import Cancelled, LabelError
from engine.labels import Category, Frame, Instance, Labels, Media
from engine.labels.checks import (
    Check,
    CheckedFrame,
    Finding,
    checks,
    find_check,
    register_check,
    run_checks,
    running,
    unregister_check,
)
from engine.schema.builtin import find_schema
from engine.utils.context import Context

COCO = find_schema("coco")
# A person who faces the camera: 17 keypoints in a box of 100 x 200 pixels.
PERSON = np.array(
    [[50, 15], [55, 10], [45, 10], [60, 12], [40, 12], [70, 40], [30, 40], [80, 75], [20, 75], [85, 105], [15, 105],
     [62, 105], [38, 105], [64, 150], [36, 150], [65, 195], [35, 195]], np.float64,
)  # fmt: skip
SIZE = (640, 480)


def person(frame: int, shift: tuple[float, float] = (100, 100), seed: int = 0, **changes: Any) -> Instance:
    """A person who stands a little differently for each seed."""
    points = PERSON + np.random.default_rng(seed).normal(0, 2, PERSON.shape) + shift
    box = np.array([shift[0], shift[1], shift[0] + 100, shift[1] + 200], np.float64)
    fields = {"keypoints": points, "visibility": np.full(17, 2, np.uint8), "box": box, "key": f"annotation {seed}"}
    return Instance(frame, 0, **(fields | changes))


def labels(instances: list[Instance], frames: int = 40, **options: Any) -> Labels:
    listed = [Frame(f"{index}.jpg", 0, index, *SIZE) for index in range(frames)]
    return Labels(listed, instances, [Category("person", COCO)], **options)


def crowd_of(count: int = 40) -> list[Instance]:
    """Good labels: two people in each frame."""
    return [person(index // 2, (50 + 250 * (index % 2), 100), index) for index in range(count)]


def found(instances: list[Instance], **options: Any) -> list[tuple[str, int | None]]:
    return [(finding.check, finding.instance) for finding in run_checks(labels(instances, **options))]


def with_points(move: Callable[[npt.NDArray[np.float64]], None]) -> Instance:
    points = person(5, (50, 100), 10).keypoints
    assert points is not None
    points = points.copy()
    move(points)
    return person(5, (50, 100), 10, keypoints=points)


def swap(*pairs: tuple[int, int]) -> Instance:
    def move(points: npt.NDArray[np.float64]) -> None:
        for a, b in pairs:
            points[[a, b]] = points[[b, a]]

    return with_points(move)


def put(keypoint: int, x: float, y: float) -> Instance:
    def move(points: npt.NDArray[np.float64]) -> None:
        points[keypoint] = x, y

    return with_points(move)


SIDES = tuple((int(a), int(b)) for a, b in enumerate(COCO.flip_indices) if a < b)


def test_good_labels_pass_every_check() -> None:
    assert found(crowd_of()) == []


@pytest.mark.parametrize(
    ("check", "instance", "message"),
    [
        ("outside_image", put(9, 130, 484), "left_wrist lies outside the image (640 x 480 pixels)"),
        ("missing_coordinates", put(0, 0, 0), "nose is marked as labelled and without coordinates"),
        ("missing_coordinates", put(0, np.nan, 3), "nose is marked as labelled and without coordinates"),
        ("empty_box", person(5, (50, 100), 10, box=np.array([50, 100, 50, 300.0])), "the box is 0 x 200 pixels"),
        ("empty_box", person(5, (50, 100), 10, box=np.array([50, 100, np.inf, 300])), "a number that is not finite"),
        ("box_without_keypoints", person(5, (50, 100), 10, visibility=np.zeros(17, np.uint8)), "no labelled keypoint"),
        ("box_without_keypoints", person(5, (50, 100), 10, keypoints=None, visibility=None), "no labelled keypoint"),
        ("keypoints_outside_box", person(5, (50, 100), 10, box=np.array([500, 10, 600, 90.0])), "holds none of"),
        ("duplicate_instances", person(5, (301, 100), 11), "repeats annotation 11"),
        ("limb_length", put(9, 600, 240), "left_elbow to left_wrist is"),
        ("swapped_sides", swap((5, 6)), "left_shoulder, right_shoulder look swapped"),
        ("swapped_sides", swap((11, 12), (13, 14), (15, 16)), "left_hip, right_hip and 4 more look swapped"),
        ("swapped_sides", swap(*SIDES), "all left and right keypoints look swapped, compared with the other labels"),
    ],
)
def test_a_mistake_is_found_by_its_check(check: str, instance: Instance, message: str) -> None:
    instances = crowd_of()
    instances[10] = instance
    findings = list(run_checks(labels(instances)))
    # A duplicate is reported at the later of the two.
    position = 11 if check == "duplicate_instances" else 10
    assert (check, position) in [(finding.check, finding.instance) for finding in findings]
    finding = next(finding for finding in findings if finding.check == check)
    assert message in finding.message
    assert finding.where == f"5.jpg, annotation {position}"
    assert finding.frame == 5
    assert all(finding.instance in (10, 11) for finding in findings)


def test_an_instance_of_an_unknown_image_is_found() -> None:
    assert found([*crowd_of(), person(-1)]) == [("unlisted_image", 40)]


def test_an_image_that_is_listed_twice_is_found() -> None:
    frames = [Frame("a.jpg"), Frame("b.jpg", index=1), Frame("a.jpg", index=2)]
    twice = Labels(frames, [], [Category("person", COCO)])
    assert [(finding.check, finding.frame) for finding in run_checks(twice)] == [("duplicate_image", 2)]


def test_a_missing_image_is_found_where_images_are_looked_for() -> None:
    few = labels(crowd_of(4), frames=2)

    def image_of(position: int, frame: Frame) -> Path | None:
        return Path(frame.name) if position == 0 else None

    assert [(finding.check, finding.where) for finding in run_checks(few, image_of=image_of)] == [
        ("missing_image", "1.jpg")
    ]
    assert list(run_checks(few)) == []
    video = labels(crowd_of(4), frames=2, media=[Media("video", "film.mp4")])
    assert list(run_checks(video, image_of=image_of)) == []


def test_people_seen_from_behind_are_not_swapped() -> None:
    instances = [
        person(index // 2, (50 + 250 * (index % 2), 100), index)
        if index % 4
        else swap(*SIDES).replace(frame=index // 2)
        for index in range(40)
    ]
    assert "swapped_sides" not in [check for check, _ in found(instances)]


def test_a_crowd_and_a_category_without_keypoints_need_none() -> None:
    crowd = person(0, keypoints=None, visibility=None, is_crowd=True)
    dog = Instance(0, 1, box=np.array([5, 5, 90, 90.0]))
    both = Labels([Frame("0.jpg", 0, 0, *SIZE)], [crowd, dog], [Category("person", COCO), Category("dog")])
    assert list(run_checks(both)) == []


@pytest.mark.parametrize("at_once", [3, 10, 100_000])
def test_the_order_of_instances_changes_nothing(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "INSTANCES_AT_ONCE", at_once)
    instances = crowd_of()
    instances[10] = put(9, 600, 240)
    instances[30] = person(15, (301, 100), 31)  # its twin is 31
    order = np.random.default_rng(1).permutation(40).tolist()
    shuffled = [instances[index] for index in order]
    findings = [(finding.check, finding.frame) for finding in run_checks(labels(shuffled))]
    assert sorted(findings) == sorted((finding.check, finding.frame) for finding in run_checks(labels(instances)))
    assert [frame for _, frame in findings] == [5, 15]


def test_a_cancelled_run_stops() -> None:
    context = Context()
    run = run_checks(labels(crowd_of()), context=context)
    context.cancel()
    with pytest.raises(Cancelled):
        next(run)


def test_progress_reaches_its_end() -> None:
    steps: list[tuple[int, int]] = []
    list(run_checks(labels(crowd_of()), context=Context(lambda done, total, _text: steps.append((done, total)))))
    assert steps[-1] == (80, 80)
    assert steps == sorted(steps)


@pytest.fixture
def toy_check() -> Iterator[type[Check]]:
    @register_check
    class SevenPoints(Check):
        id = "seven_points"
        title = "Seven keypoints"
        help = "Seven keypoints bring bad luck."

        def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
            for instance in frame.instances:
                if instance.is_labelled.sum() == 7:
                    yield self.finding(frame, "has seven keypoints", instance)

    yield SevenPoints
    unregister_check("seven_points")


def test_a_check_is_one_class(toy_check: type[Check]) -> None:
    assert toy_check in checks()
    assert find_check("seven-points") is toy_check
    instances = crowd_of(2)
    instances[1] = instances[1].replace(visibility=np.array([2] * 7 + [0] * 10, np.uint8))
    assert ("seven_points", 1) in found(instances)
    assert [finding.check for finding in run_checks(labels(instances), [toy_check])] == ["seven_points"]


def test_an_unknown_check_gets_a_suggestion() -> None:
    with pytest.raises(LabelError, match="did you mean 'swapped_sides'"):
        find_check("swaped_side")
    with pytest.raises(LabelError, match="there are absent_with_coordinates, "):
        find_check("xyz")
    with pytest.raises(LabelError, match="lower-case letters"):
        register_check(type("Odd", (Check,), {"id": "Odd one"}))


def test_every_check_says_what_it_is_for() -> None:
    for check in checks():
        assert check.title[0].isupper()
        assert not check.title.endswith(".")
        assert check.help.endswith(".")
        assert check.severity in ("info", "warning", "error")
