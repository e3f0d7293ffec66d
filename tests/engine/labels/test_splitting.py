"""Labels are divided as asked, always in the same way, and what belongs together stays together."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import LabelError
from engine.labels import VIDEO, VISIBLE, Category, Frame, Instance, Labels, Media
from engine.labels.splitting import FramesSubset, assign_splits, labelled_frames, parse_fractions
from engine.schema.schema import schema_from_names

CATEGORY = Category("mouse", schema_from_names("mouse", ["nose"]))


def labels_of(frames: list[Frame], instances: list[Instance], media: list[Media] | None = None) -> Labels:
    return Labels(frames, instances, [CATEGORY], media or [Media()], path="labels.json")


def pose(frame: int, track: int | None = None, *, is_prediction: bool = False) -> Instance:
    return Instance(
        frame, 0, np.full((1, 2), float(frame)), np.full(1, VISIBLE, np.uint8), track=track, is_prediction=is_prediction
    )


@pytest.mark.parametrize("text", ["", "80", "a/b", "1/2/3/4", "-1/2", "0/0", "nan/1", "inf/1"])
def test_shares_that_divide_nothing_are_an_error(text: str) -> None:
    with pytest.raises(LabelError, match="80/20"):
        parse_fractions(text)


def test_shares_add_up_to_one() -> None:
    assert parse_fractions("8,1,1") == {"train": 0.8, "val": 0.1, "test": 0.1}
    assert parse_fractions("3/1") == {"train": 0.75, "val": 0.25}


@given(st.integers(1, 200), st.integers(0, 5))
def test_every_frame_gets_a_split_and_shares_are_met(count: int, seed: int) -> None:
    labels = labels_of([Frame(f"{n}.png", index=n) for n in range(count)], [])
    splits = assign_splits(labels, parse_fractions("80/10/10"), seed=seed)
    assert splits == assign_splits(labels, parse_fractions("80/10/10"), seed=seed)
    counts = Counter(splits)
    assert all(abs(counts[name] - share * count) <= 1 for name, share in parse_fractions("80/10/10").items())


def test_another_seed_divides_otherwise() -> None:
    labels = labels_of([Frame(f"{n}.png", index=n) for n in range(50)], [])
    assert assign_splits(labels, parse_fractions("1/1"), seed=0) != assign_splits(
        labels, parse_fractions("1/1"), seed=1
    )


def test_frames_of_a_video_and_images_of_a_folder_stay_together() -> None:
    media = [Media(), Media(VIDEO, "a.mp4"), Media(VIDEO, "b.mp4")]
    frames = [Frame(f"{folder}/{n}.png", 0, n) for folder in "xyz" for n in range(4)]
    frames += [Frame("", m, n) for m in (1, 2) for n in range(6)]
    splits = assign_splits(labels_of(frames, [], media), parse_fractions("50/50"), "video")
    groups: dict[object, set[str]] = {}
    for frame, split in zip(frames, splits, strict=True):
        groups.setdefault((frame.media, frame.name.rpartition("/")[0]), set()).add(split)
    assert all(len(names) == 1 for names in groups.values())
    assert sorted(Counter(splits).values()) == [10, 14]  # as even as groups of 6, 6, 4, 4, 4 allow


def test_frames_of_a_track_stay_together() -> None:
    frames = [Frame(f"{n}.png", index=n) for n in range(9)]
    tracks = [(0, 1), (1, 1), (1, 2), (2, 2), (3, 3), (4, 3), (5, 4), (6, 4)]
    splits = assign_splits(labels_of(frames, [pose(*t) for t in tracks]), parse_fractions("50/50"), "track")
    assert len({*splits[0:3]}) == len({*splits[3:5]}) == len({*splits[5:7]}) == 1
    assert set(splits) == {"train", "val"}


def test_a_part_of_labels_has_its_frames_only() -> None:
    frames = [Frame(f"{n}.png", index=n) for n in range(4)]
    part = FramesSubset(labels_of(frames, [pose(n) for n in (3, 0, 2)]), [3, 2])
    assert [(frame.name, frame.index) for frame in part.frames()] == [("2.png", 0), ("3.png", 1)]
    assert [(i.frame, i.keypoints[0, 0]) for i in part.instances() if i.keypoints is not None] == [(1, 3.0), (0, 2.0)]


def test_labelled_frames_are_those_of_people_and_those_marked_as_empty() -> None:
    frames = [
        Frame("0.png"),
        Frame("1.png", index=1, is_negative=True),
        Frame("2.png", index=2),
        Frame("3.png", index=3),
    ]
    labels = labels_of(frames, [pose(0), pose(2, is_prediction=True)])
    assert labelled_frames(labels) == [0, 1]
    assert labelled_frames(labels, include_predictions=True) == [0, 1, 2]
