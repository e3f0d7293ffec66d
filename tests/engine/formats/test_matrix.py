"""Every label format against every other: what a format says it keeps comes back, and what it does not is told.

Labels are read, written in each writable format, and read back. A difference is right only if it is of a feature that
the format does not keep, which ``what_is_lost`` told before, or if the writer or reader reported the record.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.convert import what_is_lost
from engine.errors import LabelError
from engine.formats.registry import LabelFormat, WriteOptions, formats
from engine.labels import VIDEO, Feature, LabelReader
from engine.labels.features import count_features
from engine.utils.context import Context, Remark
from tests.engine.formats.comparison import DEFAULT_PRECISION, Difference, Side, differences, read_back, side_of
from tests.engine.formats.made_labels import plain_images, rich_images, videos

WRITABLE = [format.name for format in formats() if format.can_write]
MAKERS: dict[str, Callable[[Path], LabelReader]] = {
    "plain_images": plain_images, "rich_images": rich_images, "videos": videos,
}  # fmt: skip


def check(labels: LabelReader, format: LabelFormat, folder: Path, *, video_images: bool = True) -> list[str]:
    """Write labels, read them back, and list what differs although it should not."""
    before = side_of(labels)
    announced = what_is_lost(labels, format)
    counts = count_features(labels)
    context = Context()
    suffix = format.suffixes[0] if format.suffixes else ""
    try:
        has_video = any(media.type == VIDEO for media in labels.media)
        options = WriteOptions(images="none" if has_video and not video_images else "copy")
        format.write(labels, folder / f"out{suffix}", options, context)
    except LabelError as error:
        return [] if _is_refusal(labels, format) else [f"cannot be written: {error}"]
    try:
        after = read_back(folder, context)
    except LabelError as error:
        missing = [remark for remark in map(str, context.findings.sentences()) if "Image not found" in remark]
        return [] if missing else [f"cannot be read back: {error}"]  # some formats need the sizes of the images
    if after is None:
        return [] if format.name in WRITE_ONLY else ["is not recognized by any format"]
    precision = getattr(format, "precision", DEFAULT_PRECISION)
    wrong: list[Difference] = []
    for difference in differences(before, after, precision, names_categories=getattr(format, "names_categories", True)):
        feature = difference.feature
        if feature is not None and feature not in format.keeps and counts[feature]:
            assert any(phrase.startswith(feature.value) for phrase in announced), (
                f"{feature} is lost, and nobody says so"
            )
        else:
            wrong.append(difference)
    reported = sum(map(_count_of, context.findings.sentences()))
    if len(wrong) <= reported:
        return []
    lines = [f"{d.feature.name if d.feature else 'any'}: {d.where}: {d.what}" for d in wrong]
    return [*lines[:40], f"{len(lines)} in all", *map(str, context.findings.sentences())]


def _count_of(remark: Remark) -> int:
    """How many records a remark concerns. One of a file of records says how many in brackets."""
    rows = re.search(r"\(rows: (\d+)\)", remark)
    return remark.occurrences * (1 + int(rows[1]) if rows else 1)


_OF_LABELS = {"lightning_pose"}
_OF_VIDEOS = {"cvat_video", "sleap_analysis"}
WRITE_ONLY = {format.name for format in formats() if format.can_write and not format.can_read}


def _is_refusal(labels: LabelReader, format: LabelFormat) -> bool:
    """Whether a format may refuse labels as a whole: there is no pose, or not one frame of the kind it is made for."""
    has_pose = any(instance.is_pose for instance in labels.instances())
    needs_video = Feature.VIDEO_FRAMES in format.keeps and not any(m.type == VIDEO for m in labels.media)
    has_label = any(instance.is_pose and not instance.is_prediction for instance in labels.instances())
    return not has_pose or needs_video or (not has_label and format.name in _OF_LABELS)


@pytest.mark.parametrize("name", WRITABLE)
@pytest.mark.parametrize("maker", MAKERS)
def test_made_labels_come_back(tmp_path: Path, name: str, maker: str) -> None:
    if name in _OF_VIDEOS and maker != "videos":
        pytest.skip("images are numbered frames in this format, and their names are not kept; its writer says so")
    format = next(format for format in formats() if format.name == name)
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    wrong = check(MAKERS[maker](tmp_path / "in"), format, tmp_path / "out")
    assert not wrong, "\n".join(wrong)


def test_the_comparison_sees_what_is_changed(tmp_path: Path) -> None:
    labels = rich_images(tmp_path)
    before = side_of(labels)
    assert differences(before, side_of(rich_images(tmp_path))) == []
    assert before.categories == ["mouse", "bird"]
    instances = list(labels.instances())
    assert instances[0].keypoints is not None
    moved = instances[0].replace(keypoints=instances[0].keypoints + 0.5)
    changes = [
        (moved, {None}),
        (instances[0].replace(track=None), {Feature.TRACKS}),
        (instances[0].replace(box=None), {Feature.BOXES}),
        (instances[0].replace(visibility=instances[1].visibility.clip(0, 1)), {Feature.OCCLUSION}),  # type: ignore[union-attr]
        (instances[0].replace(category=1, keypoints=None, visibility=None), {None}),
    ]
    for changed, features in changes:
        after = Side()
        after.add(
            type(labels)(labels.frames(), [changed, *instances[1:]], labels.categories, path="x", tracks=labels.tracks)
        )
        assert {difference.feature for difference in differences(before, after)} >= features
