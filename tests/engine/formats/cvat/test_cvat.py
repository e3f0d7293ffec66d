"""CVAT's XML for images and video: skeletons, groups, tracks and what lies between keyframes, and round trips."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from engine.errors import LabelError
from engine.formats import find_format, format_named
from engine.formats.registry import NO, WriteOptions
from engine.labels import (
    ABSENT,
    IMAGES,
    OCCLUDED,
    VIDEO,
    VISIBLE,
    Category,
    Frame,
    Instance,
    LabelReader,
    Labels,
    Media,
)
from engine.schema.schema import schema_from_names
from engine.utils.context import Context

SVG = (
    '&lt;line x1="1" data-type="edge" data-node-from="2" data-node-to="1"&gt;&lt;/line&gt;'
    '&lt;circle data-element-id="11" data-node-id="1" data-label-name="nose"&gt;&lt;/circle&gt;'
    '&lt;circle data-element-id="12" data-node-id="2" data-label-name="tail"&gt;&lt;/circle&gt;'
)
LABELS = (
    f"<labels><label><name>mouse</name><type>skeleton</type><svg>{SVG}</svg></label>"
    "<label><name>nose</name><type>points</type><parent>mouse</parent></label>"
    "<label><name>tail</name><type>points</type><parent>mouse</parent></label>"
    "<label><name>cage</name><type>rectangle</type></label></labels>"
)


def write(folder: Path, body: str, meta: str = "", labels: str = LABELS) -> Path:
    path = folder / "annotations.xml"
    path.write_text(
        f"<?xml version='1.0' encoding='utf-8'?>\n<annotations><version>1.1</version>"
        f"<meta><task><id>1</id>{meta}{labels}</task></meta>{body}</annotations>"
    )
    return path


def read(path: Path) -> tuple[LabelReader, list[str]]:
    context = Context()
    labels = format_named("cvat").read(path, context)
    return labels, context.findings.sentences()


def point(label: str, x: float, y: float, extra: str = "") -> str:
    return f'<points label="{label}" points="{x},{y}" {extra}/>'


def test_skeletons_of_images(tmp_path: Path) -> None:
    body = (
        '<image id="0" name="a/b.png" width="8" height="6"><skeleton label="mouse">'
        + point("tail", 3, 4, 'outside="0" occluded="1"')
        + point("nose", 1, 2, 'outside="1"')
        + '</skeleton><box label="cage" xtl="1" ytl="2" xbr="3" ybr="4"/></image><image id="1" name="c.png"/>'
    )
    path = write(tmp_path, body)
    assert find_format(path).name == find_format(tmp_path).name == "cvat"
    labels, remarks = read(path)
    assert remarks == []
    assert [(f.name, f.width, f.height) for f in labels.frames()] == [("a/b.png", 8, 6), ("c.png", 0, 0)]
    pose, box = labels.instances()
    assert [c.name for c in labels.categories] == ["mouse", "cage"]
    schema = labels.categories[0].schema
    assert schema is not None
    assert schema.names == ("nose", "tail")
    assert [(limb.start, limb.end) for limb in schema.limbs] == [("tail", "nose")]
    assert pose.keypoints is not None
    assert pose.keypoints.tolist() == [[1, 2], [3, 4]]
    assert pose.visibility is not None
    assert pose.visibility.tolist() == [ABSENT, OCCLUDED]
    assert box.box is not None
    assert box.box.tolist() == [1, 2, 3, 4]
    assert labels.categories[box.category].schema is None


def test_points_of_one_group_are_a_pose_with_the_box_of_the_group(tmp_path: Path) -> None:
    body = (
        '<image id="0" name="a.png">'
        + point("nose", 1, 2, 'group_id="3"')
        + point("tail", 3, 4, 'group_id="3"')
        + '<box label="rat" group_id="3" xtl="0" ytl="0" xbr="9" ybr="9"/></image>'
    )
    labels, _ = read(write(tmp_path, body, labels=""))
    (pose,) = labels.instances()
    assert labels.categories[pose.category].name == "rat"
    assert pose.box is not None
    assert pose.box.tolist() == [0, 0, 9, 9]
    assert pose.keypoints is not None
    assert pose.keypoints.tolist() == [[1, 2], [3, 4]]


def test_shapes_of_several_points_are_numbered_and_odd_ones_told(tmp_path: Path) -> None:
    body = "".join(
        f'<image id="{n}" name="{n}.png"><points label="sign" points="{points}"/></image>'
        for n, points in enumerate(("1,2;3,4", "5,6;7,8", "1,1;2,2;3,3", "1;2", "a,b"))
    )
    labels, remarks = read(write(tmp_path, body, labels=""))
    assert labels.num_instances() == 2
    schema = labels.categories[0].schema
    assert schema is not None
    assert schema.names == ("point_1", "point_2")
    assert len(list(labels.frames())) == 5
    assert sorted(remark.split(":")[0] for remark in remarks) == [
        "Points that are not pairs of numbers, left out",
        "Shape of 'sign' with another number of points than most, 2, left out",
    ]


def video_body(dense: bool) -> str:
    extra = point("nose", 4, 0, 'frame="14" keyframe="0"') if dense else ""
    return (
        '<track id="7" label="mouse" source="manual"><track id="0" label="nose">'
        + point("nose", 0, 0, 'frame="10" keyframe="1" occluded="1"')
        + extra
        + point("nose", 8, 0, 'frame="16" keyframe="1"')
        + '</track><track id="1" label="tail">'
        + point("tail", 1, 1, 'frame="10" keyframe="1"')
        + point("tail", 1, 1, 'frame="16" keyframe="1" outside="1"')
        + "</track></track>"
    )


META = (
    "<start_frame>10</start_frame><stop_frame>18</stop_frame><frame_filter>step=2</frame_filter><source>v.mp4</source>"
)


def test_frames_between_keyframes_are_predictions_on_the_line_between(tmp_path: Path) -> None:
    labels, remarks = read(write(tmp_path, video_body(dense=False), META))
    assert remarks == []
    assert labels.media[0].type == VIDEO
    assert labels.media[0].path == "v.mp4"
    frames = list(labels.frames())
    rows = {frames[i.frame].index: i for i in labels.instances()}
    assert list(rows) == [10, 12, 14, 16, 18]
    assert [i.is_prediction for i in rows.values()] == [False, True, True, False, True]
    assert {i.source for i in rows.values() if i.is_prediction} == {"interpolated"}
    assert len({i.track for i in rows.values()}) == 1
    twelve = rows[12]
    assert twelve.keypoints is not None
    np.testing.assert_allclose(twelve.keypoints, [[8 / 3, 0], [1, 1]])
    assert twelve.visibility is not None
    assert twelve.visibility.tolist() == [OCCLUDED, VISIBLE]
    assert rows[18].visibility is not None
    assert rows[18].visibility.tolist() == [VISIBLE, ABSENT]


def test_a_file_that_lists_frames_between_keyframes_is_taken_as_it_is(tmp_path: Path) -> None:
    labels, _ = read(write(tmp_path, video_body(dense=True), META))
    frames = list(labels.frames())
    assert [(frames[i.frame].index, i.is_prediction) for i in labels.instances()] == [
        (10, False),
        (14, True),
        (16, False),
    ]


def test_skeleton_elements_in_a_track(tmp_path: Path) -> None:
    body = (
        '<track id="1" label="mouse"><skeleton frame="0" keyframe="1">'
        + point("nose", 1, 1)
        + point("tail", 2, 2)
        + '</skeleton><skeleton frame="1" keyframe="1">'
        + point("nose", 1, 1, 'outside="1"')
        + point("tail", 2, 2, 'outside="1"')
        + "</skeleton></track>"
    )
    labels, _ = read(write(tmp_path, body, "<source>v.mp4</source>"))
    (pose,) = labels.instances()
    assert not pose.is_prediction


def test_saved_frames_beside_the_file_stand_for_a_video_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images/frame_000010.png"), np.zeros((4, 4, 3), np.uint8))
    labels, _ = read(write(tmp_path, video_body(dense=True), META))
    names = [(frame.name, labels.media[frame.media].type) for frame in labels.frames()]
    assert names[0] == ("images/frame_000010.png", IMAGES)


@pytest.mark.parametrize("content", ["<annotations/>", "<annotation><folder/></annotation>", "", "{}"])
def test_other_xml_is_not_taken(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(content)
    assert format_named("cvat").sniff(path) == NO
    with pytest.raises(LabelError, match=r"a\.xml"):
        format_named("cvat").read(path)


def labels_of(path: Path, media: Media) -> Labels:
    schema = schema_from_names("mouse", ["nose", "left <ear>", 'tail "x"'], [(0, 1), (1, 2)])
    rng = np.random.default_rng(0)
    frames = [Frame(f"f{n}.png" if media.type == IMAGES else "", 0, n * 2 % 5, 64, 48) for n in range(5)]
    instances = [
        Instance(
            n % 5,
            n % 2,
            rng.integers(0, 4000, (3, 2)) / 100,
            np.array([VISIBLE, n % 3, OCCLUDED], np.uint8),
            track=n % 2 if media.type == VIDEO else None,
        )
        for n in range(10)
    ]
    categories = [Category("mouse & rat", schema), Category("b", schema)]
    return Labels(frames, instances, categories, [media], path=path)


@pytest.mark.parametrize(("name", "media"), [("cvat", Media()), ("cvat_video", Media(VIDEO, "v.mp4"))])
def test_what_is_written_is_read_back(tmp_path: Path, name: str, media: Media) -> None:
    labels = labels_of(tmp_path / "in.json", media)
    format_named(name).write(labels, tmp_path / "out.xml")
    again, remarks = read(tmp_path / "out.xml")
    assert remarks == []
    assert [c.name for c in again.categories] == ["mouse & rat", "b"]
    for one, other in zip(labels.categories, again.categories, strict=True):
        assert one.schema is not None
        assert other.schema is not None
        assert one.schema.names == other.schema.names
        assert [(a.start, a.end) for a in one.schema.limbs] == [(a.start, a.end) for a in other.schema.limbs]

    def rows(reader: LabelReader) -> list[tuple[object, ...]]:
        frames = list(reader.frames())
        return sorted(
            (
                frames[i.frame].name or frames[i.frame].index,
                i.category,
                i.visibility.tolist(),
                np.round(i.keypoints, 2).tolist(),
                i.track,
                i.is_prediction,
            )
            for i in reader.instances()
            if i.keypoints is not None and i.visibility is not None
        )

    assert rows(again) == rows(labels)
    if media.type == VIDEO:
        assert again.media[0].path == "v.mp4"


def test_categories_and_images_of_one_name_stay_apart(tmp_path: Path) -> None:
    schema = schema_from_names("mouse", ["nose", "tail"])
    points, visibility = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([VISIBLE, VISIBLE], np.uint8)
    labels = Labels(
        [Frame("a.png", index=0, width=8, height=6), Frame("a.png", index=1, width=8, height=6), Frame("", -1)],
        [Instance(n, n, points + n, visibility) for n in range(2)],
        [Category("mouse", schema, 1), Category("mouse", schema, 2)],
    )
    context = Context()
    format_named("cvat").write(labels, tmp_path / "out.xml", context=context)
    assert context.findings.sentences() == [
        "Category without a name of its own, written as mouse_2: mouse",
        "Image of the same name as another, written as a_2.png: a.png",
    ]
    again, remarks = read(tmp_path / "out.xml")
    assert remarks == []
    assert [(i.frame, i.category, i.keypoints.tolist()) for i in again.instances() if i.keypoints is not None] == [
        (0, 0, [[1, 2], [3, 4]]),
        (1, 1, [[2, 3], [4, 5]]),
    ]


def video_labels(frame_indices: list[int], *, tracked: bool = True) -> Labels:
    schema = schema_from_names("mouse", ["nose", "tail"])
    frames = [Frame("", 0, index, 64, 48) for index in frame_indices]
    instances = [
        Instance(
            n, 0, np.array([[n, 1.0], [n, 2.0]]), np.array([VISIBLE, OCCLUDED], np.uint8), track=0 if tracked else None
        )
        for n in range(len(frames))
    ]
    return Labels(frames, instances, [Category("mouse", schema)], [Media(VIDEO, "v.mp4")])


def test_tracks_are_skeletons_with_keyframes_which_cvat_imports(tmp_path: Path) -> None:
    format_named("cvat_video").write(video_labels([3, 4, 9]), tmp_path / "out.xml")
    (track,) = ElementTree.parse(tmp_path / "out.xml").getroot().findall("track")
    skeletons = list(track)
    assert {child.tag for child in skeletons} == {"skeleton"}
    assert [(s.get("frame"), s[0].get("outside")) for s in skeletons] == [
        ("3", "0"),
        ("4", "0"),
        ("5", "1"),
        ("9", "0"),  # the last frame that is known: CVAT refuses points in one behind it
    ]
    assert all(p.get("keyframe") == s.get("keyframe") == "1" for s in skeletons for p in s)
    again, remarks = read(tmp_path / "out.xml")
    assert remarks == []
    frames = list(again.frames())
    assert [(frames[i.frame].index, i.is_prediction) for i in again.instances()] == [(3, False), (4, False), (9, False)]


def test_images_are_frames_by_their_order_in_a_file_for_video(tmp_path: Path) -> None:
    labels, context = labels_of(tmp_path / "in.json", Media(IMAGES, "pictures")), Context()
    format_named("cvat_video").write(labels, tmp_path / "out.xml", context=context)
    assert context.findings.sentences() == [
        "Images are written as frames in their order, names of images are not kept: out.xml"
    ]
    again, remarks = read(tmp_path / "out.xml")
    assert remarks == ["No video is named; out.mp4 is looked for: out.xml"]
    assert sorted({frame.index for frame in again.frames()}) == [0, 1, 2, 3, 4]
    assert again.num_instances() == 10


def test_poses_without_a_track_stay_in_their_frame(tmp_path: Path) -> None:
    format_named("cvat_video").write(video_labels([0, 5, 500], tracked=False), tmp_path / "out.xml")
    again, _ = read(tmp_path / "out.xml")
    frames = list(again.frames())
    assert [frames[i.frame].index for i in again.instances()] == [0, 5, 500]


def test_a_track_that_ends_is_not_shown_until_the_end_of_the_video(tmp_path: Path) -> None:
    points = point("nose", 0, 0, 'keyframe="1"')
    gone = point("nose", 0, 0, 'keyframe="1" outside="1"')
    tracks = "".join(
        f'<track id="{n}" label="mouse"><skeleton frame="{n}" keyframe="1">{points}</skeleton>'
        f'<skeleton frame="{n + 2}" keyframe="1">{gone}</skeleton></track>'
        for n in range(5)
    )
    meta = "<stop_frame>90000000</stop_frame><source>v.mp4</source>"
    labels, remarks = read(write(tmp_path, tracks, meta))
    assert remarks == []
    assert labels.num_instances() == 10


def test_images_of_a_video_are_its_frames(tmp_path: Path) -> None:
    pose = f'<skeleton label="mouse">{point("nose", 1, 2)}</skeleton>'
    body = f'<image id="12" name="frame_000012" width="8" height="6">{pose}</image>'
    meta = "<mode>interpolation</mode><source>v.mp4</source>"
    labels, _ = read(write(tmp_path, body, meta))
    assert labels.media == [Media(VIDEO, "v.mp4")]
    assert [(f.index, f.width) for f in labels.frames()] == [(12, 8)]
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images/frame_000012.png"), np.zeros((6, 8, 3), np.uint8))
    labels, _ = read(tmp_path / "annotations.xml")
    assert labels.media == [Media()]
    assert [f.name for f in labels.frames()] == ["frame_000012"]


def test_images_of_one_name_in_two_tasks_of_a_project_stay_apart(tmp_path: Path) -> None:
    pose = f'<skeleton label="mouse">{point("nose", 1, 2)}</skeleton>'
    body = "".join(f'<image id="{n}" name="a.png" task_id="{n}" subset="Train">{pose}</image>' for n in (4, 5))
    labels, _ = read(write(tmp_path, body))
    assert [f.name for f in labels.frames()] == ["a.png", "Train/5_5/a.png"]
    assert [i.frame for i in labels.instances()] == [0, 1]
    assert len({i.key for i in labels.instances()}) == 2


def test_a_box_in_the_group_of_a_skeleton_is_its_box(tmp_path: Path) -> None:
    body = (
        f'<image id="0" name="a.png"><skeleton label="mouse" group_id="1">{point("nose", 1, 2)}</skeleton>'
        '<box label="cage" group_id="1" xtl="0" ytl="0" xbr="9" ybr="9"/></image>'
    )
    (pose,) = read(write(tmp_path, body))[0].instances()
    assert pose.box is not None
    assert pose.box.tolist() == [0, 0, 9, 9]


def test_points_without_a_group_are_one_pose_where_no_label_is_there_twice(tmp_path: Path) -> None:
    image = '<image id="0" name="{}">{}</image>'
    points = point("nose", 1, 2) + point("tail", 3, 4)
    meta = "<labels><label><name>nose</name></label><label><name>tail</name></label></labels>"
    body = image.format("a.png", points) + image.format("b.png", point("tail", 5, 6))
    labels, remarks = read(write(tmp_path, body, labels=meta))
    assert remarks == ["Points without a group, taken as the keypoints of one pose in each image: nose, tail"]
    assert [c.name for c in labels.categories] == ["object"]
    assert [i.visibility.tolist() for i in labels.instances() if i.visibility is not None] == [[2, 2], [0, 2]]
    twice = image.format("a.png", points + point("nose", 7, 8))
    labels, _ = read(write(tmp_path, twice, labels=meta))
    assert sorted(labels.categories[i.category].name for i in labels.instances()) == ["nose", "nose", "tail"]


def test_numbers_that_are_no_pixels_are_told(tmp_path: Path) -> None:
    body = (
        '<image id="0" name="a.png"><box label="cage" xtl="-1e308" ytl="2" xbr="1e308" ybr="4"/>'
        f'<skeleton label="mouse">{point("nose", 1e308, 2)}{point("tail", 1, 2)}</skeleton></image>'
    )
    labels, remarks = read(write(tmp_path, body))
    (pose,) = labels.instances()
    assert pose.visibility is not None
    assert pose.visibility.tolist() == [ABSENT, VISIBLE]
    assert sorted(remark.split(",")[0] for remark in remarks) == [
        "Box whose corners are not numbers",
        "Points that are not pairs of numbers",
    ]


@pytest.mark.parametrize(
    ("name", "poses", "boxes", "tracks"),
    [("for_images/train.xml", 3, 1, 0), ("for_video/annotations.xml", 4, 1, 3)],
)
def test_real_files(shared: Path, name: str, poses: int, boxes: int, tracks: int) -> None:
    labels, _ = read(shared / "data/formats/cvat-xml-datumaro" / name)
    instances = list(labels.instances())
    assert sum(i.is_pose for i in instances) == poses
    assert sum(i.box is not None for i in instances) == boxes
    assert len({i.track for i in instances} - {None}) == tracks
    schema = labels.categories[0].schema
    assert schema is not None
    assert schema.names == ("1", "2", "3", "4")
    assert [(limb.start, limb.end) for limb in schema.limbs] == [("3", "2"), ("1", "4")]


def test_real_points_without_a_skeleton(shared: Path) -> None:
    path = shared / "data/formats/cvat-xml-estop/annotations.xml"
    labels, remarks = read(path)
    assert remarks == []
    assert labels.num_instances() == path.read_text().count("<points ") == 19


def test_predictions_are_left_out_when_asked(tmp_path: Path) -> None:
    labels = labels_of(tmp_path / "in.json", Media())
    changed = [i.replace(is_prediction=n > 0) for n, i in enumerate(labels.instances())]
    predicted = Labels(labels.frames(), changed, labels.categories, labels.media, path=labels.path)
    format_named("cvat").write(predicted, tmp_path / "out.xml", WriteOptions(include_predictions=False))
    assert read(tmp_path / "out.xml")[0].num_instances() == 1
    format_named("cvat").write(predicted, tmp_path / "all.xml")
    assert sum(i.is_prediction for i in read(tmp_path / "all.xml")[0].instances()) == 9
