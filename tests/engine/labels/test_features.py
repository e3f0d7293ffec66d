"""What labels hold, and what a format would lose of it."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import Cancelled
from engine.labels import OCCLUDED, UNKNOWN, VIDEO, VISIBLE, Category, Feature, Frame, Instance, Labels, Media
from engine.labels.features import count_features, lost_features
from engine.schema.schema import schema_from_names
from engine.utils.context import Context

SCHEMA = schema_from_names("mouse", ["nose", "tail"], category="mouse")
POINTS = np.array([[1.0, 2.0], [3.0, 4.0]])
SEEN = np.array([VISIBLE, VISIBLE], np.uint8)


def test_plain_labels_have_no_special_features() -> None:
    labels = Labels([Frame("a.png")], [Instance(0, 0, POINTS, SEEN)], [Category("mouse", SCHEMA)])
    assert not count_features(labels)


def test_each_feature_is_counted() -> None:
    instances = [
        Instance(0, 0, POINTS, np.array([VISIBLE, OCCLUDED], np.uint8), box=np.zeros(4), score=0.5, track=1),
        Instance(UNKNOWN, 0, raw=b"{}"),
        Instance(0, 0, POINTS, SEEN, is_crowd=True),
    ]
    frames = [Frame("", 0, 7), Frame("a.png", 1, is_negative=True)]
    labels = Labels(
        frames,
        instances,
        [Category("mouse", SCHEMA), Category("rat", SCHEMA)],
        [Media(VIDEO, "film.mp4"), Media()],
        tracks={1: "Anna"},
    )
    assert count_features(labels) == {
        Feature.OCCLUSION: 1,
        Feature.SCORES: 1,
        Feature.BOXES: 1,
        Feature.TRACKS: 1,
        Feature.TRACK_NAMES: 1,
        Feature.CROWDS: 2,
        Feature.SEVERAL_CATEGORIES: 1,
        Feature.SEVERAL_MEDIA: 1,
        Feature.VIDEO_FRAMES: 1,
        Feature.EMPTY_FRAMES: 1,
        Feature.FRAME_MARKS: 1,
        Feature.UNKNOWN_KEYS: 1,
    }


def test_what_is_lost_is_what_there_is_and_the_format_does_not_keep() -> None:
    labels = Labels(
        [Frame("a.png"), Frame("b.png")], [Instance(0, 0, POINTS, SEEN, track=3)], [Category("mouse", SCHEMA)]
    )
    counts = count_features(labels)
    assert lost_features(counts, {Feature.TRACKS}) == ["frames without instances (1)"]
    assert not lost_features(counts, set(Feature))


def test_counting_can_be_cancelled() -> None:
    context = Context()
    context.cancel()
    labels = Labels([Frame("a.png")], [Instance(0, 0, POINTS, SEEN)], [])
    with pytest.raises(Cancelled):
        count_features(labels, context)


def test_changing_an_instance_says_what_was_changed() -> None:
    changed = Instance(0, 0, POINTS, SEEN).replace(track=4).replace(score=0.5)
    assert (changed.track, changed.score, changed.edited) == (4, 0.5, {"track", "score"})
    assert changed.keypoints is POINTS
